//! Graph files: what may be left out, what is said of mistakes, and that a graph survives both
//! notations.

use serde_json::{Value, json};
use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::{Conv, Graph, GraphBuilder, Norm, Op, PoolKind, Signature, Window};
use std::path::PathBuf;

fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn graphs_survive_json_and_toml_files_and_model_files() {
    for graph in [ResNet::default().build(), SmallNet::default().build()] {
        let (_folder, path) = file("net.json", &serde_json::to_string(&graph).unwrap());
        assert_eq!(Graph::load(path).unwrap(), graph);
        let (_folder, path) = file("net.toml", &toml::to_string(&graph).unwrap());
        assert_eq!(Graph::load(path).unwrap(), graph);
    }
    let model = crate::tiny::grid_model();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    model.save(&path).unwrap();
    assert_eq!(&Graph::load(&path).unwrap(), model.graph());
    assert_eq!(&Signature::load(&path).unwrap(), model.signature());
}

/// The file of the book leaves out what has a default; written in full it is the same graph.
#[test]
fn attributes_that_have_a_default_may_be_absent() {
    let text = include_str!("../../../../examples/networks/every-operation.toml");
    let graph = Graph::from_toml(text).unwrap();
    let full = toml::to_string(&graph).unwrap();
    let has_eps = |text: &str| text.replace("steps", "").contains("eps");
    assert!(has_eps(&full) && !has_eps(text));
    assert_eq!(Graph::from_toml(&full).unwrap(), graph);
    let op = |name: &str| graph.node(name).unwrap().op.clone();
    assert_eq!(op("stem.conv"), Op::Conv(Conv::square(16, 3, 1)));
    assert_eq!(op("stem.bn"), Op::BatchNorm(Norm::default()));
    let window = Window::square(2);
    assert_eq!(op("pool1"), Op::Pool { pool: PoolKind::Max, window });
    assert_eq!(graph.node("stem.bn").unwrap().inputs, ["stem.conv"]);
}

#[test]
fn defaults_of_one_axis_and_the_node_before() {
    let graph = Graph::from_json(
        r#"{"nodes": [
            {"name": "x", "op": {"op": "input", "shape": [2, 12]}},
            {"name": "c", "op": {"op": "conv", "channels": 3, "kernel": [3]}},
            {"name": "a", "op": {"op": "activation", "site": {"kind": "lif"}}},
            {"name": "p", "op": {"op": "pool", "pool": "max", "window": {"kernel": [2]}}},
            {"name": "f", "op": {"op": "flatten"}},
            {"name": "fc", "op": {"op": "linear", "features": 2}},
            {"name": "head", "op": {"op": "time_mean"}}
        ]}"#,
    );
    let mut net = GraphBuilder::new([2, 12]);
    net.conv("c", Conv { padding: vec![0], ..Conv::line(3, 3, 1) }).site("a");
    net.pool("p", PoolKind::Max, 2).flatten("f").op("fc", Op::Linear { features: 2, bias: false });
    let mut expected = net.build().unwrap();
    expected.nodes[0].name = "x".into();
    expected.nodes[1].inputs = vec!["x".into()];
    assert_eq!(graph.unwrap(), expected);
}

