//! `infer`: a converted model on events, deployed where it is on the grid, with counts and energy
//! where they are requested. A trained model runs on libtorch.

mod counts;
mod engines;
mod image;
#[cfg(feature = "data")]
mod recording;

use crate::chance;
use crate::cli::Infer;
use crate::energy::{FP32, Figures, INT8};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Progress;
use anyhow::{Result, bail};
use counts::print_counts;
use engines::Engines;
use serde::Serialize;
use snn_data::Source;
use snn_ir::{Form, Model};
use snn_runtime::counting::Counts;
use snn_train::{Accuracy, Chance, RunFolder, evaluation_batches, input};
use std::sync::Arc;

/// Result and cost of an inference.
#[derive(Serialize)]
pub(crate) struct Inference {
    pub(crate) samples: usize,
    /// In percent.
    pub(crate) accuracy: Option<f64>,
    /// Accuracy of always naming the most frequent class of these samples, in percent.
    pub(crate) chance: f64,
    /// The engine that was timed.
    pub(crate) engine: String,
    pub(crate) images_per_second: f64,
    #[serde(flatten)]
    pub(crate) counted: Option<Counted>,
}

impl Inference {
    /// Says that the accuracy is no better than chance; `None` where it is better.
    pub(crate) fn at_chance(&self) -> Option<String> {
        chance::sentence(self.accuracy? / 100.0, self.chance / 100.0, self.samples)
    }
}

/// Counted operations.
#[derive(Serialize)]
pub(crate) struct Counted {
    pub(crate) energy_microjoules: f64,
    pub(crate) energy_figures: Figures,
    pub(crate) counts: Counts,
}

impl Counted {
    /// The same counts with other figures.
    pub(crate) fn with(self, figures: Figures) -> Self {
        let total = self.counts.total();
        let all = figures.microjoules(total.multiplications as f64, total.additions as f64);
        let energy_microjoules = all / self.counts.samples.max(1) as f64;
        Self { energy_microjoules, energy_figures: figures, counts: self.counts }
    }
}

/// Images that a batch takes: enough for all cores.
const BATCH: usize = 64;

pub(crate) fn run(arguments: &Infer, json: bool) -> Result<Outcome> {
    let model = files::trained(&arguments.model)?.model;
    let config = arguments.run.as_ref().map(|run| RunFolder::open(run)?.config()).transpose()?;
    #[cfg(feature = "data")]
    if let Some(path) = &arguments.recording.path {
        return recording::classify(&model, path, config.as_ref(), arguments, json);
    }
    if let Some(image) = &arguments.image {
        return image::classify(&model, image, config.as_ref(), arguments.counts, json);
    }
    let root = arguments.data.data.as_deref();
    let (config, dataset) = (config.as_ref(), arguments.dataset);
    let Some(samples) = files::test_samples(&model, config, dataset, root)? else {
        bail!("give --dataset, --run, --image or a recording");
    };
    files::fits(&model, &arguments.model, &samples)?;
    let samples = samples.limited(arguments.limit)?;
    let mut inference = infer(&model, &samples, arguments.counts)?;
    if let Some(figures) = arguments.energy {
        inference.counted = inference.counted.map(|counted| counted.with(figures));
    }
    if json {
        print_json(&inference)?;
    } else {
        print(&inference)?;
    }
    Ok(Outcome::Holds)
}

/// Classifies samples on events; operations are counted on request, or where the model is not on
/// the grid.
pub(crate) fn infer(model: &Model, samples: &Arc<dyn Source>, counts: bool) -> Result<Inference> {
    let mut engines = Engines::new(model, counts)?;
    let mut progress = Progress::new("inferred", samples.len(), "images");
    let (mut accuracy, mut chance) = (Accuracy::default(), Chance::default());
    let (mut timed, mut seconds) = (0, 0.0);
    // The first batch warms buffers up and is not timed, unless it is all there is.
    for (number, batch) in evaluation_batches(samples, BATCH)?.enumerate() {
        let batch = batch?;
        let (logits, took) = engines.run(&input(&batch.samples))?;
        if number > 0 || samples.len() <= BATCH {
            timed += batch.len();
            seconds += took;
        }
        accuracy.add(&logits.argmax(), &batch.targets.labels);
        chance.add(&batch.targets.labels);
        progress.add(batch.len());
    }
    progress.finish();
    files::tell_damaged(&**samples);
    let figures = if matches!(model.form(), Form::Grid { .. }) { INT8 } else { FP32 };
    let counted = engines.counts().map(|counts| {
        let total = counts.total();
        let all = figures.microjoules(total.multiplications as f64, total.additions as f64);
        Counted { energy_microjoules: all / samples.len() as f64, energy_figures: figures, counts }
    });
    Ok(Inference {
        samples: samples.len(),
        accuracy: Some(100.0 * accuracy.share()),
        chance: 100.0 * chance.share(),
        engine: engines.name(),
        images_per_second: timed as f64 / seconds,
        counted,
    })
}

fn print(inference: &Inference) -> Result<()> {
    if let Some(counted) = &inference.counted {
        print_counts(&counted.counts)?;
    }
    if let Some(accuracy) = inference.accuracy {
        output::line(format_args!("accuracy {accuracy:.2} % on {} images", inference.samples))?;
    }
    if let Some(sentence) = inference.at_chance() {
        output::line(sentence)?;
    }
    output::line(format_args!(
        "{:.1} images/s ({})",
        inference.images_per_second, inference.engine
    ))?;
    let Some(Counted { energy_microjoules, energy_figures, .. }) = &inference.counted else {
        return Ok(());
    };
    let Figures { name, mac_pj, addition_pj } = energy_figures;
    output::line(format_args!(
        "{energy_microjoules:.3} µJ an image by counting ({}: {mac_pj} pJ a MAC, {addition_pj} pJ \
         an addition)",
        if *name == "given" { name.to_string() } else { format!("{name}, 45 nm") }
    ))
}
