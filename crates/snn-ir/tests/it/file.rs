//! The file: what is written comes back, and nothing that a stranger sends can do more than fail by
//! name.

use crate::tiny::{byte, chain, events_model, grid_model, int, real, trained_model};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use snn_ir::VERSION;
use snn_ir::{
    Encoder, FirstMembrane, Form, Framing, Graph, GraphBuilder, InitialWeights, Lif, Model, Node,
    Norm, Op, Preprocessing, Readout, Signature, SliceBy, Tensor, Weights,
};
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// The JSON beside the weights of a model file.
fn header(model: &Model) -> Value {
    let bytes = model.to_bytes().unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&metadata.metadata().as_ref().unwrap()["snn"]).unwrap()
}

/// A file of any JSON and any weights, with no check.
fn pack(json: &Value, weights: &Weights) -> Vec<u8> {
    let raw: Vec<(&str, Dtype, &[usize], Vec<u8>)> = weights
        .iter()
        .map(|(name, tensor)| {
            let (dtype, data) = match tensor {
                Tensor::F32(a) => (Dtype::F32, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Tensor::F64(a) => (Dtype::F64, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Tensor::I8(a) => (Dtype::I8, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Tensor::I32(a) => (Dtype::I32, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
            };
            (name.as_str(), dtype, tensor.shape(), data)
        })
        .collect();
    let views = raw.iter().map(|(name, dtype, shape, data)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap())
    });
    safetensors::serialize(views, Some(HashMap::from([("snn".to_string(), json.to_string())])))
        .unwrap()
}

/// A file of any safetensors header.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// What loading these bytes says; it must name the file.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let message = Model::load(&path).expect_err("loaded").to_string();
    assert!(message.contains("net.safetensors"), "the file is not named: {message}");
    message
}

/// What loading says about a change of the JSON; it must contain all of `expected`.
fn refused_json(model: &Model, edit: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut json = header(model);
    edit(&mut json);
    let message = refusal(&pack(&json, model.weights()));
    assert!(
        expected.iter().all(|part| message.contains(part)),
        "{message:?} lacks one of {expected:?}"
    );
}

/// What loading says about a change of the weights; it must contain all of `expected`.
fn refused_weights(model: &Model, edit: impl FnOnce(&mut Weights), expected: &[&str]) {
    let mut weights = model.weights().clone();
    edit(&mut weights);
    let message = refusal(&pack(&header(model), &weights));
    assert!(
        expected.iter().all(|part| message.contains(part)),
        "{message:?} lacks one of {expected:?}"
    );
}

/// The operation of a node in the JSON of a file.
fn op<'j>(json: &'j mut Value, node: &str) -> &'j mut Value {
    let nodes = json["graph"]["nodes"].as_array_mut().unwrap();
    &mut nodes.iter_mut().find(|value| value["name"] == node).unwrap()["op"]
}

#[test]
fn all_three_forms_come_back_and_equal_models_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for model in [trained_model(), events_model(), grid_model()] {
        model.save(&path).unwrap();
        let back = Model::load(&path).unwrap();
        assert_eq!(back, model, "{}", model.form().label());
        assert_eq!(back.to_bytes().unwrap(), model.clone().to_bytes().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), model.to_bytes().unwrap());
    }
}

#[test]
fn the_encoder_is_kept_and_a_file_without_one_is_direct() {
    for model in [trained_model(), events_model(), grid_model()] {
        assert_eq!((header(&model).get("encoder"), model.encoder()), (None, Encoder::Direct));
        for encoder in [
            Encoder::Poisson { seed: u64::MAX, rate: 0.1 + 0.2 },
            Encoder::Latency,
            Encoder::Phase { bits: 1 },
        ] {
            let encoded = model.clone().with_encoder(encoder);
            let back = Model::from_bytes(&encoded.to_bytes().unwrap()).unwrap();
            assert_eq!((back.encoder(), &back), (encoder, &encoded));
        }
    }
}

