//! Loads a converted model, classifies one image, and says what that took.

use snn_runtime::ndarray::{ArrayD, Axis, IxDyn};
use snn_runtime::{Counts, Runtime};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

/// Labels that may precede the pixels of a CIFAR record: one in CIFAR-10, two in CIFAR-100.
const MOST_LABELS: usize = 2;
/// How many logits are shown.
const SHOWN: usize = 5;

/// Classifies the image at `image`, or a built-in pattern, with the model at `model`; returns the
/// text to print.
pub fn classify(model: &Path, image: Option<&Path>) -> Result<String, Box<dyn Error>> {
    let runtime = Runtime::load(model)?;
    let shape = runtime.input_shape();
    let pixels = match image {
        Some(path) => read(path, shape)?,
        None => pattern(shape),
    };
    let logits = runtime.logits(pixels.view().insert_axis(Axis(0)))?;
    let mut ranked: Vec<(usize, f64)> = logits.iter().copied().enumerate().collect();
    // Stable: of equal logits the first stays first, as in `Runtime::classify`.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let name = |class: usize| {
        runtime.classes().get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    };

    let mut text = String::new();
    writeln!(text, "{}", name(ranked[0].0))?;
    for &(class, logit) in ranked.iter().take(SHOWN) {
        writeln!(text, "  {logit:>12.4}  {}", name(class))?;
    }
    describe(&mut text, &runtime.counts())?;
    Ok(text)
}

fn describe(text: &mut String, counts: &Counts) -> std::fmt::Result {
    let total = counts.total();
    writeln!(text, "macro-steps      {}", counts.time_steps)?;
    writeln!(text, "events           {}", total.events)?;
    writeln!(text, "additions        {}", total.additions)?;
    writeln!(text, "multiplications  {}", total.multiplications)?;
    writeln!(text, "comparisons      {}", total.comparisons)?;
    writeln!(text, "neuron updates   {}", total.neuron_updates)?;
    for node in &counts.nodes {
        if let Some(rate) = node.firing_rate() {
            writeln!(text, "  {:<24} {} neurons, {rate:.3} events each", node.node, node.neurons)?;
        }
    }
    Ok(())
}

/// Raw pixels in C, H, W order, perhaps after a record's labels.
fn read(path: &Path, shape: &[usize]) -> Result<ArrayD<u8>, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let size: usize = shape.iter().product();
    match bytes.len().checked_sub(size) {
        Some(labels @ 0..=MOST_LABELS) => {
            Ok(ArrayD::from_shape_vec(IxDyn(shape), bytes[labels..].to_vec())?)
        }
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
fn pattern(shape: &[usize]) -> ArrayD<u8> {
    ArrayD::from_shape_fn(IxDyn(shape), |at| {
        let sum: usize = (0..shape.len()).map(|axis| at[axis] * 255 / shape[axis]).sum();
        let inside =
            (1..shape.len()).all(|axis| (shape[axis] / 4..shape[axis] / 2).contains(&at[axis]));
        if inside { 240 } else { (sum / shape.len()) as u8 }
    })
}
