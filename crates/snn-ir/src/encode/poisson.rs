//! Eq. E2: rate coding by independent draws.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Indices of the samples of a batch: `first + step·b`.
#[derive(Clone, Copy)]
pub(super) struct Samples {
    pub(super) first: u64,
    pub(super) step: u64,
}

/// Parameters of every draw beside the pixel.
#[derive(Clone, Copy)]
pub(super) struct Law {
    pub(super) seed: u64,
    pub(super) rate: f64,
    pub(super) samples: Samples,
}

/// Writes the frames of `pixels`, samples of `sample` pixels each.
///
/// The draws of a sample are a stream of `ChaCha8` of its own, and those of a macro-step a fixed
/// part of it, one 32-bit word a pixel: neither the other samples of the batch nor the number of
/// macro-steps move them.
pub(super) fn encode(pixels: &[u8], sample: usize, frames: &mut [u8], law: Law) {
    let mut limits = [0_u64; 256];
    for (limit, pixel) in limits.iter_mut().zip(0_u8..=255) {
        *limit = spike_below(pixel, law.rate);
    }
    let mut random = ChaCha8Rng::seed_from_u64(law.seed);
    for (t, frame) in (0_u128..).zip(frames.chunks_exact_mut(pixels.len().max(1))) {
        let images = pixels.chunks_exact(sample.max(1)).zip(frame.chunks_exact_mut(sample.max(1)));
        for (index, (image, spikes)) in (0_u64..).zip(images) {
            let Samples { first, step } = law.samples;
            random.set_stream(first.wrapping_add(step.wrapping_mul(index)));
            random.set_word_pos(t * sample as u128);
            for (spike, &pixel) in spikes.iter_mut().zip(image) {
                *spike = u8::from(u64::from(random.next_u32()) < limits[usize::from(pixel)]);
            }
        }
    }
}

/// The draws of 0 to 2³² − 1 below which a pixel spikes: `rate · p/255` of them all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is between 0 and 2³², as the rate is in (0, 1]"
)]
fn spike_below(pixel: u8, rate: f64) -> u64 {
    (rate * f64::from(pixel) / 255.0 * 4_294_967_296.0).round() as u64
}
