//! Eq. E4: weighted spikes.

/// Deviation with which a spike of phase k = 1…K enters as `2^−k`.
pub(super) const DEVIATION: f64 = 256.0;

/// The frames of `pixels`, one after another.
pub(super) fn frames(pixels: &[u8], time_steps: usize, bits: u8) -> impl Iterator<Item = u8> {
    let phases = (0..bits).cycle().take(time_steps);
    phases.flat_map(move |phase| pixels.iter().map(move |&pixel| pixel & (1 << 7) >> phase))
}
