//! `data list`: what is there of every data set.

use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::Table;
use anyhow::Result;
use serde::Serialize;
use snn_data::inventory::{Listing, Part, Presence, list};
use std::path::Path;

#[derive(Serialize)]
struct Listed<'a> {
    root: &'a Path,
    sets: Vec<Listing>,
}

pub(super) fn run(root: &Path, json: bool) -> Result<Outcome> {
    let sets = list(root)?;
    if json {
        print_json(&Listed { root, sets })?;
        return Ok(Outcome::Holds);
    }
    output::line(format_args!("data root: {}\n", root.display()))?;
    let mut table = Table::new(4, ["set", "is", "form", "where", "classes", "samples", "of"]);
    for set in &sets {
        let samples = |number: &dyn Fn(&Part) -> usize| {
            let numbers: Vec<_> = set.parts.iter().map(|part| number(part).to_string()).collect();
            numbers.join(" + ")
        };
        table.row([
            set.dataset.to_string(),
            set.presence.to_string(),
            set.form.clone().unwrap_or_default(),
            set.path.as_ref().map_or(String::new(), |path| path.display().to_string()),
            set.classes.to_string(),
            samples(&|part| part.found),
            samples(&|part| part.expected),
        ]);
    }
    output::print(&table)?;
    for set in sets.iter().filter(|set| set.presence == Presence::Incomplete) {
        details(set)?;
    }
    output::line(
        "\nSamples are train + test. `data check NAME` compares with the official files; \
         datasets/README.md says which files belong where.\n\
         Pictures of your own: `data show FOLDER` of one folder a class.",
    )?;
    Ok(Outcome::Holds)
}

/// Prints what is missing of a set.
fn details(set: &Listing) -> Result<()> {
    output::line(format_args!("\n{}:", set.dataset))?;
    for file in set.files.iter().filter(|file| !file.has_size()) {
        let known = file.bytes.map_or(String::new(), |bytes| format!("; {bytes} bytes expected"));
        let known = match (&file.sha256, &file.md5) {
            (Some(sum), _) => format!("{known}, SHA-256 {sum}"),
            (None, Some(sum)) => format!("{known}, MD5 {sum}"),
            (None, None) => known,
        };
        let found = file.found_bytes.map_or("missing".into(), |bytes| format!("has {bytes} bytes"));
        output::line(format_args!("  {}: {found}{known}", file.path.display()))?;
    }
    for part in set.parts.iter().filter(|part| !part.is_ok()) {
        let reason = part.message.as_ref().map_or(String::new(), |message| format!(": {message}"));
        output::line(format_args!("  {}: {} of {}{reason}", part.part, part.found, part.expected))?;
    }
    Ok(())
}
