//! Writes a model of the form `trained` or `events` as `.nir`.
//!
//! ```console
//! $ cargo run -p snn-nir --example export -- MODEL.safetensors NET.nir [--unit] [--dt SECONDS]
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
    let usage = "usage: export MODEL.safetensors NET.nir [--unit] [--dt SECONDS]";
    let [model, out, rest @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let mut options = ExportOptions::default();
    let mut rest = rest.iter();
    while let Some(option) = rest.next() {
        match option.as_str() {
            "--unit" => options.gain = Gain::Unit,
            "--dt" => options.dt = rest.next().ok_or(usage)?.parse()?,
            _ => return Err(format!("expected --unit or --dt, found {option}").into()),
        }
    }
    print!("{}", snn_nir::write(&Model::load(Path::new(model))?, Path::new(out), &options)?);
    Ok(())
}
