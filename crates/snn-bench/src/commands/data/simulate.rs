//! `data simulate`: recordings computed from pictures.

use crate::cli::data::Simulate;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Progress;
use crate::table::count;
use anyhow::Result;
use serde::Serialize;
use snn_data::Dataset;
use snn_data::recordings::simulate::Summary;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[derive(Serialize)]
struct Simulated {
    #[serde(flatten)]
    summary: Summary,
    seconds: f64,
}

pub(super) fn run(arguments: &Simulate, json: bool) -> Result<Outcome> {
    let set = arguments.set();
    // What is wrong is said before any data is read.
    set.simulation.validate()?;
    let begin = Instant::now();
    let pictures = Dataset::open_named(set.dataset, arguments.data.data.as_deref())?;
    let missing = set.missing(&pictures, &arguments.out)?;
    let progress = Mutex::new(Progress::new("simulated", missing, "recordings"));
    let made = || progress.lock().unwrap_or_else(PoisonError::into_inner).add(1);
    let summary = set.write(&pictures, &arguments.out, &made)?;
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    let simulated = Simulated { summary, seconds: begin.elapsed().as_secs_f64() };
    if json {
        print_json(&simulated)?;
        return Ok(Outcome::Holds);
    }
    let Simulated { summary: Summary { folder, recordings, made, events }, seconds } = simulated;
    output::line(format_args!(
        "{}: {recordings} recordings, {made} of them made now in {seconds:.1} s, {} events each",
        folder.display(),
        count(events as f64 / (made.max(1)) as f64)
    ))?;
    Ok(Outcome::Holds)
}
