//! Without arguments: what the tool does, and the paper's tables beside what has been measured
//! here.

use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::reference;
use crate::table::Table;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Measured results, by hand from run folders; see the file.
const MEASURED: &str = include_str!("../measured.toml");

const INTRODUCTION: &str = "\
snn trains spiking networks in which some neurons are ReLUs, converts them into networks whose whole
inference is event-driven, proves it, and runs them on events. Conversion loses nothing in real
arithmetic; rounding to integers is a second step, whose effect `snn verify` prints.
";

const NOTE: &str = "\
`snn help COMMAND` says more. Published figures are marked as published; the paper's own networks,
T and recipes are not public, so none of its rows has been reproduced yet.
";

/// A row of the paper (J. Computer R&D 2025, doi 10.7544/issn1000-1239.202550722, abstract).
#[derive(Debug, Clone, Copy, Serialize)]
struct Published {
    dataset: &'static str,
    method: &'static str,
    accuracy: f64,
}

/// The four rows of the abstract, and the nearest published rivals on the same data sets.
const PUBLISHED: &[Published] = &[
    Published { dataset: "cifar-10", method: "SpikingReLU", accuracy: 97.31 },
    Published { dataset: "cifar-10", method: "STAA-SNN (CVPR 2025)", accuracy: 97.14 },
    Published { dataset: "cifar-10", method: "LM-HT, ResNet-19 (NeurIPS 2024)", accuracy: 96.89 },
    Published { dataset: "cifar-100", method: "SpikingReLU", accuracy: 83.34 },
    Published { dataset: "cifar-100", method: "STAA-SNN (CVPR 2025)", accuracy: 82.05 },
    Published { dataset: "cifar-100", method: "LM-HT, ResNet-19 (NeurIPS 2024)", accuracy: 81.76 },
    Published { dataset: "imagenet", method: "SpikingReLU", accuracy: 70.89 },
    Published {
        dataset: "imagenet",
        method: "ReverB-SNN, ResNet-34, T = 4 (ICML 2025)",
        accuracy: 70.91,
    },
    Published { dataset: "imagenet", method: "STAA-SNN (CVPR 2025)", accuracy: 70.40 },
    Published { dataset: "cifar10-dvs", method: "SpikingReLU", accuracy: 82.71 },
    Published { dataset: "cifar10-dvs", method: "STAA-SNN (CVPR 2025)", accuracy: 82.10 },
    Published {
        dataset: "cifar10-dvs",
        method: "LM-HT, ResNet-18 (NeurIPS 2024)",
        accuracy: 81.90,
    },
];

/// The measured rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    rows: Vec<Row>,
}

/// One run, measured here.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Data set.
    dataset: String,
    /// Network and policy.
    network: String,
    /// Macro-steps.
    time_steps: usize,
    /// Epochs: the budget.
    epochs: usize,
    /// Share of the neurons that are ReLU, in percent.
    relu_share: f64,
    /// Trained network, in percent.
    trained: f64,
    /// Converted, on the int8 grid, in percent; absent if it was not converted.
    grid: Option<f64>,
    /// `true` if `verify` held for the converted network, on all test images.
    #[serde(default)]
    verified: bool,
    /// Command that makes the row.
    command: String,
    /// On what it was measured.
    machine: String,
    /// When.
    date: String,
}

#[derive(Serialize)]
struct Tables<'a> {
    published: &'a [Published],
    measured: &'a [Row],
}

/// Prints the introduction and the tables.
pub(crate) fn show(json: bool) -> Result<Outcome> {
    let measured: Measured = toml::from_str(MEASURED).context("measured.toml of this build")?;
    if json {
        print_json(&Tables { published: PUBLISHED, measured: &measured.rows })?;
        return Ok(Outcome::Holds);
    }
    output::line(format_args!("{INTRODUCTION}\n{}\n{NOTE}", reference::overview()))?;
    let mut table = Table::new(2, ["data set", "method", "published", "measured here"]);
    for row in PUBLISHED {
        let best = measured
            .rows
            .iter()
            .filter(|r| r.dataset == row.dataset)
            .map(|r| r.trained)
            .reduce(f64::max);
        let here = match (row.method, best) {
            ("SpikingReLU", Some(best)) => format!("{best:.2} % (small budget, below)"),
            ("SpikingReLU", None) => "–".to_string(),
            _ => String::new(),
        };
        table.row([
            row.dataset.to_string(),
            row.method.to_string(),
            format!("{:.2} %", row.accuracy),
            here,
        ]);
    }
    output::line(&table)?;
    if measured.rows.is_empty() {
        output::line(format_args!("Nothing has been measured yet."))?;
        return Ok(Outcome::Holds);
    }
    let mut table = Table::new(
        2,
        ["data set", "network, policy", "T", "epochs", "ReLU neurons", "trained", "int8 grid"],
    );
    for row in &measured.rows {
        table.row([
            row.dataset.clone(),
            row.network.clone(),
            row.time_steps.to_string(),
            row.epochs.to_string(),
            format!("{:.1} %", row.relu_share),
            format!("{:.2} %", row.trained),
            row.grid.map_or("–".to_string(), |grid| {
                let verified = if row.verified { "verified" } else { "not verified" };
                format!("{grid:.2} %, {verified}")
            }),
        ]);
    }
    output::line(format_args!(
        "Measured here, one seed each, test accuracy after the last epoch:\n\n{table}"
    ))?;
    for row in &measured.rows {
        output::line(format_args!(
            "{} ({}, {}):\n  {}",
            row.network, row.machine, row.date, row.command
        ))?;
    }
    Ok(Outcome::Holds)
}
