//! Operations on brightness and colour, in the arithmetic of Pillow: f32 blends, histograms of each
//! channel.

/// `degenerate + factor · (image − degenerate)`, cut to a byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte; Pillow cuts the fraction"
)]
fn blend(degenerate: u8, image: u8, factor: f32) -> u8 {
    let mixed = f32::from(degenerate) + factor * (f32::from(image) - f32::from(degenerate));
    mixed.clamp(0.0, 255.0) as u8
}

pub(super) fn brightness(pixels: &mut [u8], factor: f32) {
    let table = table(|byte| blend(0, byte, factor));
    map(pixels, &table);
}

pub(super) fn colour(pixels: &mut [u8], area: usize, factor: f32) {
    // One channel is grey already.
    if let Some((red, rest)) = pixels.split_at_mut_checked(area)
        && let Some((green, blue)) = rest.split_at_mut_checked(area)
    {
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let grey = luma(*red, *green, *blue);
            *red = blend(grey, *red, factor);
            *green = blend(grey, *green, factor);
            *blue = blend(grey, *blue, factor);
        }
    }
}

pub(super) fn contrast(pixels: &mut [u8], area: usize, factor: f32) {
    let total: u64 = if pixels.len() == area {
        pixels.iter().map(|&byte| u64::from(byte)).sum()
    } else {
        let (red, rest) = pixels.split_at(area);
        let (green, blue) = rest.split_at(area);
        red.iter()
            .zip(green)
            .zip(blue)
            .map(|((&red, &green), &blue)| u64::from(luma(red, green, blue)))
            .sum()
    };
    let mean = u8::try_from((2 * total + area as u64) / (2 * area as u64)).unwrap_or(u8::MAX);
    let table = table(|byte| blend(mean, byte, factor));
    map(pixels, &table);
}

/// Blends with the mean of the 3×3 neighbours, the middle one of weight 5; the border stays.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a weighted mean of bytes"
)]
pub(super) fn sharpness(pixels: &mut [u8], [height, width]: [usize; 2], factor: f32) {
    if height < 3 || width < 3 {
        return;
    }
    let (side, middle) = (1.0_f32 / 13.0, 5.0_f32 / 13.0);
    let mut old = vec![0; height * width];
    for plane in pixels.chunks_exact_mut(height * width) {
        old.copy_from_slice(plane);
        for y in 1..height - 1 {
            let rows = [y + 1, y, y - 1].map(|y| &old[y * width..(y + 1) * width]);
            let row = &mut plane[y * width + 1..(y + 1) * width - 1];
            for (x, value) in row.iter_mut().enumerate() {
                // The order of the sums is Pillow's, and so are their last bits.
                let three = |row: &[u8], weights: [f32; 3]| {
                    f32::from(row[x]) * weights[0]
                        + f32::from(row[x + 1]) * weights[1]
                        + f32::from(row[x + 2]) * weights[2]
                };
                let sum = 0.5
                    + three(rows[0], [side; 3])
                    + three(rows[1], [side, middle, side])
                    + three(rows[2], [side; 3]);
                *value = blend(sum.clamp(0.0, 255.0) as u8, *value, factor);
            }
        }
    }
}

pub(super) fn posterize(pixels: &mut [u8], bits: u32) {
    let mask = 0xFF_u8.checked_shl(8_u32.saturating_sub(bits)).unwrap_or(0);
    for byte in pixels {
        *byte &= mask;
    }
}

pub(super) fn solarize(pixels: &mut [u8], threshold: f64) {
    let table = table(|byte| if f64::from(byte) < threshold { byte } else { 255 - byte });
    map(pixels, &table);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte; Pillow cuts the fraction"
)]
pub(super) fn auto_contrast(pixels: &mut [u8], area: usize) {
    for plane in pixels.chunks_exact_mut(area) {
        let (low, high) =
            plane.iter().fold((255, 0), |(low, high), &byte| (byte.min(low), byte.max(high)));
        if high > low {
            let scale = 255.0 / f64::from(high - low);
            let offset = -f64::from(low) * scale;
            let table = table(|byte| (f64::from(byte) * scale + offset).clamp(0.0, 255.0) as u8);
            map(plane, &table);
        }
    }
}

pub(super) fn equalize(pixels: &mut [u8], area: usize) {
    for plane in pixels.chunks_exact_mut(area) {
        let mut histogram = [0_usize; 256];
        for &byte in &*plane {
            histogram[usize::from(byte)] += 1;
        }
        let last = histogram.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (area - last) / 255;
        if step == 0 {
            continue;
        }
        let mut sum = step / 2;
        let table = histogram.map(|count| {
            let value = u8::try_from(sum / step).unwrap_or(u8::MAX);
            sum += count;
            value
        });
        map(plane, &table);
    }
}

/// Grey of a colour: Pillow's `L`.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum =
        u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000;
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

fn table(value: impl Fn(u8) -> u8) -> [u8; 256] {
    std::array::from_fn(|byte| value(u8::try_from(byte).unwrap_or(u8::MAX)))
}

fn map(pixels: &mut [u8], table: &[u8; 256]) {
    for byte in pixels {
        *byte = table[usize::from(*byte)];
    }
}
