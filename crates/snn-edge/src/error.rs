//! The error type of the crate: what is wrong, what was expected, what was found.

use core::fmt;

/// Result of this crate.
pub type Result<T> = core::result::Result<T, Error>;

/// An error of a program, a buffer or an input. It holds no text of its own, so that nothing is
/// allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What it concerns.
    pub kind: ErrorKind,
    /// The quantity that does not fit.
    pub what: &'static str,
    /// Values that would fit.
    pub expected: Expected,
    /// Value that was found.
    pub found: u64,
    /// Number of the stage of the program, where the quantity is one of a stage.
    pub stage: Option<u32>,
}

/// What an error concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes of the program.
    Program,
    /// The caller's buffer.
    Buffer,
    /// The pixels of an image or frame.
    Input,
    /// A call that the mode of the engine does not have; found is its position in
    /// [`Mode::ALL`](crate::Mode::ALL).
    Mode,
    /// A pointer that C gave.
    #[cfg(feature = "c")]
    Pointer,
}

/// Values that would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This value alone.
    Exactly(u64),
    /// This value or a smaller one.
    AtMost(u64),
    /// This value or a larger one.
    AtLeast(u64),
    /// What the text says.
    Text(&'static str),
}

impl Error {
    /// An error of the program's bytes.
    pub(crate) fn program(what: &'static str, expected: Expected, found: usize) -> Self {
        Self { kind: ErrorKind::Program, what, expected, found: found as u64, stage: None }
    }

    /// The same within a stage.
    pub(crate) fn of_stage(self, stage: usize) -> Self {
        Self { stage: u32::try_from(stage).ok(), ..self }
    }
}

/// Fails unless a value of the program is at most `most`.
pub(crate) fn at_most(what: &'static str, found: usize, most: usize) -> Result<()> {
    check(found <= most, what, Expected::AtMost(most as u64), found)
}

/// Fails unless a value of the program is `expected`.
pub(crate) fn exactly(what: &'static str, found: usize, expected: usize) -> Result<()> {
    check(found == expected, what, Expected::Exactly(expected as u64), found)
}

/// Fails unless a value of the program fits.
pub(crate) fn check(
    fits: bool,
    what: &'static str,
    expected: Expected,
    found: usize,
) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::program(what, expected, found)) }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Exactly(value) => write!(f, "{value}"),
            Expected::AtMost(value) => write!(f, "at most {value}"),
            Expected::AtLeast(value) => write!(f, "at least {value}"),
            Expected::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Program => "program",
            ErrorKind::Buffer => "buffer",
            ErrorKind::Input => "input",
            ErrorKind::Mode => "mode",
            #[cfg(feature = "c")]
            ErrorKind::Pointer => "pointer",
        })?;
        if let Some(stage) = self.stage {
            write!(f, ", stage {stage}")?;
        }
        write!(f, ": {}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

impl core::error::Error for Error {}