/// The framing of recordings is kept, and only files that have one are of the later version.
#[test]
fn the_framing_of_recordings_is_kept_and_must_fit_the_input() {
    let mut net = GraphBuilder::new([2, 6, 8]);
    net.flatten("flat");
    let graph = net.linear("fc", 3).build().unwrap();
    let weights = graph.initial_weights(1).unwrap();
    let preprocessing = Preprocessing::new(vec![0; 2], vec![1.0; 2]);
    let model = Model::new(Signature::new(Form::Trained, graph, 4, preprocessing), weights);
    assert_eq!((header(&model)["version"].as_u64(), model.framing()), (Some(1), None));
    for (by, sensor, transposed) in
        [(SliceBy::Number, [6, 8], false), (SliceBy::Time, [128, 240], true)]
    {
        let framing = Framing { by, sensor, transposed };
        let framed = model.clone().with_framing(Some(framing));
        assert_eq!(header(&framed)["version"], 3);
        let back = Model::from_bytes(&framed.to_bytes().unwrap()).unwrap();
        assert_eq!((back.framing(), &back), (Some(framing), &framed));
        assert_eq!(back.with_framing(None), model);
    }
    // Frames are at most as large as the sensor, and have two channels.
    let framing = Framing { by: SliceBy::Time, sensor: [5, 8], transposed: false };
    let error = model.with_framing(Some(framing)).validate().unwrap_err().to_string();
    assert!(error.contains("framing") && error.contains("[2, 6, 8]"), "{error}");
    let error = events_model().with_framing(Some(framing)).validate().unwrap_err().to_string();
    assert!(error.contains("expected an input of [2, height, width]"), "{error}");
}

#[test]
fn encoders_that_cannot_be_are_refused() {
    let model = events_model();
    for (encoder, expected) in [
        (json!({"kind": "poisson", "seed": 1, "rate": 1.5}), ["rate", "1.5"]),
        (json!({"kind": "poisson", "seed": 1, "rate": -0.5}), ["rate", "-0.5"]),
        (json!({"kind": "phase", "bits": 9}), ["bits", "9"]),
        (json!({"kind": "phase", "bits": 7}), ["time_steps", "multiple of the period of 7"]),
        (json!({"kind": "delta", "threshold": 0}), ["threshold", "1 to 255"]),
        (json!({"kind": "delta", "threshold": 1}), ["delta", "even number of them, found 1"]),
        (json!({"kind": "posson"}), ["posson", "poisson"]),
        (json!("latency"), ["latency", "invalid"]),
    ] {
        refused_json(&model, |json| json["encoder"] = encoder, &expected);
    }
}

#[test]
fn the_packer_of_these_tests_writes_the_same_files() {
    for model in [trained_model(), events_model(), grid_model()] {
        assert_eq!(Model::from_bytes(&pack(&header(&model), model.weights())).unwrap(), model);
    }
}

#[test]
fn every_float_comes_back_bit_for_bit() {
    let mut model = events_model();
    let odd =
        [0.1, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, 1.0 / 3.0, -1e-300, 2.0_f64.powi(-52)];
    model.weights_mut().insert("fc.weight".into(), real(&[2, 4], &odd));
    let back = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    let bits = |model: &Model| {
        model.weights()["fc.weight"].to_f64().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(bits(&back), bits(&model));

    let mut model = trained_model();
    model.signature_mut().preprocessing.std = vec![0.1 + 0.2, f64::MIN_POSITIVE];
    assert_eq!(
        Model::from_bytes(&model.to_bytes().unwrap()).unwrap().preprocessing(),
        model.preprocessing()
    );
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for model in [events_model(), grid_model()] {
        let bytes = model.to_bytes().unwrap();
        for length in 0..bytes.len() {
            let result = catch_unwind(|| Model::from_bytes(&bytes[..length]).map(|_| ()));
            assert!(result.expect("a panic").is_err(), "cut to {length} of {} bytes", bytes.len());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Model::from_bytes(&longer).is_err(), "with a byte behind its end");
    }
}

#[test]
fn a_changed_byte_gives_a_valid_model_or_an_error() {
    for model in [events_model(), grid_model()] {
        let mut bytes = model.to_bytes().unwrap();
        assert!(bytes.len() < 3072, "{}", bytes.len());
        for position in 0..bytes.len() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                bytes[position] ^= mask;
                let result = catch_unwind(|| Model::from_bytes(&bytes)).expect("a panic");
                if let Ok(loaded) = result {
                    assert!(loaded.to_bytes().is_ok(), "byte {position} xor {mask}");
                }
                bytes[position] ^= mask;
            }
        }
    }
}

