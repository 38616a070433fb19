//! One image: read, brought to the size that a model takes, classified.

#[cfg(feature = "data")]
mod picture;

use super::counts::print_counts;
use super::engines::Engines;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Context, Result, bail};
use ndarray::{ArrayD, IxDyn};
#[cfg(feature = "data")]
use picture::decoded;
use serde::Serialize;
use snn_data::SourceConfig;
use snn_ir::{Form, Input, Model, Op};
use snn_runtime::counting::Counts;
use snn_train::RunConfig;
use std::path::Path;

/// Classes that are printed, the most probable first.
const BEST: usize = 5;

#[derive(Serialize)]
struct Classified<'a> {
    #[serde(flatten)]
    what: What<'a>,
    class: usize,
    name: Option<&'a String>,
    /// The most probable classes.
    best: Vec<Ranked<'a>>,
    logits: Vec<f64>,
    engine: String,
    seconds: f64,
    /// Of a converted model.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

/// The file that was classified.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What<'a> {
    Image(&'a Path),
    #[cfg(feature = "data")]
    Recording(&'a Path),
}

#[derive(Serialize)]
struct Ranked<'a> {
    class: usize,
    name: Option<&'a String>,
    /// Softmax of the logits, 0 to 1.
    share: f64,
}

/// Classifies one image, a picture as those of the run that is given, if one is.
pub(crate) fn classify(
    model: &Model,
    path: &Path,
    run: Option<&RunConfig>,
    counts: bool,
    json: bool,
) -> Result<Outcome> {
    let Some(Op::Input { shape }) = model.graph().nodes.first().map(|node| &node.op) else {
        bail!("the model has no input");
    };
    let mut batch = vec![1];
    batch.extend(shape);
    let image = ArrayD::from_shape_vec(
        IxDyn(&batch),
        read(path, shape, run.map(|run| run.data.source()).as_ref())?,
    )?;
    answer(model, What::Image(path), &Input::Static(image.view()), counts, json)
}

/// Classifies one sample and prints the result. Operations are counted by a second run, which is
/// not timed.
pub(super) fn answer(
    model: &Model,
    what: What<'_>,
    input: &Input<'_>,
    counts: bool,
    json: bool,
) -> Result<Outcome> {
    let mut timed = Engines::new(model, false)?;
    // Buffers come with the first run.
    timed.run(input)?;
    let (logits, seconds) = timed.run(input)?;
    let counted = match model.form() {
        Form::Trained => None,
        Form::Events | Form::Grid { .. } => {
            let mut counting = Engines::new(model, true)?;
            counting.run(input)?;
            Some(counting.counts().context("operations were counted")?)
        }
    };
    let class = logits.argmax()[0];
    let logits: Vec<f64> = logits.to_real(model.signature())?.iter().copied().collect();
    let total = counted.as_ref().map(Counts::total);
    let classified = Classified {
        what,
        class,
        name: model.classes().get(class),
        best: best(&logits, model.classes()),
        logits,
        engine: timed.name(),
        seconds,
        events: total.map(|total| total.events),
        additions: total.map(|total| total.additions),
        counts: counted.filter(|_| counts),
    };
    if json {
        print_json(&classified)?;
    } else {
        print(&classified)?;
    }
    Ok(Outcome::Holds)
}

/// The most probable classes; the first of equals.
fn best<'a>(logits: &[f64], names: &'a [String]) -> Vec<Ranked<'a>> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let mut classes: Vec<Ranked<'a>> = logits
        .iter()
        .enumerate()
        .map(|(class, logit)| Ranked {
            class,
            name: names.get(class),
            share: (logit - largest).exp() / sum,
        })
        .collect();
    // By logits, which differ where shares are rounded to the same number.
    classes.sort_by(|a, b| logits[b.class].total_cmp(&logits[a.class]));
    classes.truncate(BEST);
    classes
}

fn print(classified: &Classified<'_>) -> Result<()> {
    if let Some(counts) = &classified.counts {
        print_counts(counts)?;
    }
    let mut table = Table::new(2, ["class", "name", "share"]);
    for Ranked { class, name, share } in &classified.best {
        table.row([
            class.to_string(),
            name.map_or(String::new(), String::clone),
            format!("{:.1} %", 100.0 * share),
        ]);
    }
    output::line(&table)?;
    let Classified { engine, seconds, events, additions, .. } = classified;
    output::line(format_args!("time       {:.2} ms ({engine})", 1e3 * seconds))?;
    for (what, number) in [("events", events), ("additions", additions)] {
        if let Some(number) = number {
            output::line(format_args!("{what:<9}  {}", count(*number as f64)))?;
        }
    }
    Ok(())
}

/// The values of an image for an input of this shape: a PNG or JPEG file, or raw bytes.
fn read(path: &Path, shape: &[usize], data: Option<&SourceConfig>) -> Result<Vec<u8>> {
    let bytes = fs_err::read(path)?;
    if bytes.starts_with(b"\xFF\xD8\xFF") || bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
        return decoded(&bytes, path, shape, data);
    }
    let expected: usize = shape.iter().product();
    if bytes.len() != expected {
        bail!(
            "{}: expected a PNG or JPEG file, or {expected} bytes (shape {shape:?}, one byte a \
             value), found {} bytes",
            path.display(),
            bytes.len()
        );
    }
    Ok(bytes)
}

/// A build without pictures says so.
#[cfg(not(feature = "data"))]
fn decoded(
    _bytes: &[u8],
    path: &Path,
    _shape: &[usize],
    _data: Option<&SourceConfig>,
) -> Result<Vec<u8>> {
    bail!(
        "{}: this build reads no pictures (feature `data` of snn-bench); give raw bytes",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn shares_add_up_to_one_and_come_in_order() {
        let best = best(&[0.0, 3.0_f64.ln(), -1000.0, 3.0_f64.ln()], &[]);
        let found: Vec<(usize, f64)> =
            best.iter().map(|class| (class.class, (1e9 * class.share).round() / 1e9)).collect();
        let seventh = |n: f64| (1e9 * n / 7.0).round() / 1e9;
        let expected = [(1, seventh(3.0)), (3, seventh(3.0)), (0, seventh(1.0)), (2, 0.0)];
        assert_eq!(found, expected);
    }
}
