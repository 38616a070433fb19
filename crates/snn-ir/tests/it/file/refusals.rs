//! What a file may not be: each refusal names the node, weight or setting.

use super::{header, op, pack, raw, refusal, refused_json, refused_weights};
use crate::tiny::{byte, chain, events_model, grid_model, int, real, trained_model};
use serde_json::{Value, json};
use snn_ir::{Graph, Op};

#[test]
fn claims_of_terabytes_are_refused_without_allocating() {
    let metadata = serde_json::to_string(&header(&events_model()).to_string()).unwrap();
    for (shape, end) in [
        ("[1099511627776]", "4398046511104"),
        ("[18446744073709551615,4]", "16"),
        ("[4294967296,4294967296]", "16"),
    ] {
        let header = format!(
            r#"{{"__metadata__":{{"snn":{metadata}}},"conv.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#
        );
        refusal(&raw(&header, &[0; 16]));
    }
    for length in [u64::MAX, 1 << 62, 100_000_000, 99_999_999, 1 << 30] {
        refusal(&[&length.to_le_bytes(), b"{}".as_slice()].concat());
    }
    // No values at all, but a shape that overflows.
    let header = format!(
        r#"{{"__metadata__":{{"snn":{metadata}}},"conv.weight":{{"dtype":"F64","shape":[0,9223372036854775807,2],"data_offsets":[0,0]}}}}"#
    );
    assert!(refusal(&raw(&header, &[])).contains("conv.weight"));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let events = events_model();
    refused_weights(
        &events,
        |w| drop(w.remove("fc.bias")),
        &["weight `fc.bias` is missing", "f64 [2]"],
    );
    refused_weights(
        &events,
        |w| drop(w.insert("fc.more".into(), real(&[1], &[0.0]))),
        &["weight `fc.more` belongs to no node"],
    );
    refused_weights(
        &events,
        |w| drop(w.insert("fc.bias".into(), real(&[3], &[0.0; 3]))),
        &["weight `fc.bias`", "expected f64 [2]", "found f64 [3]"],
    );
    refused_weights(
        &events,
        |w| drop(w.insert("fc.bias".into(), real(&[2, 1], &[0.0; 2]))),
        &["weight `fc.bias`", "found f64 [2, 1]"],
    );
    refused_weights(
        &events,
        |w| drop(w.insert("fc.bias".into(), int(&[2], &[0; 2]))),
        &["weight `fc.bias`", "expected f64 [2]", "found i32 [2]"],
    );
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused_weights(
            &events,
            |w| drop(w.insert("fc.bias".into(), real(&[2], &[0.0, bad]))),
            &["weight `fc.bias`", "not finite at position 1"],
        );
    }
    for bad in [0.0, -1.0] {
        refused_weights(
            &events,
            |w| drop(w.insert("level.step".into(), real(&[1], &[bad]))),
            &["weight `level.step`", "positive"],
        );
    }
    let trained = trained_model();
    let width = trained.weights()["stem.bn.running_var"].len();
    refused_weights(
        &trained,
        |w| drop(w.insert("stem.bn.running_var".into(), real(&[width], &vec![-0.1; width]))),
        &["weight `stem.bn.running_var`", "at least 0"],
    );
    refused_weights(
        &trained,
        |w| drop(w.insert("fc.bias".into(), int(&[3], &[1; 3]))),
        &["weight `fc.bias`", "expected f32 or f64 [3]"],
    );

    let grid = grid_model();
    refused_weights(
        &grid,
        |w| drop(w.insert("fc.weight".into(), byte(&[2, 4], &[-128; 8]))),
        &["weight `fc.weight`", "−127 to 127", "-128"],
    );
    refused_weights(
        &grid,
        |w| drop(w.insert("fc.weight".into(), int(&[2, 4], &[1; 8]))),
        &["weight `fc.weight`", "expected i8"],
    );
    refused_weights(
        &grid,
        |w| drop(w.insert("fc.multiplier".into(), int(&[2], &[1, 0]))),
        &["weight `fc.multiplier`", "at least 1"],
    );
    refused_weights(
        &grid,
        |w| drop(w.insert("spike.threshold".into(), int(&[2], &[0, 1]))),
        &["weight `spike.threshold`", "at least 1"],
    );
    refused_weights(
        &grid,
        |w| drop(w.insert("level.thresholds".into(), int(&[3, 1], &[1, 3, 2]))),
        &["weight `level.thresholds`", "ascend"],
    );
}

#[test]
fn element_types_that_do_not_exist_here_are_named() {
    let metadata = serde_json::to_string(&header(&events_model()).to_string()).unwrap();
    for (dtype, size) in
        [("BF16", 4), ("U8", 2), ("F16", 4), ("I64", 16), ("BOOL", 2), ("NONSENSE", 2)]
    {
        let header = format!(
            r#"{{"__metadata__":{{"snn":{metadata}}},"fc.bias":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{size}]}}}}"#
        );
        let message = refusal(&raw(&header, &vec![0; size]));
        assert!(message.contains("fc.bias") || message.contains("NONSENSE"), "{message}");
    }
}

