//! `policy`: shows what a policy chooses, and searches for one.

mod greedy;
mod measure;
mod search;
mod show;

use crate::cli::Policy;
use crate::outcome::Outcome;
use anyhow::Result;

pub(crate) fn run(arguments: &Policy, json: bool) -> Result<Outcome> {
    match arguments {
        Policy::Show { config, data, sets } => show::run(config, data, sets, json),
        Policy::Search(arguments) => search::run(arguments, json),
    }
}
