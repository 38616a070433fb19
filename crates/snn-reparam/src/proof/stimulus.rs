//! Inputs that a proof makes of the images that it is given. All are functions of a seed.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};
use snn_ir::Input;

/// The first samples of an input.
pub(super) fn first<'v>(input: &'v Input<'_>, count: usize) -> Input<'v> {
    let samples = (..count).into();
    match input {
        Input::Static(a) => Input::Static(a.slice_axis(Axis(0), samples)),
        Input::Frames(a) => Input::Frames(a.slice_axis(Axis(1), samples)),
    }
}

/// `SplitMix64`: a generator of 64 bits whose state is a counter (Steele 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }
}

/// The first samples with every pixel one step brighter or darker; where that leaves 0 to 255 the
/// pixel moves the other way.
pub(super) fn noisy(input: &Input<'_>, count: usize, seed: u64) -> ArrayD<u8> {
    let mut random = Random(seed);
    let part = first(input, count);
    let pixels: &ArrayViewD<'_, u8> = part.pixels();
    pixels.mapv(|pixel| match (pixel, random.next() & 1) {
        (0, _) => 1,
        (255, _) => 254,
        (pixel, 0) => pixel - 1,
        (pixel, _) => pixel + 1,
    })
}

/// Frames `[T, count, …]` that vary over time. Every second sample is a sequence of images drawn
/// from the batch, which keeps the activity of images; the others are white noise.
pub(super) fn time_varying(
    input: &Input<'_>,
    count: usize,
    time_steps: usize,
    seed: u64,
) -> ArrayD<u8> {
    let mut random = Random(seed ^ 0x5eed);
    let images = input.frame(0);
    let shape = [&[time_steps, count], &images.shape()[1..]].concat();
    let mut frames = ArrayD::<u8>::zeros(IxDyn(&shape));
    for mut step in frames.axis_iter_mut(Axis(0)) {
        for (sample, mut frame) in step.axis_iter_mut(Axis(0)).enumerate() {
            if sample % 2 == 0 {
                frame.assign(&images.index_axis(Axis(0), random.below(images.shape()[0])));
            } else {
                frame.mapv_inplace(|_| random.next().to_le_bytes()[0]);
            }
        }
    }
    frames
}
