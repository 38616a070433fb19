//! One file a command.

pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod finetune;
pub(crate) mod infer;
pub(crate) mod inspect;
pub(crate) mod train;
pub(crate) mod verify;

use serde::Serialize;

/// Prints a result as JSON, on one line for each `--json` command.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
