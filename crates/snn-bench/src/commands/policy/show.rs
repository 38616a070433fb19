//! `policy show`: which sites a config makes ReLU.

use crate::cli::DataRoot;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use serde::Serialize;
use snn_hybrid::Placement;
use snn_train::RunConfig;
use std::path::Path;

#[derive(Serialize)]
struct Shown<'a> {
    config: &'a Path,
    explanation: String,
    relu_sites: usize,
    neurons: usize,
    lif_neurons: usize,
    relu_share: f64,
    #[serde(flatten)]
    placement: &'a Placement,
}

pub(super) fn run(path: &Path, data: &DataRoot, sets: &[String], json: bool) -> Result<Outcome> {
    let config = RunConfig::load(path, sets)?;
    let (shape, classes) = config.input(data.data.as_deref())?;
    let spiking = config.network.build(shape, classes, &config.neuron)?;
    let (_, placement) = snn_hybrid::apply(&spiking, &config.policy, &config.replacement)?;
    if json {
        print_json(&Shown {
            config: path,
            explanation: config.policy.explanation(),
            relu_sites: placement.relu_sites(),
            neurons: placement.neurons(),
            lif_neurons: placement.lif_neurons(),
            relu_share: placement.relu_share(),
            placement: &placement,
        })?;
    } else {
        output::line(&placement)?;
        output::line(format_args!("It chooses {}.", config.policy.explanation()))?;
    }
    Ok(Outcome::Holds)
}
