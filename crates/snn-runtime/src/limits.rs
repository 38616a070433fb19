//! Limits for untrusted files, and the forms that do not run.

use snn_ir::Model;
use snn_ir::{Error, Result};
use snn_ir::{Graph, Op, Resolved};

/// The most values that all nodes of a model may have together, where a node of fewer than eight
/// channels counts as having eight (accumulators have), and a delay as one for each macro-step that
/// it keeps; a limit for untrusted files. A state of
/// that size takes a few gigabytes; networks for images of 224 × 224 pixels need half of it.
pub const MAX_TOTAL_VALUES: usize = 1 << 26;
/// The channels that a node counts as having at least.
const LEAST_CHANNELS: usize = 8;

/// Refuses what would not fit into memory, before anything is allocated.
pub(crate) fn check_size(graph: &Graph, resolved: &Resolved) -> Result<()> {
    let mut total = 0_usize;
    for (node, info) in graph.nodes.iter().zip(&resolved.nodes) {
        let [channels, height, width] = info.chw();
        let kept = if let Op::Delay { steps, .. } = node.op { 1 + steps } else { 1 };
        let values = channels.max(LEAST_CHANNELS).saturating_mul(height * width);
        total = total.saturating_add(values.saturating_mul(kept));
        if total > MAX_TOTAL_VALUES {
            return Err(Error::Shape {
                node: info.name.clone(),
                expected: format!(
                    "at most {MAX_TOTAL_VALUES} values in all nodes up to this one (fewer than \
                     {LEAST_CHANNELS} channels count as {LEAST_CHANNELS})"
                ),
                found: info.shape.clone(),
            });
        }
    }
    Ok(())
}

/// The error of both engines for a model that was not converted.
pub(crate) fn not_converted(model: &Model) -> Error {
    Error::Refused {
        node: "model".into(),
        reason: format!(
            "form `{}` is a network as it was trained, which does not run on events; convert it \
             with `snn convert` or snn_reparam::convert, and load the result",
            model.form().label()
        ),
    }
}
