//! Model files from their metadata alone.

use safetensors::{Dtype, tensor::TensorView};
use snn_ir::weight_specs;
use snn_ir::{Form, Graph};
use std::collections::HashMap;

/// More values than this are not made for metadata that asks for them.
const MAX_VALUES: usize = 1 << 12;

/// A file with this metadata and every weight that its graph needs, all of them 1; `None` where the
/// metadata has no valid graph.
pub(crate) fn packed(metadata: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(metadata).ok()?;
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let graph: Graph = serde_json::from_value(json.get("graph")?.clone()).ok()?;
    let form: Form = serde_json::from_value(json.get("form")?.clone()).ok()?;
    let specs = weight_specs(&graph, &graph.resolve().ok()?, form).ok()?;
    let sizes: Vec<usize> = specs.iter().map(|spec| spec.part.shape.iter().product()).collect();
    if sizes.iter().fold(0_usize, |sum, &size| sum.saturating_add(size)) > MAX_VALUES {
        return None;
    }
    let ones: Vec<(Dtype, Vec<u8>)> = specs
        .iter()
        .zip(sizes)
        .map(|(spec, size)| match spec.part.dtypes[0] {
            "f32" => (Dtype::F32, 1.0_f32.to_le_bytes().repeat(size)),
            "f64" => (Dtype::F64, 1.0_f64.to_le_bytes().repeat(size)),
            "i8" => (Dtype::I8, vec![1; size]),
            _ => (Dtype::I32, 1_i32.to_le_bytes().repeat(size)),
        })
        .collect();
    let views: Vec<_> = specs
        .iter()
        .zip(&ones)
        .map(|(spec, (dtype, bytes))| {
            Some((&spec.name, TensorView::new(*dtype, spec.part.shape.clone(), bytes).ok()?))
        })
        .collect::<Option<_>>()?;
    safetensors::serialize(views, Some(HashMap::from([("snn".to_string(), text.to_string())]))).ok()
}
