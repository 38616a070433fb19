//! Mean and standard deviation of the channels.

use ndarray::{ArrayView4, Axis};

/// Mean and standard deviation of every channel, in pixel units (0 to 255).
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatistics {
    /// Mean, per channel.
    pub mean: Vec<f64>,
    /// Standard deviation (of the population, not the sample), per channel.
    pub std: Vec<f64>,
}

impl ChannelStatistics {
    /// Statistics of `pixels` (`[N, C, H, W]`): sums are integers, so their order does not matter.
    /// NaN where N is 0.
    pub fn of(pixels: &ArrayView4<'_, u8>) -> Self {
        let (mut mean, mut std) = (Vec::new(), Vec::new());
        for channel in pixels.axis_iter(Axis(1)) {
            let (mut sum, mut squares) = (0_u64, 0_u64);
            for &pixel in channel {
                sum += u64::from(pixel);
                squares += u64::from(pixel) * u64::from(pixel);
            }
            let count = channel.len() as f64;
            let average = sum as f64 / count;
            mean.push(average);
            std.push((squares as f64 / count - average * average).max(0.0).sqrt());
        }
        Self { mean, std }
    }

    /// The means rounded to integers, which makes `pixel − mean` a signed 9-bit integer and zero
    /// padding exact.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of bytes is between 0 and 255; NaN (no image) becomes 0"
    )]
    pub fn mean_u8(&self) -> Vec<u8> {
        self.mean.iter().map(|mean| mean.round() as u8).collect()
    }
}
