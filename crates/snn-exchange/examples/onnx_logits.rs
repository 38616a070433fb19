//! Reads a network of ONNX and prints its account, or the logits of raw images beside it:
//!
//! ```console
//! $ cargo run --release -p snn-exchange --example onnx_logits -- network.onnx [mean std [images]]
//! ```
//!
//! `images` is a file of bytes, one image `[C, H, W]` after another. Mean and deviation are those
//! of `x = (p/255 − mean)/std`, the same for all channels.

use ndarray::ArrayD;
use snn_exchange::onnx::{Options, read};
use snn_ir::{Evaluate, Input, Naive, Record};
use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |position: usize| arguments.get(position).map(|text| text.parse::<f64>()).transpose();
    let path = arguments.first().ok_or("usage: onnx_logits NETWORK [MEAN STD [IMAGES]]")?;
    let mut options = Options::default();
    options.mean = number(1)?.map(|mean| vec![mean]);
    options.std = number(2)?.map(|std| vec![std]);
    let imported = read(path, &options)?;
    let mut out = std::io::stdout().lock();
    let Some(images) = arguments.get(3) else {
        write!(out, "{}", imported.report)?;
        return Ok(());
    };
    let pixels = std::fs::read(images)?;
    let mut shape = imported.model.validate()?.input_shape().to_vec();
    let size: usize = shape.iter().product();
    shape.insert(0, pixels.len() / size);
    let pixels = ArrayD::from_shape_vec(shape, pixels)?;
    let evaluation =
        Naive::new(&imported.model)?.evaluate(&Input::Static(pixels.view()), Record::Logits)?;
    let logits = evaluation.logits.to_real(imported.model.signature())?;
    for row in logits.rows() {
        let row: Vec<String> = row.iter().map(ToString::to_string).collect();
        writeln!(out, "{}", row.join(" "))?;
    }
    Ok(())
}
