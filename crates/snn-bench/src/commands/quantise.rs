//! `quantise`: quantised ReLUs in the place of the ReLUs of a trained network.

use crate::cli::Quantise;
use crate::commands::convert::training_samples;
use crate::files::{self, Trained};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Progress;
use anyhow::{Result, bail};
use serde::Serialize;
use snn_core::{Libtorch, NetworkOptions};
use snn_data::Source;
use snn_ir::{Evaluate, Form, Model, Record};
use snn_reparam::{Levels, Plan, QuantiseOptions, SiteValues};
use snn_train::{evaluation_batches, input};
use std::path::Path;
use std::sync::Arc;
use tch::Device;

#[derive(Serialize)]
struct Quantised<'a> {
    out: &'a Path,
    bytes: u64,
    /// Training samples that decided.
    samples: usize,
    plan: &'a Plan,
}

/// Samples of a batch, of which every value of every site is in memory.
const BATCH: usize = 8;

/// What the ReLUs of a trained network yield on samples.
pub(super) fn values(
    trained: &Model,
    samples: &Arc<dyn Source>,
    device: Device,
) -> Result<SiteValues> {
    let mut network = Libtorch::with_options(trained, &NetworkOptions::new(device))?;
    let mut values = SiteValues::default();
    let mut progress = Progress::new("seen", samples.len(), "images");
    for batch in evaluation_batches(samples, BATCH)? {
        let batch = batch?;
        values.add(&network.evaluate(&input(&batch.samples), Record::Sites)?)?;
        progress.add(batch.len());
    }
    progress.finish();
    files::tell_damaged(&**samples);
    Ok(values)
}

/// A trained network that has ReLUs to quantise.
pub(super) fn with_relus(path: &Path) -> Result<Trained> {
    let trained = files::trained(path)?;
    let form = trained.model.form();
    if form != Form::Trained {
        bail!(
            "{}: expected a trained model, found one that is converted already (form {})",
            path.display(),
            form.label()
        );
    }
    if !trained.model.graph().nodes.iter().any(|node| node.op.label() == "relu") {
        bail!("{}: has no ReLU that is not quantised", path.display());
    }
    Ok(trained)
}

pub(crate) fn run(arguments: &Quantise, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    files::refuse_source(&arguments.out, &arguments.run)?;
    let trained = with_relus(&arguments.run)?;
    let levels = match (arguments.levels, arguments.error) {
        (Some(levels), _) => Levels::Of(levels),
        (None, Some(error)) => Levels::WithError(error),
        (None, None) => bail!("give --levels or --error"),
    };
    let options =
        QuantiseOptions { levels, rule: arguments.rule, correct_bias: !arguments.keep_biases };
    let root = arguments.data.data.as_deref();
    let samples = training_samples(&trained, arguments.dataset, arguments.samples, root)?;
    let values = values(&trained.model, &samples, arguments.device)?;
    let quantised = snn_reparam::quantise(&trained.model, &values, &options)?;
    files::save(&quantised.model, &arguments.out)?;
    let bytes = fs_err::metadata(&arguments.out)?.len();
    let plan = &quantised.plan;
    if json {
        print_json(&Quantised { out: &arguments.out, bytes, samples: samples.len(), plan })?;
    } else {
        output::print(plan)?;
        output::line(format_args!(
            "\nwrote {} ({bytes} bytes); `snn convert` makes events of it",
            arguments.out.display()
        ))?;
    }
    Ok(Outcome::Holds)
}
