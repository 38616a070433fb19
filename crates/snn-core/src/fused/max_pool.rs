//! Max pooling by windows that do not overlap (eq. 5), forward and backward in one pass each.
//!
//! The backward pass reads the place of each maximum, a byte, and not the input, which libtorch
//! keeps; and it writes every gradient once, zeros included, where libtorch fills and then
//! scatters.

use super::memory::{Parts, channels_last, empty, values};
use super::store::{Bf16, Store};
use crate::autograd::{self, parallel};
use crate::error::{Error, Result};
use crate::tensor::int;
use snn_simd::{Available, Kernel};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Channels that are computed side by side.
const CHUNK: usize = 32;
/// Most positions of a window: a place is a byte.
const MOST_PLACES: usize = 256;
/// Rows of windows that a thread takes in one go.
const ROWS: usize = 4;

/// The largest value of each window of `kernel` positions, one every `stride`, of `x`
/// `[N, C, H, W]`: `[N, C, (H − k)/s + 1, (W − k)/s + 1]`, channels last in memory. Of several
/// largest values the first one, row by row, has the gradient, and of several that are not a number
/// the last, as in libtorch's `max_pool2d`.
///
/// `None` where windows overlap, have more than 256 positions or do not fit, and for values that
/// are not f32, f64 or bf16 on the CPU.
///
/// # Errors
/// libtorch cannot allocate.
pub(crate) fn max_pool(
    x: &Tensor,
    kernel: [usize; 2],
    stride: [usize; 2],
) -> Result<Option<Tensor>> {
    if x.device() != Device::Cpu || x.dim() != 4 || !has_pool(kernel, stride) {
        return Ok(None);
    }
    let size: Vec<usize> = x.size().iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let (input, channels) = ([size[2], size[3]], size[1]);
    if channels == 0 || input[0] < kernel[0] || input[1] < kernel[1] {
        return Ok(None);
    }
    let output = [0, 1].map(|axis| (input[axis] - kernel[axis]) / stride[axis] + 1);
    let shape = Shape { channels, kernel, stride, input, output };
    match x.f_kind()? {
        Kind::Float => pooled::<f32>(Available::best(), x, shape).map(Some),
        Kind::Double => pooled::<f64>(Available::best(), x, shape).map(Some),
        Kind::BFloat16 => pooled::<Bf16>(Available::best(), x, shape).map(Some),
        _ => Ok(None),
    }
}

/// `true` for windows that do not overlap, of at most 256 positions: those of [`max_pool`].
pub(crate) fn has_pool(kernel: [usize; 2], stride: [usize; 2]) -> bool {
    let apart = (0..2).all(|axis| 0 < kernel[axis] && kernel[axis] <= stride[axis]);
    apart && kernel[0].saturating_mul(kernel[1]) <= MOST_PLACES
}

/// Lengths of axes: of rows, then within a row.
#[derive(Debug, Clone, Copy)]
struct Shape {
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
}

impl Shape {
    /// The first value of a position of the input, whose rows are numbered through all samples.
    fn input_at(&self, row: usize, column: usize) -> usize {
        (row * self.input[1] + column) * self.channels
    }

    /// The channels of a window, whose rows are numbered through all samples.
    fn output_at(&self, row: usize, column: usize) -> Range<usize> {
        let first = (row * self.output[1] + column) * self.channels;
        first..first + self.channels
    }

    /// The first row of the input, numbered through all samples, that belongs to a row of windows.
    fn first_row(&self, row: usize) -> usize {
        row / self.output[0] * self.input[0] + row % self.output[0] * self.stride[0]
    }

    /// The rows of the input from there on that no other row of windows has.
    fn own_rows(&self, row: usize) -> usize {
        let row = row % self.output[0];
        let first = row * self.stride[0];
        if row + 1 == self.output[0] { self.input[0] - first } else { self.stride[0] }
    }
}

fn pooled<S: Store>(instructions: Available, x: &Tensor, shape: Shape) -> Result<Tensor> {
    let size = x.size();
    let rows = usize::try_from(size[0]).unwrap_or(0) * shape.output[0];
    let [height, width] = shape.output.map(int);
    let size_of_output = [size[0], size[1], height, width];
    let mut out = empty(&size_of_output, x)?;
    let wants_places = x.requires_grad();
    let mut places = vec![0_u8; if wants_places { out.numel() } else { 0 }];
    {
        let x = tch::no_grad(|| channels_last(&x.f_detach()?))?;
        let read = values::<S>(&x)?;
        let (out, places) = (Parts::new(&mut out)?, Parts::over(&mut places));
        let places = wants_places.then_some(&places);
        parallel(rows, ROWS, |rows| {
            instructions.run(Forward { x: read, out: &out, places, shape, rows });
        });
    }
    if !wants_places {
        return Ok(out);
    }
    autograd::record("fused max pooling", &[x], &[&out], &[], move |backward| {
        let [Some(gradient)] = backward.gradients.as_slice() else { return Ok(vec![None]) };
        let gradient = channels_last(gradient)?;
        let read = values::<S>(&gradient)?;
        if read.len() != places.len() {
            return Err(Error::Torch("a gradient of another shape than the output".into()));
        }
        let mut by_input = empty(&size, &gradient)?;
        let written = Parts::new(&mut by_input)?;
        parallel(rows, ROWS, |rows| {
            let (gradient, places, out) = (read, places.as_slice(), &written);
            instructions.run(BackwardKernel { gradient, places, out, shape, rows });
        });
        Ok(vec![Some(by_input)])
    })?;
    Ok(out)
}

