//! What no program can say, all of it at once.

use super::error::{CompileError, Refusal};
use crate::format::MAX_SIDE;
use snn_ir::{Conv, Encoder, Form, Model, Op, ResolvedNode, Window};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Checks that a model can be compiled.
///
/// # Errors
/// It is not valid, or has what no program can say.
pub(super) fn run(model: &Model) -> Result<(), CompileError> {
    let checked = model.validate()?;
    let mut refusals = Vec::new();
    let mut refuse = |node: &str, reason: String| {
        refusals.push(Refusal { node: node.to_string(), reason });
    };
    if !matches!(model.form(), Form::Grid { .. }) {
        let form = model.form().label();
        refuse("", format!("expected a model in form grid, found form {form}: `snn convert` it"));
        return Err(CompileError::Refused(refusals));
    }
    if model.encoder() != Encoder::Direct {
        let reason = "its encoder does not run on the device: encode samples before, and compile \
                      the model with the encoder direct, whose frames are the encoded ones";
        refuse("", reason.to_string());
    }
    for (node, info) in model.graph().nodes.iter().zip(checked.nodes()) {
        if let Some(reason) = reason(&node.op, info) {
            refuse(&node.name, reason);
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(CompileError::Refused(refusals)) }
}

/// Why a node cannot be compiled.
fn reason(op: &Op, info: &ResolvedNode) -> Option<String> {
    let [_, height, width] = info.chw();
    let mut sides = std::vec![height, width];
    match op {
        // All attributes by name, so that none that is added is overlooked.
        Op::Conv(Conv { channels: _, kernel, stride, padding, dilation, groups: _, bias: _ }) => {
            sides.extend([kernel, stride, padding, dilation].into_iter().flatten());
        }
        Op::Pool { pool: _, window: Window { kernel, stride, padding } } => {
            sides.extend([kernel, stride, padding].into_iter().flatten());
        }
        Op::Input { .. }
        | Op::Linear { .. }
        | Op::Scale
        | Op::BatchNorm(_)
        | Op::GlobalPool { .. }
        | Op::Flatten
        | Op::Add
        | Op::Concat
        | Op::ChannelSum { .. }
        | Op::Mask { .. }
        | Op::Activation { .. }
        | Op::Delay { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => {}
    }
    let side = sides.into_iter().find(|side| *side > MAX_SIDE)?;
    Some(format!(
        "a side, kernel, stride, padding or dilation must be at most {MAX_SIDE}, found {side}: use \
         a smaller one"
    ))
}
