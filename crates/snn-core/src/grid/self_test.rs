//! Self-test of libtorch on this machine: sums of integers must be exact in the precision that the
//! grid uses. Some back ends (Winograd, reduced precision) are not exact.

use crate::error::{Error, Result};
use crate::grid::narrow_kind;
use crate::network::stateless::{convolve, merged_pixels};
use crate::tensor::tensor;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use snn_ir::F32_EXACT;
use snn_ir::GRID_WEIGHT_MAX;
use snn_ir::chw;
use snn_ir::{Conv, Form, Model, Op};
use tch::{Device, Tensor};

/// Batch sizes tried: back ends choose their algorithm by size.
const BATCHES: [usize; 3] = [1, 3, 32];
/// Largest weights of sparse rows, one for each batch size: few large weights, or many small ones.
const SPARSE_WEIGHTS: [f64; 3] = [1.0, 11.0, 127.0];
/// Positions of an output that are compared, for every channel.
const POSITIONS: usize = 24;

/// Largest sum of magnitudes that single precision holds exactly.
const LARGEST_SUM: f64 = F32_EXACT - 1.0;

/// Convolves random integers, as large as the bounds of the grid allow, in every distinct
/// convolution and linear shape of a model that is summed in single precision, and compares
/// libtorch with sums in i64. Returns the number of shapes compared.
///
/// Where the largest inputs under all weights of a row would leave single precision (the model's
/// own weights do not, because most of them are 0), the random rows are sparse too.
///
/// # Errors
/// The first layer for which one value differs; or the model is invalid or not on the grid, or
/// libtorch fails.
pub fn self_test(model: &Model, device: Device) -> Result<usize> {
    let checked = model.validate()?;
    if !matches!(model.form(), Form::Grid { .. }) {
        return Err(Error::Argument {
            what: "form",
            expected: "grid".into(),
            found: model.form().label().into(),
        });
    }
    let (resolved, streams) = (checked.resolved(), checked.streams()?);
    let mut random = Random(0x5EED);
    let mut seen: Vec<(Conv, Vec<usize>, u64)> = Vec::new();
    for (index, (node, info)) in model.graph().nodes.iter().zip(&resolved.nodes).enumerate() {
        let conv = match &node.op {
            Op::Conv(conv) => Conv { bias: false, ..conv.clone() },
            Op::Linear { features, .. } => Conv::from_linear(*features, false),
            _ => continue,
        };
        // Wider sums are taken in double precision.
        if streams.sums[index] >= F32_EXACT {
            continue;
        }
        let reads = info.inputs[0];
        let input = resolved.nodes[reads].shape.clone();
        let bound = streams.bounds[reads].iter().copied().fold(1.0, f64::max).min(LARGEST_SUM);
        let key = (conv, input, bound.to_bits());
        if seen.contains(&key) {
            continue;
        }
        let fan_in = key.1[0] / key.0.groups * key.0.kernel.iter().product::<usize>();
        let layer = TestedLayer {
            name: &node.name,
            conv: &key.0,
            input: &key.1,
            linear: matches!(node.op, Op::Linear { .. }),
        };
        for (batch, weight) in BATCHES.into_iter().zip(SPARSE_WEIGHTS) {
            let values = Magnitudes::new(bound, fan_in, weight);
            layer.compare(batch, &values, &mut random, device)?;
        }
        seen.push(key);
    }
    Ok(seen.len())
}

/// Limits of the random integers of one comparison: no row sums to more than [`LARGEST_SUM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Magnitudes {
    input: i64,
    weight: i64,
    /// Weights of an output that are not 0.
    taps: usize,
}

impl Magnitudes {
    /// Dense rows with weights as large as they may be; where even weights of 1 are too large for
    /// dense rows, sparse ones with weights up to `sparse_weight`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole positive numbers below 2^24"
    )]
    fn new(bound: f64, fan_in: usize, sparse_weight: f64) -> Self {
        let dense = (LARGEST_SUM / (bound * fan_in as f64)).floor().min(GRID_WEIGHT_MAX.into());
        if dense >= 1.0 {
            return Self { input: bound as i64, weight: dense as i64, taps: fan_in };
        }
        let weight = (LARGEST_SUM / bound).floor().min(sparse_weight);
        let taps = (LARGEST_SUM / (bound * weight)).floor();
        Self { input: bound as i64, weight: weight as i64, taps: (taps as usize).min(fan_in) }
    }
}

struct TestedLayer<'l> {
    name: &'l str,
    conv: &'l Conv,
    input: &'l [usize],
    linear: bool,
}

