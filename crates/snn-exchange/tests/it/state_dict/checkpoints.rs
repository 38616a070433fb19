//! State dicts inside of checkpoints.

use super::written::{Item, one, pickle};
use snn_exchange::state_dict::StateDict;

/// A state dict of one weight, whose value tells it from others.
const fn state(value: u32) -> Item<'static> {
    const NAMES: [&[(&str, Item<'static>)]; 3] =
        [&[("fc.weight", weight(0))], &[("fc.weight", weight(1))], &[("fc.weight", weight(2))]];
    Item::Dictionary(NAMES[value as usize])
}

const fn weight(offset: u32) -> Item<'static> {
    Item::Tensor { count: 3, shape: &[1, 1], strides: &[1, 1], offset }
}

/// The value of the weight that is read, and the first note.
fn read(entries: &[(&str, Item<'_>)], key: Option<&str>) -> Result<(f64, String), String> {
    let values: Vec<u8> = [0.0_f32, 1.0, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = one(&pickle(&Item::Dictionary(entries)), &values);
    let state = StateDict::from_bytes(bytes, "m.pt", key).map_err(|error| error.to_string())?;
    let weight = state.get("fc.weight").unwrap().to_f64().unwrap();
    Ok((weight.sum(), state.notes().first().cloned().unwrap_or_default()))
}

#[test]
fn the_usual_keys_are_found() {
    for key in ["state_dict", "model_state_dict", "model", "net", "network", "weights", "ema"] {
        let entries = [("epoch", Item::Number(3)), (key, state(1))];
        let (value, note) = read(&entries, None).unwrap();
        assert_eq!(value.to_bits(), 1.0_f64.to_bits());
        assert_eq!(note, format!("taken from `{key}` of the checkpoint"));
    }
    let inner = [("state_dict", state(2)), ("step", Item::Number(9))];
    let entries = [("model", Item::Dictionary(&inner)), ("optimizer", Item::Dictionary(&[]))];
    let (value, note) = read(&entries, None).unwrap();
    assert_eq!(value.to_bits(), 2.0_f64.to_bits());
    assert_eq!(note, "taken from `model.state_dict` of the checkpoint");
}

#[test]
fn averages_are_taken_where_they_are_alone_or_asked_for() {
    let entries = [("ema", state(1)), ("model", state(2))];
    let (value, note) = read(&entries, None).unwrap();
    assert_eq!(value.to_bits(), 2.0_f64.to_bits());
    assert_eq!(note, "taken from `model` of the checkpoint; it also has `ema`");
    let (value, note) = read(&entries, Some("ema")).unwrap();
    assert_eq!((value.to_bits(), note.as_str()), (1.0_f64.to_bits(), "taken from `ema`, as asked"));
    let message = read(&[("model_ema", state(1)), ("swa_model", state(2))], None).unwrap_err();
    assert!(message.contains("several: `model_ema`, `swa_model`"), "{message}");
}

#[test]
fn of_several_equals_none_is_chosen() {
    let message = read(&[("teacher", state(1)), ("student", state(2))], None).unwrap_err();
    assert!(message.contains("several: `teacher`, `student`; choose one"), "{message}");
    let message = read(&[("model", state(1)), ("net", state(2))], None).unwrap_err();
    assert!(message.contains("several: `model`, `net`"), "{message}");
    let (value, _) = read(&[("model", state(1)), ("teacher", state(2))], None).unwrap();
    assert_eq!(value.to_bits(), 1.0_f64.to_bits());
    let message = read(&[("a", Item::Number(1))], Some("b")).unwrap_err();
    assert!(message.contains("under `b`, found only `a` (a number)"), "{message}");
}
