//! The variable of the environment that limits the instruction sets of a process.

use crate::instruction_set::{InstructionSet, UnknownInstructionSet};
use std::fmt;
use std::sync::OnceLock;

/// Name of the variable. Its value, the label of an instruction set, is the fastest one that this
/// process uses; without it there is no limit.
pub const VARIABLE: &str = "SNN_INSTRUCTION_SET";

/// Why the value of [`VARIABLE`] cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitError {
    /// The value is no label of an instruction set.
    Unknown(UnknownInstructionSet),
    /// The processor lacks the instruction set.
    Missing {
        /// The instruction set that the variable names.
        wanted: InstructionSet,
        /// The fastest instruction set that the processor has.
        best: InstructionSet,
    },
}

impl fmt::Display for LimitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(unknown) => write!(formatter, "{VARIABLE}: {unknown}"),
            Self::Missing { wanted, best } => write!(
                formatter,
                "{VARIABLE} is {wanted}, which this machine does not have; its best is {best}"
            ),
        }
    }
}

impl std::error::Error for LimitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unknown(unknown) => Some(unknown),
            Self::Missing { .. } => None,
        }
    }
}

/// Checks [`VARIABLE`]: a program calls this where it can still return an error. The value is read
/// once in the life of a process.
///
/// # Errors
/// The value is no instruction set, or one that the processor does not have.
pub fn check_limit() -> Result<InstructionSet, LimitError> {
    static LIMIT: OnceLock<Result<InstructionSet, LimitError>> = OnceLock::new();
    LIMIT.get_or_init(|| parse(std::env::var_os(VARIABLE).as_deref())).clone()
}

fn parse(value: Option<&std::ffi::OsStr>) -> Result<InstructionSet, LimitError> {
    // Asked only where it matters: the answer for AMX takes a permission of the system's.
    let detected = || InstructionSet::ALL.into_iter().rev().find(|set| set.is_detected());
    let best = || detected().unwrap_or(InstructionSet::Scalar);
    let Some(value) = value else { return Ok(best()) };
    let wanted: InstructionSet = value.to_string_lossy().parse().map_err(LimitError::Unknown)?;
    if wanted.is_detected() {
        Ok(wanted)
    } else {
        Err(LimitError::Missing { wanted, best: best() })
    }
}

/// The fastest instruction set that this process may use. A value that cannot be followed is said
/// once on standard error, as kernels have no error to return, and limits the process to the
/// baseline.
pub(crate) fn limit() -> InstructionSet {
    static LIMIT: OnceLock<InstructionSet> = OnceLock::new();
    #[expect(clippy::print_stderr, reason = "kernels cannot return an error, and this is one")]
    *LIMIT.get_or_init(|| {
        check_limit().unwrap_or_else(|error| {
            eprintln!("{error}; computing with the baseline instructions");
            InstructionSet::Scalar
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{LimitError, parse};
    use crate::InstructionSet;

    #[test]
    fn every_detected_instruction_set_can_be_named_and_every_other_is_an_error() {
        for set in InstructionSet::ALL {
            let parsed = parse(Some(set.label().as_ref()));
            if set.is_detected() {
                assert_eq!(parsed, Ok(set));
            } else {
                assert!(matches!(parsed, Err(LimitError::Missing { wanted, .. }) if wanted == set));
            }
        }
        assert!(parse(None).expect("no limit").is_detected());
    }

    #[test]
    fn an_unknown_value_is_named_with_what_was_expected() {
        let error = parse(Some("sse9".as_ref())).expect_err("no such set").to_string();
        assert_eq!(
            error,
            "SNN_INSTRUCTION_SET: unknown instruction set `sse9`; expected scalar, avx2, avx512, \
             avx512vnni or amx"
        );
        assert!(parse(Some("".as_ref())).is_err(), "an empty value is no set");
    }
}
