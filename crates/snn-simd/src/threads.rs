//! How many threads are worth asking for.

use std::fmt;
use std::thread::available_parallelism;

/// So many threads may be asked for on any machine, since tests of small ones want several.
const ALWAYS: usize = 16;
/// And so many for each processor.
const PER_PROCESSOR: usize = 4;

/// A number of threads far above what a machine has: they take turns, and every one of them waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyThreads {
    /// The number that was asked for.
    pub found: usize,
    /// The greatest that is taken here.
    pub most: usize,
    /// Processors of this machine.
    pub processors: usize,
}

impl fmt::Display for TooManyThreads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, most, processors } = self;
        write!(
            formatter,
            "expected at most {most} threads, as this machine has {processors} processors and more \
             would only wait for each other, found {found}"
        )
    }
}

impl std::error::Error for TooManyThreads {}

/// Refuses a number of threads above four for each processor of this machine, and above 16.
///
/// ```
/// assert!(snn_simd::check_threads(16).is_ok());
/// let error = snn_simd::check_threads(1_000_000).unwrap_err();
/// assert!(error.to_string().ends_with("found 1000000"), "{error}");
/// ```
///
/// # Errors
/// The number is too large.
pub fn check_threads(found: usize) -> Result<(), TooManyThreads> {
    let processors = available_parallelism().map_or(1, usize::from);
    let most = ALWAYS.max(PER_PROCESSOR * processors);
    if found > most { Err(TooManyThreads { found, most, processors }) } else { Ok(()) }
}
