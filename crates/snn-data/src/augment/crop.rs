//! Crop, flip and cutout of one image.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, s};

/// The image seen through a window of its own size, moved `[down, right]` pixels; outside it lies
/// `fill` (0 for channels without a value).
///
/// # Shapes
/// `[C, H, W]` in and out: `out[c, y, x] = image[c, y + down, x + right]`.
pub fn crop(image: &ArrayView3<'_, u8>, [down, right]: [isize; 2], fill: &[u8]) -> Array3<u8> {
    let (channels, height, width) = image.dim();
    let mut out = Array3::zeros((channels, height, width));
    for (channel, mut plane) in out.outer_iter_mut().enumerate() {
        plane.fill(fill.get(channel).copied().unwrap_or(0));
    }
    let (from_y, to_y, rows) = overlap(height, down);
    let (from_x, to_x, columns) = overlap(width, right);
    out.slice_mut(s![.., to_y..to_y + rows, to_x..to_x + columns]).assign(&image.slice(s![
        ..,
        from_y..from_y + rows,
        from_x..from_x + columns
    ]));
    out
}

/// The image seen through a window of its own size, moved `[down, right]` pixels; outside it lies
/// its mirror image, in which rows and columns at the border are not repeated (`reflect` padding).
///
/// # Shapes
/// `[C, H, W]` in and out. A side must be longer than the shift along it.
pub fn crop_reflected(image: &ArrayView3<'_, u8>, [down, right]: [isize; 2]) -> Array3<u8> {
    let (channels, height, width) = image.dim();
    let (rows, columns) = (reflected(height, down), reflected(width, right));
    Array3::from_shape_fn((channels, height, width), |(c, y, x)| image[[c, rows[y], columns[x]]])
}

/// Which row (or column) each row of a window moved by `shift` shows.
fn reflected(length: usize, shift: isize) -> Vec<usize> {
    let last = length.saturating_sub(1);
    let place = |at: usize| {
        let at = at.cast_signed() + shift;
        let inside = at.unsigned_abs();
        if inside > last { last.saturating_sub(inside - last) } else { inside }
    };
    (0..length).map(place).collect()
}

/// Mirrors `[C, H, W]` left to right, in place.
pub fn flip_horizontal(mut image: ArrayViewMut3<'_, u8>) {
    for mut row in image.rows_mut() {
        if let Some(row) = row.as_slice_mut() {
            row.reverse();
        } else {
            row.invert_axis(Axis(0));
            let mirrored = row.to_owned();
            row.invert_axis(Axis(0));
            row.assign(&mirrored);
        }
    }
}

/// Blanks a square of side `side` of `[C, H, W]`, in place: rows `y − side/2` to below
/// `y − side/2 + side`, columns alike, as far as they lie inside; they become `fill` (0 for
/// channels without a value).
pub fn cut_out(mut image: ArrayViewMut3<'_, u8>, [y, x]: [usize; 2], side: usize, fill: &[u8]) {
    let (_, height, width) = image.dim();
    let range = |centre: usize, length: usize| {
        let end = (centre + side).saturating_sub(side / 2).min(length);
        centre.saturating_sub(side / 2).min(end)..end
    };
    let (rows, columns) = (range(y, height), range(x, width));
    for (channel, mut plane) in image.outer_iter_mut().enumerate() {
        plane
            .slice_mut(s![rows.clone(), columns.clone()])
            .fill(fill.get(channel).copied().unwrap_or(0));
    }
}

/// Where a window moved by `shift` overlaps `0..length`: start in the image, start in the window,
/// length.
fn overlap(length: usize, shift: isize) -> (usize, usize, usize) {
    let moved = shift.unsigned_abs().min(length);
    if shift >= 0 { (moved, 0, length - moved) } else { (0, moved, length - moved) }
}
