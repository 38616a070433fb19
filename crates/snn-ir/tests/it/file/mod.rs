//! The file: what is written comes back, and nothing that a stranger sends can do more than fail by
//! name.

mod limits;
mod refusals;
mod saving;

use crate::tiny::{events_model, grid_model, real, trained_model};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use snn_ir::{
    Encoder, FirstMembrane, Form, Framing, GraphBuilder, InitialWeights, Lif, Model, Node, Norm,
    Op, Preprocessing, Readout, Signature, SliceBy, Tensor, VERSION, Weights,
};
use std::collections::HashMap;
use std::panic::catch_unwind;

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
