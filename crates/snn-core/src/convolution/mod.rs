//! Convolutions of bf16 values on AMX tiles, forward and backward, where they are faster than
//! libtorch's.
//!
//! A convolution is a sum over its taps of products of matrices, of images and channels. Factors
//! are blocks of 32 images and 32 channels at one position, so an image of any size wastes
//! nothing, and taps outside of it are left out rather than multiplied by zeros. Values and
//! weights are bf16, products exact, sums f32; the gradient of the weights stays f32.
//!
//! libtorch (oneDNN) multiplies large images faster, and computes those. What it is slow at are
//! gradients of weights, and images of few positions (docs/results/training/convolutions.md).

mod axis;
mod blocks;
mod libtorch;
mod product;
mod scratch;
mod weight_gradient;
mod weights;

use crate::autograd;
use crate::error::Result;
use crate::fused::{Parts, bf16_bits, channels_last, empty};
use crate::tensor::{int, ints};
use axis::Axis;
use blocks::blocks_of;
use product::Product;
use snn_ir::{Conv, Geometry};
use snn_simd::tiles::Tiles;
use tch::{Device, Kind, Tensor};
use weight_gradient::WeightGradient;
use weights::Weights;

/// Bytes of factors that are used again while they are in the L2 cache, which has 2 MiB wherever
/// there is AMX.
const CACHE: usize = 768 << 10;
/// Channels on either side from which on tiles are filled well enough.
const LEAST_CHANNELS: usize = 32;
/// Images from which on they are.
const LEAST_IMAGES: usize = 16;
/// Taps from which on a factor is used often enough to be worth making.
const LEAST_TAPS: usize = 4;
/// Positions of an image up to which libtorch's products along it are no faster, and soon much
/// slower.
const MOST_POSITIONS: usize = 64;

/// Passes that are computed on tiles besides the gradient of the weight; the others are left to
/// libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passes {
    /// The convolution itself.
    pub forward: bool,
    /// The gradient of the input.
    pub input_gradient: bool,
}

impl Passes {
    /// All passes.
    pub const ALL: Self = Self { forward: true, input_gradient: true };
    /// The gradient of the weight alone.
    pub const WEIGHT_GRADIENT: Self = Self { forward: false, input_gradient: false };
}

/// Eq. 2 over two axes in bf16, of `x` `[N, C, H, W]` and a weight `[K, C, kernel]` in f32, which
/// is rounded; its gradient is not.
///
/// `None` where libtorch is as fast: without AMX, for other kinds, kernels of fewer than four
/// taps, fewer than 32 channels or 16 images (or 32 for each thread), several groups, a bias,
/// padding that differs between the sides of an axis.
///
/// # Errors
/// libtorch fails.
pub(crate) fn convolve(x: &Tensor, weight: &Tensor, conv: &Conv) -> Result<Option<Tensor>> {
    let Some(tiles) = Tiles::amx() else { return Ok(None) };
    let Some(shape) = Shape::new(x, weight, conv)? else { return Ok(None) };
    let Some(passes) = shape.passes(x, weight) else { return Ok(None) };
    shape.convolve(tiles, passes, x, weight).map(Some)
}

