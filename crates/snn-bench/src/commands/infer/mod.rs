//! `infer`: a converted model on events, deployed where it is on the grid, with counts and energy
//! where they are requested. Needs no libtorch call.

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
use crate::table::{Table, count};
use anyhow::{Result, bail, ensure};
use serde::Serialize;
use snn_data::Source;
use snn_ir::{Evaluate, Form, Input, Logits, Model, Record};
use snn_runtime::counting::Counts;
use snn_runtime::{Counting, Deployment, Options};
use snn_train::{Accuracy, Chance, RunFolder, evaluation_batches, input};
use std::sync::Arc;
use std::time::Instant;

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

/// Who runs a model: a deployment if it is on the grid, and the runtime that counts if it is not,
/// or counts are requested.
struct Engines {
    deployment: Option<Deployment>,
    runtime: Option<Counting>,
}

impl Engines {
    fn new(model: &Model, counts: bool) -> Result<Self> {
        let on_grid = matches!(model.form(), Form::Grid { .. });
        let deployment =
            on_grid.then(|| Deployment::new(model, &Options::default())).transpose()?;
        let runtime = (counts || !on_grid).then(|| Counting::new(model)).transpose()?;
        Ok(Self { deployment, runtime })
    }

    fn name(&self) -> String {
        match &self.deployment {
            Some(deployment) => format!("deployed, {}", deployment.instruction_set().label()),
            None => "events, f64".into(),
        }
    }

    /// Logits of a batch, with the seconds that they took; where operations are counted as well
    /// that is not timed.
    fn run(&mut self, input: &Input<'_>) -> Result<(Logits, f64)> {
        let started = Instant::now();
        let timed = |evaluator: &mut dyn Evaluate| -> Result<(Logits, f64)> {
            let logits = evaluator.evaluate(input, Record::Logits)?.logits;
            Ok((logits, started.elapsed().as_secs_f64()))
        };
        match (&mut self.deployment, &mut self.runtime) {
            (Some(deployment), None) => timed(deployment),
            (None, Some(runtime)) => timed(runtime),
            (Some(deployment), Some(runtime)) => {
                let found = timed(deployment)?;
                let counted = runtime.evaluate(input, Record::Logits)?.logits;
                ensure!(
                    counted == found.0,
                    "the deployment and the runtime that counts differ on this machine: a mistake \
                     in one of them"
                );
                Ok(found)
            }
            (None, None) => bail!("no engine for this model"),
        }
    }

    fn counts(&self) -> Option<Counts> {
        self.runtime.as_ref().map(Counting::counts)
    }
}

/// Images that a batch takes: enough for all cores.
const BATCH: usize = 64;

pub(crate) fn run(arguments: &Infer, json: bool) -> Result<Outcome> {
    let model = files::converted(&arguments.model)?;
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
    let inference = infer(&model, &samples, arguments.counts)?;
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
        "{energy_microjoules:.3} µJ an image by counting ({name}, 45 nm: {mac_pj} pJ a MAC, \
         {addition_pj} pJ an addition)"
    ))
}

fn print_counts(counts: &Counts) -> Result<()> {
    let each = |value: u64| count(value as f64 / counts.samples.max(1) as f64);
    let mut table = Table::new(
        2,
        [
            "node",
            "op",
            "neurons",
            "firing rate",
            "events",
            "additions",
            "multiplications",
            "comparisons",
        ],
    );
    for node in &counts.nodes {
        let tally = &node.tally;
        table.row([
            node.node.clone(),
            node.op.clone(),
            if node.neurons > 0 { node.neurons.to_string() } else { String::new() },
            node.firing_rate().map_or(String::new(), |rate| format!("{rate:.3}")),
            each(tally.events),
            each(tally.additions),
            each(tally.multiplications),
            each(tally.comparisons),
        ]);
    }
    let total = counts.total();
    table.row([
        "total".to_string(),
        String::new(),
        counts.nodes.iter().map(|n| n.neurons).sum::<u64>().to_string(),
        String::new(),
        each(total.events),
        each(total.additions),
        each(total.multiplications),
        each(total.comparisons),
    ]);
    output::line(format_args!(
        "Operations for one image, T = {} macro-steps:\n\n{table}",
        counts.time_steps
    ))
}
