//! Loads a converted model, classifies one image on the fast engine, and says what that took.

use snn_runtime::counting::Counts;
use snn_runtime::{Counting, Deployment, Model, Options};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

/// Labels that may precede the pixels of a CIFAR record: one in CIFAR-10, two in CIFAR-100.
const MOST_LABELS: usize = 2;
/// How many classes are shown.
const SHOWN: usize = 5;

/// Classifies the image at `image`, or a built-in pattern, with the model at `model`; returns the
/// text to print.
pub fn classify(model: &Path, image: Option<&Path>) -> Result<String, Box<dyn Error>> {
    let deployment = Deployment::load(model)?;
    let image = match image {
        Some(path) => read(path, deployment.input_shape())?,
        None => pattern(deployment.input_shape()),
    };
    let best = deployment.session().run(&image)?.best(SHOWN);

    let mut text = String::new();
    for class in best {
        writeln!(text, "{class}")?;
    }
    writeln!(text, "instructions     {}", deployment.instruction_set())?;
    writeln!(text, "macro-steps      {}", deployment.time_steps())?;
    Ok(text)
}

/// What the same image costs, counted by the interpreter that counts every operation.
pub fn count(model: &Path, image: Option<&Path>) -> Result<String, Box<dyn Error>> {
    let model = Model::load(model)?;
    let counting = Counting::new(&model)?;
    let image = match image {
        Some(path) => read(path, counting.input_shape())?,
        None => pattern(counting.input_shape()),
    };
    let counted = counting.logits(&image)?;
    // The two engines give the same bits.
    assert_eq!(counted, Deployment::new(&model, &Options::default())?.logits(&image)?);
    let mut text = String::new();
    describe(&mut text, &counting.counts())?;
    Ok(text)
}

fn describe(text: &mut String, counts: &Counts) -> std::fmt::Result {
    let total = counts.total();
    writeln!(text, "events           {}", total.events)?;
    writeln!(text, "additions        {}", total.additions)?;
    writeln!(text, "multiplications  {}", total.multiplications)?;
    writeln!(text, "comparisons      {}", total.comparisons)?;
    writeln!(text, "neuron updates   {}", total.neuron_updates)?;
    for node in &counts.nodes {
        if let Some(rate) = node.firing_rate() {
            writeln!(
                text,
                "  {:<24} {} neurons, {rate:.3} events a neuron and macro-step",
                node.node, node.neurons
            )?;
        }
    }
    Ok(())
}

/// Raw pixels in C, H, W order, perhaps after a record's labels.
fn read(path: &Path, shape: &[usize]) -> Result<Vec<u8>, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let size: usize = shape.iter().product();
    match bytes.len().checked_sub(size) {
        Some(labels @ 0..=MOST_LABELS) => Ok(bytes[labels..].to_vec()),
        _ => Err(format!(
            "{}: expected {size} bytes ({shape:?}), with up to {MOST_LABELS} labels before them, \
             found {}",
            path.display(),
            bytes.len()
        )
        .into()),
    }
}

/// A diagonal gradient with a bright square: something with edges and areas.
fn pattern(shape: &[usize]) -> Vec<u8> {
    let size: usize = shape.iter().product();
    let pixel = |mut index: usize| {
        let mut at = vec![0; shape.len()];
        for (axis, &length) in shape.iter().enumerate().rev() {
            (at[axis], index) = (index % length, index / length);
        }
        let sum: usize = (0..shape.len()).map(|axis| at[axis] * 255 / shape[axis]).sum();
        let inside =
            (1..shape.len()).all(|axis| (shape[axis] / 4..shape[axis] / 2).contains(&at[axis]));
        if inside { 240 } else { (sum / shape.len()) as u8 }
    };
    (0..size).map(pixel).collect()
}
