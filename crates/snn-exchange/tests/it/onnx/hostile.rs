//! Files that are not as they should be: one error each, and never a panic.

#[path = "../../../../../fuzz/checks/onnx.rs"]
mod check;

use proptest::prelude::*;
use snn_exchange::onnx::{Options, from_bytes};
use snn_test_support::corpus::{mutate, replay};
use snn_test_support::golden;

const FILES: [&str; 8] =
    ["bytes", "gemm", "mixed", "mobile", "old", "plain", "refused", "residual-dynamo"];

#[test]
fn corpus() {
    replay("onnx", check::check);
    mutate("onnx", check::check);
}

#[test]
fn a_file_that_is_cut_off_is_an_error_or_another_network() {
    for name in FILES {
        let bytes = golden::bytes(&format!("onnx/{name}.onnx"));
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 300) {
            check::check(&bytes[..end]);
        }
    }
}

/// A tensor of protocol buffers, by hand: dims, type float and raw bytes.
fn tensor(dims: &[u64], raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for dim in dims {
        bytes.push(0x08);
        varint(&mut bytes, *dim);
    }
    bytes.extend([0x10, 1, 0x42, 1, b'w', 0x4a]);
    varint(&mut bytes, raw.len() as u64);
    bytes.extend(raw);
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        bytes.push(value.to_le_bytes()[0] | 128);
        value >>= 7;
    }
    bytes.extend(u8::try_from(value));
}

fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    varint(&mut bytes, content.len() as u64);
    bytes.extend(content);
    bytes
}

/// A network of one matrix product by `w`.
fn network(w: &[u8]) -> Vec<u8> {
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"MatMul")].concat();
    let axis = |size: u8| field(1, &[0x08, size]);
    let shape = [axis(1), axis(2)].concat();
    let tensor_type = [vec![0x08, 1], field(2, &shape)].concat();
    let input = [field(1, b"x"), field(2, &field(1, &tensor_type))].concat();
    let graph = [field(1, &node), field(5, w), field(11, &input), field(12, &field(1, b"y"))];
    field(7, &graph.concat())
}

#[test]
fn declared_sizes_are_held_against_what_is_there() {
    let fails = |w: &[u8]| from_bytes(&network(w), &Options::default()).unwrap_err().to_string();
    let good = network(&tensor(&[2, 3], &[0; 24]));
    assert!(from_bytes(&good, &Options::default()).is_ok());
    // Two gigabytes that are not there.
    let error = fails(&tensor(&[2, 1 << 28], &[0; 24]));
    assert!(error.contains("needs 2147483648 bytes, the file holds 24"), "{error}");
    let error = fails(&tensor(&[1 << 40, 1 << 40], &[]));
    assert!(error.contains("has too many values"), "{error}");
    let error = fails(&tensor(&[u64::MAX], &[]));
    assert!(error.contains("an axis of size -1"), "{error}");
    let error = fails(&tensor(&[2, 3], &[0; 23]));
    assert!(error.contains("needs 24 bytes, the file holds 23"), "{error}");
    let error = fails(&tensor(&[1; 300], &[0; 4]));
    assert!(error.contains("at most 8 can be read"), "{error}");
}

#[test]
fn other_files_are_no_networks() {
    for bytes in [&b""[..], b"{}", b"\x89PNG\r\n\x1a\n", &[0xff; 100], &[0; 100]] {
        let error = from_bytes(bytes, &Options::default()).unwrap_err().to_string();
        assert!(error.contains("ONNX"), "{error}");
    }
    let missing = snn_exchange::onnx::read("nowhere.onnx", &Options::default()).unwrap_err();
    assert!(missing.to_string().starts_with("nowhere.onnx: "), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let error = snn_exchange::onnx::read(folder.path(), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("not a plain file"), "{error}");
}

#[test]
fn a_network_that_depends_on_itself_is_refused() {
    let node = |input: &[u8], output: &[u8]| {
        field(1, &[field(1, input), field(2, output), field(4, b"Relu")].concat())
    };
    let input = field(11, &field(1, b"x"));
    let output = field(12, &field(1, b"y"));
    let graph = [node(b"z", b"y"), node(b"y", b"z"), input, output].concat();
    let error = from_bytes(&field(7, &graph), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("depends on itself"), "{error}");
    let graph = [node(b"x", b"y"), node(b"x", b"y"), field(12, &field(1, b"y"))].concat();
    let error = from_bytes(&field(7, &graph), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("both yield `y`"), "{error}");
}

/// A constant that a node makes four times as long, again and again.
#[test]
fn constants_do_not_grow_without_bounds() {
    let axis = field(5, &[field(1, b"axis"), vec![0x18, 0, 0xa0, 1, 2]].concat());
    let mut graph = field(5, &tensor(&[1 << 14], &vec![0; 1 << 16]));
    let mut last = "w".to_string();
    for step in 0..30 {
        let next = format!("c{step}");
        let inputs = field(1, last.as_bytes()).repeat(4);
        let node = [inputs, field(2, next.as_bytes()), field(4, b"Concat"), axis.clone()].concat();
        graph.extend(field(1, &node));
        last = next;
    }
    let add = [field(1, b"x"), field(1, last.as_bytes()), field(2, b"y"), field(4, b"Add")];
    graph.extend(field(1, &add.concat()));
    let sizes = [field(1, &[0x08, 1]), field(1, &[0x08, 2])].concat();
    let tensor_type = [vec![0x08, 1], field(2, &sizes)].concat();
    graph.extend(field(11, &[field(1, b"x"), field(2, &field(1, &tensor_type))].concat()));
    graph.extend(field(12, &field(1, b"y")));
    let error = from_bytes(&field(7, &graph), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("constants computed up to here have"), "{error}");
}

proptest! {
    #[test]
    fn changed_files_never_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = golden::bytes(&format!("onnx/{}.onnx", FILES[file]));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check::check(&bytes);
    }
}