#[test]
fn foreign_files_are_named_as_such() {
    assert!(refusal(b"").contains("not a safetensors file"));
    assert!(refusal(b"hello, this is text and nothing else").contains("not a safetensors file"));
    assert!(refusal(&[0; 64]).contains("not a safetensors file"));
    let foreign = raw(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]);
    assert!(refusal(&foreign).contains("without the metadata `snn`"));
    let foreign = raw(r#"{"__metadata__":{"format":"pt"}}"#, &[]);
    assert!(refusal(&foreign).contains("without the metadata `snn`"));
    let broken = raw(r#"{"__metadata__":{"snn":"not json"}}"#, &[]);
    assert!(refusal(&broken).contains("metadata `snn`"));
    let error = Model::load("/nowhere/at/all.safetensors").unwrap_err().to_string();
    assert_eq!(error, "/nowhere/at/all.safetensors: no such file");
    let mut cut = events_model().to_bytes().unwrap();
    cut.pop();
    assert!(
        refusal(&cut).contains("net.safetensors: truncated: its header lists "),
        "{}",
        refusal(&cut)
    );
}

#[test]
fn a_file_has_the_earliest_version_that_says_all_of_it() {
    let version = |model: &Model| header(model)["version"].as_u64();
    let model = events_model();
    assert_eq!(version(&model), Some(1));
    let encoded = model.with_encoder(Encoder::Poisson { seed: 0, rate: 1.0 });
    assert_eq!(version(&encoded), Some(2));
    for change in [
        (|node: &mut Node| node.frozen = true) as fn(&mut Node),
        |node| node.initial = Some(InitialWeights::Dirac),
        |node| node.initial = Some(InitialWeights::Constant(0.5)),
    ] {
        let mut begun = trained_model();
        assert_eq!(version(&begun), Some(1));
        let node = header(&begun)["graph"]["nodes"][1].clone();
        let keys: Vec<&String> = node.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["inputs", "name", "op"], "what is as usual is not written");
        let is_linear = |node: &&mut Node| matches!(node.op, Op::Linear { .. });
        change(begun.graph_mut().nodes.iter_mut().find(is_linear).unwrap());
        assert_eq!(version(&begun), Some(3));
        assert_eq!(Model::from_bytes(&begun.to_bytes().unwrap()).unwrap(), begun);
    }
}

/// Every operation that readers of version 2 do not know makes a file of version 3.
#[test]
fn newer_operations_make_a_file_of_version_3() {
    let version = |build: &dyn Fn(&mut GraphBuilder)| {
        let mut net = GraphBuilder::new([4]);
        build(&mut net);
        let graph = net.build().unwrap();
        let weights = graph.initial_weights(1).unwrap();
        let preprocessing = Preprocessing::new(vec![0; 4], vec![1.0; 4]);
        let signature = Signature::new(Form::Trained, graph, 2, preprocessing);
        header(&Model::new(signature, weights))["version"].as_u64()
    };
    let of = |op: Op| version(&|net| _ = net.op("op", op.clone()));
    assert_eq!(version(&|net| _ = net.site("a").linear("fc", 2)), Some(1));
    assert_eq!(of(Op::BatchNorm(Norm::with_eps(1e-3))), Some(1));
    assert_eq!(of(Op::BatchNorm(Norm::without_scale())), Some(3));
    assert_eq!(of(Op::BatchNorm(Norm { momentum: 0.5, ..Norm::default() })), Some(3));
    assert_eq!(of(Op::ChannelSum { groups: 2 }), Some(3));
    assert_eq!(of(Op::Dropout { rate: 0.1 }), Some(3));
    assert_eq!(of(Op::DropPath { rate: 0.1 }), Some(3));
    for readout in [Readout::Last, Readout::Max] {
        assert_eq!(version(&|net| _ = net.readout(readout)), Some(3));
    }
    assert_eq!(version(&|net| _ = net.site("a").mask("m", "a", "image")), Some(3));
    assert_eq!(version(&|net| _ = net.recurrent_site("a", None)), Some(3));
    let begun = Lif { initial: FirstMembrane::Potential(0.5), ..Lif::default() };
    assert_eq!(version(&|net| _ = net.neuron(&begun).site("a")), Some(3));
}