/// A written graph has every attribute, so that earlier readers take it.
#[test]
fn what_is_written_leaves_nothing_out() {
    let mut net = GraphBuilder::new([2, 6, 6]);
    net.conv_site("c", Conv::square(3, 3, 1)).pool("p", PoolKind::Max, 2).flatten("f");
    let graph = net.linear("fc", 2).build().unwrap();
    let json = serde_json::to_value(&graph).unwrap();
    let conv = json!({"op": "conv", "channels": 3, "kernel": [3, 3], "stride": [1, 1],
        "padding": [1, 1], "dilation": [1, 1], "groups": 1, "bias": false});
    assert_eq!(json["nodes"][1]["op"], conv);
    assert_eq!(json["nodes"][2]["op"], json!({"op": "batch_norm", "eps": 1e-5}));
    let window = serde_json::to_value(Window::square(2)).unwrap();
    assert_eq!(window, json!({"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]}));
    assert_eq!(json["nodes"][6]["op"], json!({"op": "linear", "features": 2, "bias": true}));
}

/// Attributes newer than the first files are absent where they say what those files meant.
#[test]
fn attributes_of_a_norm_are_written_only_where_they_differ() {
    let json = |norm: Norm| serde_json::to_value(Op::BatchNorm(norm)).unwrap();
    assert_eq!(json(Norm::default()), json!({"op": "batch_norm", "eps": 1e-5}));
    let norm = Norm { eps: 1e-3, scale: false, momentum: 0.4 };
    let written = json!({"op": "batch_norm", "eps": 1e-3, "scale": false, "momentum": 0.4});
    assert_eq!(json(norm), written);
    assert_eq!(serde_json::from_value::<Op>(written).unwrap(), Op::BatchNorm(norm));
    let unknown = json!({"op": "batch_norm", "gamma": false});
    let error = serde_json::from_value::<Op>(unknown).unwrap_err().to_string();
    assert!(error.contains("gamma") && error.contains("momentum"), "{error}");
}

/// Padding of both sides is written as it always was; of each side in twice as many entries.
#[test]
fn padding_of_each_side_is_a_longer_list() {
    let conv = Conv { padding: vec![0, 1, 1, 1], ..Conv::square(2, 3, 2) };
    let json = serde_json::to_value(&conv).unwrap();
    assert_eq!(json["padding"], json!([0, 1, 1, 1]));
    assert_eq!(serde_json::from_value::<Conv>(json).unwrap(), conv);
    let geometry = conv.as_2d();
    assert_eq!((geometry.padding, geometry.padding_after), ([0, 1], [1, 1]));
    let line = Conv { padding: vec![1, 2], ..Conv::line(2, 3, 1) };
    assert_eq!((line.as_2d().padding, line.as_2d().padding_after), ([0, 1], [0, 2]));
}

#[test]
fn heads_and_a_voting_layer() {
    let mut net = GraphBuilder::new([20]);
    net.linear("fc", 20).site("act").voting("vote", 10).readout(snn_ir::Readout::Max);
    let graph = net.build().unwrap();
    let json = serde_json::to_value(&graph).unwrap();
    assert_eq!(json["nodes"][4]["op"], json!({"op": "time_max"}));
    assert_eq!(Graph::from_json(&json.to_string()).unwrap(), graph);
    assert!(graph.node("vote").unwrap().frozen);
    let vote = graph.initial_weights(1).unwrap()["vote.weight"].to_f64();
    assert_eq!((vote[[0, 0]], vote[[0, 1]], vote[[0, 2]], vote[[9, 19]]), (0.5, 0.5, 0.0, 0.5));
    let two = fault(|json| {
        let nodes = json["nodes"].as_array_mut().unwrap();
        let mut other = nodes[nodes.len() - 1].clone();
        other["name"] = json!("again");
        other["op"] = json!({"op": "time_last"});
        nodes.push(other);
    });
    assert!(two.contains("exactly one head (time_mean, time_last or time_max)"), "{two}");
}

/// Without a learned scale there is no such weight: none to train, and none in a file.
#[test]
fn a_norm_without_scale_has_no_weight() {
    let mut net = GraphBuilder::new([3]);
    net.linear("fc", 2).norm_of("norm", Norm::without_scale());
    let graph = net.build().unwrap();
    let weights = graph.initial_weights(1).unwrap();
    let names: Vec<&str> = weights.keys().map(String::as_str).collect();
    let expected = ["fc.bias", "fc.weight", "norm.bias", "norm.running_mean", "norm.running_var"];
    assert_eq!(names, expected);
}

/// A mistake in the JSON of a graph.
type Mistake = fn(&mut Value);

fn fault(change: impl FnOnce(&mut Value)) -> String {
    let mut json = serde_json::to_value(SmallNet::default().build()).unwrap();
    change(&mut json);
    let (_folder, path) = file("net.json", &json.to_string());
    let error = Graph::load(&path).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    error
}

#[test]
fn mistakes_are_named_with_file_and_node() {
    let cases: [(&[&str], Mistake); 8] = [
        (&["node `stem.conv`", "unknown field `strid`", "expected one of"], |json| {
            json["nodes"][1]["op"]["strid"] = json!([1, 1]);
        }),
        (&["node `stem.conv`", "unknown variant `conv2d`", "`conv`"], |json| {
            json["nodes"][1]["op"]["op"] = json!("conv2d");
        }),
        (&["node `stem.conv`", "missing field `kernel`"], |json| {
            json["nodes"][1]["op"].as_object_mut().unwrap().remove("kernel");
        }),
        (&["node `stem.act`", "unknown variant `spiking`", "`lif`"], |json| {
            json["nodes"][3]["op"]["site"]["kind"] = json!("spiking");
        }),
        (&["node 2 (without a name)", "missing field `name`"], |json| {
            json["nodes"][2].as_object_mut().unwrap().remove("name");
        }),
        (&["node `stem.bn`", "input `stem.con` is not a node before it"], |json| {
            json["nodes"][2]["inputs"] = json!(["stem.con"]);
        }),
        (&["node `stem.conv`", "stride must be"], |json| {
            json["nodes"][1]["op"]["stride"] = json!([1]);
        }),
        (&["unknown field `node`, expected `nodes`"], |json| {
            *json = json!({"node": []});
        }),
    ];
    for (parts, change) in cases {
        let error = fault(change);
        for part in parts {
            assert!(error.contains(part), "{error}: expected {part}");
        }
    }
}

#[test]
fn files_that_are_no_graphs_are_refused_by_name() {
    let (_folder, path) = file("net.yaml", "");
    let error = Graph::load(path).unwrap_err().to_string();
    assert!(
        error.contains("net.yaml") && error.contains(".json, .toml or .safetensors"),
        "{error}"
    );
    let (_folder, path) = file("net.toml", "nodes = 3 4");
    let error = Graph::load(path).unwrap_err().to_string();
    assert!(error.contains("net.toml") && error.contains("line 1"), "{error}");
    let (folder, path) = file("net.json", "\u{0}");
    std::fs::write(&path, [0xFF, 0xFE]).unwrap();
    let error = Graph::load(&path).unwrap_err().to_string();
    assert!(error.contains("UTF-8"), "{error}");
    let error = Graph::load(folder.path().join("none.json")).unwrap_err().to_string();
    assert!(error.contains("none.json") && error.contains("no such file"), "{error}");
    std::fs::File::create(&path).unwrap().set_len(1 << 25).unwrap();
    let error = Graph::load(&path).unwrap_err().to_string();
    assert!(error.contains("expected at most 16777216 bytes"), "{error}");
    let deep = "[".repeat(1 << 20);
    std::fs::write(&path, &deep).unwrap();
    assert!(Graph::load(&path).is_err());
    let (_folder, path) = file("deep.toml", &format!("nodes = {deep}"));
    assert!(Graph::load(path).is_err());
}
