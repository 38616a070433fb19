//! The two streams: results on stdout, progress and errors on stderr.
//!
//! The macros of the standard library panic where a stream is closed (`snn | head -1`); here
//! a result that cannot be written is an error, and progress that nobody reads is dropped.

use anyhow::{Context, Result};
use std::fmt::Display;
use std::io::Write;

/// Prints a part of the result.
pub(crate) fn print(text: impl Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .context("cannot write the result to stdout")
}

/// Prints a line of the result.
pub(crate) fn line(text: impl Display) -> Result<()> {
    print(format_args!("{text}\n"))
}

/// Prints a result as JSON, on one line for each `--json` command.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    line(serde_json::to_string(value)?)
}

/// Prints a line of progress, or an error.
pub(crate) fn tell(text: impl Display) {
    // There is no one left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The error with its causes, but for those that a message quotes already.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.ends_with(&cause) {
            message += if message.is_empty() { "" } else { ": " };
            message += &cause;
        }
    }
    message
}
