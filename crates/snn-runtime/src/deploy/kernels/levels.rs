//! Quantised ReLUs over image rows, on the grid (eq. 13).

use snn_simd::compiled;

compiled! {
    /// QuantRelu of an image row: levels `#{ d : J ≥ θ_d }`, thresholds `[level][channel]`, and the
    /// flags of those that are not zero.
    pub(crate) fn quantise(
        thresholds: &[i32],
        channels: usize,
        currents: &[i32],
        levels: &mut [i32],
        flags: &mut [u8],
    ) = quantise_row;
}

#[inline(always)]
fn quantise_row(
    thresholds: &[i32],
    channels: usize,
    currents: &[i32],
    levels: &mut [i32],
    flags: &mut [u8],
) {
    let rows = currents.chunks_exact(channels).zip(levels.chunks_exact_mut(channels));
    for ((currents, levels), flags) in rows.zip(flags.chunks_exact_mut(channels)) {
        levels.fill(0);
        for thresholds in thresholds.chunks_exact(channels) {
            for ((&current, &threshold), level) in currents.iter().zip(thresholds).zip(&mut *levels)
            {
                *level += i32::from(current >= threshold);
            }
        }
        flags.iter_mut().zip(levels).for_each(|(flag, level)| *flag = u8::from(*level != 0));
    }
}

/// Thresholds of each channel as a line, in place of a list: `#{ d : J ≥ θ_d }` is
/// `clip(a_c·J + b_c, 0, D)` rounded to the nearest integer for every integer J.
///
/// Thresholds are a line's integers rounded up, so that such a and b exist; a list of D thresholds
/// takes D comparisons, the line takes as long for 255 as for 15.
#[derive(Debug)]
pub(crate) struct Line {
    factors: Vec<f64>,
    offsets: Vec<f64>,
    levels: f64,
}

/// The fewest levels for which a line is faster than as many comparisons.
const FEWEST: usize = 16;
/// Halvings of the range of slopes: more than the bits of a threshold.
const HALVINGS: usize = 48;
/// 1.5·2⁵²: added to a small number it leaves that number, rounded, in the lowest bits. A
/// conversion of f64 to integers that saturates, as Rust's does, is done lane by lane.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// The level of a current on a line.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low bits are the level")]
fn level(current: f64, factor: f64, offset: f64, levels: f64) -> i32 {
    let place = (current * factor + offset).max(0.0).min(levels);
    (place + ROUNDER).to_bits() as i32
}

impl Line {
    /// The lines of thresholds `[level][channel]`, if each channel has one and it is worth while.
    pub(crate) fn of(thresholds: &[i32], channels: usize) -> Option<Self> {
        let levels = thresholds.len() / channels.max(1);
        if levels < FEWEST {
            return None;
        }
        let (mut factors, mut offsets) = (Vec::new(), Vec::new());
        for channel in 0..channels {
            let of_channel: Vec<f64> =
                thresholds.iter().skip(channel).step_by(channels).map(|&t| f64::from(t)).collect();
            let (factor, offset) = line(&of_channel)?;
            factors.push(factor);
            offsets.push(offset);
        }
        Some(Self { factors, offsets, levels: f64::from(u8::try_from(levels).ok()?) })
    }
}

/// `a` and `b` by which the level of `θ_k` is at least k and that of `θ_k − 1` is below k, for all
/// k from 1, as f64 computes them. Levels ascend in J, so that what holds next to each threshold
/// holds everywhere.
fn line(thresholds: &[f64]) -> Option<(f64, f64)> {
    let (first, last) = (thresholds.first()?, thresholds.last()?);
    let spaces = thresholds.len() as f64 - 1.0;
    // A line s·k + c with θ_k − 1 < s·k + c ≤ θ_k: the room that a slope s leaves for c is concave
    // in s, and its greatest is found by halving where it no longer grows.
    let ends = (last - first) / spaces;
    let (mut low, mut high) = (ends - 1.0 / spaces, ends + 1.0 / spaces);
    for _ in 0..HALVINGS {
        let slope = f64::midpoint(low, high);
        let (mut above, mut below) = ((f64::NEG_INFINITY, 0), (f64::INFINITY, 0));
        for (index, threshold) in thresholds.iter().enumerate() {
            let rest = threshold - slope * (index + 1) as f64;
            if rest - 1.0 > above.0 {
                above = (rest - 1.0, index);
            }
            if rest < below.0 {
                below = (rest, index);
            }
        }
        if above.0 < below.0 {
            let factor = 1.0 / slope;
            // Half a level less, since the nearest level is taken and not the one below.
            let offset = -f64::midpoint(above.0, below.0) * factor - 0.5;
            let at = |current| level(current, factor, offset, thresholds.len() as f64);
            let holds = (1..)
                .zip(thresholds)
                .all(|(k, threshold)| at(*threshold) >= k && at(threshold - 1.0) < k);
            if slope > 0.0 && holds {
                return Some((factor, offset));
            }
        }
        // The room is bounded above by `below.1` and below by `above.1`.
        if below.1 > above.1 {
            high = slope;
        } else {
            low = slope;
        }
    }
    None
}

