//! Shear, shift and rotation to the nearest pixel, in the fixed-point arithmetic of Pillow.

/// Where an output pixel comes from: `x' = a·x + b·y + c`, `y' = d·x + e·y + f`.
type Matrix = [f64; 6];

/// Shears about the upper left corner: by `tan` of the angles whose tangents are given, as
/// torchvision computes it.
pub(super) fn shear([x, y]: [f64; 2], pixels: &mut [u8], size: [usize; 2], fill: &[u8]) {
    let [sx, sy] = [x, y].map(|strength| strength.atan().to_degrees().to_radians());
    transform(inverse(sx, sy, [0.0; 2], [0.0; 2]), pixels, size, fill);
}

/// Moves by whole pixels.
pub(super) fn translate(by: [f64; 2], pixels: &mut [u8], size: [usize; 2], fill: &[u8]) {
    let [height, width] = size;
    transform(inverse(0.0, 0.0, by, [width as f64 * 0.5, height as f64 * 0.5]), pixels, size, fill);
}

/// Turns about the middle, against the clock.
pub(super) fn rotate(degrees: f64, pixels: &mut [u8], size: [usize; 2], fill: &[u8]) {
    let degrees = degrees.rem_euclid(360.0);
    if degrees == 0.0 {
        return;
    }
    let [height, width] = size;
    let centre = [width as f64 / 2.0, height as f64 / 2.0];
    let angle = -degrees.to_radians();
    // Pillow rounds to 15 decimals, so that right angles are exact.
    let rounded = |value: f64| (value * 1e15).round_ties_even() / 1e15;
    let (cos, sin) = (rounded(angle.cos()), rounded(angle.sin()));
    let moved = |a: f64, b: f64| a * -centre[0] + b * -centre[1];
    let matrix = [cos, sin, moved(cos, sin) + centre[0], -sin, cos, moved(-sin, cos) + centre[1]];
    transform(matrix, pixels, size, fill);
}

/// The inverse of shears and a shift about a centre (torchvision's `_get_inverse_affine_matrix`
/// without angle and scale).
fn inverse(sx: f64, sy: f64, [tx, ty]: [f64; 2], [cx, cy]: [f64; 2]) -> Matrix {
    let (cos, sin) = ((-sy).cos(), (-sy).sin());
    let a = cos / sy.cos();
    let b = -cos * sx.tan() / sy.cos();
    let c = sin / sy.cos();
    let d = -sin * sx.tan() / sy.cos() + 1.0;
    let mut matrix = [d, -b, 0.0, -c, a, 0.0];
    matrix[2] += matrix[0] * (-cx - tx) + matrix[1] * (-cy - ty);
    matrix[5] += matrix[3] * (-cx - tx) + matrix[4] * (-cy - ty);
    matrix[2] += cx;
    matrix[5] += cy;
    matrix
}

/// Takes every pixel from where the matrix says; `fill` lies outside. All channels in turn.
fn transform(matrix: Matrix, pixels: &mut [u8], [height, width]: [usize; 2], fill: &[u8]) {
    let area = height * width;
    let from = places(matrix, [height, width]);
    let mut old = vec![0; area];
    for (plane, &fill) in pixels.chunks_exact_mut(area).zip(fill) {
        old.copy_from_slice(plane);
        for (value, &place) in plane.iter_mut().zip(&from) {
            *value = old.get(place).copied().unwrap_or(fill);
        }
    }
}

/// The place that each output pixel is taken from, in order; `usize::MAX` outside.
fn places([a, b, c, d, e, f]: Matrix, [height, width]: [usize; 2]) -> Vec<usize> {
    let mut places = Vec::with_capacity(height * width);
    let inside = |at: i64, side: usize| usize::try_from(at).ok().filter(|&at| at < side);
    if b == 0.0 && d == 0.0 {
        // Pillow has another way for shifts: sums of floats, not of fixed-point numbers.
        let axis = |step: f64, start: f64, side: usize| {
            let mut at = start + step * 0.5;
            let places = (0..side).map(move |_| {
                let place = inside(if at < 0.0 { -1 } else { cut(at) }, side);
                at += step;
                place
            });
            places.collect::<Vec<_>>()
        };
        let columns = axis(a, c, width);
        for row in axis(e, f, height) {
            let place = |column: Option<usize>| Some(row? * width + column?);
            places.extend(columns.iter().map(|&column| place(column).unwrap_or(usize::MAX)));
        }
        return places;
    }
    let fixed = |value: f64| cut((value * 65536.0 + 0.5).floor());
    let (mut start_x, mut start_y) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let [a, b, d, e] = [a, b, d, e].map(fixed);
    for _ in 0..height {
        let (mut x, mut y) = (start_x, start_y);
        for _ in 0..width {
            let place = inside(x >> 16, width).zip(inside(y >> 16, height));
            places.push(place.map_or(usize::MAX, |(x, y)| y * width + x));
            x += a;
            y += d;
        }
        start_x += b;
        start_y += e;
    }
    places
}

#[expect(clippy::cast_possible_truncation, reason = "coordinates of a picture")]
fn cut(value: f64) -> i64 {
    value as i64
}
