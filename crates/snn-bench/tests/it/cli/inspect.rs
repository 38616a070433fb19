//! What `inspect` says of nodes.

use super::{json, snn, stdout};
use serde_json::Value;
use snn_ir::{
    Adaptation, Code, Conv, FirstMembrane, Form, GraphBuilder, GridOptions, InitialWeights, Lif,
    Model, Norm, PoolKind, Preprocessing, Readout, Reset, Signature, Synapse,
};
use std::path::Path;

/// A network with every attribute that is told apart from its usual value.
fn model() -> Model {
    let mut net = GraphBuilder::new([3, 9, 9]);
    let padded = Conv { padding: vec![0, 1, 1, 2], ..Conv::square(4, 3, 2) };
    net.conv("stem", padded).initial(InitialWeights::Dirac).frozen();
    net.norm_of("bn", Norm { momentum: 0.4, ..Norm::without_scale() });
    let initial = FirstMembrane::Threshold { share: 0.5 };
    net.neuron(&Lif {
        initial,
        reset: Reset::Soft,
        synapse: Synapse::Current { alpha: 0.5 },
        adaptation: Adaptation::Threshold { decay: 0.75, strength: 0.25 },
        ..Lif::default()
    });
    net.site("act").drop_path("path", 0.1).global_pool("pool", PoolKind::Sum);
    net.neuron(&Lif { reset: Reset::Hard { potential: -0.5 }, ..Lif::default() });
    net.dropout("drop", 0.25).linear("fc1", 4).site("act1");
    net.voting("vote", 2).readout(Readout::Max);
    let graph = net.build().unwrap();
    let weights = graph.initial_weights(1).unwrap();
    let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
    Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights)
}

/// Detail of every node of a model file.
fn inspected(path: &Path) -> Vec<Value> {
    let inspected = json(&snn().arg("inspect").arg(path).arg("--json").assert().success());
    inspected["nodes"].as_array().unwrap().clone()
}

#[test]
fn attributes_of_nodes_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trained.safetensors");
    let trained = model();
    trained.save(&path).unwrap();
    let nodes = inspected(&path);
    let node = |name: &str| nodes.iter().find(|node| node["name"] == name).unwrap();
    for (name, expected) in [
        ("stem", "3×3, stride 2×2, padding 0×1 before, 1×2 behind, begins Dirac, frozen"),
        ("bn", "no scale, momentum 0.4"),
        ("act", "θ = 1, λ = 0.5, soft reset, v₀ = 0.5 of θ, α = 0.5, ρ = 0.75, β = 0.25"),
        ("path", "p = 0.1"),
        ("drop", "p = 0.25"),
        ("act1", "θ = 1, λ = 0.5, v_r = -0.5"),
        ("vote", "begins voting, frozen"),
    ] {
        let found = node(name)["detail"].as_str().unwrap();
        assert!(found.starts_with(expected), "{name}: {found}");
    }
    assert_eq!(node("head")["op"], "time_max");
    // The table for people has them, too.
    let table = stdout(&snn().arg("inspect").arg(&path).arg("--nodes").assert().success());
    assert!(table.contains("begins Dirac, frozen") && table.contains("time_max"), "{table}");

    // On the grid what a site does is in its attributes alone.
    let events = snn_reparam::convert(&trained, &Code::Unary.into()).unwrap().model;
    let grid = snn_reparam::to_grid(&events, GridOptions::default()).unwrap().model;
    let path = folder.path().join("grid.safetensors");
    grid.save(&path).unwrap();
    let nodes = inspected(&path);
    let site = nodes.iter().find(|node| node["name"] == "act").unwrap();
    let found = site["detail"].as_str().unwrap();
    assert!(found.ends_with("soft reset, v₀ per channel, α = 1/2^1, ρ = 3/2^2"), "{found}");
    let stem = nodes.iter().find(|node| node["name"] == "stem").unwrap();
    assert!(!stem["detail"].as_str().unwrap().contains("frozen"), "{stem}");
}
