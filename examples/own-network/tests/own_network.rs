//! The program trains, is stopped and goes on to the same bytes, and its events are exact; the
//! graph file beside it is the same network with LIF neurons.

use snn_ir::{Graph, Lif, Model, Op, Site};
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_own-network")).args(arguments).output().unwrap()
}

fn finished(folder: &str) -> String {
    let output = run(&[folder]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_trains_resumes_to_the_same_bytes_converts_and_runs_exactly() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name).display().to_string();
    let whole = finished(&at("whole"));
    let (spikes, accuracy) = whole.split_once('\n').unwrap();
    assert!(spikes.starts_with("0 of ") && spikes.ends_with(" spikes differ"), "{whole}");
    let right: f64 = accuracy.split(' ').next().unwrap().parse().unwrap();
    assert!(right >= 90.0 && accuracy.ends_with("deployed\n"), "{whole}");
    for steps in ["7", "40", "50"] {
        let stopped = run(&[&at("stopped"), steps]);
        assert!(!stopped.status.success() && stopped.stdout.is_empty());
        let error = String::from_utf8_lossy(&stopped.stderr).into_owned();
        assert!(error.contains("call again to go on"), "{error}");
    }
    assert_eq!(finished(&at("stopped")), whole);
    for file in ["model.safetensors", "deployed.safetensors"] {
        let bytes = |name: &str| std::fs::read(Path::new(&at(name)).join(file)).unwrap();
        assert_eq!(bytes("stopped"), bytes("whole"), "{file}");
    }

    // The file has the same network, with a neuron that a config can name.
    let mut graph =
        Model::load(Path::new(&at("whole")).join("model.safetensors")).unwrap().graph().clone();
    graph.node_mut("sum").unwrap().op =
        Op::Activation { site: Site::Lif(Lif::default()), code: None };
    assert_eq!(Graph::load(Path::new("net.json")).unwrap(), graph);
}
