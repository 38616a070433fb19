//! `data`: what is there of the data sets, what is in a file, caches, and contact sheets.

mod cache;
mod check;
mod info;
mod list;
mod samples;
mod show;

use crate::cli::DataRoot;
use crate::cli::data::Data;
use crate::outcome::Outcome;
use anyhow::Result;
use std::path::PathBuf;

pub(crate) fn run(arguments: &Data, json: bool) -> Result<Outcome> {
    match arguments {
        Data::List { data } => list::run(&root(data), json),
        Data::Check { dataset, data } => check::run(&root(data), *dataset, json),
        Data::Info { file, recording } => info::run(file, recording.options(), json),
        Data::Cache { command } => cache::run(command, json),
        Data::Show(arguments) => show::run(arguments, json),
    }
}

fn root(data: &DataRoot) -> PathBuf {
    data.data.clone().unwrap_or_else(snn_data::default_root)
}
