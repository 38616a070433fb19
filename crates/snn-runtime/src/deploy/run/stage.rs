//! Running a stage: synapses, their sum and the neurons that read it, tile by tile, so that
//! currents and membranes stay in cache.

use crate::deploy::events::windows::Windows;
use crate::deploy::events::{EventsMut, EventsView, Extent, Lines};
use crate::deploy::kernels::dense::{self, DenseTask};
use crate::deploy::kernels::depth_wise::{self, DepthWiseTask};
use crate::deploy::kernels::tiles::{self, TileTask};
use crate::deploy::kernels::weights::RowTask;
use crate::deploy::number::Number;
use crate::deploy::plan::dense::{Dense, Product};
use crate::deploy::plan::depth_wise::DepthWise;
use crate::deploy::plan::weights::{PackedWeights, Slab};
use crate::deploy::plan::{Connection, Incoming, Stage};
use crate::deploy::run::arena::{Arena, Scratch};
use snn_ir::Result;
use snn_simd::{Available, prefetch};
use std::ops::Range;

/// Weights of so many bytes are still in the second-level cache when the next tile needs them.
const STILL_CACHED_BYTES: usize = 256 << 10;

/// Where a stage puts what it computes, for consecutive image rows.
#[derive(Debug)]
pub(crate) enum Output<'o, N> {
    Events(EventsMut<'o>),
    /// `[row][step][x][channel]`.
    Currents(&'o mut [N]),
}

/// Scratch memory for the inputs of a tile.
#[derive(Debug)]
struct TileScratch<'s> {
    windows: &'s mut Windows,
    levels: &'s mut [u8],
}

/// Inputs of one tile of a stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a, N: Number> {
    pub(crate) stage: &'a Stage<N>,
    pub(crate) arena: &'a Arena<N>,
    pub(crate) instructions: Available,
    /// Extent of the output, with the macro-steps of this run.
    pub(crate) extent: Extent,
    /// Macro-steps of its currents: one where they do not vary.
    pub(crate) current_steps: usize,
}

/// Image rows of an output to compute.
#[derive(Debug)]
pub(crate) struct Part<'o, N> {
    pub(crate) rows: Range<usize>,
    pub(crate) output: Output<'o, N>,
    /// State of their neurons; `None` where they start at rest.
    pub(crate) memory: Option<&'o mut [N]>,
}

