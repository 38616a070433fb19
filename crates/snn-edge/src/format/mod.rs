//! The records of a program: what they hold in memory and how they lie in its bytes. The table in
//! the README is the reference.

mod record;
mod site;
mod stage;
mod term;

pub(crate) use record::Record;
#[cfg(feature = "compile")]
pub(crate) use site::Fraction;
pub(crate) use site::{Lif, Reset, Spike};
pub(crate) use stage::{Finish, Pool, Readout, STAGE_WORDS, Stage};
pub(crate) use term::{Operation, TERM_WORDS, Term, Window};

/// The first bytes of a program, `SNNE`.
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"SNNE");
/// The version of the format that this crate reads and writes.
pub(crate) const VERSION: u32 = 1;
/// Words of the header.
pub(crate) const HEADER_WORDS: usize = 12;
/// The word of the header that holds the checksum of all other bytes.
pub(crate) const CHECKSUM: usize = 3;
/// The most macro-steps, as a model may have.
pub(crate) const MAX_TIME_STEPS: usize = 1 << 16;
/// The most macro-steps of one delay, as a model may have.
pub(crate) const MAX_DELAY: usize = 1 << 10;
/// The most values of one tensor of a macro-step, as a model may have.
pub(crate) const MAX_VALUES: usize = 1 << 28;
/// The largest height, width, kernel, stride, padding or dilation: products of two stay below 2³⁰.
pub(crate) const MAX_SIDE: usize = (1 << 15) - 1;
/// The most words of memory: their bytes have 32 bits.
pub(crate) const MAX_WORDS: usize = (1 << 30) - 1;
/// The most terms of a stage: an engine keeps those of one stage on its own stack.
pub(crate) const MAX_TERMS: usize = 8;
