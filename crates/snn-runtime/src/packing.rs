//! Layouts of weights: an active input finds the weights of its outputs side by side.

use crate::arithmetic::Arithmetic;

/// Shape of a convolution's weights `[groups · outputs, inputs, taps]`, counted in one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeightShape {
    pub(crate) groups: usize,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) taps: usize,
}

/// `[block][tap][input][lane]` with `lanes` outputs in a block, for one group; the last block is
/// filled up with zeros.
pub(crate) fn blocks<A: Arithmetic>(weight: &[A], shape: WeightShape, lanes: usize) -> Vec<A> {
    let WeightShape { outputs, inputs, taps, .. } = shape;
    let mut packed = vec![A::default(); outputs.div_ceil(lanes) * taps * inputs * lanes];
    for output in 0..outputs {
        let (block, lane) = (output / lanes, output % lanes);
        for input in 0..inputs {
            for tap in 0..taps {
                packed[((block * taps + tap) * inputs + input) * lanes + lane] =
                    weight[(output * inputs + input) * taps + tap];
            }
        }
    }
    packed
}

/// `[tap][input][output of its group]`, the inputs of all groups in order.
pub(crate) fn rows<A: Arithmetic>(weight: &[A], shape: WeightShape) -> Vec<A> {
    let WeightShape { groups, outputs, inputs, taps } = shape;
    let mut packed = Vec::with_capacity(weight.len());
    for tap in 0..taps {
        for input in 0..groups * inputs {
            let (group, input) = (input / inputs, input % inputs);
            packed.extend(
                (0..outputs).map(|o| weight[((group * outputs + o) * inputs + input) * taps + tap]),
            );
        }
    }
    packed
}
