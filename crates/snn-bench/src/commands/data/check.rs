//! `data check`: whether files are the official ones.

use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use snn_data::SetName;
use std::path::Path;

pub(super) fn run(root: &Path, dataset: Option<SetName>, json: bool) -> Result<Outcome> {
    let report = snn_data::check(root, dataset)?;
    if json {
        print_json(&report)?;
    } else {
        output::print(&report)?;
    }
    Ok(if report.is_ok() { Outcome::Holds } else { Outcome::Failed })
}
