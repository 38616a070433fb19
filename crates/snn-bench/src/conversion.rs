//! The way of a trained network to integers and events: converted, verified, counted and timed.

use crate::commands::convert::convert_calibrated;
use crate::commands::infer::{Counted, Inference, infer};
use crate::commands::verify::{Shown, batch_of, prove};
use crate::deployed::ProgramEngines;
use crate::files;
use anyhow::{Context, Result};
use snn_data::Source;
use snn_ir::{ConversionOptions, Model};
use snn_reparam::proof::{Demands, Report, Tuning};
use std::path::Path;
use std::sync::Arc;

/// Samples of a proof and of counting.
pub(crate) struct Shows {
    /// Those that the proof runs on.
    pub(crate) proof: Arc<dyn Source>,
    /// Those that operations are counted on.
    pub(crate) counted: Arc<dyn Source>,
    /// Number of samples of the whole test set.
    pub(crate) of: usize,
}

/// A converted network with what was shown and measured of it.
pub(crate) struct Converted {
    /// Binary planes of a macro-step.
    pub(crate) micro_steps: u32,
    pub(crate) report: Report,
    pub(crate) inference: Inference,
}

impl Converted {
    /// The operations.
    pub(crate) fn counted(&self) -> Result<&Counted> {
        self.inference.counted.as_ref().context("operations were counted")
    }

    /// Events divided by neuron updates.
    pub(crate) fn firing_rate(&self) -> Result<f64> {
        let total = self.counted()?.counts.total();
        Ok(total.events as f64 / total.neuron_updates.max(1) as f64)
    }
}

/// Converts a trained network and writes the model. What was written is what is verified: the model
/// returned is the one that the file has.
pub(crate) fn convert_to(
    path: &Path,
    trained: &Model,
    options: &ConversionOptions,
    calibration: Option<&Arc<dyn Source>>,
    engines: &ProgramEngines,
) -> Result<Model> {
    let converted = convert_calibrated(trained, options, calibration, engines.device)?;
    files::save(&converted.model, path)?;
    Ok(Model::load(path)?)
}

/// Verifies, counts and times conversions of one trained network, in their order, each with what
/// may have changed in its weights; those that fail stop no other.
pub(crate) fn measure(
    trained: &Model,
    models: &[(&Model, Tuning)],
    shows: &Shows,
    engines: &ProgramEngines,
    demands: &Demands,
) -> Result<Vec<Result<Converted>>> {
    let source = Arc::clone(&shows.proof);
    let shown =
        Shown { source, of: shows.of, batch: batch_of(models.iter().map(|(model, _)| *model))? };
    let reports = prove(trained, models, &shown, engines, demands)?;
    let measured = models.iter().zip(reports).map(|((model, _), report)| {
        let report = report?;
        let inference = infer(model, &shows.counted, true)?;
        Ok(Converted { micro_steps: model.graph().micro_steps(), report, inference })
    });
    Ok(measured.collect())
}
