//! The checks of a program's stages, one after another: each may read those before it alone, and
//! parameters lie one behind another without a gap, so that no byte is checked twice.

use super::{Program, values};
use crate::bytes::Integers;
use crate::error::{Expected, Result, at_most, check, exactly};
use crate::format::{Finish, Lif, MAX_TERMS, MAX_WORDS, Operation, Pool, Stage, Term, Window};
use crate::mode::Mode;

/// Largest magnitude of a first membrane, where membranes saturate (eq. 13).
const MEMBRANE_LIMIT: u32 = 1 << 30;

/// Checks the stages, and sets classes and memory.
pub(super) fn run(program: &mut Program<'_>) -> Result<()> {
    let (mut term, mut cursor) = (0, program.parameters());
    for index in 0..program.stages() {
        let stage = program.stage(index)?;
        let (scratch, varies, stepwise) = (0, false, false);
        let mut walk = Walk { program, index, stage, cursor, scratch, varies, stepwise };
        walk.run(term).map_err(|error| error.of_stage(index))?;
        let (end, scratch, stepwise) = (walk.cursor, walk.scratch, walk.stepwise);
        program.stepwise |= stepwise;
        (term, cursor) = (term + stage.terms, end);
        program.scratch = program.scratch.max(scratch);
        for mode in Mode::ALL {
            let end = end_of(program, &stage, mode).map_err(|error| error.of_stage(index))?;
            let most = &mut program.slots[mode.index()];
            *most = end.max(*most);
        }
        program.classes = stage.shape[0];
    }
    exactly("terms", term, program.terms())?;
    exactly("bytes", program.flash(), cursor)?;
    Mode::ALL.into_iter().try_for_each(|mode| at_most("memory", program.memory(mode), MAX_WORDS))
}

/// The end of what a stage keeps in memory.
fn end_of(program: &Program<'_>, stage: &Stage, mode: Mode) -> Result<usize> {
    let region = |start: usize, each: usize, times: usize| {
        let end = each.checked_mul(times).and_then(|size| start.checked_add(size));
        let end = end.unwrap_or(usize::MAX);
        at_most("memory of a stage", end, MAX_WORDS).map(|()| end)
    };
    let kept = stage.kept(mode, program.time_steps());
    let output = region(stage.slots[mode.index()], stage.words_of_step(), kept)?;
    let states = match mode {
        Mode::Image | Mode::Frames => 0,
        Mode::Stream => region(stage.states, stage.states_of_position(), stage.positions())?,
    };
    Ok(output.max(states))
}

/// The check of one stage.
struct Walk<'w, 'p> {
    program: &'w Program<'p>,
    index: usize,
    stage: Stage,
    /// Where the next parameters must lie.
    cursor: usize,
    scratch: usize,
    varies: bool,
    stepwise: bool,
}

impl Walk<'_, '_> {
    fn run(&mut self, first_term: usize) -> Result<()> {
        let stage = self.stage;
        let [channels, height, width] = stage.shape;
        let size = values(stage.shape, "values of a stage")?;
        check(size > 0, "values of a stage", Expected::AtLeast(1), 0)?;
        let inner = values([1, stage.inner[0], stage.inner[1]], "inner positions")?;
        check(inner > 0, "inner positions", Expected::AtLeast(1), 0)?;
        check(stage.history > 0, "history of a stage", Expected::AtLeast(1), 0)?;
        if let Some(Pool { window, .. }) = stage.pool {
            meets(&window, [height, width], stage.inner)?;
        } else {
            exactly("inner height", stage.inner[0], height)?;
            exactly("inner width", stage.inner[1], width)?;
        }
        at_most("terms of a stage", stage.terms, MAX_TERMS)?;
        let left = self.program.terms().saturating_sub(first_term);
        at_most("terms", stage.terms, left)?;
        let mut sums = 0;
        for number in 0..stage.terms {
            sums = sums.max(self.term(&self.program.term(first_term + number)?)?);
        }
        let accumulators = channels * if stage.pool.is_some() { 2 } else { 1 };
        self.scratch = accumulators + stage.states_of_position() + sums;
        self.finish()
    }

    /// Shape of a tensor that a term reads.
    fn source(&mut self, number: usize) -> Result<[usize; 3]> {
        at_most("source of a term", number, self.index)?;
        let Some(stage) = number.checked_sub(1) else { return Ok(self.program.input_shape()) };
        let stage = self.program.stage(stage)?;
        self.varies |= stage.varies;
        Ok(stage.shape)
    }

    /// Shape of a tensor that a delay reads, which may be of any stage but the head.
    fn delayed(&mut self, number: usize, steps: usize) -> Result<[usize; 3]> {
        check(number > 0, "source of a delay", Expected::AtLeast(1), number)?;
        at_most("source of a delay", number, self.program.stages() - 1)?;
        let stage = self.program.stage(number - 1)?;
        let history = Expected::AtLeast(steps as u64 + 1);
        check(stage.history > steps, "history of what a delay reads", history, stage.history)?;
        self.varies = true;
        self.stepwise |= number > self.index;
        Ok(stage.shape)
    }

