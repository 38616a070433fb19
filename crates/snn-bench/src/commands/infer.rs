//! `infer`: a converted model on events, with counts and energy. Needs no libtorch call.

use crate::Outcome;
use crate::cli::Infer;
use crate::energy::{FP32, Figures, INT8};
use crate::files;
use crate::output::{self, print_json};
use crate::progress::Progress;
use crate::table::{Table, count};
use anyhow::{Result, bail};
use ndarray::{ArrayD, Axis, IxDyn};
use serde::Serialize;
use snn_data::{Dataset, Images};
use snn_ir::{Evaluate, Form, Input, Model, Record};
use snn_runtime::{Counts, Precision, Runtime};
use std::path::Path;
use std::time::Instant;

/// What an inference found and cost.
#[derive(Serialize)]
pub(crate) struct Inference {
    pub(crate) samples: usize,
    /// In percent.
    pub(crate) accuracy: Option<f64>,
    pub(crate) images_per_second: f64,
    pub(crate) energy_microjoules: f64,
    pub(crate) energy_figures: Figures,
    pub(crate) counts: Counts,
}

#[derive(Serialize)]
struct Classified<'a> {
    image: &'a Path,
    class: usize,
    name: Option<&'a String>,
    logits: Vec<f64>,
    counts: Counts,
}

/// Images that a batch takes: enough for all cores.
const BATCH: usize = 64;

pub(crate) fn run(arguments: &Infer, json: bool) -> Result<Outcome> {
    let model = Model::load(&arguments.model)?;
    if model.form == Form::Trained {
        bail!(
            "{}: expected a converted model, found a trained one; convert it first with `snn-bench convert`",
            arguments.model.display()
        );
    }
    if let Some(image) = &arguments.image {
        return classify(&model, image, json);
    }
    let Some(dataset) = arguments.dataset else { bail!("give --dataset or --image") };
    let data = Dataset::open_named(dataset, arguments.data.data.as_deref())?;
    files::fits(&model, &arguments.model, &data)?;
    let mut images = data.test;
    if let Some(limit) = arguments.limit {
        images = images.select(&(0..limit.get().min(images.len())).collect::<Vec<_>>())?;
    }
    let inference = infer(&model, &images)?;
    if json {
        print_json(&inference)?;
    } else {
        print(&inference)?;
    }
    Ok(Outcome::Holds)
}

/// The precision that is natural to a form.
fn precision(model: &Model) -> Precision {
    match model.form {
        Form::Grid { .. } => Precision::Grid,
        Form::Trained | Form::Events => Precision::F64,
    }
}

/// Classifies images on events.
pub(crate) fn infer(model: &Model, images: &Images) -> Result<Inference> {
    let mut runtime = Runtime::new(model, precision(model))?;
    let pixels = images.pixels();
    let mut progress = Progress::new("inferred", images.len(), "images");
    let mut correct = 0;
    let mut busy = 0.0;
    // The first batch warms buffers up and is not timed, unless it is all there is.
    for (number, begin) in (0..images.len()).step_by(BATCH).enumerate() {
        let end = (begin + BATCH).min(images.len());
        let part = pixels.slice_axis(Axis(0), (begin..end).into()).into_dyn();
        let started = Instant::now();
        let classes = runtime.evaluate(&Input::Static(part), Record::Logits)?.logits.argmax();
        if number > 0 || images.len() <= BATCH {
            busy += started.elapsed().as_secs_f64();
        }
        correct += classes.iter().zip(&images.labels()[begin..end]).filter(|(c, l)| **c == usize::from(**l)).count();
        progress.add(end - begin);
    }
    progress.finish();
    let timed = if images.len() <= BATCH { images.len() } else { images.len() - BATCH };
    let counts = runtime.counts();
    let figures = if matches!(model.form, Form::Grid { .. }) { INT8 } else { FP32 };
    let total = counts.total();
    Ok(Inference {
        samples: images.len(),
        accuracy: Some(100.0 * correct as f64 / images.len() as f64),
        images_per_second: timed as f64 / busy,
        energy_microjoules: figures.microjoules(total.multiplications as f64, total.additions as f64)
            / images.len() as f64,
        energy_figures: figures,
        counts,
    })
}

fn classify(model: &Model, path: &Path, json: bool) -> Result<Outcome> {
    let shape = model.validate()?.nodes[0].shape.clone();
    let bytes = fs_err::read(path)?;
    let expected: usize = shape.iter().product();
    if bytes.len() != expected {
        bail!(
            "{}: expected {expected} bytes (shape {shape:?}, one byte a value), found {}",
            path.display(),
            bytes.len()
        );
    }
    let mut batch = vec![1];
    batch.extend(&shape);
    let image = ArrayD::from_shape_vec(IxDyn(&batch), bytes)?;
    let mut runtime = Runtime::new(model, precision(model))?;
    let logits = runtime.evaluate(&Input::Static(image.view()), Record::Logits)?.logits;
    let class = logits.argmax()[0];
    let name = model.classes.get(class);
    let logits: Vec<f64> = logits.to_real(model)?.iter().copied().collect();
    if json {
        print_json(&Classified { image: path, class, name, logits, counts: runtime.counts() })?;
    } else {
        output::line(format_args!("{class} {}", name.map_or("", String::as_str)))?;
    }
    Ok(Outcome::Holds)
}

fn print(inference: &Inference) -> Result<()> {
    let counts = &inference.counts;
    let each = |value: u64| count(value as f64 / counts.samples.max(1) as f64);
    let mut table = Table::new(
        2,
        ["node", "op", "neurons", "firing rate", "events", "additions", "multiplications", "comparisons"],
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
    output::line(format_args!("Operations for one image, T = {} macro-steps:\n\n{table}", counts.time_steps))?;
    if let Some(accuracy) = inference.accuracy {
        output::line(format_args!("accuracy {accuracy:.2} % on {} images", inference.samples))?;
    }
    output::line(format_args!("{:.1} images/s", inference.images_per_second))?;
    let Figures { name, mac_pj, addition_pj } = inference.energy_figures;
    output::line(format_args!(
        "{:.3} µJ an image by counting ({name}, 45 nm: {mac_pj} pJ a MAC, {addition_pj} pJ an addition)",
        inference.energy_microjoules
    ))
}
