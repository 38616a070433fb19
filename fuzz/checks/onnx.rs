//! Networks of ONNX.

use snn_exchange::onnx::{Options, from_bytes};

/// Images larger than this are not worth the time of a fuzzer.
const MAX_VALUES: usize = 1 << 16;

/// The bytes are a file. What is read is valid and has an account of its nodes; a network of ReLUs
/// can be written again, and reads back.
pub(crate) fn check(data: &[u8]) {
    match from_bytes(data, &Options::default()) {
        Ok(imported) => {
            let checked = imported.model.validate().expect("what is read is valid");
            assert!(!imported.report.to_string().is_empty());
            if checked.nodes().iter().any(|node| node.shape.iter().product::<usize>() > MAX_VALUES)
            {
                return;
            }
            snn_exchange::onnx::to_bytes(&imported.model).expect("what is read can be written");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
