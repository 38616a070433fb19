//! `snn`: train, convert, verify and run spiking networks from the command line. Glue only;
//! everything it does is a library call.

mod advice;
mod cli;
mod commands;
mod deployed;
mod description;
mod device;
mod drawing;
mod energy;
mod files;
mod output;
mod progress;
mod table;
mod tables;

use advice::advice;
use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

/// What a command found out; errors of usage, input or I/O travel as `Err`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It holds.
    Holds,
    /// A check failed.
    Failed,
}

fn main() -> ExitCode {
    // Without it glibc maps and unmaps every large tensor; speed only, so a refusal changes
    // nothing.
    snn_core::keep_memory();
    // clap itself ends with 2 on a usage error.
    let cli = Cli::parse();
    match run(&cli) {
        Ok(Outcome::Holds) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => {
            output::tell(format_args!(
                "error: {}{}",
                message(&error),
                advice(cli.command.as_ref(), &error)
            ));
            ExitCode::from(2)
        }
    }
}

/// The error with its causes, but for those that a message quotes already.
fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.ends_with(&cause) {
            message += if message.is_empty() { "" } else { ": " };
            message += &cause;
        }
    }
    message
}

fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    match &cli.command {
        None => tables::show(cli.json),
        Some(Command::Demo(arguments)) => commands::demo::run(arguments, cli.json),
        Some(Command::Data(arguments)) => commands::data::run(arguments, cli.json),
        Some(Command::Train(arguments)) => commands::train::run(arguments, cli.json),
        Some(Command::Convert(arguments)) => commands::convert::run(arguments, cli.json),
        Some(Command::Finetune(arguments)) => commands::finetune::run(arguments, cli.json),
        Some(Command::Verify(arguments)) => commands::verify::run(arguments, cli.json),
        Some(Command::Infer(arguments)) => commands::infer::run(arguments, cli.json),
        Some(Command::Inspect(arguments)) => commands::inspect::run(arguments, cli.json),
        Some(Command::Policy(arguments)) => commands::policy::run(arguments, cli.json),
        Some(Command::Completions(arguments)) => commands::completions::run(arguments, cli.json),
        Some(Command::Man(arguments)) => commands::man::run(arguments, cli.json),
    }
}