/// Maxima, and where they are.
struct Forward<'k, S: Store> {
    x: &'k [S],
    out: &'k Parts<'k, S>,
    places: Option<&'k Parts<'k, u8>>,
    shape: Shape,
    /// Rows of windows, numbered through all samples.
    rows: Range<usize>,
}

impl<S: Store> Kernel for Forward<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, out, places, shape, rows } = self;
        let mut unread = vec![0_u8; if places.is_none() { shape.channels } else { 0 }];
        for row in rows {
            for column in 0..shape.output[1] {
                let at = shape.output_at(row, column);
                // SAFETY: each window is written by one thread, here.
                let out = unsafe { out.part(at.clone()) };
                let places = match places {
                    // SAFETY: as above.
                    Some(places) => unsafe { places.part(at) },
                    None => &mut unread,
                };
                let first = shape.first_row(row);
                let place = |place: usize| {
                    let (y, x) = (place / shape.kernel[1], place % shape.kernel[1]);
                    shape.input_at(first + y, column * shape.stride[1] + x)
                };
                largest(x, shape, place, out, places);
            }
        }
    }
}

/// The largest values of a window, whose places begin where `begin` says.
#[inline(always)]
fn largest<S: Store>(
    x: &[S],
    shape: Shape,
    begin: impl Fn(usize) -> usize,
    out: &mut [S],
    places: &mut [u8],
) {
    let count = shape.kernel[0] * shape.kernel[1];
    let (out, out_rest) = out.as_chunks_mut::<CHUNK>();
    let (places, places_rest) = places.as_chunks_mut::<CHUNK>();
    let whole = out.len() * CHUNK;
    for (chunk, (out, places)) in out.iter_mut().zip(places).enumerate() {
        let load = |place: usize| -> &[S; CHUNK] {
            x[begin(place) + chunk * CHUNK..].first_chunk().expect("channels of a position")
        };
        let mut best = *load(0);
        let mut best_place = [0_u8; CHUNK];
        for place in 1..count {
            let new = load(place);
            #[expect(clippy::cast_possible_truncation, reason = "below 256")]
            let number = place as u8;
            for i in 0..CHUNK {
                let wins = S::exceeds(new[i], best[i]);
                best[i] = if wins { new[i] } else { best[i] };
                best_place[i] = if wins { number } else { best_place[i] };
            }
        }
        (*out, *places) = (best, best_place);
    }
    for (channel, (out, best_place)) in out_rest.iter_mut().zip(places_rest).enumerate() {
        let load = |place: usize| x[begin(place) + whole + channel];
        (*out, *best_place) = (load(0), 0);
        for place in 1..count {
            let new = load(place);
            if S::exceeds(new, *out) {
                #[expect(clippy::cast_possible_truncation, reason = "below 256")]
                let number = place as u8;
                (*out, *best_place) = (new, number);
            }
        }
    }
}

/// Gradients of the input: that of a window at the place of its maximum, 0 everywhere else.
struct BackwardKernel<'k, S: Store> {
    gradient: &'k [S],
    places: &'k [u8],
    out: &'k Parts<'k, S>,
    shape: Shape,
    /// Rows of windows, numbered through all samples.
    rows: Range<usize>,
}

