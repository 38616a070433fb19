//! Pooling, flattening and concatenation of events and of currents, and masks of events (eqs. 5, 6
//! and 6b), one image row of outputs at a time.

use crate::deploy::events::{EventsMut, EventsView, Extent};
use crate::deploy::number::Number;
use crate::mask::Mask;
use crate::pool::{Pool, Pooling};

/// One row of levels, `[x][channel]`, and how often each was seen.
#[derive(Debug, Default)]
pub(crate) struct DenseRow {
    pub(crate) levels: Vec<i32>,
    pub(crate) seen: Vec<u32>,
}

/// Pools levels; what a list leaves out is zero.
pub(crate) fn pool_events(
    pool: &Pool,
    input: EventsView<'_>,
    mut output: EventsMut<'_>,
    steps: usize,
    dense: &mut DenseRow,
) {
    let (channels, inputs) = (pool.channels, pool.grid.columns.inputs);
    debug_assert_eq!(inputs, input.extent.columns);
    let (levels, seen) = (&mut dense.levels[..channels], &mut dense.seen[..channels]);
    for y in 0..output.rows() {
        let row = pool.grid.rows.at(y);
        for step in 0..steps {
            let mut line = output.line(y, step);
            for (x, &column) in pool.grid.columns.taps.iter().enumerate() {
                levels.fill(0);
                seen.fill(0);
                let mut inside = 0;
                pool.grid.for_each_tap(row, column, |_, position| {
                    let (y, x) = (position / inputs, position % inputs);
                    inside += 1;
                    for (entry, level) in input.at(y, step).levels(x..x + 1) {
                        let channel = entry - x * channels;
                        levels[channel] = match pool.pooling {
                            Pooling::Sum => levels[channel].wrapping_add(level),
                            Pooling::Max if seen[channel] == 0 => level,
                            Pooling::Max => levels[channel].max(level),
                        };
                        seen[channel] += 1;
                    }
                });
                for (channel, (&level, &seen)) in levels.iter().zip(&*seen).enumerate() {
                    let level = if pool.pooling == Pooling::Max && seen < inside {
                        level.max(0)
                    } else {
                        level
                    };
                    if level != 0 {
                        line.push(x * channels + channel, level);
                    }
                }
                line.end_position();
            }
        }
    }
}

/// To one position in C, H, W order, of each image.
pub(crate) fn flatten_events(input: EventsView<'_>, mut output: EventsMut<'_>, steps: usize) {
    let Extent { columns, channels, .. } = input.extent;
    let rows = input.extent.rows / output.rows().max(1);
    for image in 0..output.rows() {
        for step in 0..steps {
            let mut flat = output.line(image, step);
            for y in 0..rows {
                let line = input.at(image * rows + y, step);
                for x in 0..columns {
                    for (entry, level) in line.levels(x..x + 1) {
                        flat.push((entry - x * channels) * rows * columns + y * columns + x, level);
                    }
                }
            }
            flat.end_position();
        }
    }
}

/// Along channels, each input with the channel at which it starts.
pub(crate) fn concat_events<'e>(
    inputs: &(impl Iterator<Item = (EventsView<'e>, usize)> + Clone),
    mut output: EventsMut<'_>,
    (extent, steps): (Extent, usize),
) {
    for y in 0..extent.rows {
        for step in 0..steps {
            let mut joined = output.line(y, step);
            for x in 0..extent.columns {
                for (input, start) in inputs.clone() {
                    let channels = input.extent.channels;
                    for (entry, level) in input.at(y, step).levels(x..x + 1) {
                        joined.push(x * extent.channels + start + entry - x * channels, level);
                    }
                }
                joined.end_position();
            }
        }
    }
}

/// What a mask lets pass, of each image row and step; `spikes` are those of the mask, and `seen`
/// has room for a row of them, all 0.
pub(crate) fn mask_events(
    mask: Mask,
    spikes: EventsView<'_>,
    input: EventsView<'_>,
    mut output: EventsMut<'_>,
    steps: usize,
    seen: &mut [u8],
) {
    let Extent { rows, columns, channels, .. } = input.extent;
    for y in 0..rows {
        for step in 0..steps {
            // A mask that is everywhere the same has one row for each image.
            let gates = spikes.at(y * spikes.extent.rows / rows, step);
            let all = 0..spikes.extent.columns;
            gates.levels(all.clone()).for_each(|(entry, _)| seen[entry] = 1);
            let (line, mut passed) = (input.at(y, step), output.line(y, step));
            for x in 0..columns {
                let gates =
                    &seen[if mask.everywhere { 0 } else { x * mask.groups }..][..mask.groups];
                for (entry, level) in line.levels(x..x + 1) {
                    if mask.passes(gates[(entry - x * channels) / mask.group] != 0) {
                        passed.push(entry, level);
                    }
                }
                passed.end_position();
            }
            gates.levels(all).for_each(|(entry, _)| seen[entry] = 0);
        }
    }
}

/// Currents to read, `[row][step][x][channel]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Currents<'c, N> {
    pub(crate) values: &'c [N],
    pub(crate) extent: Extent,
}

