//! Runs a `.nir` file, or a model, on raw pixels with the naive evaluator, and writes what it makes
//! of them as JSON; `benches/peers/nir/compare.py` calls it.
//!
//! ```console
//! $ cargo run -p snn-nir --example run -- NET.nir request.json > answer.json
//! ```
//!
//! A request is `{"pixels": FILE, "shape": [N, C, H, W]}` for images, or `[T, N, …]` with
//! `"frames": true`; and, for a file of another program, `"time_steps"`, `"dt"`, `"exponential"`,
//! `"mean"`, `"deviation"`. The answer has the class scores of each sample, the spikes of each node
//! summed over all samples and steps, and with `"steps": true` those of each step of the first
//! sample.

#![expect(clippy::print_stdout, reason = "it is a program")]

use ndarray::{ArrayD, Axis, IxDyn};
use serde::{Deserialize, Serialize};
use snn_ir::{Evaluate, Input, Model, Naive, Preprocessing, Record, SiteOutput};
use snn_nir::Discretisation;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    pixels: PathBuf,
    shape: Vec<usize>,
    #[serde(default)]
    frames: bool,
    #[serde(default)]
    steps: bool,
    time_steps: Option<usize>,
    dt: Option<f64>,
    #[serde(default)]
    exponential: bool,
    mean: Option<Vec<u8>>,
    deviation: Option<Vec<f64>>,
}

#[derive(Serialize)]
struct Answer {
    scores: Vec<Vec<f64>>,
    spikes: BTreeMap<String, f64>,
    steps: BTreeMap<String, Vec<Vec<f64>>>,
    report: String,
}

/// The most samples in one call of the evaluator, whose record takes memory.
const BATCH: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [net, request] = arguments.as_slice() else {
        return Err("usage: run NET.nir|MODEL.safetensors REQUEST.json".into());
    };
    let request: Request = serde_json::from_str(&std::fs::read_to_string(request)?)?;
    let (model, report) = load(Path::new(net), &request)?;
    let pixels = ArrayD::from_shape_vec(IxDyn(&request.shape), std::fs::read(&request.pixels)?)?;
    let mut answer =
        Answer { scores: Vec::new(), spikes: BTreeMap::new(), steps: BTreeMap::new(), report };
    let samples = Axis(usize::from(request.frames));
    let mut naive = Naive::new(&model)?;
    for batch in pixels.axis_chunks_iter(samples, BATCH) {
        let input = if request.frames { Input::Frames(batch) } else { Input::Static(batch) };
        let result = naive.evaluate(&input, Record::Sites)?;
        let logits = result.logits.to_real(model.signature())?;
        let first = answer.scores.is_empty();
        answer.scores.extend(logits.outer_iter().map(|row| row.to_vec()));
        for site in result.sites {
            let values = match &site.output {
                SiteOutput::Levels(levels) => levels.mapv(f64::from),
                SiteOutput::Values(values) => values.clone(),
            };
            // What does not vary over time is recorded once.
            let times = model.time_steps() / values.len_of(Axis(0)).max(1);
            *answer.spikes.entry(site.site.clone()).or_default() += values.sum() * times as f64;
            if first && request.steps {
                let of_first = values.index_axis(Axis(1), 0);
                let steps = of_first.outer_iter().map(|step| step.iter().copied().collect());
                answer.steps.insert(site.site, steps.collect());
            }
        }
    }
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

fn load(net: &Path, request: &Request) -> Result<(Model, String), Box<dyn Error>> {
    if net.extension().is_none_or(|extension| extension != "nir") {
        return Ok((Model::load(net)?, String::new()));
    }
    let preprocessing = match (&request.mean, &request.deviation) {
        (Some(mean), Some(deviation)) => Some(Preprocessing::new(mean.clone(), deviation.clone())),
        _ => None,
    };
    let options = snn_nir::Options {
        time_steps: request.time_steps,
        dt: request.dt,
        discretisation: if request.exponential {
            Discretisation::Exponential
        } else {
            Discretisation::Euler
        },
        preprocessing,
        ..snn_nir::Options::default()
    };
    let imported = snn_nir::read(net, &options)?;
    Ok((imported.model, imported.report.to_string()))
}