impl TestedLayer<'_> {
    fn compare(
        &self,
        batch: usize,
        values: &Magnitudes,
        random: &mut Random,
        device: Device,
    ) -> Result<()> {
        let mut input_shape = vec![batch];
        input_shape.extend(chw(self.input));
        let snn_ir::Geometry { kernel, .. } = self.conv.as_2d();
        let weight_shape =
            [self.conv.channels, input_shape[1] / self.conv.groups, kernel[0], kernel[1]];
        let x = random.array(&input_shape, values.input);
        let w = random.rows(weight_shape, values);
        let y = self.libtorch(&x, &w, device)?;
        let sizes: Vec<usize> =
            y.size().into_iter().map(|n| usize::try_from(n).unwrap_or_default()).collect();
        for _ in 0..POSITIONS {
            // The corners are where padding matters.
            let place = |random: &mut Random, size: usize| match random.below(4) {
                0 => 0,
                1 => size - 1,
                _ => random.below(size),
            };
            let (sample, row, column) =
                (place(random, batch), place(random, sizes[2]), place(random, sizes[3]));
            let found: Vec<f64> = Vec::try_from(
                y.f_select(0, index(sample))?
                    .f_select(1, index(row))?
                    .f_select(1, index(column))?
                    .f_contiguous()?,
            )?;
            for (channel, found) in found.into_iter().enumerate() {
                let expected = self.exact(&x.view(), &w.view(), sample, channel, [row, column]);
                #[expect(clippy::float_cmp, reason = "the whole point is that they are equal")]
                if found != expected as f64 {
                    return Err(Error::SelfTest {
                        layer: self.name.to_string(),
                        batch,
                        expected,
                        found,
                    });
                }
            }
        }
        Ok(())
    }

    /// The convolution as the evaluator computes it, converted to double precision on the host.
    fn libtorch(&self, x: &ArrayD<f32>, w: &ArrayD<f32>, device: Device) -> Result<Tensor> {
        let kind = narrow_kind(device);
        let (x, w) = (
            tensor(&x.view(), device)?.f_to_kind(kind)?,
            tensor(&w.view(), device)?.f_to_kind(kind)?,
        );
        let y = tch::no_grad(|| {
            if self.linear {
                let y = x.f_flatten(1, -1)?.f_linear::<&Tensor>(&w.f_flatten(1, -1)?, None)?;
                return Ok::<_, Error>(y.f_unsqueeze(2)?.f_unsqueeze(3)?);
            }
            let shape: Vec<usize> =
                x.size()[1..].iter().map(|&n| usize::try_from(n).unwrap_or_default()).collect();
            convolve(&merged_pixels(&x, &shape)?, &w, None, self.conv)
        })?;
        Ok(y.f_to_kind(crate::grid::site::WIDE)?.f_to(Device::Cpu)?)
    }

    /// Eq. 2 at one place, in i64.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the values were drawn as integers below 2^24"
    )]
    fn exact(
        &self,
        x: &ArrayViewD<'_, f32>,
        w: &ArrayViewD<'_, f32>,
        sample: usize,
        channel: usize,
        at: [usize; 2],
    ) -> i64 {
        let snn_ir::Geometry { kernel, stride, padding, dilation, .. } = self.conv.as_2d();
        let (inputs, height, width) = (w.shape()[1], x.shape()[2], x.shape()[3]);
        let first = channel / (self.conv.channels / self.conv.groups) * inputs;
        let mut sum = 0;
        for c in 0..inputs {
            for a in 0..kernel[0] {
                for b in 0..kernel[1] {
                    let row = (at[0] * stride[0] + a * dilation[0])
                        .checked_sub(padding[0])
                        .filter(|r| *r < height);
                    let column = (at[1] * stride[1] + b * dilation[1])
                        .checked_sub(padding[1])
                        .filter(|k| *k < width);
                    if let (Some(row), Some(column)) = (row, column) {
                        sum += w[[channel, c, a, b]] as i64
                            * x[[sample, first + c, row, column]] as i64;
                    }
                }
            }
        }
        sum
    }
}

fn index(position: usize) -> i64 {
    crate::tensor::int(position)
}

/// A small generator (xorshift64*); the test needs no seedable one of better quality.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or_default()
    }

    /// Weights of which at most `taps` of each output are not 0.
    fn rows(&mut self, shape: [usize; 4], values: &Magnitudes) -> ArrayD<f32> {
        let mut weights = self.array(&shape, values.weight);
        let row = shape[1..].iter().product::<usize>();
        for mut weights in weights.outer_iter_mut() {
            // The first of a random order keep their values.
            let mut order: Vec<usize> = (0..row).collect();
            for place in 0..values.taps.min(row) {
                let other = place + self.below(row - place);
                order.swap(place, other);
            }
            let mut kept = vec![false; row];
            order.iter().take(values.taps).for_each(|&place| kept[place] = true);
            weights.iter_mut().zip(kept).filter(|(_, kept)| !kept).for_each(|(w, _)| *w = 0.0);
        }
        weights
    }

    /// Integers of `−bound..=bound`, the ends more often than others.
    fn array(&mut self, shape: &[usize], bound: i64) -> ArrayD<f32> {
        let span = usize::try_from(2 * bound + 1).unwrap_or(1);
        ArrayD::from_shape_simple_fn(IxDyn(shape), || match self.below(4) {
            0 => bound as f32,
            1 => -bound as f32,
            _ => (i64::try_from(self.below(span)).unwrap_or_default() - bound) as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_can_sum_to_more_than_single_precision_holds() {
        for bound in [1.0, 255.0, 16_320.0, 4_000_000.0, LARGEST_SUM] {
            for fan_in in [1, 27, 1_100, 4_608] {
                for weight in SPARSE_WEIGHTS {
                    let values = Magnitudes::new(bound, fan_in, weight);
                    let Magnitudes { input, weight, taps } = values;
                    assert!(weight >= 1 && taps >= 1 && taps <= fan_in, "{values:?}");
                    let sum = input as f64 * weight as f64 * taps as f64;
                    assert!(sum <= LARGEST_SUM, "{values:?}");
                    let drawn = Random(7).rows([3, fan_in, 1, 1], &values);
                    for row in drawn.outer_iter() {
                        assert!(row.iter().filter(|w| **w != 0.0).count() <= taps);
                        assert!(row.iter().all(|w| w.abs() <= weight as f32));
                    }
                }
            }
        }
    }
}