impl<S: Store> Kernel for BackwardKernel<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { gradient, places, out, shape, rows } = self;
        let [kernel_rows, kernel_columns] = shape.kernel;
        for row in rows {
            let first = shape.first_row(row);
            for y in 0..shape.own_rows(row) {
                let begin = shape.input_at(first + y, 0);
                // SAFETY: each row of the input belongs to one row of windows, and is written here.
                let out = unsafe { out.part(begin..begin + shape.input[1] * shape.channels) };
                if y >= kernel_rows {
                    out.fill(S::ZERO);
                    continue;
                }
                for (x, out) in out.chunks_exact_mut(shape.channels).enumerate() {
                    let (column, inside) = (x / shape.stride[1], x % shape.stride[1]);
                    if column >= shape.output[1] || inside >= kernel_columns {
                        out.fill(S::ZERO);
                        continue;
                    }
                    let at = shape.output_at(row, column);
                    #[expect(clippy::cast_possible_truncation, reason = "below 256")]
                    let place = (y * kernel_columns + inside) as u8;
                    let (gradient, places) = (&gradient[at.clone()], &places[at]);
                    for ((out, gradient), at) in out.iter_mut().zip(gradient).zip(places) {
                        *out = if *at == place { *gradient } else { S::ZERO };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random values of few sizes, so that windows have several largest ones, some of them signed
    /// zeros; `odd` puts infinities and values that are not a number among them.
    fn random(size: &[i64], odd: bool) -> Tensor {
        let x = Tensor::randint_low(-3, 3, size, (Kind::Double, Device::Cpu)) * 0.5;
        let x = x.where_self(&x.abs().gt(0.0), &(&x * -1.0));
        if !odd {
            return x;
        }
        let special = Tensor::from_slice(&[f64::NAN, f64::NEG_INFINITY, f64::INFINITY]);
        let which = Tensor::randint(3, size, (Kind::Int64, Device::Cpu));
        let here = Tensor::rand(size, (Kind::Double, Device::Cpu)).lt(0.2);
        special.index_select(0, &which.view([-1])).view(size).where_self(&here, &x)
    }

    /// Values, and the gradient for `x` of a random one for them.
    fn run(x: &Tensor, gradient: &Tensor, pool: impl Fn(&Tensor) -> Tensor) -> [Tensor; 2] {
        let x = x.copy().set_requires_grad(true);
        let y = pool(&x);
        (&y * gradient).sum(Kind::Double).backward();
        [y.detach(), x.grad()].map(|found| found.to_kind(Kind::Double))
    }

    fn agrees<S: Store>(size: [i64; 4], kernel: [usize; 2], stride: [usize; 2], odd: bool) {
        let x = channels_last(&random(&size, odd).to_kind(S::KIND)).unwrap();
        let lengths = |axis: usize| usize::try_from(size[axis]).unwrap();
        let input = [lengths(2), lengths(3)];
        let output = [0, 1].map(|axis| (input[axis] - kernel[axis]) / stride[axis] + 1);
        let shape = Shape { channels: lengths(1), kernel, stride, input, output };
        let gradient = random(&[size[0], size[1], int(output[0]), int(output[1])], false);
        let gradient = gradient.to_kind(S::KIND);
        let [ks, ss] = [kernel, stride].map(|pair| pair.map(int));
        let plain = run(&x, &gradient, |x| x.max_pool2d(ks, ss, [0, 0], [1, 1], false));
        for instructions in Available::each() {
            let found = run(&x, &gradient, |x| pooled::<S>(instructions, x, shape).unwrap());
            for (found, plain) in found.iter().zip(&plain) {
                assert!(
                    found.allclose(plain, 0.0, 0.0, true),
                    "{instructions:?}, {:?}: {size:?} by {kernel:?} every {stride:?}",
                    S::KIND
                );
            }
        }
    }

    #[test]
    fn it_is_that_of_libtorch() {
        tch::manual_seed(1);
        for odd in [false, true] {
            for (size, kernel, stride) in [
                ([3, 1, 2, 2], [2, 2], [2, 2]),
                ([2, 64, 31, 31], [2, 2], [2, 2]),
                ([5, 70, 9, 8], [3, 3], [3, 3]),
                ([1, 33, 11, 6], [2, 1], [4, 3]),
                ([2, 100, 7, 7], [1, 3], [2, 3]),
                ([1, 32, 16, 16], [16, 16], [16, 16]),
                ([0, 8, 4, 4], [2, 2], [2, 2]),
            ] {
                agrees::<f32>(size, kernel, stride, odd);
                agrees::<f64>(size, kernel, stride, odd);
                agrees::<Bf16>(size, kernel, stride, odd);
            }
        }
    }

    #[test]
    fn other_windows_are_left_to_libtorch() {
        let x = Tensor::zeros([1, 4, 20, 20], (Kind::Float, Device::Cpu));
        assert!(max_pool(&x, [2, 2], [2, 2]).unwrap().is_some());
        assert!(max_pool(&x, [3, 3], [2, 2]).unwrap().is_none());
        assert!(max_pool(&x, [17, 16], [17, 16]).unwrap().is_none());
        assert!(max_pool(&x, [21, 1], [21, 1]).unwrap().is_none());
        assert!(max_pool(&x.to_kind(Kind::Int), [2, 2], [2, 2]).unwrap().is_none());
        assert!(max_pool(&x.squeeze_dim(0), [2, 2], [2, 2]).unwrap().is_none());
    }
}
