//! `import`: a trained network of another framework.

use crate::cli::Import;
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Result, bail};
use serde::Serialize;
use snn_exchange::onnx;
use snn_ir::Model;
use std::path::Path;

#[derive(Serialize)]
struct Written<'a, R: Serialize> {
    out: &'a Path,
    bytes: u64,
    report: &'a R,
}

/// What the file does not say.
struct Facts {
    shape: Option<Vec<usize>>,
    /// In units of full intensity.
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    classes: Vec<String>,
}

/// Full intensity of a pixel.
const WHITE: f64 = 255.0;

impl Facts {
    /// Those of the command line, and of the data set that it names.
    fn of(arguments: &Import) -> Result<Self> {
        let given = |values: &[f64]| (!values.is_empty()).then(|| values.to_vec());
        let mut facts = Self {
            shape: arguments.input.clone().map(|shape| shape.0),
            mean: given(&arguments.mean),
            std: given(&arguments.std),
            classes: Vec::new(),
        };
        if let Some(name) = arguments.dataset {
            let spec = name.spec();
            let root = arguments.data.data.as_deref();
            facts.classes = snn_data::open(&snn_data::SourceConfig::new(name), root)?.classes;
            facts.shape.get_or_insert_with(|| spec.image.to_vec());
            facts.mean.get_or_insert_with(|| {
                spec.channel_mean_u8.iter().map(|mean| f64::from(*mean) / WHITE).collect()
            });
            facts
                .std
                .get_or_insert_with(|| spec.channel_std.iter().map(|std| std / WHITE).collect());
        }
        Ok(facts)
    }
}

pub(crate) fn run(arguments: &Import, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    let facts = Facts::of(arguments)?;
    let ending = arguments.file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match ending.as_str() {
        "onnx" => {
            let mut options = onnx::Options::default();
            options.mean = facts.mean;
            options.std = facts.std;
            options.shape = facts.shape;
            options.classes = facts.classes;
            options.output.clone_from(&arguments.output);
            let imported = onnx::read(&arguments.file, &options)?;
            if !json {
                if arguments.long {
                    output::print(&imported.report)?;
                }
                output::line(imported.report.summary())?;
            }
            finish(arguments, &imported.model, &imported.report, json)
        }
        _ => bail!(
            "{}: expected a file that ends in `.onnx`, found `.{ending}`",
            arguments.file.display()
        ),
    }
}

/// Writes the model and says so.
fn finish<R: Serialize>(
    arguments: &Import,
    model: &Model,
    report: &R,
    json: bool,
) -> Result<Outcome> {
    files::save(model, &arguments.out)?;
    let bytes = fs_err::metadata(&arguments.out)?.len();
    if json {
        print_json(&Written { out: &arguments.out, bytes, report })?;
    } else {
        output::line(format_args!("wrote {} ({bytes} bytes)", arguments.out.display()))?;
    }
    Ok(Outcome::Holds)
}
