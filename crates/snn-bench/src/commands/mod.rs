//! One file a command, and which file a command line calls.

mod codes;
pub(crate) mod completions;
pub(crate) mod convert;
#[cfg(feature = "data")]
pub(crate) mod data;
pub(crate) mod demo;
mod docs;
mod estimate;
mod export;
pub(crate) mod finetune;
mod import;
pub(crate) mod infer;
pub(crate) mod inspect;
pub(crate) mod man;
mod neurobench;
pub(crate) mod policy;
mod processes;
mod quantise;
mod report;
pub(crate) mod table;
pub(crate) mod train;
mod tune;
pub(crate) mod verify;

use crate::cli::{Cli, Command};
use crate::outcome::Outcome;
use crate::overview;
use anyhow::Result;

/// Runs the command that was given, or prints the overview.
pub(crate) fn run(cli: &Cli) -> Result<Outcome> {
    match &cli.command {
        None => overview::show(cli.json),
        Some(Command::Demo(arguments)) => demo::run(arguments, cli.json),
        #[cfg(feature = "data")]
        Some(Command::Data(arguments)) => data::run(arguments, cli.json),
        Some(Command::Train(arguments)) => train::run(arguments, cli.json),
        Some(Command::Estimate(arguments)) => estimate::run(arguments, cli.json),
        Some(Command::Convert(arguments)) => convert::run(arguments, cli.json),
        Some(Command::Import(arguments)) => import::run(arguments, cli.json),
        Some(Command::Export(arguments)) => export::run(arguments, cli.json),
        Some(Command::Quantise(arguments)) => quantise::run(arguments, cli.json),
        Some(Command::Codes(arguments)) => codes::run(arguments, cli.json),
        Some(Command::Finetune(arguments)) => finetune::run(arguments, cli.json),
        Some(Command::Verify(arguments)) => verify::run(arguments, cli.json),
        Some(Command::Infer(arguments)) => infer::run(arguments, cli.json),
        Some(Command::Inspect(arguments)) => inspect::run(arguments, cli.json),
        Some(Command::Tune(arguments)) => tune::run(arguments, cli.json),
        Some(Command::Policy(arguments)) => policy::run(arguments, cli.json),
        Some(Command::NeuroBench(arguments)) => neurobench::run(arguments, cli.json),
        Some(Command::Report(arguments)) => report::run(arguments, cli.json),
        Some(Command::Table(arguments)) => table::run(arguments, cli.json),
        Some(Command::Completions(arguments)) => completions::run(arguments, cli.json),
        Some(Command::Man(arguments)) => man::run(arguments, cli.json),
        Some(Command::Docs(arguments)) => docs::run(arguments, cli.json),
    }
}
