//! Files of Python's `nir` are read whole, and come back the same when they are written.

use crate::graph;
use ndarray::{ArrayD, IxDyn};
use snn_ir::Tensor;
use snn_nir::{Conv, NirGraph, Op, Padding, Pool, Table, Value};

const ALL: [&str; 9] =
    ["every", "if", "lif", "cuba_lif", "li", "picture", "recurrent", "deflate", "lzf"];

fn filled(shape: &[usize], value: f32) -> Tensor {
    Tensor::F32(ArrayD::from_elem(IxDyn(shape), value))
}

#[test]
fn every_primitive_and_field_is_read() {
    let graph = graph("every");
    assert_eq!(graph.nodes.len(), 21);
    assert_eq!(graph.metadata, Table::from([("of".into(), Value::from("every"))]));
    assert_eq!(graph.edges.len(), 7);
    assert!(graph.edges.contains(&("linear".into(), "lif".into())));
    let op = |name: &str| graph.nodes[name].op.clone();
    assert_eq!(op("input"), Op::Input { shape: vec![2, 6, 6] });
    assert_eq!(op("output"), Op::Output { shape: vec![2] });
    assert_eq!(op("scale"), Op::Scale { scale: filled(&[2], 0.5) });
    assert_eq!(op("threshold"), Op::Threshold { threshold: filled(&[2], 1.0) });
    assert_eq!(op("i"), Op::I { r: filled(&[2], 1.0) });
    let pool = |kernel_size, stride, padding| Pool { kernel_size, stride, padding };
    assert_eq!(op("avg"), Op::AvgPool2d(pool([2, 2], [2, 1], [0, 1])));
    assert_eq!(op("sum"), Op::SumPool2d(pool([2, 2], [2, 2], [0, 0])));
    assert_eq!(
        op("flatten"),
        Op::Flatten { input_shape: Some(vec![4, 3, 3]), start_dim: 0, end_dim: -1 }
    );
    let Op::Conv1d(conv) = op("conv1d") else { panic!("{:?}", op("conv1d")) };
    assert_eq!((conv.padding, conv.stride), (Padding::Same, vec![1]));
    let Op::Conv2d(conv) = op("conv2d") else { panic!("{:?}", op("conv2d")) };
    let Conv { input_shape, weight, bias, stride, padding, dilation, groups } = conv;
    assert_eq!(
        (input_shape, stride, dilation, groups),
        (Some(vec![6, 6]), vec![2, 1], vec![1, 1], 1)
    );
    assert_eq!(
        (weight.shape(), weight.dtype(), bias.shape()),
        (&[4, 2, 3, 3][..], "f32", &[4][..])
    );
    assert_eq!(padding, Padding::Zeros(vec![1, 2]));
    let Op::Linear { weight } = op("linear") else { panic!("{:?}", op("linear")) };
    assert_eq!(weight.dtype(), "f64");
    let Op::Lif { tau, r, v_leak, v_threshold, v_reset } = op("lif") else {
        panic!("{:?}", op("lif"))
    };
    assert_eq!((tau, r), (filled(&[2], 2e-4), filled(&[2], 2.0)));
    assert_eq!(
        (v_leak, v_threshold, v_reset),
        (filled(&[2], 0.0), filled(&[2], 1.0), filled(&[2], 0.0))
    );
    let Op::CubaLi { w_in, tau_syn, .. } = op("cuba_li") else { panic!("{:?}", op("cuba_li")) };
    assert_eq!((w_in, tau_syn), (filled(&[2], 2.0), filled(&[2], 2.0)));
    let Op::Graph(inner) = op("inner") else { panic!("{:?}", op("inner")) };
    assert_eq!((inner.nodes.len(), inner.edges.len()), (4, 4));
    let metadata = &graph.nodes["lif"].metadata;
    assert_eq!(metadata["text"], Value::from("leaky"));
    assert_eq!(metadata["number"], Value::integer(3));
    assert_eq!(metadata["real"], Value::float(0.5));
    assert_eq!(metadata["yes"], Value::Booleans(ndarray::arr0(true).into_dyn()));
}

#[test]
fn what_is_written_is_read_back_the_same() {
    for name in ALL {
        let graph = graph(name);
        let again = NirGraph::from_bytes(graph.to_bytes().unwrap()).unwrap();
        assert_eq!(again, graph, "{name}");
    }
}

#[test]
fn large_arrays_are_compressed_and_read_back() {
    let mut graph = NirGraph::default();
    graph.push("input", Op::Input { shape: vec![300] });
    graph.push("fc", Op::Linear { weight: filled(&[200, 300], 0.25) });
    graph.push("output", Op::Output { shape: vec![200] });
    graph.connect("input", "fc");
    graph.connect("fc", "output");
    let bytes = graph.to_bytes().unwrap();
    assert!(bytes.len() < 40_000, "{} bytes", bytes.len());
    assert_eq!(NirGraph::from_bytes(bytes).unwrap(), graph);
}

#[test]
fn a_file_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.nir");
    graph("lif").write(&path).unwrap();
    graph("li").write(&path).unwrap();
    assert_eq!(NirGraph::read(&path).unwrap(), graph("li"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // What cannot be written leaves what was there.
    let mut broken = graph("lif");
    broken.connect("fc1", "nowhere");
    let error = broken.write(&path).unwrap_err().to_string();
    assert!(error.contains("net.nir") && error.contains("`nowhere`"), "{error}");
    assert_eq!(NirGraph::read(&path).unwrap(), graph("li"));
}
