//! `export`: a network for another framework, or for a small device.

use crate::cli::Export;
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Context, Result};
use serde::Serialize;
use snn_edge::{Program, Summary};
use snn_exchange::{onnx, torch};
use snn_ir::Model;
use snn_nir::Gain;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Written {
    format: &'static str,
    out: PathBuf,
    bytes: u64,
}

impl Written {
    fn of(format: &'static str, out: &Path) -> Result<Self> {
        Ok(Self { format, out: out.into(), bytes: fs_err::metadata(out)?.len() })
    }
}

#[derive(Serialize)]
struct Report {
    written: Vec<Written>,
    nir: Option<snn_nir::Report>,
    edge: Option<Device>,
}

/// Bytes that a program takes on a device.
#[derive(Serialize)]
struct Device {
    flash: usize,
    /// RAM of an engine that runs images.
    image: usize,
    /// RAM of one that runs samples of several frames.
    frames: usize,
    /// RAM of one that runs frame by frame.
    stream: usize,
    #[serde(skip)]
    summary: Summary,
}

/// Writes a program for a device.
fn write_edge(model: &Model, path: &Path, force: bool) -> Result<Device> {
    let program = snn_edge::compile(model).context("--edge")?;
    let summary = Summary::of(&Program::new(&program)?);
    files::write(path, &program, force)?;
    let [image, frames, stream] = summary.memory;
    Ok(Device { flash: summary.flash, image, frames, stream, summary })
}

pub(crate) fn run(arguments: &Export, json: bool) -> Result<Outcome> {
    let Export { torch: folder, onnx: graph, nir, edge, force, .. } = arguments;
    let parts = folder
        .iter()
        .flat_map(|folder| [torch::WEIGHTS, torch::PROGRAM].map(|name| folder.join(name)));
    let parts: Vec<PathBuf> = parts.collect();
    for path in parts.iter().chain(graph).chain(nir).chain(edge) {
        files::refuse_existing(path, *force)?;
        files::refuse_source(path, &arguments.model)?;
    }
    let model = files::trained(&arguments.model)?.model;
    let mut report = Report { written: Vec::new(), nir: None, edge: None };
    if let Some(folder) = folder {
        torch::write(&model, folder).context("--torch")?;
        for path in &parts {
            report.written.push(Written::of("torch", path)?);
        }
    }
    if let Some(path) = graph {
        files::make_folder(path)?;
        onnx::write(&model, path).context("--onnx")?;
        report.written.push(Written::of("onnx", path)?);
    }
    if let Some(path) = nir {
        let gain = if arguments.unit_gain { Gain::Unit } else { Gain::default() };
        let dt = arguments.dt.unwrap_or(snn_nir::DEFAULT_DT);
        let options = snn_nir::ExportOptions { dt, gain };
        files::make_folder(path)?;
        report.nir = Some(snn_nir::write(&model, path, &options).context("--nir")?);
        report.written.push(Written::of("nir", path)?);
    }
    if let Some(path) = edge {
        report.edge = Some(write_edge(&model, path, *force)?);
        report.written.push(Written::of("edge", path)?);
    }
    if json {
        print_json(&report)?;
        return Ok(Outcome::Holds);
    }
    if let Some(nir) = &report.nir {
        output::print(nir)?;
    }
    if let Some(Device { summary, .. }) = &report.edge {
        output::line(summary)?;
    }
    for Written { out, bytes, .. } in &report.written {
        output::line(format_args!("wrote {} ({bytes} bytes)", out.display()))?;
    }
    Ok(Outcome::Holds)
}