impl<N: Number> Task<'_, N> {
    /// Runs rows on the threads of the present pool, or on this one if a tile is all there is.
    pub(crate) fn run(&self, part: Part<'_, N>) -> Result<()> {
        let tile = self.stage.tile.min(self.extent.rows.div_ceil(self.arena.threads()));
        if part.rows.len() <= tile {
            return self.arena.with_scratch(|scratch| self.tile(part, scratch));
        }
        let half = part.rows.len().div_ceil(tile) / 2 * tile;
        let (first, later) = self.split(part, half);
        if self.arena.is_parallel() {
            let (first, later) = rayon::join(|| self.run(first), || self.run(later));
            first.and(later)
        } else {
            self.run(first)?;
            self.run(later)
        }
    }

    fn split<'o>(&self, part: Part<'o, N>, count: usize) -> (Part<'o, N>, Part<'o, N>) {
        let Part { rows, output, memory } = part;
        let middle = rows.start + count;
        let (first, later) = match output {
            Output::Events(events) => {
                let (first, later) = events.split(count);
                (Output::Events(first), Output::Events(later))
            }
            Output::Currents(currents) => {
                let (first, later) =
                    currents.split_at_mut(count * self.extent.steps * self.extent.width());
                (Output::Currents(first), Output::Currents(later))
            }
        };
        let (remembered, later_remembered) = match memory {
            Some(memory) => {
                let (first, later) = memory.split_at_mut(count * self.remembered());
                (Some(first), Some(later))
            }
            None => (None, None),
        };
        (
            Part { rows: rows.start..middle, output: first, memory: remembered },
            Part { rows: middle..rows.end, output: later, memory: later_remembered },
        )
    }

    /// Numbers that the neurons of an image row remember.
    fn remembered(&self) -> usize {
        self.extent.columns * self.stage.neurons.as_ref().map_or(0, |neurons| neurons.rest().len())
    }

    fn tile(&self, part: Part<'_, N>, scratch: &mut Scratch<N>) -> Result<()> {
        let Part { rows, output, memory } = part;
        let (width, steps) = (self.extent.width(), self.current_steps);
        let size = steps * width;
        let Scratch { currents, memory: rest, windows, levels, emitted, seen } = scratch;
        let room = &mut TileScratch { windows, levels };
        let mut events = match output {
            Output::Currents(currents) => {
                self.integrate(rows, currents, room);
                return Ok(());
            }
            Output::Events(events) => events,
        };
        let Some(neurons) = &self.stage.neurons else { return Ok(()) };
        let currents = &mut currents[..rows.len() * size];
        self.integrate(rows, currents, room);
        let remembered = self.remembered();
        let mut memory = memory.map(|memory| memory.chunks_exact_mut(remembered.max(1)));
        for (y, currents) in currents.chunks_exact(size).enumerate() {
            let memory = if let Some(memory) = memory.as_mut().and_then(Iterator::next) {
                memory
            } else {
                let memory = &mut rest[..remembered];
                repeat(neurons.rest(), memory);
                memory
            };
            for step in 0..self.extent.steps {
                let currents = &currents[if steps == 1 { 0 } else { step * width }..][..width];
                neurons.step(self.instructions, currents, memory, emitted)?;
                events.take(
                    self.instructions,
                    (y, step),
                    (&emitted.flags[..width], &emitted.levels[..width]),
                    seen,
                );
            }
        }
        Ok(())
    }

    /// `J = Σ M·A + b` of image rows.
    fn integrate(&self, rows: Range<usize>, currents: &mut [N], room: &mut TileScratch<'_>) {
        let mut bias = Some(self.stage.bias.as_slice());
        for incoming in &self.stage.incoming {
            self.receive(incoming, rows.clone(), bias.take(), currents, room);
        }
    }

    /// Adds what one input makes to the currents, or to a base, `[x][channel]`, where there is one.
    fn receive(
        &self,
        incoming: &Incoming<N>,
        rows: Range<usize>,
        base: Option<&[N]>,
        currents: &mut [N],
        room: &mut TileScratch<'_>,
    ) {
        let (width, steps) = (self.extent.width(), self.current_steps);
        match &incoming.connection {
            Connection::Packed(synapse, dense) => {
                let events = self.arena.events(incoming.node);
                self.convolve((synapse, dense.as_deref()), rows, events, base, currents, room);
            }
            Connection::Grouped(grouped, dense) => {
                begin_with(base, currents);
                let events = self.arena.events(incoming.node);
                if let Some(dense) =
                    dense.as_deref().filter(|d| d.pays(rows.clone(), events, steps))
                    && let Some(currents) = N::integers(currents)
                {
                    return self.multiply_channels(dense, rows, events, currents, room.levels);
                }
                for (y, line) in rows.zip(currents.chunks_exact_mut(steps * width)) {
                    for (step, line) in line.chunks_exact_mut(width).enumerate() {
                        grouped.deliver(events, grouped.grid.rows.at(y), step, line);
                    }
                }
            }
            Connection::Scale(weights) => {
                begin_with(base, currents);
                let events = self.arena.events(incoming.node);
                for (y, line) in rows.zip(currents.chunks_exact_mut(steps * width)) {
                    for (step, line) in line.chunks_exact_mut(width).enumerate() {
                        scale(weights, &events.at(y, step), line);
                    }
                }
            }
            Connection::Current => {
                begin_with(base, currents);
                let stored = self.arena.currents(incoming.node);
                for (y, line) in rows.zip(currents.chunks_exact_mut(steps * width)) {
                    for (step, line) in line.chunks_exact_mut(width).enumerate() {
                        line.iter_mut()
                            .zip(stored.line(y, step))
                            .for_each(|(current, &value)| *current = current.plus(value));
                    }
                }
            }
        }
    }

    /// A convolution or linear layer, through events or as a dense product, whichever takes less.
    fn convolve(
        &self,
        (synapse, dense): (&PackedWeights<N::Weight>, Option<&Dense>),
        rows: Range<usize>,
        events: EventsView<'_>,
        mut base: Option<&[N]>,
        currents: &mut [N],
        room: &mut TileScratch<'_>,
    ) {
        let (width, steps) = (self.extent.width(), self.current_steps);
        let active = events.count(synapse.vertical.read(rows.clone()), steps);
        if active == 0 {
            // Nothing to add, and no weights to ask for.
            return begin_with(base, currents);
        }
        let pays = |dense: &&Dense| dense.pays(synapse, rows.clone(), events, (steps, active));
        if let Some(dense) = dense.filter(pays) {
            // Tiles begin with the base themselves, but in rows that read nothing.
            let reads = rows.clone().all(|row| synapse.vertical.at(row).count > 0);
            let is_tiled =
                matches!(dense.product, Product::Tiles(_)) && reads && !dense.has_surplus();
            if !is_tiled {
                begin_with(base.take(), currents);
            }
            let base = base.and_then(N::as_integers);
            if let Some(currents) = N::integers(currents) {
                let place = (synapse, dense);
                return self.multiply(place, rows, events, base, currents, room.levels);
            }
        }
        if synapse.skips() {
            // A tile without weights is skipped, and would leave its lanes as they were.
            begin_with(base.take(), currents);
        }
        // The next weight tile is prefetched explicitly, because spike-driven row access defeats
        // the hardware prefetcher.
        let asks = rows.start == 0 || synapse.bytes() > STILL_CACHED_BYTES;
        let mut slabs = synapse.slabs().peekable();
        let mut gathered = None;
        let weights = |slab: Option<&Slab>| {
            slab.filter(|_| asks).map_or(&[][..], |slab| synapse.rows_of(slab))
        };
        prefetch(weights(slabs.peek()));
        while let Some(slab) = slabs.next() {
            let taps = &slab.taps;
            if gathered.replace(taps.start) != Some(taps.start) {
                room.windows.gather(
                    self.instructions,
                    synapse,
                    events,
                    (rows.clone(), taps, steps),
                );
            }
            let next = weights(slabs.peek());
            let mut portions = next.chunks(next.len().div_ceil(rows.len()).max(1));
            // Taps behind the first add to what is there.
            let base = base.filter(|_| taps.start == 0);
            for (row, line) in currents.chunks_exact_mut(steps * width).enumerate() {
                let ahead = portions.next().unwrap_or_default();
                let place = RowTask {
                    weights: synapse,
                    slab: &slab,
                    windows: room.windows,
                    row,
                    base,
                    ahead,
                };
                N::deliver(self.instructions, place, line);
            }
        }
    }
}

