//! What an engine is given: images, frames or a stream.

/// What an engine is given. It decides what must be kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One image a sample, shown at every macro-step. Layers run one after another, each over all
    /// macro-steps, so that membranes take memory for one position at a time; what does not vary
    /// over time is computed once (eq. 14).
    Image,
    /// T frames a sample, one for each macro-step; otherwise as [`Mode::Image`].
    Frames,
    /// One frame at a time, for as long as frames come. The membranes of all neurons are kept.
    Stream,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Image, Self::Frames, Self::Stream];

    /// Position in [`Mode::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Mode::Image => 0,
            Mode::Frames => 1,
            Mode::Stream => 2,
        }
    }
}
