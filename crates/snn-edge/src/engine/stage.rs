//! The computation of one stage: position by position, and at each over all macro-steps, so that
//! what neurons remember takes memory for one position alone.

use crate::bytes::Integers;
use crate::error::Result;
use crate::format::{Finish, MAX_TERMS, Operation, Pool, Readout, Stage};
use crate::lanes::Lanes;
use crate::mode::Mode;
use crate::program::Program;
use crate::scores::{halves, joined};
use crate::site::{Neurons, level};
use crate::term::{Bound, Values};

/// What all stages of one run share.
pub(super) struct Computation<'c> {
    pub(super) program: &'c Program<'c>,
    pub(super) mode: Mode,
    pub(super) pixels: &'c [u8],
    /// Frames of a stream before this one; 0 in the other modes.
    pub(super) step: u64,
}

/// A tensor that a term reads.
#[derive(Clone, Copy)]
enum Tensor {
    /// The frame.
    Frame,
    /// The output of a stage.
    Stored {
        /// Where the first of those that are kept lies.
        start: usize,
        /// Words of one.
        each: usize,
        /// Number of those that are kept.
        kept: usize,
        lanes: Lanes,
        varies: bool,
    },
}

/// A term and the tensors that it reads.
#[derive(Clone, Copy)]
struct Reader<'p> {
    bound: Bound<'p>,
    source: Tensor,
    mask: Option<Tensor>,
}

/// The parts of the scratch.
struct Scratch<'s> {
    accumulators: &'s mut [i32],
    /// Empty where nothing is pooled.
    pooled: &'s mut [i32],
    /// What the neurons of one position remember, for all modes but streams.
    states: &'s mut [i32],
    sums: &'s mut [i32],
}

impl<'s> Scratch<'s> {
    fn new(scratch: &'s mut [i32], stage: &Stage) -> Self {
        let channels = stage.shape[0];
        let (accumulators, rest) = scratch.split_at_mut(channels);
        let (pooled, rest) = rest.split_at_mut(if stage.pool.is_some() { channels } else { 0 });
        let (states, sums) = rest.split_at_mut(stage.states_of_position());
        Self { accumulators, pooled, states, sums }
    }
}

