//! A sample as a picture inside the page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ndarray::{ArrayViewD, Axis};

/// A sample `[C, H, W]`, or frames `[T, C, H, W]` added up, as a PNG in a `data:` address; `None`
/// of another shape. One channel is grey, two are the polarities of events, three are colours.
pub(super) fn address(sample: &ArrayViewD<'_, u8>) -> Option<String> {
    let planes = match sample.ndim() {
        3 => sample.mapv(u32::from),
        4 => sample.mapv(u32::from).sum_axis(Axis(0)),
        _ => return None,
    };
    let &[channels, height, width] = planes.shape() else { return None };
    let largest = if sample.ndim() == 3 && channels != 2 {
        255
    } else {
        planes.iter().copied().max().unwrap_or(1).max(1)
    };
    let byte = |c: usize, y: usize, x: usize| {
        u8::try_from(planes[[c, y, x]] * 255 / largest).unwrap_or(u8::MAX)
    };
    let mut pixels = Vec::with_capacity(3 * height * width);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        pixels.extend(match channels {
            1 => [byte(0, y, x); 3],
            2 => [byte(0, y, x), 40, byte(1, y, x)],
            3 => [byte(0, y, x), byte(1, y, x), byte(2, y, x)],
            _ => return None,
        });
    }
    let mut bytes = Vec::new();
    let (wide, high) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    let mut encoder = png::Encoder::new(&mut bytes, wide, high);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}