#[test]
fn versions_from_the_future_are_named_before_anything_else_is_read() {
    let found = |version: Value, more: Value| {
        let mut json = header(&events_model());
        json["version"] = version;
        json["new"] = more;
        refusal(&pack(&json, events_model().weights()))
    };
    let message = found(json!(VERSION + 1), json!(1));
    assert!(
        message
            .contains(&format!("format version {} (this build reads 1 to {VERSION})", VERSION + 1)),
        "{message}"
    );
    assert!(found(json!(0), Value::Null).contains("format version 0"));
    assert!(found(json!(-1), Value::Null).contains("metadata `snn`"));
    assert!(found(json!(VERSION), json!(1)).contains("unknown field `new`"));
    refused_json(
        &events_model(),
        |json| drop(json.as_object_mut().unwrap().remove("version")),
        &["version"],
    );
}

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
        &["node `conv2` (conv): expected one inputs, found 0"],
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
        ("channels", json!(0), "groups"),
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

#[test]
fn ten_thousand_nodes_load_fast_and_a_hundred_and_ten_thousand_do_not_load() {
    let of = |count: usize| {
        let names: Vec<String> = (0..count).map(|i| format!("flat{i}")).collect();
        let mut nodes: Vec<(&str, Op)> =
            names.iter().map(|name| (name.as_str(), Op::Flatten)).collect();
        nodes.insert(0, ("conv", Op::Conv(snn_ir::Conv::square(2, 1, 1))));
        crate::tiny::model(
            Form::Events,
            chain(&[1, 2, 2], nodes),
            1,
            [("conv.weight", real(&[2, 1, 1, 1], &[1.0, 2.0]))],
        )
    };
    let bytes = of(10_000).to_bytes().unwrap();
    let begin = Instant::now();
    assert_eq!(Model::from_bytes(&bytes).unwrap().graph().nodes.len(), 10_003);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

    let model = of(110_000);
    let json = json!({
        "version": 1, "form": {"kind": "events"}, "time_steps": 1,
        "preprocessing": {"mean": [0], "std": [1.0]}, "classes": [],
        "graph": serde_json::to_value(model.graph()).unwrap(),
    });
    assert!(refusal(&pack(&json, model.weights())).contains("at most 100000 nodes, found 110003"));
}

/// A thousand nodes that flatten a large image would need gigabytes of bounds.
#[test]
fn large_images_in_many_nodes_do_not_fill_the_memory() {
    let names: Vec<String> = (0..1000).map(|i| format!("flat{i}")).collect();
    let mut nodes: Vec<(&str, Op)> =
        names.iter().map(|name| (name.as_str(), Op::Flatten)).collect();
    nodes.insert(0, ("conv", Op::Conv(snn_ir::Conv::square(1, 1, 1))));
    let model = crate::tiny::model(
        Form::Events,
        chain(&[1, 4096, 4000], nodes),
        1,
        [("conv.weight", real(&[1, 1, 1, 1], &[1.0]))],
    );
    let error = model.validate().unwrap_err().to_string();
    assert!(error.contains("node `flat1`") && error.contains("channels"), "{error}");
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_failed_save_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    events_model().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();

    // An invalid model is not written.
    let mut invalid = grid_model();
    invalid.signature_mut().time_steps = 0;
    assert!(invalid.save(&path).unwrap_err().to_string().contains("time_steps"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(files_in(folder.path()), ["model.safetensors"]);

    // A folder that does not exist.
    let missing = folder.path().join("missing").join("model.safetensors");
    let error = grid_model().save(&missing).unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("cannot write"), "{error}");
    assert_eq!(files_in(folder.path()), ["model.safetensors"]);

    // The last step, the renaming, fails: a folder has the name.
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("file"), "x").unwrap();
    let error = grid_model().save(&taken).unwrap_err().to_string();
    assert!(error.contains("taken"), "{error}");
    assert_eq!(files_in(folder.path()), ["model.safetensors", "taken"]);
    assert_eq!(files_in(&taken), ["file"]);

    // What works replaces the whole file.
    grid_model().save(&path).unwrap();
    assert_eq!(Model::load(&path).unwrap(), grid_model());
    assert_eq!(files_in(folder.path()), ["model.safetensors", "taken"]);
}

/// A superuser may write everywhere; there the folder's mode says nothing.
#[cfg(unix)]
#[test]
fn a_save_into_a_read_only_folder_leaves_what_was_there() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    events_model().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mode = |mode| {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o555);
    let writable = std::fs::write(folder.path().join("probe"), "").is_ok();
    let result = grid_model().save(&path);
    mode(0o755);
    if writable {
        assert!(result.is_ok());
        return;
    }
    assert!(result.unwrap_err().to_string().contains("model.safetensors"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(files_in(folder.path()), ["model.safetensors"]);
}