    /// So many bytes of parameters at this position.
    fn take(&mut self, position: usize, bytes: Option<usize>) -> Result<usize> {
        exactly("offset of parameters", position, self.cursor)?;
        let bytes = bytes.unwrap_or(usize::MAX);
        at_most("bytes of parameters", bytes, self.program.flash() - self.cursor)?;
        self.cursor += bytes;
        Ok(position)
    }

    /// Checks a term; yields the sums that it needs beside its accumulators.
    fn term(&mut self, term: &Term) -> Result<usize> {
        let shape = match term.operation {
            Operation::Delay { steps } => self.delayed(term.source, steps)?,
            _ => self.source(term.source)?,
        };
        let [channels, height, width] = shape;
        let (outputs, inner) = (term.outputs, self.stage.inner);
        at_most("accumulators of a term", term.first + outputs, self.stage.shape[0])?;
        let same_channels = || exactly("outputs of a term", outputs, channels);
        let same_positions = || {
            exactly("inner height", inner[0], height)?;
            exactly("inner width", inner[1], width)
        };
        let (mut sums, mut bytes) = (0, Some(0));
        match term.operation {
            Operation::Synapse { groups, window } => {
                check(groups > 0, "groups", Expected::AtLeast(1), 0)?;
                exactly("channels beyond whole groups", channels % groups, 0)?;
                exactly("outputs beyond whole groups", outputs % groups, 0)?;
                bytes = [channels / groups, window.kernel[0], window.kernel[1]]
                    .into_iter()
                    .try_fold(outputs, usize::checked_mul)
                    .and_then(|weights| weights.checked_next_multiple_of(4))
                    .and_then(|weights| weights.checked_add(8 * outputs));
                sums = outputs;
            }
            Operation::Scale => {
                same_channels()?;
                same_positions()?;
                bytes = Some(4 * outputs);
            }
            Operation::Copy | Operation::Delay { .. } => {
                same_channels()?;
                same_positions()?;
            }
            Operation::MaxPool(window) => {
                same_channels()?;
                meets(&window, inner, [height, width])?;
                sums = outputs;
            }
            Operation::SumPool(window) => {
                same_channels()?;
                meets(&window, inner, [height, width])?;
            }
            Operation::Flatten => {
                exactly("outputs of a term", outputs, values(shape, "values of a stage")?)?;
                exactly("inner positions", inner[0] * inner[1], 1)?;
            }
            Operation::Mask { mask, .. } => {
                same_channels()?;
                same_positions()?;
                let [groups, rows, columns] = self.source(mask)?;
                exactly("channels beyond whole groups of a mask", channels % groups, 0)?;
                if [rows, columns] != [1, 1] {
                    exactly("height of a mask", rows, height)?;
                    exactly("width of a mask", columns, width)?;
                }
            }
        }
        self.take(term.parameters, bytes)?;
        Ok(sums)
    }

    /// Checks what becomes of the accumulators.
    fn finish(&mut self) -> Result<()> {
        let stage = self.stage;
        let channels = stage.shape[0];
        let last = self.index + 1 == self.program.stages();
        let is_head = matches!(stage.finish, Finish::Readout(_));
        exactly("whether a stage is the head", usize::from(is_head), usize::from(last))?;
        match stage.finish {
            Finish::Store => {}
            Finish::Thresholds { levels } => {
                let at = self.take(stage.parameters, channels.checked_mul(4 * levels))?;
                let all = Integers(self.program.bytes_from(at));
                for index in (0..channels * levels).filter(|index| index % levels > 0) {
                    let ascends = all.get(index - 1) <= all.get(index);
                    let expected = Expected::Text("one that is not below the one before");
                    check(ascends, "place of a threshold", expected, index)?;
                }
            }
            Finish::Lif(lif) => {
                let bytes = 4 * channels * lif.parameters();
                let at = self.take(stage.parameters, Some(bytes))?;
                neurons(&lif, channels, Integers(self.program.bytes_from(at)))?;
                self.varies = true;
            }
            Finish::Readout(_) => exactly("positions of the head", stage.positions(), 1)?,
        }
        let varies = usize::from(self.varies);
        exactly("whether a stage varies", usize::from(stage.varies), varies)
    }
}

/// Checks the parameters of a LIF site.
fn neurons(lif: &Lif, channels: usize, all: Integers<'_>) -> Result<()> {
    for channel in 0..channels {
        let fits = |fits: bool, expected: &'static str| {
            check(fits, "channel of a neuron", Expected::Text(expected), channel)
        };
        let mut next = channels;
        fits(all.get(channel) >= 1, "one whose threshold is at least 1")?;
        if lif.adaptation.is_some() {
            fits(all.get(next + channel) >= 0, "one whose adaptation is not negative")?;
            next += channels;
        }
        if lif.initial {
            let first = all.get(next + channel).unsigned_abs();
            fits(first <= MEMBRANE_LIMIT, "one whose first membrane is within 2^30")?;
        }
    }
    Ok(())
}

/// Checks that every window of a pooling meets the image.
fn meets(window: &Window, outputs: [usize; 2], image: [usize; 2]) -> Result<()> {
    for axis in 0..2 {
        exactly("dilation of a pooling", window.dilation[axis], 1)?;
        for at in [0, outputs[axis] - 1] {
            let (first, end) = window.taps(axis, at, image[axis]);
            let expected = Expected::Text("one whose window meets the image");
            check(first < end, "position of a pooling", expected, at)?;
        }
    }
    Ok(())
}
