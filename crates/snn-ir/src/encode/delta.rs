//! Eq. E5: ON and OFF spikes of change.

/// Writes the frames of `pixels`, `[T, batch]` samples of `sample` pixels each; the first frame is
/// silent, as nothing comes before it.
pub(super) fn encode(pixels: &[u8], sample: usize, batch: usize, threshold: u8, frames: &mut [u8]) {
    let (sample, step) = (sample.max(1), (sample * batch).max(1));
    let successive = pixels.chunks_exact(step).zip(pixels.chunks_exact(step).skip(1));
    for ((before, now), frame) in successive.zip(frames.chunks_exact_mut(2 * step).skip(1)) {
        let images = before.chunks_exact(sample).zip(now.chunks_exact(sample));
        for ((before, now), spikes) in images.zip(frame.chunks_exact_mut(2 * sample)) {
            let (on, off) = spikes.split_at_mut(sample);
            for ((&before, &now), (on, off)) in before.iter().zip(now).zip(on.iter_mut().zip(off)) {
                *on = u8::from(now.saturating_sub(before) >= threshold);
                *off = u8::from(before.saturating_sub(now) >= threshold);
            }
        }
    }
}