#[test]
fn settings_of_the_model_that_do_not_fit_are_named() {
    let events = events_model();
    for steps in [0_u64, 65_537, u64::MAX] {
        refused_json(
            &events,
            |json| json["time_steps"] = json!(steps),
            &["time_steps must be 1 to 65536"],
        );
    }
    refused_json(
        &events,
        |json| json["preprocessing"]["mean"] = json!([1, 2]),
        &["1 means and deviations, found 2 and 1"],
    );
    refused_json(&events, |json| json["preprocessing"]["mean"] = json!([256]), &["256"]);
    refused_json(
        &events,
        |json| json["preprocessing"]["std"] = json!([2.0]),
        &["image", "std = 1"],
    );
    refused_json(
        &events,
        |json| json["preprocessing"]["std"] = json!([0.0]),
        &["preprocessing.std must be positive"],
    );
    refused_json(&events, |json| json["classes"] = json!(["one"]), &["2 class names, found 1"]);
    refused_json(
        &events,
        |json| json["form"] = json!({"kind": "other"}),
        &["unknown variant `other`"],
    );
    for unit in [0.0, -1.0] {
        refused_json(
            &grid_model(),
            |json| json["form"]["logit_unit"] = json!(unit),
            &["logit_unit must be positive"],
        );
    }
}