impl Computation<'_> {
    /// Computes a stage, whose terms begin at `first_term`.
    pub(super) fn stage(
        &self,
        stage: &Stage,
        first_term: usize,
        scratch: &mut [i32],
        slots: &mut [i32],
    ) -> Result<()> {
        let mut readers = [None; MAX_TERMS];
        for (number, reader) in readers.iter_mut().take(stage.terms).enumerate() {
            *reader = Some(self.reader(first_term + number)?);
        }
        let steps = stage.steps(self.mode, self.program.time_steps());
        let again = steps > 1 && readers.iter().flatten().any(|reader| self.changes(reader));
        let mut scratch = Scratch::new(scratch, stage);
        let neurons = match stage.finish {
            Finish::Lif(lif) => {
                let parameters = self.program.bytes_from(stage.parameters);
                Some(Neurons::new(lif, stage.shape[0], parameters))
            }
            Finish::Store | Finish::Thresholds { .. } | Finish::Readout(_) => None,
        };
        for y in 0..stage.shape[1] {
            for x in 0..stage.shape[2] {
                if let Some(neurons) = &neurons {
                    neurons.rest(scratch.states);
                }
                for t in 0..steps {
                    if t == 0 || again {
                        self.currents(stage, &readers, [y, x], t, &mut scratch, slots);
                    }
                    let position = y * stage.shape[2] + x;
                    self.finish(stage, neurons.as_ref(), position, t, &mut scratch, slots);
                }
            }
        }
        Ok(())
    }

    fn reader(&self, term: usize) -> Result<Reader<'_>> {
        let term = self.program.term(term)?;
        let (source, shape) = self.tensor(term.source)?;
        let (mask, mask_shape) = match term.operation {
            Operation::Mask { mask, .. } => {
                let (mask, shape) = self.tensor(mask)?;
                (Some(mask), shape)
            }
            _ => (None, [1; 3]),
        };
        let parameters = self.program.bytes_from(term.parameters);
        let bound = Bound { term, shape, mask_shape, parameters };
        Ok(Reader { bound, source, mask })
    }

    /// A tensor and its shape.
    fn tensor(&self, number: usize) -> Result<(Tensor, [usize; 3])> {
        let Some(index) = number.checked_sub(1) else {
            return Ok((Tensor::Frame, self.program.input_shape()));
        };
        let stage = self.program.stage(index)?;
        let tensor = Tensor::Stored {
            start: stage.slots[self.mode.index()],
            each: stage.words_of_step(),
            kept: stage.kept(self.mode, self.program.time_steps()),
            lanes: stage.lanes,
            varies: stage.varies,
        };
        Ok((tensor, stage.shape))
    }

    /// `true` if what a term reads differs between macro-steps.
    fn changes(&self, reader: &Reader<'_>) -> bool {
        let changes = |tensor: &Tensor| matches!(tensor, Tensor::Stored { varies: true, .. });
        self.mode == Mode::Frames
            || matches!(reader.bound.term.operation, Operation::Delay { .. })
            || changes(&reader.source)
            || reader.mask.as_ref().is_some_and(changes)
    }

    /// The values of a tensor `delay` macro-steps before macro-step `t`; `None` before the first.
    fn values<'v>(
        &'v self,
        tensor: Tensor,
        t: usize,
        delay: usize,
        slots: &'v [i32],
    ) -> Option<Values<'v>> {
        match tensor {
            Tensor::Frame => {
                let size = self.program.input_size();
                let frame = if self.mode == Mode::Frames { t } else { 0 };
                let pixels = &self.pixels[frame * size..][..size];
                Some(Values::Frame { pixels, means: self.program.means() })
            }
            Tensor::Stored { start, each, kept, lanes, .. } => {
                let place = match self.mode {
                    // What does not vary is kept once.
                    Mode::Image | Mode::Frames => t.checked_sub(delay)?.min(kept - 1),
                    Mode::Stream => place(kept, self.step.checked_sub(delay as u64)?),
                };
                Some(Values::Stored { words: &slots[start + place * each..][..each], lanes })
            }
        }
    }

    /// Leaves the currents of a position in the accumulators.
    fn currents(
        &self,
        stage: &Stage,
        readers: &[Option<Reader<'_>>],
        at: [usize; 2],
        t: usize,
        scratch: &mut Scratch<'_>,
        slots: &[i32],
    ) {
        let Scratch { accumulators, pooled, sums, .. } = scratch;
        let mut add_terms = |at: [usize; 2], accumulators: &mut [i32]| {
            accumulators.fill(0);
            for reader in readers.iter().flatten() {
                let delay = match reader.bound.term.operation {
                    Operation::Delay { steps } => steps,
                    _ => 0,
                };
                let Some(values) = self.values(reader.source, t, delay, slots) else { continue };
                let mask = reader.mask.and_then(|mask| self.values(mask, t, 0, slots));
                reader.bound.add(at, values, mask, accumulators, sums);
            }
        };
        let Some(Pool { max, window }) = &stage.pool else {
            return add_terms(at, accumulators);
        };
        pooled.fill(if *max { i32::MIN } else { 0 });
        let (top, bottom) = window.taps(0, at[0], stage.inner[0]);
        let (left, right) = window.taps(1, at[1], stage.inner[1]);
        for row in top..bottom {
            for column in left..right {
                let inner = [window.reads(0, at[0], row), window.reads(1, at[1], column)];
                add_terms(inner, accumulators);
                for (pooled, current) in pooled.iter_mut().zip(&**accumulators) {
                    *pooled = match max {
                        true => (*pooled).max(*current),
                        false => pooled.wrapping_add(*current),
                    };
                }
            }
        }
        accumulators.copy_from_slice(pooled);
    }

    /// Makes of the accumulators of a position what a stage is for.
    fn finish(
        &self,
        stage: &Stage,
        neurons: Option<&Neurons<'_>>,
        position: usize,
        t: usize,
        scratch: &mut Scratch<'_>,
        slots: &mut [i32],
    ) {
        let channels = stage.shape[0];
        let currents = scratch.accumulators.iter().enumerate();
        let slot = stage.slots[self.mode.index()];
        let each = stage.words_of_step();
        let kept = if self.mode == Mode::Stream { place(stage.history, self.step) } else { t };
        let first = slot + each * kept;
        let base = position * channels;
        match stage.finish {
            Finish::Readout(readout) => {
                let scores = slots[slot..][..each].as_chunks_mut().0;
                for (current, score) in scratch.accumulators.iter().zip(scores) {
                    let new = i64::from(*current);
                    let held = joined(*score);
                    *score = halves(match readout {
                        _ if self.step == 0 && t == 0 => new,
                        Readout::Sum => held.wrapping_add(new),
                        Readout::Last => new,
                        Readout::Max => held.max(new),
                    });
                }
            }
            Finish::Store => {
                let output = &mut slots[first..][..each];
                currents.for_each(|(c, current)| stage.lanes.set(output, base + c, *current));
            }
            Finish::Thresholds { levels } => {
                let thresholds = Integers(self.program.bytes_from(stage.parameters));
                let output = &mut slots[first..][..each];
                for (channel, current) in currents {
                    let level = level(thresholds, levels, channel, *current);
                    stage.lanes.set(output, base + channel, level);
                }
            }
            Finish::Lif(_) => {
                let Some(neurons) = neurons else { return };
                let size = stage.states_of_position();
                for (channel, current) in currents {
                    let states = match self.mode {
                        Mode::Image | Mode::Frames => &mut *scratch.states,
                        Mode::Stream => &mut slots[stage.states + position * size..][..size],
                    };
                    let level = neurons.step(channel, *current, states);
                    stage.lanes.set(&mut slots[first..][..each], base + channel, level);
                }
            }
        }
    }
}

/// Which of the outputs that a stream keeps is that of a macro-step.
fn place(kept: usize, step: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "a history is at most 1025")]
    let place = (step % kept.max(1) as u64) as usize;
    place
}
