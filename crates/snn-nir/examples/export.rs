//! Writes a model of the form `trained` or `events` as `.nir`.
//!
//! ```console
//! $ cargo run -p snn-nir --example export -- MODEL.safetensors NET.nir [--unit]
//! ```
//!
//! `--unit` writes LIF neurons with `r = 1`, the only ones that Norse takes.

#![expect(clippy::print_stdout, reason = "it is a program")]

use snn_ir::Model;
use snn_nir::{ExportOptions, Gain};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: export MODEL.safetensors NET.nir [--unit]".into());
    };
    let gain = match rest {
        [] => Gain::Resistance,
        [unit] if unit == "--unit" => Gain::Unit,
        _ => return Err(format!("expected --unit or nothing, found {rest:?}").into()),
    };
    let options = ExportOptions { gain, ..ExportOptions::default() };
    print!("{}", snn_nir::write(&Model::load(Path::new(model))?, Path::new(out), &options)?);
    Ok(())
}
