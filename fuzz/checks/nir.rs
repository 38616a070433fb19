//! NIR files.

use snn_nir::{Error, ExportOptions, NirGraph, Options};

/// Networks of more values are not worth the time of a fuzzer.
const MAX_VALUES: usize = 1 << 20;

/// The bytes are a file. What is read can be written, and its bytes come back the same; a model
/// that is made of it is valid, and becomes a graph again or is refused by the name of a node.
pub(crate) fn check(data: &[u8]) {
    let graph = match NirGraph::from_bytes(data.to_vec()) {
        Ok(graph) => graph,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let bytes = graph.to_bytes().expect("what is read can be written");
    let again = NirGraph::from_bytes(bytes.clone()).expect("what is written can be read");
    assert!(again.to_bytes().expect("it was written before") == bytes, "it changed");
    let options = Options { time_steps: Some(3), ..Options::default() };
    let imported = match graph.to_model(&options) {
        Ok(imported) => imported,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(!imported.report.to_string().is_empty());
    let checked = imported.model.validate().expect("what is made is valid");
    let values: usize = checked.nodes().iter().map(|n| n.shape.iter().product::<usize>()).sum();
    if values > MAX_VALUES {
        return;
    }
    match NirGraph::from_model(&imported.model, &ExportOptions::default()) {
        Ok(exported) => drop(exported.graph.to_bytes().expect("what is made can be written")),
        Err(error) => {
            assert!(matches!(error, Error::Refused { .. } | Error::Graph(_)), "{error}");
        }
    }
}
