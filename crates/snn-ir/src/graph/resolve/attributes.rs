//! Numbers of inputs, and ranges of attributes.

use super::MAX_VALUES;
use crate::error::{Error, Result};
use crate::graph::op::sides;
use crate::graph::{MAX_DELAY, Node, Norm, Op};

pub(super) fn check_arity(node: &Node) -> Result<()> {
    let (expected, fits): (&'static str, fn(usize) -> bool) = match node.op {
        Op::Input { .. } => ("no input", |n| n == 0),
        Op::Add | Op::Concat => ("two or more inputs", |n| n >= 2),
        Op::Mask { .. } => ("two inputs (the mask, then what it masks)", |n| n == 2),
        Op::Conv(_)
        | Op::Linear { .. }
        | Op::Scale
        | Op::BatchNorm { .. }
        | Op::Pool { .. }
        | Op::GlobalPool { .. }
        | Op::ChannelSum { .. }
        | Op::Flatten
        | Op::Activation { .. }
        | Op::Delay { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => ("one input", |n| n == 1),
    };
    if fits(node.inputs.len()) {
        return Ok(());
    }
    Err(Error::Arity {
        node: node.name.clone(),
        op: node.op.label(),
        expected,
        found: node.inputs.len(),
    })
}

/// Lengths of a convolution's padding.
const PADDING: &str = "a list as long as the kernel, or twice as long (before each axis, then \
                       behind each)";
/// Lengths of the lists of a window.
const WINDOW: &str = "lists of one or two axes, the padding perhaps twice as long (before each \
                      axis, then behind each)";

pub(super) fn check_attributes(node: &Node) -> Result<()> {
    let fail = |field, expected, found: String| {
        Err(Error::Attribute { node: node.name.clone(), field, expected, found })
    };
    match &node.op {
        Op::Conv(conv) => {
            let rank = conv.kernel.len();
            if !(1..=2).contains(&rank) {
                return fail("kernel", "of one or two axes", format!("{:?}", conv.kernel));
            }
            for (field, axes, least) in [
                ("kernel", &conv.kernel, 1),
                ("stride", &conv.stride, 1),
                ("padding", &conv.padding, 0),
                ("dilation", &conv.dilation, 1),
            ] {
                let (fits, expected) = match field {
                    "padding" => (axes.len() == rank || axes.len() == 2 * rank, PADDING),
                    _ => (axes.len() == rank, "a list as long as the kernel, of positive sizes"),
                };
                if !fits || axes.iter().any(|&n| n < least || n > MAX_VALUES) {
                    return fail(field, expected, format!("{axes:?}"));
                }
            }
            if conv.channels == 0 {
                return fail("channels", "at least 1", "0".into());
            }
            if conv.groups == 0 || !conv.channels.is_multiple_of(conv.groups) {
                return fail(
                    "groups",
                    "a divisor of the channels",
                    format!("{} of {}", conv.groups, conv.channels),
                );
            }
        }
        Op::Pool { window, .. } => {
            let rank = window.kernel.len();
            if !(1..=2).contains(&rank)
                || window.stride.len() != rank
                || ![rank, 2 * rank].contains(&window.padding.len())
            {
                return fail("window", WINDOW, format!("{window:?}"));
            }
            let (before, after) = sides(&window.padding, rank);
            let bad = (0..rank).any(|i| {
                window.kernel[i] == 0
                    || window.kernel[i] > MAX_VALUES
                    || window.stride[i] == 0
                    || window.stride[i] > MAX_VALUES
                    || before[i].max(after[i]) > window.kernel[i] / 2
            });
            if bad {
                return fail(
                    "window",
                    "positive, with padding of at most half the kernel",
                    format!("{window:?}"),
                );
            }
            if window.size() > MAX_VALUES {
                return fail("window", "of at most 2^28 positions", format!("{window:?}"));
            }
        }
        Op::BatchNorm(Norm { eps, momentum, .. }) => {
            if !(eps.is_finite() && *eps > 0.0) {
                return fail("eps", "positive", eps.to_string());
            }
            if !(*momentum > 0.0 && *momentum <= 1.0) {
                return fail("momentum", "above 0 and at most 1", momentum.to_string());
            }
        }
        Op::Delay { steps, .. } if !(1..=MAX_DELAY).contains(steps) => {
            return fail("steps", "1 to 1024 macro-steps", steps.to_string());
        }
        Op::Dropout { rate } | Op::DropPath { rate } => {
            if !(0.0..1.0).contains(rate) {
                return fail("rate", "at least 0 and below 1", rate.to_string());
            }
        }
        Op::Activation { site, .. } => {
            if let Some((field, expected, found)) = site.fault() {
                return fail(field, expected, found);
            }
        }
        Op::Input { .. }
        | Op::Linear { .. }
        | Op::Scale
        | Op::GlobalPool { .. }
        | Op::Flatten
        | Op::Add
        | Op::Concat
        | Op::Delay { .. }
        | Op::ChannelSum { .. }
        | Op::Mask { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => {}
    }
    Ok(())
}
