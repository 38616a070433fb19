//! The program trains, is stopped and goes on to the same bytes, and its events are exact; the
//! graph file beside it is the same network with LIF neurons.

use snn_ir::{Graph, Lif, Model, Op, Site};
use std::path::Path;
use std::process::Command;

fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_own-network")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_trains_resumes_to_the_same_bytes_converts_and_runs_exactly() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name).display().to_string();
    let whole = run(&[&at("whole")]);
    assert!(whole.starts_with("0 of "), "{whole}");
    let right: f64 = whole.split_once("; ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(right >= 90.0, "{whole}");
    for steps in ["7", "40", "50"] {
        assert_eq!(run(&[&at("stopped"), steps]), "stopped\n");
    }
    assert_eq!(run(&[&at("stopped")]), whole);
    let model = |name: &str| std::fs::read(Path::new(&at(name)).join("model.safetensors")).unwrap();
    assert_eq!(model("stopped"), model("whole"));

    // The file has the same network, with a neuron that a config can name.
    let mut graph =
        Model::load(Path::new(&at("whole")).join("model.safetensors")).unwrap().graph().clone();
    graph.node_mut("sum").unwrap().op =
        Op::Activation { site: Site::Lif(Lif::default()), code: None };
    assert_eq!(Graph::load(Path::new("net.json")).unwrap(), graph);
}
