//! `convert`: a run into an event-driven model file.

use crate::cli::{Convert, GridName};
use crate::files::{self, Trained};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Result, bail};
use serde::Serialize;
use snn_core::Pixels;
use snn_data::{DatasetName, Source, SourceConfig, Subset};
use snn_ir::{Code, Form, Model};
use snn_reparam::{
    Action, CodeChoice, Conversion, ConversionOptions, ConvertOptions, GridOptions, Plan, to_grid,
    to_grid_calibrated,
};
use snn_train::{RunConfig, encode, evaluation_batches, input};
use std::path::Path;
use std::sync::Arc;
use tch::Device;

#[derive(Serialize)]
struct Converted<'a> {
    out: &'a Path,
    form: &'static str,
    bytes: u64,
    plan: &'a Plan,
}

/// Samples of a batch of calibration.
const BATCH: usize = 32;

/// Converts with the options of the command line, weights rounded to the nearest; the plan has both
/// steps.
pub(crate) fn convert(
    trained: &Model,
    options: &ConversionOptions,
) -> snn_reparam::Result<Conversion> {
    let codes = ConvertOptions::from(options.codes.clone());
    let events = snn_reparam::convert(trained, &codes)?;
    let Some(grid) = options.grid else { return Ok(events) };
    let on_grid = to_grid(&events.model, grid)?;
    Ok(Conversion { model: on_grid.model, plan: events.plan.then(on_grid.plan) })
}

/// Converts, with weights rounded by what layers read of these training samples
/// ([`calibration_samples`]), if there are any.
pub(crate) fn convert_calibrated(
    trained: &Model,
    options: &ConversionOptions,
    samples: Option<&Arc<dyn Source>>,
    device: Device,
) -> Result<Conversion> {
    let (Some(grid), Some(samples)) = (options.grid, samples) else {
        return Ok(convert(trained, options)?);
    };
    let codes = ConvertOptions::from(options.codes.clone());
    let events = snn_reparam::convert(trained, &codes)?;
    let nearest = to_grid(&events.model, grid)?.model;
    let batches = evaluation_batches(samples, BATCH)?
        .map(|batch| -> Result<Pixels> { Ok(Pixels::new(&input(&batch?.samples), device)?) });
    let inputs = snn_core::layer_inputs(&nearest, device, batches)?;
    let on_grid = to_grid_calibrated(&events.model, grid, &inputs)?;
    Ok(Conversion { model: on_grid.model, plan: events.plan.then(on_grid.plan) })
}

/// Training samples of a run, spread evenly over its training part, as the model reads them.
pub(crate) fn calibration_samples(
    config: &RunConfig,
    model: &Model,
    count: u32,
    root: Option<&Path>,
) -> Result<Arc<dyn Source>> {
    spread(config.open_data(root)?.train, model, count)
}

/// Training samples of the data set that is named, or of that of the run.
pub(crate) fn training_samples(
    trained: &Trained,
    dataset: Option<DatasetName>,
    count: u32,
    root: Option<&Path>,
) -> Result<Arc<dyn Source>> {
    match (dataset, &trained.config) {
        (Some(name), Some(config)) if config.data.dataset == name => {
            calibration_samples(config, &trained.model, count, root)
        }
        (Some(name), _) => {
            let data = SourceConfig::for_shape(name, trained.model.validate()?.input_shape());
            let sources = snn_data::open(&data, root)?;
            spread(sources.train, &trained.model, count)
        }
        (None, Some(config)) => calibration_samples(config, &trained.model, count, root),
        (None, None) => bail!(
            "a model file does not say which training samples there are: name them with --dataset, \
             or give the run folder"
        ),
    }
}

/// So many samples, spread evenly, as a model reads them.
fn spread(train: Arc<dyn Source>, model: &Model, count: u32) -> Result<Arc<dyn Source>> {
    let (all, wanted) = (train.len(), count as usize);
    if wanted > all {
        bail!("calibration takes {wanted} training samples, but there are only {all}");
    }
    let indices = (0..wanted).map(|place| place * all / wanted).collect();
    let chosen: Arc<dyn Source> = Arc::new(Subset::new(train, indices)?);
    Ok(encode(&chosen, &model.encoder(), model.time_steps())?)
}

pub(crate) fn run(arguments: &Convert, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    files::refuse_source(&arguments.out, &arguments.run)?;
    let trained = files::trained(&arguments.run)?;
    if trained.model.form() != Form::Trained {
        let form = trained.model.form().label();
        bail!(
            "{}: expected a trained model, found one that is converted already (form {form})",
            arguments.run.display()
        );
    }
    let mut codes = CodeChoice::from(Code::from(arguments.code));
    codes
        .sites
        .extend(arguments.site_codes.iter().map(|(site, code)| (site.clone(), Code::from(*code))));
    let with_bits = |usual: GridOptions| GridOptions {
        calibration: arguments.calibrate.unwrap_or(0),
        guard_bits: arguments.guard_bits.unwrap_or(usual.guard_bits),
        leak_bits: arguments.leak_bits.unwrap_or(usual.leak_bits),
        ..usual
    };
    let grid = match arguments.grid {
        GridName::Int8 => Some(with_bits(GridOptions::default())),
        GridName::Int16 => Some(with_bits(GridOptions::int16())),
        GridName::None
            if arguments.guard_bits.is_some()
                || arguments.leak_bits.is_some()
                || arguments.calibrate.is_some() =>
        {
            bail!(
                "--guard-bits, --leak-bits and --calibrate are settings of the grid; there is none \
                 with --grid none"
            )
        }
        GridName::None => None,
    };
    let options = ConversionOptions { codes, grid };
    let root = arguments.data.data.as_deref();
    let samples = arguments
        .calibrate
        .map(|count| training_samples(&trained, arguments.dataset, count, root))
        .transpose()?;
    let conversion =
        convert_calibrated(&trained.model, &options, samples.as_ref(), arguments.device)?;
    files::save(&conversion.model, &arguments.out)?;
    let bytes = fs_err::metadata(&arguments.out)?.len();
    let form = conversion.model.form().label();
    if json {
        print_json(&Converted { out: &arguments.out, form, bytes, plan: &conversion.plan })?;
    } else {
        if arguments.plan {
            output::print(&conversion.plan)?;
            output::line("")?;
        }
        output::print(conversion.plan.summary())?;
        output::line(format_args!("\n{}", losses(&conversion.plan, options.grid.is_some())))?;
        output::line(format_args!(
            "wrote {} (form {form}, {bytes} bytes)",
            arguments.out.display()
        ))?;
    }
    Ok(Outcome::Holds)
}

/// Losses of the two steps of a conversion.
fn losses(plan: &Plan, on_grid: bool) -> String {
    let nothing = "Conversion to events loses nothing: every spike and level is that of the \
                   trained \
                   network, in real arithmetic.";
    if !on_grid {
        return nothing.into();
    }
    let worst = plan
        .entries
        .iter()
        .filter_map(|entry| match entry.action {
            Action::Rounded { error, .. } => Some((error, &entry.node)),
            _ => None,
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let rounding = worst.map_or(String::new(), |(error, node)| {
        format!(" (by up to {:.2} % of a channel's largest weight, in `{node}`)", 100.0 * error)
    });
    format!(
        "{nothing}\nRounding to integers is a second step{rounding}; `snn verify` measures what it \
         changes."
    )
}
