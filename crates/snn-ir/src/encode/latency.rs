//! Eq. E3: time to first spike.

/// The macro-step, from 0, of the only spike of a pixel; `None` for a pixel of 0, which is silent.
pub(super) fn spike_time(pixel: u8, time_steps: usize) -> Option<usize> {
    (pixel > 0).then(|| usize::from(255 - pixel) * time_steps / 256)
}

/// The frames of `pixels`, one after another.
pub(super) fn frames(pixels: &[u8], time_steps: usize) -> impl Iterator<Item = u8> {
    let mut times = [None; 256];
    for (time, pixel) in times.iter_mut().zip(0_u8..=255) {
        *time = spike_time(pixel, time_steps);
    }
    (0..time_steps).flat_map(move |t| {
        pixels.iter().map(move |&pixel| u8::from(times[usize::from(pixel)] == Some(t)))
    })
}