/// [`convolve`], with the passes on tiles that are asked for, whether libtorch is faster or not:
/// for benchmarks.
///
/// # Errors
/// As above.
#[doc(hidden)]
pub fn convolve_on_tiles(
    x: &Tensor,
    weight: &Tensor,
    conv: &Conv,
    passes: Passes,
) -> Result<Option<Tensor>> {
    let Some(tiles) = Tiles::amx() else { return Ok(None) };
    let Some(shape) = Shape::new(x, weight, conv)? else { return Ok(None) };
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
    /// Bytes of factors that stay in the cache.
    cache: usize,
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
        if weight[1] != x[1] || weight[2..] != kernel {
            // libtorch says what is wrong.
            return Ok(None);
        }
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
            cache: CACHE,
        }))
    }

    fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// The passes that are no slower on tiles; `None` if none of those wanted is.
    fn passes(&self, x: &Tensor, weight: &Tensor) -> Option<Passes> {
        let fills_tiles = self.inputs.min(self.outputs) >= LEAST_CHANNELS
            && self.images >= LEAST_IMAGES
            // Threads share blocks of images.
            && blocks_of(self.images) >= threads()
            && self.taps() >= LEAST_TAPS;
        if !fills_tiles {
            return None;
        }
        let is_small = |axes: [usize; 2]| axes[0] * axes[1] <= MOST_POSITIONS;
        let forward = is_small([self.rows.outputs.len(), self.columns.outputs.len()]);
        // oneDNN's gradient through a stride takes twice as long as without.
        let strided = self.geometry.stride != [1, 1];
        let input_gradient = strided || is_small([self.rows.inputs, self.columns.inputs]);
        let any = forward || (input_gradient && x.requires_grad()) || weight.requires_grad();
        any.then_some(Passes { forward, input_gradient })
    }

    fn convolve(self, tiles: Tiles, passes: Passes, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let images = tch::no_grad(|| channels_last(&x.f_detach()?))?;
        let rounded = tch::no_grad(|| weight.f_detach()?.f_to_kind(Kind::BFloat16))?;
        let weights = Weights::new(bf16_bits(&rounded)?, [self.outputs, self.inputs, self.taps()]);
        let y = if passes.forward {
            let factors = tiles.run(|multiplier| weights.of_inputs(multiplier));
            let size = [self.rows.outputs.len(), self.columns.outputs.len()].map(int);
            let mut y = empty(&[int(self.images), int(self.outputs), size[0], size[1]], &images)?;
            let product = Product {
                x: bf16_bits(&images)?,
                weights: &factors,
                rows: &self.rows,
                columns: &self.columns,
                images: self.images,
                inputs: self.inputs,
                outputs: self.outputs,
                cache: self.cache,
            };
            product.run(tiles, &Parts::bf16_bits(&mut y)?);
            y
        } else {
            let Geometry { stride, padding, dilation, .. } = self.geometry;
            let [stride, padding, dilation] = [stride, padding, dilation].map(ints);
            let none = None::<&Tensor>;
            tch::no_grad(|| images.f_conv2d(&rounded, none, stride, padding, dilation, 1))?
        };
        let (wants_x, wants_weight) = (x.requires_grad(), weight.requires_grad());
        autograd::record(
            "convolution on tiles",
            &[x, weight],
            &[&y],
            &[&images, weight],
            move |backward| {
                let ([Some(gradient)], [x, _]) =
                    (backward.gradients.as_slice(), backward.saved.as_slice())
                else {
                    return Ok(vec![None, None]);
                };
                let gradient = channels_last(gradient)?;
                let of_x = match (wants_x, passes.input_gradient) {
                    (false, _) => None,
                    (true, true) => Some(self.input_gradient(tiles, &gradient, &weights)?),
                    (true, false) => {
                        Some(libtorch::input_gradient(&gradient, x, &rounded, self.geometry)?)
                    }
                };
                let of_weight = wants_weight.then(|| self.weight_gradient(tiles, x, &gradient));
                Ok(vec![of_x, of_weight.transpose()?])
            },
        )?;
        Ok(y)
    }

    fn input_gradient(&self, tiles: Tiles, gradient: &Tensor, weights: &Weights) -> Result<Tensor> {
        let factors = tiles.run(|multiplier| weights.of_outputs(multiplier));
        let size = [self.images, self.inputs, self.rows.inputs, self.columns.inputs].map(int);
        let mut out = empty(&size, gradient)?;
        let product = Product {
            x: bf16_bits(gradient)?,
            weights: &factors,
            rows: &self.rows.reversed(),
            columns: &self.columns.reversed(),
            images: self.images,
            inputs: self.outputs,
            outputs: self.inputs,
            cache: self.cache,
        };
        product.run(tiles, &Parts::bf16_bits(&mut out)?);
        Ok(out)
    }

    fn weight_gradient(&self, tiles: Tiles, x: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let size = [self.outputs, self.inputs, self.rows.kernel, self.columns.kernel].map(int);
        let mut out = Tensor::f_empty(size, (Kind::Float, Device::Cpu))?;
        let weight_gradient = WeightGradient {
            x: bf16_bits(x)?,
            gradient: bf16_bits(gradient)?,
            rows: &self.rows,
            columns: &self.columns,
            images: self.images,
            inputs: self.inputs,
            outputs: self.outputs,
            cache: self.cache,
        };
        weight_gradient.run(tiles, threads(), &Parts::new(&mut out)?);
        Ok(out)
    }
}

