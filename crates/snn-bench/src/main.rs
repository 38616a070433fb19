//! `snn`: train, convert, verify and run spiking networks from the command line. Glue only;
//! everything it does is a library call.

mod advice;
mod chance;
mod cli;
mod commands;
mod conversion;
mod convertible;
mod deployed;
mod description;
mod device;
mod drawing;
mod energy;
mod estimate;
mod files;
mod layer_times;
mod names;
mod outcome;
mod output;
mod overview;
mod progress;
mod reference;
mod report;
mod shared_engines;
mod table;
mod tables;
mod tuning;

use advice::advice;
use clap::Parser;
use cli::Cli;
use outcome::Outcome;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Without it glibc maps and unmaps every large tensor; speed only, so a refusal changes
    // nothing.
    snn_core::keep_memory();
    // clap itself ends with 2 on a usage error.
    let cli = Cli::parse();
    match commands::run(&cli) {
        Ok(Outcome::Holds) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => {
            output::tell(format_args!(
                "error: {}{}",
                output::message(&error),
                advice(cli.command.as_ref(), &error)
            ));
            ExitCode::from(2)
        }
    }
}
