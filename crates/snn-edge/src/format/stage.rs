//! Stages: accumulators of every output position, and what becomes of them.

use super::{Lif, MAX_DELAY, MAX_SIDE, MAX_VALUES, MAX_WORDS, Record, Window};
use crate::error::{Expected, Result, check};
use crate::lanes::Lanes;
use crate::mode::Mode;

/// Words of a stage.
pub(crate) const STAGE_WORDS: usize = 38;

/// How a head reads the class scores of all macro-steps out (eq. 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readout {
    /// Their sum, which a mean is on the grid.
    Sum,
    /// Those of the last macro-step.
    Last,
    /// The largest of each class.
    Max,
}

/// What becomes of the accumulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// They are stored.
    Store,
    /// Levels of a quantised ReLU are stored (eq. 13).
    Thresholds {
        /// D.
        levels: usize,
    },
    /// Levels of a LIF site are stored (eq. 13).
    Lif(Lif),
    /// They are the class scores.
    Readout(Readout),
}

/// A pooling of accumulators, before anything becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pool {
    /// `true` for the largest, `false` for the sum.
    pub(crate) max: bool,
    /// The window, which stands at positions of [`Stage::inner`].
    pub(crate) window: Window,
}

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    /// `[C, H, W]` of its output.
    pub(crate) shape: [usize; 3],
    /// Positions at which its terms are computed; those of the shape where nothing is pooled.
    pub(crate) inner: [usize; 2],
    /// Number of terms.
    pub(crate) terms: usize,
    /// What is pooled.
    pub(crate) pool: Option<Pool>,
    /// What becomes of the accumulators.
    pub(crate) finish: Finish,
    /// Position of the parameters of a site in the bytes of the program.
    pub(crate) parameters: usize,
    /// Format of what is stored.
    pub(crate) lanes: Lanes,
    /// `true` if its output differs between macro-steps of a static image (eq. 14).
    pub(crate) varies: bool,
    /// Outputs that a stream keeps, one for each macro-step: 1, and what delays read of it.
    pub(crate) history: usize,
    /// Where its output lies, for each mode: words behind the scratch.
    pub(crate) slots: [usize; 3],
    /// Where what its neurons remember lies in the mode of streams.
    pub(crate) states: usize,
}

impl Stage {
    /// Positions of the output.
    pub(crate) fn positions(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Words of its output at one macro-step.
    pub(crate) fn words_of_step(&self) -> usize {
        let values = self.shape[0] * self.positions();
        match self.finish {
            // A score has 64 bits.
            Finish::Readout(_) => 2 * values,
            Finish::Store | Finish::Thresholds { .. } | Finish::Lif(_) => self.lanes.words(values),
        }
    }

    /// Macro-steps at which it is computed one after another, of a model of T.
    pub(crate) fn steps(&self, mode: Mode, time_steps: usize) -> usize {
        let every = self.varies || matches!(self.finish, Finish::Readout(_));
        match mode {
            Mode::Image if !every => 1,
            Mode::Image | Mode::Frames => time_steps,
            Mode::Stream => 1,
        }
    }

    /// Outputs that are kept, one for each macro-step; of scores there is one.
    pub(crate) fn kept(&self, mode: Mode, time_steps: usize) -> usize {
        match (self.finish, mode) {
            (Finish::Readout(_), _) => 1,
            (_, Mode::Stream) => self.history,
            (_, Mode::Image | Mode::Frames) => self.steps(mode, time_steps),
        }
    }

    /// Words that the neurons of one position remember.
    pub(crate) fn states_of_position(&self) -> usize {
        match self.finish {
            Finish::Lif(lif) => lif.states() * self.shape[0],
            Finish::Store | Finish::Thresholds { .. } | Finish::Readout(_) => 0,
        }
    }

    /// Reads a stage.
    ///
    /// # Errors
    /// A field is outside its range.
    pub(crate) fn read(record: Record<'_>) -> Result<Self> {
        let side = |word, what| record.at_most(word, MAX_SIDE, what);
        let pool = record.choice(6, &[None, Some(true), Some(false)], "pooling of a stage")?;
        let pool = match pool {
            Some(max) => Some(Pool { max, window: Window::read(record, 7)? }),
            None => None,
        };
        let readout = |of| Ok(Finish::Readout(of));
        let finish = match record.at_most(15, 5, "what becomes of a stage")? {
            0 => Ok(Finish::Store),
            1 => {
                let levels = record.at_most(16, 255, "levels of a site")?;
                check(levels > 0, "levels of a site", Expected::AtLeast(1), 0)?;
                Ok(Finish::Thresholds { levels })
            }
            2 => Lif::read(record, 16).map(Finish::Lif),
            3 => readout(Readout::Sum),
            4 => readout(Readout::Last),
            _ => readout(Readout::Max),
        };
        let slot = |word| record.at_most(word, MAX_WORDS, "slot of a stage");
        Ok(Self {
            shape: [
                record.at_most(0, MAX_VALUES, "channels")?,
                side(1, "height")?,
                side(2, "width")?,
            ],
            inner: [side(3, "inner height")?, side(4, "inner width")?],
            terms: record.number(5),
            pool,
            finish: finish?,
            parameters: record.number(29),
            lanes: Lanes {
                log2: record.small(30, 5, "width of lanes")?,
                signed: record.flag(31, "sign of lanes")?,
            },
            varies: record.flag(32, "whether a stage varies")?,
            history: record.at_most(33, 1 + MAX_DELAY, "history of a stage")?,
            slots: [slot(34)?, slot(35)?, slot(36)?],
            states: slot(37)?,
        })
    }

    /// The words of a stage.
    #[cfg(feature = "compile")]
    pub(crate) fn words(&self) -> [usize; STAGE_WORDS] {
        let mut words = [0; STAGE_WORDS];
        words[..3].copy_from_slice(&self.shape);
        words[3..5].copy_from_slice(&self.inner);
        words[5] = self.terms;
        if let Some(pool) = self.pool {
            words[6] = if pool.max { 1 } else { 2 };
            words[7..15].copy_from_slice(&pool.window.words());
        }
        words[15] = match self.finish {
            Finish::Store => 0,
            Finish::Thresholds { levels } => {
                words[16] = levels;
                1
            }
            Finish::Lif(lif) => {
                words[16..29].copy_from_slice(&lif.words());
                2
            }
            Finish::Readout(Readout::Sum) => 3,
            Finish::Readout(Readout::Last) => 4,
            Finish::Readout(Readout::Max) => 5,
        };
        words[29] = self.parameters;
        words[30] = self.lanes.log2 as usize;
        words[31] = usize::from(self.lanes.signed);
        words[32] = usize::from(self.varies);
        words[33] = self.history;
        words[34..37].copy_from_slice(&self.slots);
        words[37] = self.states;
        words
    }
}
