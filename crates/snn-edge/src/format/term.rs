//! Terms of a stage: what is added to its accumulators.

use super::{MAX_DELAY, MAX_SIDE, MAX_VALUES, Record};
use crate::error::{Expected, Result, check};

/// Words of a term.
pub(crate) const TERM_WORDS: usize = 15;

/// A sliding window, each `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Zeros before the first position; those behind the last follow from the number of outputs.
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Window {
    /// One position.
    #[cfg(feature = "compile")]
    pub(crate) const ONE: Self =
        Self { kernel: [1; 2], stride: [1; 2], padding: [0; 2], dilation: [1; 2] };

    /// Reads a window from eight words.
    pub(crate) fn read(record: Record<'_>, first: usize) -> Result<Self> {
        const NAMES: [&str; 4] = ["kernel", "stride", "padding", "dilation"];
        let mut fields = [[0; 2]; 4];
        for (field, (pair, name)) in fields.iter_mut().zip(NAMES).enumerate() {
            for (axis, value) in pair.iter_mut().enumerate() {
                *value = record.at_most(first + 2 * field + axis, MAX_SIDE, name)?;
                let fits = *value > 0 || name == "padding";
                check(fits, name, Expected::AtLeast(1), *value)?;
            }
        }
        let [kernel, stride, padding, dilation] = fields;
        Ok(Self { kernel, stride, padding, dilation })
    }

    /// The eight words of a window.
    #[cfg(feature = "compile")]
    pub(crate) fn words(self) -> [usize; 8] {
        let Self { kernel: k, stride: s, padding: p, dilation: d } = self;
        [k[0], k[1], s[0], s[1], p[0], p[1], d[0], d[1]]
    }

    /// Taps of an axis that lie inside an image of `size` positions for output position `at`: from
    /// the first to the one behind the last.
    pub(crate) fn taps(&self, axis: usize, at: usize, size: usize) -> (usize, usize) {
        let (start, padding) = (at * self.stride[axis], self.padding[axis]);
        let step = self.dilation[axis];
        let first = padding.saturating_sub(start).div_ceil(step);
        let end = (size + padding).saturating_sub(start).div_ceil(step);
        (first, end.min(self.kernel[axis]))
    }

    /// The position that a tap reads; the tap is one of [`Window::taps`].
    pub(crate) fn reads(&self, axis: usize, at: usize, tap: usize) -> usize {
        at * self.stride[axis] + tap * self.dilation[axis] - self.padding[axis]
    }
}

/// What a term reads and computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// What is computed.
    pub(crate) operation: Operation,
    /// The tensor that is read: 0 is the frame, `s` the output of stage `s − 1`.
    pub(crate) source: usize,
    /// The first of the accumulators that it adds to.
    pub(crate) first: usize,
    /// Number of accumulators that it adds to.
    pub(crate) outputs: usize,
    /// Position of its parameters in the bytes of the program.
    pub(crate) parameters: usize,
}

/// Operation of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Convolution or linear layer (eqs. 2 and 12).
    Synapse {
        /// Groups of channels.
        groups: usize,
        /// The kernel.
        window: Window,
    },
    /// One-to-one synapse (eq. 3).
    Scale,
    /// The value itself.
    Copy,
    /// The largest value of a window inside the image (eq. 5).
    MaxPool(Window),
    /// The sum of a window (eq. 5).
    SumPool(Window),
    /// Channel `(c·H + y)·W + x` is the value of channel `c` at `(y, x)` (eq. 6).
    Flatten,
    /// The value where a mask of spikes lets it pass (eq. 6b).
    Mask {
        /// The tensor of the mask, as [`Term::source`].
        mask: usize,
        /// `true` for `1 − m` in place of the mask `m`.
        inverted: bool,
    },
    /// The value of so many macro-steps before, 0 before the first (eq. D1). The source may be a
    /// later stage.
    Delay {
        /// d, at least 1.
        steps: usize,
    },
}

impl Term {
    /// Reads a term.
    ///
    /// # Errors
    /// A field is outside its range.
    pub(crate) fn read(record: Record<'_>) -> Result<Self> {
        let window = || Window::read(record, 6);
        let operation = match record.at_most(0, 8, "kind of a term")? {
            0 => Operation::Synapse {
                groups: record.at_most(5, MAX_VALUES, "groups")?,
                window: window()?,
            },
            1 => Operation::Scale,
            2 => Operation::Copy,
            3 => Operation::MaxPool(window()?),
            4 => Operation::SumPool(window()?),
            5 => Operation::Flatten,
            8 => {
                let steps = record.at_most(2, MAX_DELAY, "macro-steps of a delay")?;
                check(steps > 0, "macro-steps of a delay", Expected::AtLeast(1), 0)?;
                Operation::Delay { steps }
            }
            kind => Operation::Mask { mask: record.number(2), inverted: kind == 7 },
        };
        Ok(Self {
            operation,
            source: record.number(1),
            first: record.at_most(3, MAX_VALUES, "first accumulator of a term")?,
            outputs: record.at_most(4, MAX_VALUES, "outputs of a term")?,
            parameters: record.number(14),
        })
    }

    /// The words of a term.
    #[cfg(feature = "compile")]
    pub(crate) fn words(&self) -> [usize; TERM_WORDS] {
        let mut words = [0; TERM_WORDS];
        (words[1], words[3], words[4]) = (self.source, self.first, self.outputs);
        words[14] = self.parameters;
        let (kind, window) = match self.operation {
            Operation::Synapse { groups, window } => {
                words[5] = groups;
                (0, window)
            }
            Operation::Scale => (1, Window::ONE),
            Operation::Copy => (2, Window::ONE),
            Operation::MaxPool(window) => (3, window),
            Operation::SumPool(window) => (4, window),
            Operation::Flatten => (5, Window::ONE),
            Operation::Mask { mask, inverted } => {
                words[2] = mask;
                (6 + usize::from(inverted), Window::ONE)
            }
            Operation::Delay { steps } => {
                words[2] = steps;
                (8, Window::ONE)
            }
        };
        words[0] = kind;
        words[6..14].copy_from_slice(&window.words());
        words
    }
}