/// Threads of libtorch's loops.
fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            // Rows that are read again after later ones, and one that is read late.
            shape([3, 40, 8], [7, 3], [3, 3], [one, [2, 1], [2, 1]]),
            shape([2, 8, 40], [9, 3], [3, 3], [one, [3, 3], [2, 1]]),
            shape([2, 5, 6], [10, 4], [2, 3], [[3, 1], [0, 1], one]),
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
            let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
            let expected = run(&double(&x), &double(&weight), &cotangent, exact);
            // Of magnitudes, to which errors are relative.
            let [of_x, of_weight] = [double(&x).abs(), double(&weight).abs()];
            let magnitudes = run(&of_x, &of_weight, &cotangent.abs(), exact);
            for tiles in Tiles::each() {
                // The least cache has room for a row at a time, and for one block of images.
                for (passes, cache) in
                    [(Passes::ALL, CACHE), (Passes::WEIGHT_GRADIENT, CACHE), (Passes::ALL, 0)]
                {
                    // Elsewhere libtorch adds up in bf16, and is never asked to.
                    if passes == Passes::WEIGHT_GRADIENT && !crate::multiplies_bf16() {
                        continue;
                    }
                    let found = run(&x, &weight, &cotangent, |x, weight| {
                        let shape = Shape::new(x, weight, &conv).unwrap().expect("known");
                        Shape { cache, ..shape }.convolve(tiles, passes, x, weight).unwrap()
                    });
                    // Half a unit of bf16; libtorch may round twice.
                    let roundings = |ours| if ours { 0.0042 } else { 0.0084 };
                    let roundings =
                        [roundings(passes.forward), roundings(passes.input_gradient), 0.0];
                    for (which, rounding) in roundings.into_iter().enumerate() {
                        let error = (&found[which] - &expected[which]).abs();
                        let bound =
                            expected[which].abs() * rounding + &magnitudes[which] * 5e-6 + 1e-30;
                        let worst = (error / bound).max().double_value(&[]);
                        assert!(
                            worst <= 1.0,
                            "{tiles:?} {passes:?} {cache} {conv:?}: {which}: {worst}"
                        );
                    }
                }
            }
        }
    }

    /// Sets the number of libtorch's threads back, whatever happens.
    struct Threads(i32);

    impl Drop for Threads {
        fn drop(&mut self) {
            tch::set_num_threads(self.0);
        }
    }

    #[test]
    fn integers_are_exact_whatever_the_number_of_threads() {
        let _set_back = Threads(tch::get_num_threads());
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
                        shape.convolve(tiles, Passes::ALL, x, weight).unwrap()
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
    }

    #[test]
    fn an_input_of_any_layout_is_read_and_one_that_was_changed_is_refused() {
        tch::manual_seed(2);
        let kind = (Kind::BFloat16, Device::Cpu);
        let one = [1, 1];
        let conv = conv(32, [3, 3], [one, one, one]);
        let weight = Tensor::randn([32, 32, 3, 3], (Kind::Float, Device::Cpu));
        let first = Tensor::randn([16, 32, 6, 5], kind);
        let last = channels_last(&first).unwrap();
        let cotangent = Tensor::randn([16, 32, 6, 5], (Kind::Double, Device::Cpu));
        for tiles in Tiles::each() {
            let on_tiles = |x: &Tensor, weight: &Tensor| {
                let shape = Shape::new(x, weight, &conv).unwrap().expect("known");
                shape.convolve(tiles, Passes::ALL, x, weight).unwrap()
            };
            let [a, b] = [&first, &last].map(|x| run(x, &weight, &cotangent, on_tiles));
            assert_eq!(a, b, "{tiles:?}");
            // Neither frozen weights nor inputs have a gradient.
            let leaf = last.copy().set_requires_grad(true);
            on_tiles(&leaf, &weight).sum(Kind::Float).backward();
            assert!(leaf.grad().defined() && !weight.grad().defined());
            let learned = weight.copy().set_requires_grad(true);
            on_tiles(&last, &learned).sum(Kind::Float).backward();
            assert_eq!(learned.grad().kind(), Kind::Float);
            assert!(!tch::no_grad(|| on_tiles(&last, &learned)).requires_grad());

            let changed = last.copy();
            let y = on_tiles(&changed, &learned);
            let _changed = changed.shallow_clone().f_add_scalar_(1.0).unwrap();
            let error = y.sum(Kind::Float).f_backward().unwrap_err().to_string();
            assert!(error.contains("modified by an inplace operation"), "{error}");
        }
    }

    #[test]
    fn what_the_kernels_do_not_know_is_left_to_libtorch() {
        let kind = (Kind::BFloat16, Device::Cpu);
        // Blocks for as many threads as another test may set.
        let x = Tensor::zeros([128, 32, 8, 8], kind);
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
        assert!(!is_known(&x, &weight.narrow(1, 0, 31), &plain));
        assert!(!is_known(&x, &weight.narrow(2, 0, 2), &plain));
        // A large image needs the gradient of its weight to be worth it.
        let large = Tensor::zeros([128, 32, 16, 16], kind);
        assert!(!is_known(&large, &weight, &plain));
        assert!(is_known(&large, &weight.set_requires_grad(true), &plain));
    }
}
