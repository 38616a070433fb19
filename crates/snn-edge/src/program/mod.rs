//! A program: the bytes of a compiled network, checked once and read in place.

mod check;

use crate::bytes::{Integers, checksum};
use crate::error::{Error, Expected, Result, at_most, check, exactly};
use crate::format::{
    CHECKSUM, HEADER_WORDS, MAGIC, MAX_SIDE, MAX_TIME_STEPS, MAX_VALUES, Record, STAGE_WORDS,
    Stage, TERM_WORDS, Term, VERSION,
};
use crate::mode::Mode;

/// A compiled network in the bytes of a program, which stay where they are: in flash, for instance.
///
/// ```
/// use snn_edge::{Engine, Mode, Program};
///
/// const PROGRAM: &[u8] =
///     include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bars.snne"));
///
/// let program = Program::new(PROGRAM)?;
/// let mut buffer = [0; 64];
/// let mut engine = Engine::new(program, Mode::Image, &mut buffer)?;
/// let mut image = [0; 64];
/// image[24..32].fill(255); // a row
/// assert_eq!(engine.run(&image)?.class(), 0);
/// # Ok::<(), snn_edge::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Program<'p> {
    bytes: &'p [u8],
    time_steps: usize,
    input: [usize; 3],
    classes: usize,
    stages: usize,
    /// `true` if a delay reads a later stage: then macro-steps run one after another, as in the
    /// mode of streams.
    stepwise: bool,
    /// Words of memory for the stage that is computed.
    scratch: usize,
    /// Words of memory behind the scratch, for each mode.
    slots: [usize; 3],
}

impl<'p> Program<'p> {
    /// Checks the bytes of a program. The time is proportional to their number, whatever they are.
    ///
    /// # Errors
    /// They are no program, are damaged, or are of another version; or a size, an offset or a value
    /// is outside its range. The error says which, what was expected and what was found.
    pub fn new(bytes: &'p [u8]) -> Result<Self> {
        let header = Record(Integers(bytes));
        check(
            bytes.len() >= 4 * HEADER_WORDS,
            "bytes",
            Expected::AtLeast(4 * HEADER_WORDS as u64),
            bytes.len(),
        )?;
        exactly("magic number", header.number(0), MAGIC as usize)?;
        exactly("version", header.number(1), VERSION as usize)?;
        exactly("bytes", bytes.len(), header.number(2))?;
        let (before, behind) = (&bytes[..4 * CHECKSUM], &bytes[4 * CHECKSUM + 4..]);
        let found = checksum([before, behind]) as usize;
        exactly("checksum", found, header.number(CHECKSUM))?;
        let mut program = Self {
            bytes,
            time_steps: header.at_most(4, MAX_TIME_STEPS, "macro-steps")?,
            input: [
                header.at_most(5, MAX_VALUES, "channels of the input")?,
                header.at_most(6, MAX_SIDE, "height of the input")?,
                header.at_most(7, MAX_SIDE, "width of the input")?,
            ],
            classes: 0,
            stages: header.number(8),
            stepwise: false,
            scratch: 0,
            slots: [0; 3],
        };
        check(program.time_steps > 0, "macro-steps", Expected::AtLeast(1), 0)?;
        check(program.stages > 0, "stages", Expected::AtLeast(1), 0)?;
        let size = values(program.input, "values of the input")?;
        check(size > 0, "values of the input", Expected::AtLeast(1), 0)?;
        at_most("stages", program.stages, bytes.len() / (4 * STAGE_WORDS))?;
        at_most("terms", program.terms(), bytes.len() / (4 * TERM_WORDS))?;
        at_most("records", program.parameters(), bytes.len())?;
        check::run(&mut program)?;
        Ok(program)
    }

    /// Shape `[C, H, W]` of an image or frame: bytes in this order, not normalised. An input
    /// `[C, L]` is `[C, 1, L]`, one `[F]` is `[F, 1, 1]`.
    pub fn input_shape(&self) -> [usize; 3] {
        self.input
    }

    /// Bytes of an image or frame, `C·H·W`.
    pub fn input_size(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Macro-steps T of an image, or frames of a sample.
    pub fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// Value of one unit of a score. The logit of a score is `unit · score`, where the head is a
    /// mean `unit · score / T` (after fewer macro-steps of a stream their number).
    pub fn logit_unit(&self) -> f64 {
        let header = Integers(self.bytes);
        f64::from_bits(u64::from(header.word(11)) << 32 | u64::from(header.word(10)))
    }

    /// Words of 32 bits that an engine of this mode needs, all of them in the caller's buffer.
    pub fn memory(&self, mode: Mode) -> usize {
        self.scratch + self.slots[self.layout(mode).index()]
    }

    /// The mode whose places in memory another one uses.
    pub(crate) fn layout(&self, mode: Mode) -> Mode {
        if self.stepwise { Mode::Stream } else { mode }
    }

    /// Bytes of the program, which an engine reads in place.
    pub fn flash(&self) -> usize {
        self.bytes.len()
    }

    /// Words of memory for the stage that is computed.
    pub(crate) fn scratch(&self) -> usize {
        self.scratch
    }

    /// Number of stages.
    pub(crate) fn stages(&self) -> usize {
        self.stages
    }

    /// Number of terms of all stages.
    fn terms(&self) -> usize {
        Record(Integers(self.bytes)).number(9)
    }

    /// Position of the first stage, behind the means.
    fn records(&self) -> usize {
        4 * HEADER_WORDS + self.input[0].next_multiple_of(4)
    }

    /// Position of the first parameters, behind stages and terms, whose numbers the bytes hold.
    fn parameters(&self) -> usize {
        self.records() + 4 * (STAGE_WORDS * self.stages + TERM_WORDS * self.terms())
    }

    /// Mean of each channel.
    pub(crate) fn means(&self) -> &'p [u8] {
        &self.bytes[4 * HEADER_WORDS..][..self.input[0]]
    }

    /// The stage of this number.
    ///
    /// # Errors
    /// A field is outside its range.
    pub(crate) fn stage(&self, index: usize) -> Result<Stage> {
        Stage::read(self.record(self.records(), index, STAGE_WORDS))
            .map_err(|error: Error| error.of_stage(index))
    }

    /// The term of this number among those of all stages.
    ///
    /// # Errors
    /// A field is outside its range.
    pub(crate) fn term(&self, index: usize) -> Result<Term> {
        let first = self.records() + 4 * STAGE_WORDS * self.stages;
        Term::read(self.record(first, index, TERM_WORDS))
    }

    fn record(&self, first: usize, index: usize, words: usize) -> Record<'p> {
        Record(Integers(&self.bytes[first + 4 * words * index..][..4 * words]))
    }

    /// Parameters from this position on.
    pub(crate) fn bytes_from(&self, position: usize) -> &'p [u8] {
        &self.bytes[position..]
    }
}

/// Values of a tensor of a shape.
fn values(shape: [usize; 3], what: &'static str) -> Result<usize> {
    let product = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
    let product = product.unwrap_or(usize::MAX);
    at_most(what, product, MAX_VALUES)?;
    Ok(product)
}
