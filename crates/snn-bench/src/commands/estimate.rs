//! `estimate`: what a training will cost.

use crate::cli::Estimate;
use crate::estimate::{StageCost, estimate};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, duration};
use anyhow::Result;
use serde::Serialize;
use snn_train::{Options, RunConfig};

#[derive(Serialize)]
struct Estimated {
    seconds: f64,
    stages: Vec<StageCost>,
}

pub(crate) fn run(arguments: &Estimate, json: bool) -> Result<Outcome> {
    let config = RunConfig::load(&arguments.config, &arguments.sets)?;
    let options = Options {
        data_root: arguments.data.data.clone(),
        device: arguments.device,
        ..Options::default()
    };
    let stages = estimate(&config, arguments.steps, &options)?;
    let seconds = stages.iter().map(StageCost::seconds).sum();
    if json {
        print_json(&Estimated { seconds, stages })?;
        return Ok(Outcome::Holds);
    }
    let mut table =
        Table::new(1, ["stage", "epochs", "samples an epoch", "samples/s", "memory", "takes"]);
    for stage in &stages {
        table.row([
            stage.stage.clone(),
            stage.epochs.to_string(),
            stage.samples.to_string(),
            format!("{:.1}", stage.samples_per_second),
            stage.peak_memory_bytes.map_or("–".to_owned(), |bytes| {
                format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
            }),
            duration(stage.seconds()),
        ]);
    }
    output::print(&table)?;
    output::line(format_args!(
        "\nall stages: {}; without evaluation and conversion",
        duration(seconds)
    ))?;
    Ok(Outcome::Holds)
}
