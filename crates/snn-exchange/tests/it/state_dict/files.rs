//! State dicts as PyTorch writes them, read back to the values that PyTorch has.

use serde::Deserialize;
use snn_exchange::state_dict::{Element, StateDict};
use snn_ir::Tensor;
use snn_test_support::golden;
use std::collections::BTreeMap;

/// The tensor that PyTorch has.
#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct File {
    kinds: BTreeMap<String, Expected>,
}

pub(crate) fn load(name: &str, key: Option<&str>) -> snn_exchange::Result<StateDict> {
    StateDict::load(golden::path("state_dicts").join(name), key)
}

fn error(name: &str, key: Option<&str>) -> String {
    load(name, key).unwrap_err().to_string()
}

#[test]
fn elements_strides_and_storages_are_read_from_every_format() {
    let File { kinds } = golden::json("state_dicts/expected.json");
    for name in ["kinds.pt", "kinds.legacy.pt", "kinds.safetensors"] {
        let state = load(name, None).unwrap();
        assert_eq!(state.len(), kinds.len(), "{name}");
        for (tensor, expected) in &kinds {
            let found = state.get(tensor).unwrap();
            assert_eq!(found.shape(), expected.shape, "{name}: {tensor}");
            let values: Vec<f64> = found.to_f64().unwrap().into_iter().collect();
            assert_eq!(values, expected.values, "{name}: {tensor}");
        }
        let element = |tensor| state.get(tensor).unwrap().element();
        assert_eq!(element("half"), Element::F16);
        assert_eq!(element("bfloat"), Element::Bf16);
        assert_eq!(element("scalar"), Element::I64);
    }
}

#[test]
fn weights_keep_their_precision() {
    let state = load("kinds.pt", None).unwrap();
    let weight = |tensor: &str| state.get(tensor).unwrap().to_weight();
    for (tensor, dtype) in [
        ("half", "f32"),
        ("bfloat", "f32"),
        ("transposed.weight", "f32"),
        ("shared.first", "f64"),
        ("int8", "i8"),
        ("int16", "i32"),
        ("int32", "i32"),
        ("uint8", "i32"),
        ("bool", "i32"),
        ("int64", "i32"),
    ] {
        let found = weight(tensor).unwrap();
        assert_eq!(found.dtype(), dtype, "{tensor}");
        assert_eq!(found.to_f64(), state.get(tensor).unwrap().to_f64().unwrap(), "{tensor}");
    }
    assert!(matches!(weight("transposed.weight").unwrap(), Tensor::F32(a)
        if a.as_slice().is_some_and(|values| values[..2] == [99.0, 99.75])));
}

#[test]
fn checksums_may_be_missing() {
    let state = load("no-checksum.pt", None).unwrap();
    assert_eq!(state.get("weight").unwrap().to_f64().unwrap().as_slice(), Some(&[1.0, 2.0][..]));
}

#[test]
fn checkpoints_are_unwrapped_and_say_so() {
    let first =
        |state: &StateDict| state.get("module.weight").unwrap().to_f64().unwrap()[[0, 0]].to_bits();
    let state = load("checkpoint.pt", None).unwrap();
    assert_eq!(first(&state), 1.0_f64.to_bits());
    assert_eq!(
        state.notes(),
        ["taken from `state_dict` of the checkpoint; it also has `state_dict_ema`"]
    );
    assert_eq!(first(&load("checkpoint.pt", Some("state_dict_ema")).unwrap()), 2.0_f64.to_bits());
    let message = error("checkpoint.pt", Some("model"));
    assert!(message.contains("under `model`, found only `epoch` (a number)"), "{message}");
    let message = error("two.pt", None);
    assert!(message.contains("several: `first`, `second`; choose one"), "{message}");
    assert_eq!(first(&load("two.pt", Some("second")).unwrap()), 2.0_f64.to_bits());
    let message = error("kinds.safetensors", Some("model"));
    assert!(message.contains("safetensors, which has one"), "{message}");
}

#[test]
fn objects_are_named_and_not_made() {
    for name in ["calls.pt", "calls.legacy.pt"] {
        let message = error(name, None);
        let expected = format!(
            "{name}: holds the object os.system, which is not a tensor (nothing of the file was \
             executed); save only the state dict: torch.save(model.state_dict(), \"model.pt\")"
        );
        assert!(message.ends_with(&expected), "{message}");
    }
    let message = error("module.pt", None);
    assert!(message.contains("the object torch.nn.modules.linear.Linear"), "{message}");
}
