//! `data check`: whether files are the official ones.

use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use snn_data::DatasetName;
use std::path::Path;

pub(super) fn run(root: &Path, dataset: Option<DatasetName>, json: bool) -> Result<Outcome> {
    let report = snn_data::inventory::check(root, dataset)?;
    if json {
        print_json(&report)?;
    } else {
        output::print(&report)?;
    }
    Ok(if report.is_ok() { Outcome::Holds } else { Outcome::Failed })
}
