//! What is no NIR graph is one error, which names the place.

use crate::{fixture, graph};
use ndarray::{ArrayD, IxDyn};
use snn_ir::Tensor;
use snn_nir::{NirGraph, Op};

fn refused(change: impl FnOnce(&mut NirGraph)) -> String {
    let mut graph = graph("picture");
    change(&mut graph);
    graph.check().unwrap_err().to_string()
}

fn of(shape: &[usize], value: f32) -> Tensor {
    Tensor::F32(ArrayD::from_elem(IxDyn(shape), value))
}

#[test]
fn groups_that_hold_each_other_end() {
    let error = NirGraph::from_bytes(fixture("cycle")).unwrap_err().to_string();
    assert!(error.contains("a cycle of links"), "{error}");
}

#[test]
fn edges_to_nowhere_and_twice() {
    let error = refused(|graph| graph.connect("fc", "nowhere"));
    assert_eq!(error, "edge `fc` → `nowhere`: there is no node `nowhere`");
    let error = refused(|graph| graph.connect("fc", "output"));
    assert!(error.starts_with("edge `fc` → `output`: it stands twice"), "{error}");
    let error = refused(|graph| graph.connect("output", "fc"));
    assert!(error.starts_with("edge `output` → `fc`: an Output has no edges"), "{error}");
    let error = refused(|graph| graph.connect("fc", "input"));
    assert!(error.starts_with("edge `fc` → `input`: an Input has no edges"), "{error}");
}

#[test]
fn wrong_ranks_and_shapes_name_node_and_field() {
    let error = refused(|graph| graph.push("fc", Op::Linear { weight: of(&[3], 1.0) }));
    assert_eq!(error, "node `fc` (Linear): `weight` must be of two axes or more, found shape [3]");
    let error = refused(|graph| {
        graph.push("fc", Op::Affine { weight: of(&[3, 16], 1.0), bias: of(&[4], 1.0) });
    });
    assert!(error.contains("`bias` must be of shape [3]"), "{error}");
    let error = refused(|graph| {
        let Op::Conv2d(conv) = &mut graph.nodes.get_mut("conv1").unwrap().op else { panic!() };
        conv.weight = of(&[2, 1, 3], 1.0);
    });
    assert!(error.starts_with("node `conv1` (Conv2d): `weight` must be"), "{error}");
    let error = refused(|graph| {
        let Op::Lif { r, .. } = &mut graph.nodes.get_mut("lif1").unwrap().op else { panic!() };
        *r = of(&[2], 1.0);
    });
    assert!(error.contains("`r` must be of the shape [2, 8, 8] of `tau`"), "{error}");
}

#[test]
fn nan_names_node_field_and_position() {
    let error = refused(|graph| {
        let mut weight = ArrayD::zeros(IxDyn(&[3, 16]));
        weight[[1, 2]] = f32::NAN;
        graph.push("fc", Op::Linear { weight: Tensor::F32(weight) });
    });
    let expected = "node `fc` (Linear): `weight` must be free of NaN, found NaN at position 18";
    assert_eq!(error, expected);
}

#[test]
fn nodes_of_sub_graphs_are_named_with_dots() {
    let mut graph = graph("recurrent");
    let Op::Graph(inner) = &mut graph.nodes.get_mut("rnn").unwrap().op else { panic!() };
    inner.connect("lif", "gone");
    let error = graph.check().unwrap_err().to_string();
    assert_eq!(error, "edge `rnn.lif` → `rnn.gone`: there is no node `rnn.gone`");
}

#[test]
fn what_is_no_hdf5_file() {
    for bytes in [&b""[..], b"NIR", b"\x89HDF\r\n\x1a\n"] {
        let error = NirGraph::from_bytes(bytes.to_vec()).unwrap_err().to_string();
        assert!(error.contains("no HDF5 file"), "{error}");
    }
}

/// Turns a field of a file of bytes into something else, by the HDF5 library that wrote it.
fn with(build: impl FnOnce(&mut hdf5_pure::GroupBuilder)) -> String {
    let mut file = hdf5_pure::FileBuilder::new();
    let mut node = file.create_group("node");
    node.create_dataset("type").with_vlen_strings(&["NIRGraph"]).with_shape(&[]);
    node.create_dataset("edges").with_f64_data(&[]).with_shape(&[0]);
    let mut nodes = node.create_group("nodes");
    let mut fc = nodes.create_group("fc");
    fc.create_dataset("type").with_vlen_strings(&["Linear"]).with_shape(&[]);
    build(&mut fc);
    nodes.add_group(fc.finish());
    node.add_group(nodes.finish());
    file.add_group(node.finish());
    NirGraph::from_bytes(file.finish().unwrap()).unwrap_err().to_string()
}

#[test]
fn fields_that_are_missing_unknown_or_of_another_kind() {
    let error = with(|_| {});
    assert_eq!(error, "node `fc` (Linear): `weight` must be an array of floats, found nothing");
    let error = with(|fc| {
        fc.create_dataset("weight").with_f32_data(&[1.0]).with_shape(&[1, 1]);
        fc.create_dataset("bias").with_f32_data(&[1.0]);
    });
    assert!(error.contains("`bias` must be absent"), "{error}");
    let error = with(|fc| {
        fc.create_dataset("weight").with_vlen_strings(&["one"]).with_shape(&[1, 1]);
    });
    assert!(error.contains("`weight` must be an array of floats, found texts"), "{error}");
}

#[test]
fn a_file_with_nan_ranks_that_do_not_fit_or_an_edge_to_nowhere_says_where() {
    let error = with(|fc| {
        fc.create_dataset("weight").with_f32_data(&[1.0, f32::NAN]).with_shape(&[1, 2]);
    });
    let expected = "node `fc` (Linear): `weight` must be free of NaN, found NaN at position 1";
    assert_eq!(error, expected);
    let error = with(|fc| {
        fc.create_dataset("weight").with_f32_data(&[1.0, 2.0]).with_shape(&[2]);
    });
    assert!(error.starts_with("node `fc` (Linear): `weight` must be of two axes"), "{error}");
    // The name of a node in an edge, as it is stored, made that of none.
    let mut bytes = fixture("lif");
    let at = (0..bytes.len() - 6).rev().find(|&at| &bytes[at..at + 6] == b"output").unwrap();
    bytes[at..at + 6].copy_from_slice(b"outrun");
    let error = NirGraph::from_bytes(bytes).unwrap_err().to_string();
    assert!(error.starts_with("edge `") && error.contains("there is no node `out"), "{error}");
}

#[test]
fn a_declared_size_beyond_the_file_takes_no_memory() {
    // The shape [3, 16] of `fc.weight` as stored, with its first size made 2^40.
    let bytes = fixture("picture");
    let shape = [3_u64.to_le_bytes(), 16_u64.to_le_bytes()].concat();
    let at = bytes.windows(16).position(|window| window == shape).expect("the shape");
    let mut huge = bytes;
    huge[at..at + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let error = NirGraph::from_bytes(huge).unwrap_err().to_string();
    assert!(error.starts_with("`/node/nodes/fc/weight`: expected an array that a file"), "{error}");
}