compiled! {
    /// [`quantise`] by lines.
    pub(crate) fn quantise_along(
        line: &Line,
        currents: &[i32],
        levels: &mut [i32],
        flags: &mut [u8],
    ) = quantise_along_row;
}

#[inline(always)]
fn quantise_along_row(line: &Line, currents: &[i32], levels: &mut [i32], flags: &mut [u8]) {
    let channels = line.factors.len();
    let rows = currents.chunks_exact(channels).zip(levels.chunks_exact_mut(channels));
    for ((currents, levels), flags) in rows.zip(flags.chunks_exact_mut(channels)) {
        let lines = line.factors.iter().zip(&line.offsets);
        for ((&current, (factor, offset)), value) in currents.iter().zip(lines).zip(&mut *levels) {
            *value = level(f64::from(current), *factor, *offset, line.levels);
        }
        flags.iter_mut().zip(levels).for_each(|(flag, level)| *flag = u8::from(*level != 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use snn_simd::Available;

    /// Thresholds of steps from far below a unit to thousands, as the grid rounds them.
    fn thresholds(random: &mut impl Rng, levels: usize, channels: usize) -> Vec<i32> {
        let mut all = vec![0; levels * channels];
        for channel in 0..channels {
            let step = 2_f64.powf(random.random_range(-3.0..22.0)).min(8e6);
            for level in 0..levels {
                #[expect(clippy::cast_possible_truncation, reason = "below 255·8·10⁶ < 2³¹")]
                let threshold = ((level as f64 + 0.5) * step).ceil() as i32;
                all[level * channels + channel] = threshold;
            }
        }
        all
    }

    /// Lines give the levels of the lists next to every threshold, at both ends and between.
    #[test]
    fn lines_are_the_lists() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut lines = 0;
        for levels in [16, 31, 100, 255] {
            let channels = 48;
            let thresholds = thresholds(&mut random, levels, channels);
            let Some(line) = Line::of(&thresholds, channels) else { continue };
            lines += 1;
            let mut currents = vec![i32::MIN; channels];
            currents.extend(vec![i32::MAX; channels]);
            currents.extend(vec![0; channels]);
            for row in thresholds.chunks_exact(channels) {
                currents.extend(row);
                currents.extend(row.iter().map(|t| t - 1));
            }
            currents.extend((0..64 * channels).map(|_| random.random::<i32>()));
            currents.extend((0..64 * channels).map(|_| random.random_range(-500..50_000)));
            for instructions in Available::each() {
                let (mut expected, mut found) = (vec![0; currents.len()], vec![1; currents.len()]);
                let (mut flags, mut others) = (vec![0; currents.len()], vec![1; currents.len()]);
                quantise(instructions, &thresholds, channels, &currents, &mut expected, &mut flags);
                quantise_along(instructions, &line, &currents, &mut found, &mut others);
                assert_eq!(found, expected, "{levels} levels, {instructions:?}");
                assert_eq!(flags, others);
            }
        }
        assert_eq!(lines, 4);
    }

    #[test]
    fn what_is_no_line_stays_a_list() {
        let mut list: Vec<i32> = (0..32).map(|k| 100 * k).collect();
        assert!(Line::of(&list, 1).is_some());
        list[20] += 3;
        assert!(Line::of(&list, 1).is_none());
        assert!(Line::of(&[7; 32], 1).is_some());
        assert!(Line::of(&[1, 2, 3], 1).is_none());
        let far: Vec<i32> = (0..32).map(|k| i32::MAX - 31 + k).collect();
        assert!(Line::of(&far, 1).is_some());
    }
}
