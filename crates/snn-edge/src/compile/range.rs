//! Ranges of the values that nodes yield, and the lanes that hold them.

use crate::lanes::Lanes;
use snn_ir::{Checked, Model, Op, PoolKind, Site, Spike, StreamKind};
use std::vec::Vec;

/// Lanes of currents.
pub(super) const CURRENTS: Lanes = Lanes { log2: 5, signed: true };

/// The smallest and the largest value of each node that yields pixels or events; of a current that
/// of 32 bits.
pub(super) fn ranges(model: &Model, checked: &Checked, kinds: &[StreamKind]) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = Vec::with_capacity(kinds.len());
    for ((node, info), kind) in model.graph().nodes.iter().zip(checked.nodes()).zip(kinds) {
        let inputs = info.inputs.iter().filter_map(|&input| ranges.get(input).copied());
        let union = inputs.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0));
        let summed = |count: usize| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            // Zeros outside the image keep 0 in the range.
            (union.0.min(0).saturating_mul(count), union.1.max(0).saturating_mul(count))
        };
        let positions = |input: usize| checked.nodes()[input].shape[1..].iter().product();
        ranges.push(match &node.op {
            _ if *kind == StreamKind::Current => (i32::MIN.into(), i32::MAX.into()),
            Op::Input { .. } => {
                let means = model.preprocessing().mean.iter().copied().map(i64::from);
                let most = means.clone().max().unwrap_or(255);
                (-most, 255 - means.min().unwrap_or(0))
            }
            Op::Activation { site, .. } => of_site(site),
            // The site may stand later in the list.
            Op::Delay { .. } => match &model.graph().nodes[info.inputs[0]].op {
                Op::Activation { site, .. } => of_site(site),
                _ => union,
            },
            Op::Pool { pool: PoolKind::Sum, window } => summed(window.size()),
            Op::GlobalPool { pool: PoolKind::Sum } => summed(positions(info.inputs[0])),
            Op::Mask { .. } => ranges[info.inputs[snn_ir::MASKED]],
            Op::Pool { .. }
            | Op::GlobalPool { .. }
            | Op::Flatten
            | Op::Concat
            | Op::Conv(_)
            | Op::Linear { .. }
            | Op::Scale
            | Op::Add
            | Op::BatchNorm(_)
            | Op::ChannelSum { .. }
            | Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::TimeMean
            | Op::TimeLast
            | Op::TimeMax => union,
        });
    }
    ranges
}

fn of_site(site: &Site) -> (i64, i64) {
    let (low, high) = site.spike().map_or((0, 0), Spike::range);
    (low.into(), high.into())
}

/// The narrowest lanes that hold a range.
pub(super) fn lanes((low, high): (i64, i64)) -> Lanes {
    let signed = low < 0;
    let fits = |log2: &u32| {
        let bits = 1 << log2;
        if signed {
            low >= -(1_i64 << (bits - 1)) && high < 1_i64 << (bits - 1)
        } else {
            high < 1_i64 << bits
        }
    };
    Lanes { log2: (0..5).find(fits).unwrap_or(5), signed }
}

#[cfg(test)]
mod tests {
    use super::lanes;
    use crate::lanes::Lanes;

    #[test]
    fn lanes_are_as_narrow_as_can_be() {
        for (range, log2, signed) in [
            ((0, 1), 0, false),
            ((0, 2), 1, false),
            ((0, 3), 1, false),
            ((0, 4), 2, false),
            ((-1, 1), 1, true),
            ((-1, 2), 2, true),
            ((-2, 1), 1, true),
            ((0, 255), 3, false),
            ((0, 256), 4, false),
            ((-128, 127), 3, true),
            ((-129, 127), 4, true),
            ((0, 65_536), 5, false),
            ((i64::from(i32::MIN), i64::from(i32::MAX)), 5, true),
        ] {
            assert_eq!(lanes(range), Lanes { log2, signed }, "{range:?}");
        }
    }
}