#[test]
fn nodes_that_do_not_fit_are_named() {
    let events = events_model();
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["inputs"] = json!(["flat"]),
        &["node `conv2`", "input `flat`", "topological"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["inputs"] = json!(["conv2"]),
        &["node `conv2`", "input `conv2`"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["inputs"] = json!(["nowhere"]),
        &["node `conv2`", "input `nowhere`"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["inputs"] = json!([]),
        &["node `conv2` (conv): expected one input, found 0"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["inputs"] = json!(["spike", "spike"]),
        &["node `conv2` (conv)", "found 2"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["name"] = json!("conv"),
        &["node `conv`", "used twice"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["name"] = json!(""),
        &["node 3 has an empty name"],
    );
    refused_json(
        &events,
        |json| json["graph"]["nodes"][3]["more"] = json!(1),
        &["unknown field `more`"],
    );
    refused_json(&events, |json| json["graph"]["nodes"] = json!([]), &["no nodes"]);
    refused_json(
        &events,
        |json| op(json, "conv2")["op"] = json!("teleport"),
        &["unknown variant `teleport`"],
    );
    refused_json(&events, |json| op(json, "conv2")["more"] = json!(1), &["unknown field `more`"]);
    let long = |length: usize| json!(vec![1_u64; length]);
    for (field, value, expected) in [
        ("kernel", json!([0, 3]), "kernel"),
        ("kernel", json!([3]), "stride"),
        ("kernel", long(3), "one or two axes"),
        ("kernel", json!([]), "one or two axes"),
        ("kernel", json!([u64::MAX, 3]), "kernel"),
        ("stride", json!([0, 1]), "stride"),
        ("stride", json!([u64::MAX, u64::MAX]), "stride"),
        ("padding", json!([u64::MAX, 0]), "padding"),
        ("padding", json!([-1, 0]), "invalid value"),
        ("dilation", json!([0, 0]), "dilation"),
        ("dilation", json!([u64::MAX, 1]), "dilation"),
        ("dilation", json!([1 << 28, 1 << 28]), "an axis of at least"),
        ("groups", json!(0), "groups"),
        ("groups", json!(3), "groups"),
        ("channels", json!(0), "channels must be at least 1"),
        ("channels", json!(u64::MAX), "weights"),
    ] {
        let edit = |json: &mut Value| op(json, "conv2")[field] = value.clone();
        let mut json = header(&events);
        edit(&mut json);
        let message = refusal(&pack(&json, events.weights()));
        assert!(message.contains(expected), "{field} {value}: {message}");
        assert!(
            message.contains("conv2") || message.contains("invalid value"),
            "{field} {value}: {message}"
        );
    }
    for shape in [
        json!([]),
        json!([1, 0, 3]),
        json!([u64::MAX, u64::MAX, 2]),
        json!([1, 1 << 20, 1 << 20]),
        json!([1, 1, 1, 1]),
    ] {
        refused_json(&events, |json| op(json, "image")["shape"] = shape, &["node `image`"]);
    }
    for features in [0, u64::MAX, 1 << 40] {
        refused_json(&events, |json| op(json, "fc")["features"] = json!(features), &["node `fc`"]);
    }
}

#[test]
fn sites_that_do_not_fit_are_named() {
    let events = events_model();
    let lif = |field: &'static str, value: Value, expected: &[&str]| {
        refused_json(&events, |json| op(json, "spike")["site"][field] = value, expected);
    };
    lif("threshold", json!(0.0), &["node `spike`", "threshold"]);
    lif(
        "leak",
        json!({"kind": "factor", "factor": 1.5}),
        &["node `spike`", "leak.factor", "[0, 1]", "1.5"],
    );
    lif("leak", json!({"kind": "factor", "factor": -0.1}), &["node `spike`", "leak.factor"]);
    lif("leak", json!({"kind": "learned", "initial": 1.0}), &["node `spike`", "leak.initial"]);
    lif("leak", json!({"kind": "learned", "initial": 0.5}), &["node `spike`", "learned leak"]);
    lif(
        "reset",
        json!({"kind": "hard", "potential": 2.0}),
        &["node `spike`", "above the reset potential"],
    );
    lif("surrogate", json!({"kind": "atan", "alpha": 0.0}), &["node `spike`", "surrogate"]);
    lif("more", json!(1), &["unknown field `more`"]);
    refused_json(
        &events,
        |json| op(json, "spike")["code"] = json!("unary"),
        &["node `spike`", "code binary"],
    );
    refused_json(
        &events,
        |json| drop(op(json, "spike").as_object_mut().unwrap().remove("code")),
        &["node `spike`", "code"],
    );
    refused_json(
        &events,
        |json| op(json, "level")["code"] = json!("binary"),
        &["node `level`", "unary, bit_plane or graded"],
    );
    refused_json(
        &events,
        |json| op(json, "level")["site"]["levels"] = json!(0),
        &["node `level`", "levels must be 1 to 255"],
    );
    refused_json(&events, |json| op(json, "level")["site"]["levels"] = json!(256), &["256"]);
    refused_json(
        &events,
        |json| op(json, "level")["site"]["step"] = json!(0.0),
        &["node `level`", "step must be positive"],
    );
    refused_json(
        &events,
        |json| op(json, "level")["site"] = json!({"kind": "grid_quant_relu", "levels": 3}),
        &["node `level`", "on the grid only"],
    );

    let grid = grid_model();
    let lif = |field: &'static str, value: Value, expected: &[&str]| {
        refused_json(&grid, |json| op(json, "spike")["site"][field] = value, expected);
    };
    lif("leak_shift", json!(17), &["node `spike`", "leak"]);
    lif("leak_shift", json!(255), &["node `spike`", "leak"]);
    lif("leak_multiplier", json!(3), &["node `spike`", "k ≤ 2^m"]);
    lif("leak_multiplier", json!(u32::MAX), &["node `spike`", "k ≤ 2^m"]);
    lif("guard_bits", json!(17), &["node `spike`", "guard_bits"]);
    refused_json(
        &grid,
        |json| op(json, "level")["site"]["levels"] = json!(0),
        &["node `level`", "levels"],
    );
    refused_json(
        &grid,
        |json| op(json, "level")["site"] = json!({"kind": "relu"}),
        &["node `level`", "grid_lif or grid_quant_relu"],
    );
}

#[test]
fn accumulators_that_could_overflow_are_refused() {
    let grid = grid_model();
    // 8 inputs of level 3 with weights of up to 4.
    refused_weights(
        &grid,
        |w| drop(w.insert("fc.multiplier".into(), int(&[2], &[i32::MAX, 1]))),
        &["node `fc`", "32 bits"],
    );
    refused_weights(
        &grid,
        |w| drop(w.insert("fc.bias".into(), int(&[2], &[0, i32::MIN]))),
        &["node `fc`", "32 bits"],
    );
    // Σ n·x itself: 70,000 pixels of up to 255 with weights of 127.
    let graph = chain(&[70_000], vec![("fc", Op::Linear { features: 1, bias: false })]);
    let weights =
        [("fc.weight", byte(&[1, 70_000], &vec![127; 70_000])), ("fc.multiplier", int(&[1], &[1]))];
    let error = crate::tiny::grid(graph, 1, weights).validate().unwrap_err().to_string();
    assert!(
        error.contains("node `fc`") && error.contains("sum of weights times inputs"),
        "{error}"
    );
    // A sum of two currents that fit alone.
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    for name in ["a", "b"] {
        graph.push(name, Op::Linear { features: 1, bias: false }, &["image"]);
    }
    graph.push("sum", Op::Add, &["a", "b"]);
    graph.push("head", Op::TimeMean, &["sum"]);
    // 255 · 127 · M just below 2³¹ alone, above it together.
    let of = |multiplier: i32| {
        let weight = || byte(&[1, 1], &[127]);
        let multiplier = || int(&[1], &[multiplier]);
        let weights = [
            ("a.weight", weight()),
            ("a.multiplier", multiplier()),
            ("b.weight", weight()),
            ("b.multiplier", multiplier()),
        ];
        crate::tiny::grid(graph.clone(), 1, weights).validate().map(drop)
    };
    assert!(of(33_000).is_ok());
    let error = of(66_000).unwrap_err().to_string();
    assert!(error.contains("node `sum`") && error.contains("32 bits"), "{error}");
    assert!(of(66_400).unwrap_err().to_string().contains("node `a`"));
}
