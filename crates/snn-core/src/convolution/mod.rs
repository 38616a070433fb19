//! Convolutions of bf16 values on tiles of AMX, forward and backward, where they are faster than
//! libtorch's.
//!
//! A convolution is a sum over its taps of products of matrices, of images and channels. Factors
//! are blocks of 32 images and 32 channels at one position, so an image of any size wastes nothing,
//! and taps outside of it are left out rather than multiplied by zeros. Values and weights are bf16,
//! products exact, sums f32; the gradient of the weights stays f32.
//!
//! libtorch (oneDNN) multiplies large images as fast, and has these. What it is slow at, measured
//! on one core with AMX: gradients of weights (1.5 to 9 times as long), and images of few positions
//! (1.3 times as long at 7 × 7, 4.6 times at 4 × 4).

mod axis;
mod libtorch;
mod product;
mod room;
mod weight_gradient;
mod weights;

use crate::autograd;
use crate::error::{Error, Result};
use crate::fused::{Parts, channels_last, empty, words};
use crate::tensor::{int, ints};
use axis::Axis;
use product::Product;
use snn_ir::{Conv, Geometry};
use snn_simd::tiles::{SIDE, Tiles};
use tch::{Device, Kind, Tensor};
use weight_gradient::WeightGradient;
use weights::Weights;

/// Bytes of factors that are used again while they are in the second cache, which has 2 MiB
/// wherever there is AMX.
const CACHE: usize = 3 << 18;
/// Channels on either side from which on tiles are filled well enough.
const LEAST_CHANNELS: usize = 32;
/// Images from which on they are.
const LEAST_IMAGES: usize = 16;
/// Taps from which on a factor is used often enough to be worth making.
const LEAST_TAPS: usize = 4;
/// Positions of an image up to which libtorch's products along it are slower.
const MOST_POSITIONS: usize = 64;

/// Blocks of 32 that so many images or channels fill.
fn blocks_of(count: usize) -> usize {
    count.div_ceil(SIDE)
}

/// Which passes are computed on tiles besides the gradient of the weight; the others are left to
/// libtorch.
#[derive(Debug, Clone, Copy)]
struct Passes {
    forward: bool,
    to_input: bool,
}

/// Eq. 2 over two axes in bf16: `x` `[N, C, H, W]` and a weight `[K, C, kernel]` in f32, which is
/// rounded; the gradient of the weight is not. `None` where libtorch is as fast: without AMX, for
/// other kinds, small kernels, few channels or images, several groups, a bias, lopsided padding.
///
/// # Errors
/// libtorch fails.
pub(crate) fn convolve(x: &Tensor, weight: &Tensor, conv: &Conv) -> Result<Option<Tensor>> {
    let Some(tiles) = Tiles::amx() else { return Ok(None) };
    let Some(shape) = Shape::new(x, weight, conv)? else { return Ok(None) };
    let Some(passes) = shape.passes(x, weight) else { return Ok(None) };
    shape.convolve(tiles, passes, x, weight).map(Some)
}

/// A convolution of one group.
#[derive(Debug, Clone)]
struct Shape {
    geometry: Geometry,
    images: usize,
    inputs: usize,
    outputs: usize,
    rows: Axis,
    columns: Axis,
}

impl Shape {
    /// `None` for what the kernels here do not know.
    fn new(x: &Tensor, weight: &Tensor, conv: &Conv) -> Result<Option<Self>> {
        let geometry = conv.as_2d();
        let known = x.dim() == 4
            && weight.dim() == 4
            && x.device() == Device::Cpu
            && x.f_kind()? == Kind::BFloat16
            && weight.f_kind()? == Kind::Float
            && weight.is_contiguous()
            && conv.groups == 1
            && !conv.bias
            && !geometry.is_lopsided();
        if !known {
            return Ok(None);
        }
        let size = |tensor: &Tensor| -> Vec<usize> {
            tensor.size().iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect()
        };
        let (x, weight) = (size(x), size(weight));
        let Geometry { kernel, stride, padding, dilation, .. } = geometry;
        let axis = |axis: usize| -> Option<Axis> {
            let padded = x[2 + axis] + 2 * padding[axis];
            let reach = dilation[axis] * (kernel[axis].checked_sub(1)?) + 1;
            let outputs = padded.checked_sub(reach)? / stride[axis] + 1;
            let place = [stride[axis], dilation[axis], padding[axis]];
            Some(Axis::new(x[2 + axis], outputs, kernel[axis], place))
        };
        let (Some(rows), Some(columns)) = (axis(0), axis(1)) else { return Ok(None) };
        let [images, inputs, outputs] = [x[0], x[1], weight[0]];
        Ok((images * inputs * outputs > 0).then_some(Self {
            geometry,
            images,
            inputs,
            outputs,
            rows,
            columns,
        }))
    }

    fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// The passes that are wanted and at least 1.3 times as fast on tiles; `None` if none is.
    fn passes(&self, x: &Tensor, weight: &Tensor) -> Option<Passes> {
        let fills_tiles = self.inputs.min(self.outputs) >= LEAST_CHANNELS
            && self.images >= LEAST_IMAGES
            && self.taps() >= LEAST_TAPS;
        let is_small = |axes: [usize; 2]| axes[0] * axes[1] <= MOST_POSITIONS;
        let forward =
            fills_tiles && is_small([self.rows.outputs.len(), self.columns.outputs.len()]);
        // oneDNN's gradient through a stride takes twice as long as without.
        let strided = self.geometry.stride != [1, 1];
        let to_input =
            fills_tiles && (strided || is_small([self.rows.inputs, self.columns.inputs]));
        let wants_weight = weight.requires_grad() && fills_tiles;
        let any = forward || (x.requires_grad() && to_input) || wants_weight;
        any.then_some(Passes { forward, to_input })
    }

    fn convolve(self, tiles: Tiles, passes: Passes, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (rounded, images) = tch::no_grad(|| -> Result<_> {
            let rounded = weight.f_detach()?.f_to_kind(Kind::BFloat16)?;
            Ok((rounded, channels_last(&x.f_detach()?)?))
        })?;
        let ordered = || -> Result<Weights> {
            Ok(Weights::new(words(&rounded)?, [self.outputs, self.inputs, self.taps()]))
        };
        let (wants_x, wants_weight) = (x.requires_grad(), weight.requires_grad());
        let y = if passes.forward {
            let factors =
                tiles.run(|multiplier| Ok::<_, Error>(ordered()?.of_inputs(multiplier)))?;
            let size = [self.rows.outputs.len(), self.columns.outputs.len()].map(int);
            let mut y = empty(&[int(self.images), int(self.outputs), size[0], size[1]], &images)?;
            let product = Product {
                x: words(&images)?,
                weights: &factors,
                rows: &self.rows,
                columns: &self.columns,
                images: self.images,
                inputs: self.inputs,
                outputs: self.outputs,
            };
            product.run(tiles, &Parts::words(&mut y)?);
            y
        } else {
            let Geometry { stride, padding, dilation, .. } = self.geometry;
            let [stride, padding, dilation] = [stride, padding, dilation].map(ints);
            let none = None::<&Tensor>;
            tch::no_grad(|| images.f_conv2d(&rounded, none, stride, padding, dilation, 1))?
        };
        autograd::record(
            "convolution on tiles",
            &[x, weight],
            &[&y],
            &[&images, &rounded],
            move |backward| {
                let ([Some(gradient)], [x, weight]) =
                    (backward.gradients.as_slice(), backward.saved.as_slice())
                else {
                    return Ok(vec![None, None]);
                };
                let gradient = channels_last(gradient)?;
                let of_x = match (wants_x, passes.to_input) {
                    (false, _) => None,
                    (true, true) => Some(self.input_gradient(tiles, &gradient, weight)?),
                    (true, false) => {
                        Some(libtorch::input_gradient(&gradient, x, weight, self.geometry)?)
                    }
                };
                let of_weight = wants_weight.then(|| self.weight_gradient(tiles, x, &gradient));
                Ok(vec![of_x, of_weight.transpose()?])
            },
        )?;
        Ok(y)
    }

    fn input_gradient(&self, tiles: Tiles, gradient: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let weights = Weights::new(words(weight)?, [self.outputs, self.inputs, self.taps()]);
        let factors = tiles.run(|multiplier| weights.of_outputs(multiplier));
        let size = [self.images, self.inputs, self.rows.inputs, self.columns.inputs].map(int);
        let mut out = empty(&size, gradient)?;
        let product = Product {
            x: words(gradient)?,
            weights: &factors,
            rows: &self.rows.reversed(),
            columns: &self.columns.reversed(),
            images: self.images,
            inputs: self.outputs,
            outputs: self.inputs,
        };
        product.run(tiles, &Parts::words(&mut out)?);
        Ok(out)
    }