impl<'c, N> Currents<'c, N> {
    /// An image row at a step; what does not vary has one step.
    pub(crate) fn line(&self, row: usize, step: usize) -> &'c [N] {
        let Extent { steps, .. } = self.extent;
        let line = row * steps + if steps == 1 { 0 } else { step };
        &self.values[line * self.extent.width()..][..self.extent.width()]
    }
}

/// Pools currents.
pub(crate) fn pool_currents<N: Number>(
    pool: &Pool,
    input: Currents<'_, N>,
    output: &mut [N],
    steps: usize,
) {
    let (channels, inputs) = (pool.channels, pool.grid.columns.inputs);
    let width = pool.grid.columns.taps.len() * channels;
    for (y, lines) in output.chunks_exact_mut(steps * width).enumerate() {
        let row = pool.grid.rows.at(y);
        for (step, line) in lines.chunks_exact_mut(width).enumerate() {
            for (&column, pooled) in
                pool.grid.columns.taps.iter().zip(line.chunks_exact_mut(channels))
            {
                let mut first = true;
                pool.grid.for_each_tap(row, column, |_, position| {
                    let values = &input.line(position / inputs, step)
                        [position % inputs * channels..][..channels];
                    for (pooled, &value) in pooled.iter_mut().zip(values) {
                        *pooled = match pool.pooling {
                            _ if first => value,
                            Pooling::Sum => pooled.plus(value),
                            Pooling::Max if value > *pooled => value,
                            Pooling::Max => *pooled,
                        };
                    }
                    first = false;
                });
            }
        }
    }
}

/// To one position in C, H, W order, of each image.
pub(crate) fn flatten_currents<N: Number>(
    input: Currents<'_, N>,
    output: &mut [N],
    (images, steps): (usize, usize),
) {
    let Extent { columns, channels, .. } = input.extent;
    let rows = input.extent.rows / images.max(1);
    for (line, flat) in output.chunks_exact_mut(rows * columns * channels).enumerate() {
        let (image, step) = (line / steps, line % steps);
        for y in 0..rows {
            let values = input.line(image * rows + y, step);
            for (x, values) in values.chunks_exact(channels).enumerate() {
                flat[y * columns + x..]
                    .iter_mut()
                    .step_by(rows * columns)
                    .zip(values)
                    .for_each(|(to, &from)| *to = from);
            }
        }
    }
}

/// Along channels, each input with the channel at which it starts.
pub(crate) fn concat_currents<'c, N: Number>(
    inputs: &(impl Iterator<Item = (Currents<'c, N>, usize)> + Clone),
    output: &mut [N],
    (extent, steps): (Extent, usize),
) {
    for (line, joined) in
        output.chunks_exact_mut(extent.width()).take(extent.rows * steps).enumerate()
    {
        for (x, joined) in joined.chunks_exact_mut(extent.channels).enumerate() {
            for (input, start) in inputs.clone() {
                let channels = input.extent.channels;
                let values = &input.line(line / steps, line % steps)[x * channels..][..channels];
                joined[start..start + channels].copy_from_slice(values);
            }
        }
    }
}