/// Fills values with a pattern, in ever longer copies.
fn repeat<N: Copy>(pattern: &[N], values: &mut [N]) {
    let mut filled = pattern.len().min(values.len());
    values[..filled].copy_from_slice(&pattern[..filled]);
    while filled > 0 && filled < values.len() {
        let count = filled.min(values.len() - filled);
        values.copy_within(..count, filled);
        filled += count;
    }
}

/// Sets the currents at every macro-step to a base, where there is one.
fn begin_with<N: Number>(base: Option<&[N]>, currents: &mut [N]) {
    if let Some(base) = base {
        currents.chunks_exact_mut(base.len().max(1)).for_each(|row| row.copy_from_slice(base));
    }
}

impl<N: Number> Task<'_, N> {
    /// A synapse as a dense product; a base only where tiles are to begin with it.
    fn multiply(
        &self,
        (rows, dense): (&PackedWeights<N::Weight>, &Dense),
        outputs: Range<usize>,
        events: EventsView<'_>,
        base: Option<&[i32]>,
        currents: &mut [i32],
        levels: &mut [u8],
    ) {
        let (width, steps) = (self.extent.width(), self.current_steps);
        let layout = dense.layout(steps);
        let first = dense.spread(rows, outputs.clone(), events, (steps, levels));
        if dense.has_surplus() {
            for (row, currents) in outputs.clone().zip(currents.chunks_exact_mut(steps * width)) {
                dense.correct(rows.vertical.at(row), currents);
            }
        }
        let product = match &dense.product {
            Product::Tiles(product) => {
                let task = TileTask {
                    product,
                    layout,
                    steps,
                    columns: self.extent.columns,
                    rows: (&rows.vertical, outputs),
                    levels: (levels, first),
                    base,
                };
                return tiles::multiply(self.instructions, &task, currents);
            }
            Product::Vectors(product) => product,
        };
        for block in 0..product.blocks {
            for (row, currents) in outputs.clone().zip(currents.chunks_exact_mut(steps * width)) {
                let taps = rows.vertical.at(row);
                if taps.count == 0 {
                    continue;
                }
                for (step, currents) in currents.chunks_exact_mut(width).enumerate() {
                    let begin = (taps.input - first) * layout.row + step * layout.step;
                    let lines = (&levels[begin..], rows.dilation * layout.row);
                    let place = DenseTask { dense: product, block, taps, lines };
                    dense::multiply(self.instructions, place, currents);
                }
            }
        }
    }
}

impl<N: Number> Task<'_, N> {
    /// A depth-wise convolution as a dense product.
    fn multiply_channels(
        &self,
        product: &DepthWise,
        outputs: Range<usize>,
        events: EventsView<'_>,
        currents: &mut [i32],
        levels: &mut [u8],
    ) {
        let (width, steps) = (self.extent.width(), self.current_steps);
        let layout = product.layout(steps);
        let first = product.spread(outputs.clone(), events, (steps, levels));
        for (row, currents) in outputs.zip(currents.chunks_exact_mut(steps * width)) {
            let taps = product.vertical.at(row);
            if taps.count == 0 {
                continue;
            }
            for (step, currents) in currents.chunks_exact_mut(width).enumerate() {
                let begin = (taps.input - first) * layout.row + step * layout.step;
                let lines = (&levels[begin..], product.vertical.dilation * layout.row);
                depth_wise::multiply(
                    self.instructions,
                    DepthWiseTask { product, taps, lines },
                    currents,
                );
            }
        }
    }
}

/// Adds one-to-one synapses (eq. 3) of an image row.
fn scale<N: Number>(weights: &[N], lines: &Lines<'_>, currents: &mut [N]) {
    for line in lines.iter() {
        for i in line.all() {
            let (at, level) =
                (line.entries[i] as usize, line.payloads.get(i).copied().unwrap_or(1));
            currents[at] = currents[at].plus(weights[at].times(N::of(level)));
        }
    }
}
