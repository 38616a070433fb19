//! `data`: what is there of the data sets, what is in a file, simulated recordings, caches,
//! and contact sheets.

mod cache;
mod check;
mod info;
mod list;
mod samples;
mod show;
mod simulate;

use crate::cli::data::Data;
use crate::outcome::Outcome;
use anyhow::Result;

pub(crate) fn run(arguments: &Data, json: bool) -> Result<Outcome> {
    match arguments {
        Data::List { data } => list::run(&data.folder(), json),
        Data::Check { dataset, data } => check::run(&data.folder(), *dataset, json),
        Data::Info { file, recording } => info::run(file, recording.options(), json),
        Data::Simulate(arguments) => simulate::run(arguments, json),
        Data::Cache { command } => cache::run(command, json),
        Data::Show(arguments) => show::run(arguments, json),
    }
}