    fn weight_gradient(&self, tiles: Tiles, x: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let weight_gradient = WeightGradient {
            x: words(x)?,
            gradient: words(gradient)?,
            rows: &self.rows,
            columns: &self.columns,
            images: self.images,
            inputs: self.inputs,
            outputs: self.outputs,
        };
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        let values = weight_gradient.run(tiles, threads);
        let size = [self.outputs, self.inputs, self.rows.kernel, self.columns.kernel].map(int);
        Ok(Tensor::f_from_slice(&values)?.f_reshape(size)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Passes = Passes { forward: true, to_input: true };
    const WEIGHT: Passes = Passes { forward: false, to_input: false };

    fn conv(channels: usize, kernel: [usize; 2], place: [[usize; 2]; 3]) -> Conv {
        let [stride, padding, dilation] = place.map(|pair| pair.to_vec());
        let kernel = kernel.to_vec();
        Conv { channels, kernel, stride, padding, dilation, groups: 1, bias: false }
    }

    /// The output and both gradients of a random cotangent, in double precision.
    fn run(
        x: &Tensor,
        weight: &Tensor,
        cotangent: &Tensor,
        convolve: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> [Tensor; 3] {
        let (x, weight) = (x.copy().set_requires_grad(true), weight.copy().set_requires_grad(true));
        let y = convolve(&x, &weight);
        (y.to_kind(Kind::Double) * cotangent).sum(Kind::Double).backward();
        [y.detach(), x.grad(), weight.grad()].map(|found| found.to_kind(Kind::Double))
    }

    /// Shapes of every kind: `[images, inputs, outputs]`, image, kernel, stride, padding, dilation.
    fn shapes() -> Vec<([i64; 3], [i64; 2], Conv)> {
        let shape = |sizes: [i64; 3], image, kernel, place| {
            (sizes, image, conv(usize::try_from(sizes[2]).unwrap(), kernel, place))
        };
        let one = [1, 1];
        vec![
            shape([3, 32, 32], [5, 4], [3, 3], [one, one, one]),
            shape([33, 40, 70], [3, 6], [3, 3], [one, one, one]),
            shape([16, 33, 7], [9, 8], [3, 3], [[2, 2], one, one]),
            shape([5, 3, 64], [6, 7], [2, 2], [one, [0, 0], one]),
            shape([2, 64, 32], [7, 7], [1, 3], [[2, 1], [0, 2], [1, 2]]),
            shape([70, 32, 32], [1, 1], [3, 3], [one, one, one]),
            shape([4, 8, 200], [4, 30], [3, 3], [one, [0, 1], one]),
            shape([2, 130, 33], [34, 33], [3, 3], [one, one, one]),
        ]
    }

    #[test]
    fn values_and_gradients_are_those_of_double_precision() {
        tch::manual_seed(1);
        for ([images, inputs, outputs], [height, width], conv) in shapes() {
            let kind = (Kind::Float, Device::Cpu);
            let [rows, columns] = conv.as_2d().kernel.map(int);
            let x = Tensor::randn([images, height, width, inputs], kind).permute([0, 3, 1, 2]);
            let x = x.to_kind(Kind::BFloat16);
            let weight = Tensor::randn([outputs, inputs, rows, columns], kind);
            let weight = weight.to_kind(Kind::BFloat16).to_kind(Kind::Float);
            let exact = |x: &Tensor, weight: &Tensor| {
                let [x, weight] = [x, weight].map(|tensor| tensor.to_kind(Kind::Double));
                crate::network::stateless::convolve(&x, &weight, None, &conv).unwrap()
            };
            let size = exact(&x, &weight).size();
            let cotangent = Tensor::randn(size, kind).to_kind(Kind::BFloat16);
            let cotangent = cotangent.to_kind(Kind::Double);
            let expected = run(&x, &weight, &cotangent, exact);
            // Of magnitudes, to which errors are relative.
            let magnitudes = run(&x.abs(), &weight.abs(), &cotangent.abs(), exact);
            for tiles in Tiles::each() {
                for passes in [ALL, WEIGHT] {
                    let found = run(&x, &weight, &cotangent, |x, weight| {
                        let shape = Shape::new(x, weight, &conv).unwrap().expect("known");
                        shape.convolve(tiles, passes, x, weight).unwrap()
                    });
                    // Half a unit of bf16; libtorch may round twice.
                    let roundings = |ours| if ours { 0.0042 } else { 0.0084 };
                    let roundings = [roundings(passes.forward), roundings(passes.to_input), 0.0];
                    for (which, rounding) in roundings.into_iter().enumerate() {
                        let error = (&found[which] - &expected[which]).abs();
                        let bound =
                            expected[which].abs() * rounding + &magnitudes[which] * 2e-6 + 1e-30;
                        let worst = (error / bound).max().double_value(&[]);
                        assert!(worst <= 1.0, "{tiles:?} {passes:?} {conv:?}: {which}: {worst}");
                    }
                }
            }
        }
    }

    #[test]
    fn integers_are_exact_whatever_the_number_of_threads() {
        let threads = tch::get_num_threads();
        for ([images, inputs, outputs], [height, width], conv) in shapes() {
            let kind = (Kind::Float, Device::Cpu);
            let [rows, columns] = conv.as_2d().kernel.map(int);
            let spikes = |size: [i64; 4]| {
                let values = Tensor::randint_low(0, 2, size, kind).to_kind(Kind::BFloat16);
                values.permute([0, 3, 1, 2])
            };
            let x = spikes([images, height, width, inputs]);
            let weight = Tensor::randint_low(-1, 2, [outputs, inputs, rows, columns], kind);
            let plain = |x: &Tensor, weight: &Tensor| {
                let [x, weight] = [x, weight].map(|tensor| tensor.to_kind(Kind::Double));
                crate::network::stateless::convolve(&x, &weight, None, &conv).unwrap()
            };
            let size = plain(&x, &weight).size();
            let cotangent = Tensor::randint_low(-1, 2, size, (Kind::Double, Device::Cpu));
            let expected = run(&x, &weight, &cotangent, plain);
            for count in [1, 3] {
                tch::set_num_threads(count);
                for tiles in Tiles::each() {
                    let found = run(&x, &weight, &cotangent, |x, weight| {
                        let shape = Shape::new(x, weight, &conv).unwrap().expect("known");
                        shape.convolve(tiles, ALL, x, weight).unwrap()
                    });
                    for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        // Sums above 256 are rounded, to 8 bits.
                        let expected = if which == 2 {
                            expected.shallow_clone()
                        } else {
                            expected.to_kind(Kind::BFloat16).to_kind(Kind::Double)
                        };
                        assert_eq!(found, &expected, "{tiles:?} {conv:?}: {which}");
                    }
                }
            }
        }
        tch::set_num_threads(threads);
    }

    #[test]
    fn what_the_kernels_do_not_know_is_left_to_libtorch() {
        let kind = (Kind::BFloat16, Device::Cpu);
        let x = Tensor::zeros([32, 32, 8, 8], kind);
        let weight = Tensor::zeros([32, 32, 3, 3], (Kind::Float, Device::Cpu));
        let one = [1, 1];
        let plain = conv(32, [3, 3], [one, one, one]);
        let is_known = |x: &Tensor, weight: &Tensor, conv: &Conv| {
            Shape::new(x, weight, conv)
                .unwrap()
                .is_some_and(|shape| shape.passes(x, weight).is_some())
        };
        assert!(is_known(&x, &weight, &plain));
        assert!(!is_known(&x.to_kind(Kind::Float), &weight, &plain));
        assert!(!is_known(&x, &weight.to_kind(Kind::BFloat16), &plain));
        assert!(!is_known(&x.narrow(0, 0, 15), &weight, &plain));
        assert!(!is_known(&x, &weight, &Conv { bias: true, ..plain.clone() }));
        assert!(!is_known(&x, &weight.narrow(1, 0, 16), &Conv { groups: 2, ..plain.clone() }));
        assert!(!is_known(&x, &weight, &Conv { padding: vec![1, 1, 0, 1], ..plain.clone() }));
        assert!(!is_known(&x.narrow(1, 0, 16), &weight.narrow(1, 0, 16), &plain));
        assert!(!is_known(&x.narrow(2, 0, 1), &weight, &conv(32, [3, 3], [one, [0, 0], one])));
        // A large image needs the gradient of its weight to be worth it.
        let large = Tensor::zeros([32, 32, 16, 16], kind);
        assert!(!is_known(&large, &weight, &plain));
        assert!(is_known(&large, &weight.set_requires_grad(true), &plain));
    }
}
