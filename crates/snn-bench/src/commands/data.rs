//! `data check`: which files of the data sets are there.

use crate::Outcome;
use crate::cli::Data;
use crate::output::{self, print_json};
use anyhow::Result;

pub(crate) fn run(arguments: &Data, json: bool) -> Result<Outcome> {
    let Data::Check { dataset, data } = arguments;
    let root = data.data.clone().unwrap_or_else(snn_data::default_root);
    let report = snn_data::check(&root, *dataset)?;
    if json {
        print_json(&report)?;
    } else {
        output::print(&report)?;
    }
    Ok(if report.is_ok() { Outcome::Holds } else { Outcome::Failed })
}
