//! Cost and saving of early exit, on labelled images:
//!
//! `cargo run --release -p snn-runtime --example early_exit -- MODEL PIXELS LABELS [LOSS
//! [THREADS]]`
//!
//! PIXELS are whole images one after another, a byte a value in C, H, W order; LABELS one byte an
//! image. The first half of the images calibrates the rule, which may lose LOSS of the accuracy
//! (0.005 by default); the second half says what it does. A run that may end early goes through all
//! layers for each macro-step; the last line is a plain run.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use snn_runtime::deploy::{CurvePoint, Deployment, Options, Trajectories};
use snn_runtime::{Error, Model, Result};

/// Points of the curve.
const POINTS: usize = 12;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, pixels, labels, rest @ ..] = arguments.as_slice() else {
        return Err(wrong("expected MODEL PIXELS LABELS [LOSS [THREADS]]"));
    };
    let loss: f64 = number(rest.first(), 0.005)?;
    let threads: usize = number(rest.get(1), 1)?;
    let model = Model::load(model)?;
    let (pixels, labels) = (std::fs::read(pixels)?, std::fs::read(labels)?);
    let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
    let deployment = Deployment::new(&model, &Options { threads, ..Options::default() })?;
    let mut session = deployment.session();
    let size: usize = deployment.input_shape().iter().product();
    if labels.len() < 2 || pixels.len() != labels.len() * size {
        let expected = format!("at least 2 labels and {size} pixels for each");
        return Err(wrong(&format!(
            "{expected}, found {} labels and {} pixels",
            labels.len(),
            pixels.len()
        )));
    }
    let half = labels.len() / 2;
    let held_out = Trajectories::record(&mut session, &pixels[..half * size], &labels[..half])?;
    let test = Trajectories::record(&mut session, &pixels[half * size..], &labels[half..])?;

    println!("      margin  macro-steps  accuracy  ms an image   ({} images)", test.images());
    held_out.curve(POINTS).iter().for_each(|point| print(&test.at(point.confidence), ""));
    let chosen = held_out.calibrate(loss);
    print(
        &test.at(chosen.confidence),
        &format!("   calibrated on {} images to lose {loss}", held_out.images()),
    );
    println!("all macro-steps at once: {:.3} ms an image", test.nanoseconds_of_run() / 1e6);
    Ok(())
}

fn print(point: &CurvePoint, note: &str) {
    let CurvePoint { confidence, accuracy, steps, nanoseconds } = point;
    let margin =
        if confidence.margin == i64::MAX { "never".into() } else { confidence.margin.to_string() };
    println!(
        "{margin:>12}  {steps:11.3}  {:6.2} %  {:11.3}{note}",
        100.0 * accuracy,
        nanoseconds / 1e6
    );
}

fn number<V: std::str::FromStr>(argument: Option<&String>, default: V) -> Result<V> {
    argument.map_or(Ok(default), |text| {
        text.parse().map_err(|_| wrong(&format!("expected a number, found {text}")))
    })
}

fn wrong(message: &str) -> Error {
    Error::Bytes(message.into())
}
