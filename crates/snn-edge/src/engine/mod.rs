//! The engine: a program, and the caller's buffer that it computes in.

mod stage;

use crate::error::{Error, ErrorKind, Expected, Result};
use crate::format::Finish;
use crate::mode::Mode;
use crate::program::Program;
use crate::scores::Scores;
use crate::site::Neurons;
use stage::Computation;

/// An engine: a program, and the caller's buffer that it computes in. It allocates nothing.
#[derive(Debug)]
pub struct Engine<'p, 'b> {
    program: Program<'p>,
    mode: Mode,
    buffer: &'b mut [i32],
    /// Frames of a stream, or of a sample that runs step by step, so far.
    step: u64,
}

impl<'p, 'b> Engine<'p, 'b> {
    /// Makes an engine in a buffer of at least [`Program::memory`] words, which may hold anything.
    ///
    /// # Errors
    /// The buffer is too small; the error has both sizes, in words.
    pub fn new(program: Program<'p>, mode: Mode, buffer: &'b mut [i32]) -> Result<Self> {
        let needed = program.memory(mode);
        if buffer.len() < needed {
            let expected = Expected::AtLeast(needed as u64);
            let (kind, found) = (ErrorKind::Buffer, buffer.len() as u64);
            return Err(Error { kind, what: "words of 32 bits", expected, found, stage: None });
        }
        let mut engine = Self { program, mode, buffer, step: 0 };
        engine.reset()?;
        Ok(engine)
    }

    /// The program that runs.
    pub fn program(&self) -> &Program<'p> {
        &self.program
    }

    /// What the engine is given.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Runs one sample: an image of [`Program::input_size`] bytes in [`Mode::Image`], T frames of
    /// that size one after another in [`Mode::Frames`]. Every sample begins at rest.
    ///
    /// # Errors
    /// The number of bytes is another one, or the mode is [`Mode::Stream`].
    pub fn run(&mut self, pixels: &[u8]) -> Result<Scores<'_>> {
        let size = self.program.input_size();
        match self.mode {
            Mode::Image => self.compute(pixels, size),
            Mode::Frames => self.compute(pixels, size.saturating_mul(self.program.time_steps())),
            Mode::Stream => Err(self.wrong_mode("run", "the mode of images or of frames")),
        }
    }

    /// Runs the next frame of a stream, of [`Program::input_size`] bytes. The scores are those of
    /// all frames since the last reset.
    ///
    /// # Errors
    /// The number of bytes is another one, or the mode is not [`Mode::Stream`].
    pub fn step(&mut self, frame: &[u8]) -> Result<Scores<'_>> {
        match self.mode {
            Mode::Stream => self.compute(frame, self.program.input_size()),
            Mode::Image | Mode::Frames => Err(self.wrong_mode("step", "the mode of streams")),
        }
    }

    /// Puts all neurons at rest and forgets the scores, so that the next frame is the first one of
    /// a stream. Without effect in the other modes, in which every sample begins so.
    ///
    /// # Errors
    /// None, of a program that was checked.
    pub fn reset(&mut self) -> Result<()> {
        self.step = 0;
        if self.program.layout(self.mode) != Mode::Stream {
            return Ok(());
        }
        let slots = &mut self.buffer[self.program.scratch()..];
        for index in 0..self.program.stages() {
            let stage = self.program.stage(index)?;
            let Finish::Lif(lif) = stage.finish else { continue };
            let [channels, ..] = stage.shape;
            let neurons = Neurons::new(lif, channels, self.program.bytes_from(stage.parameters));
            let states = &mut slots[stage.states..];
            let each = stage.states_of_position();
            for states in states.chunks_exact_mut(each).take(stage.positions()) {
                neurons.rest(states);
            }
        }
        Ok(())
    }

    fn wrong_mode(&self, what: &'static str, expected: &'static str) -> Error {
        let (expected, found) = (Expected::Text(expected), self.mode.index() as u64);
        Error { kind: ErrorKind::Mode, what, expected, found, stage: None }
    }

    fn compute(&mut self, pixels: &[u8], size: usize) -> Result<Scores<'_>> {
        if pixels.len() != size {
            let (expected, found) = (Expected::Exactly(size as u64), pixels.len() as u64);
            let kind = ErrorKind::Input;
            return Err(Error { kind, what: "bytes", expected, found, stage: None });
        }
        let layout = self.program.layout(self.mode);
        if layout == self.mode {
            return self.pass(pixels);
        }
        // Macro-step by macro-step, as a stream.
        self.reset()?;
        let size = self.program.input_size();
        for t in 1..self.program.time_steps() {
            self.pass(frame(pixels, size, t - 1))?;
        }
        self.pass(frame(pixels, size, self.program.time_steps() - 1))
    }

    /// Computes all stages once.
    fn pass(&mut self, pixels: &[u8]) -> Result<Scores<'_>> {
        let mode = self.program.layout(self.mode);
        let (scratch, slots) = self.buffer.split_at_mut(self.program.scratch());
        let computation = Computation { program: &self.program, mode, pixels, step: self.step };
        let (mut term, mut scores) = (0, 0..0);
        for index in 0..self.program.stages() {
            let stage = self.program.stage(index)?;
            computation.stage(&stage, term, scratch, slots)?;
            term += stage.terms;
            let start = stage.slots[mode.index()];
            scores = start..start + stage.words_of_step();
        }
        if mode == Mode::Stream {
            self.step = self.step.wrapping_add(1);
        }
        Ok(Scores::new(&slots[scores]))
    }
}

/// Frame `t` of a sample; an image is every frame.
fn frame(pixels: &[u8], size: usize, t: usize) -> &[u8] {
    let first = if pixels.len() > size { t * size } else { 0 };
    &pixels[first..][..size]
}
