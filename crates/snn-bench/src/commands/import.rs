//! `import`: a trained network of another framework.

use crate::cli::{Discretisation, Import, NirArgs, StateDictArgs};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use snn_exchange::onnx;
use snn_exchange::pixels::{Normalisation, add_offset};
use snn_exchange::state_dict::{self, MatchOptions, Partial, StateDict};
use snn_ir::{Graph, Model};
use snn_train::RunConfig;
use std::fmt::Display;
use std::path::Path;

/// Seed of the weights that a partial match leaves open.
const SEED: u64 = 0;

/// Formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    StateDict,
    Onnx,
    Nir,
}

impl Format {
    /// By the ending of the file.
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        Ok(match ending.as_str() {
            "pt" | "pth" | "th" | "bin" | "ckpt" | "safetensors" => Self::StateDict,
            "onnx" => Self::Onnx,
            "nir" => Self::Nir,
            _ => bail!(
                "{}: expected a file that ends in `.pt`, `.pth`, `.th`, `.bin`, `.ckpt` or \
                 `.safetensors` (PyTorch), `.onnx` or `.nir`, found `.{ending}`",
                path.display()
            ),
        })
    }

    fn label(self) -> &'static str {
        match self {
            Self::StateDict => "weights of PyTorch",
            Self::Onnx => "ONNX",
            Self::Nir => "NIR",
        }
    }

    /// Refuses options of other formats.
    fn check(self, arguments: &Import) -> Result<()> {
        let Import { state_dict, nir, .. } = arguments;
        let StateDictArgs { network, key, partial, by_order, eps } = state_dict;
        let NirArgs { time_steps, dt, discretisation } = nir;
        let options = [
            ("--network", Self::StateDict, network.is_some()),
            ("--key", Self::StateDict, key.is_some()),
            ("--partial", Self::StateDict, *partial),
            ("--by-order", Self::StateDict, *by_order),
            ("--eps", Self::StateDict, eps.is_some()),
            ("--output", Self::Onnx, arguments.output.is_some()),
            ("--time-steps", Self::Nir, time_steps.is_some()),
            ("--dt", Self::Nir, dt.is_some()),
            ("--discretisation", Self::Nir, discretisation.is_some()),
        ];
        match options.iter().find(|(_, format, given)| *given && *format != self) {
            Some((option, format, _)) => bail!(
                "{option} is for {}, and {} is {}",
                format.label(),
                arguments.file.display(),
                self.label()
            ),
            None => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Written<'a, R: Serialize> {
    out: &'a Path,
    bytes: u64,
    report: &'a R,
}

/// What the file does not say.
struct Facts {
    shape: Option<Vec<usize>>,
    /// That of the data set, if one is named.
    usual_shape: Option<Vec<usize>>,
    /// As given, in units of full intensity.
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    /// That of the data set, if one is named.
    usual: Option<Normalisation>,
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
            usual_shape: None,
            mean: given(&arguments.mean),
            std: given(&arguments.std),
            usual: None,
            classes: Vec::new(),
        };
        if let Some(name) = arguments.dataset {
            let spec = name.spec();
            let root = arguments.data.data.as_deref();
            facts.classes = snn_data::open(&snn_data::SourceConfig::new(name), root)?.classes;
            facts.usual_shape = Some(spec.image.to_vec());
            let mean = spec.channel_mean_u8.iter().map(|mean| f64::from(*mean) / WHITE).collect();
            let std = spec.channel_std.iter().map(|std| std / WHITE).collect();
            facts.usual = Some(Normalisation { mean, std });
        }
        Ok(facts)
    }

    /// The normalisation; where nothing is said, values of 0 to 1.
    fn normalisation(&self) -> Normalisation {
        let usual = self.usual.clone().unwrap_or_else(|| Normalisation::unit(1));
        Normalisation {
            mean: self.mean.clone().unwrap_or(usual.mean),
            std: self.std.clone().unwrap_or(usual.std),
        }
    }

    /// Shape of an image, as recognising a network takes it.
    fn image(&self) -> Result<Option<[usize; 3]>> {
        let image = |shape: &[usize]| {
            <[usize; 3]>::try_from(shape).ok().with_context(|| {
                format!("--input: expected channels, height and width, found {shape:?}")
            })
        };
        self.shape.as_deref().or(self.usual_shape.as_deref()).map(image).transpose()
    }
}

pub(crate) fn run(arguments: &Import, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    let format = Format::of(&arguments.file)?;
    format.check(arguments)?;
    let facts = Facts::of(arguments)?;
    match format {
        Format::StateDict => of_state_dict(arguments, &facts, json),
        Format::Onnx => of_onnx(arguments, facts, json),
        Format::Nir => of_nir(arguments, facts, json),
    }
}

fn of_state_dict(arguments: &Import, facts: &Facts, json: bool) -> Result<Outcome> {
    let options = &arguments.state_dict;
    let state = StateDict::load(&arguments.file, options.key.as_deref())?;
    let mut import = state_dict::ImportOptions::default();
    if let Some(path) = &options.network {
        let (graph, time_steps) = network(path, arguments)?;
        import.graph = Some(graph);
        import.time_steps = time_steps;
    }
    import.network.input = facts.image()?;
    import.network.eps = options.eps.unwrap_or(import.network.eps);
    import.matching = MatchOptions {
        by_order: options.by_order,
        partial: if options.partial { Partial::Allow { seed: SEED } } else { Partial::Refuse },
    };
    import.classes.clone_from(&facts.classes);
    import.round_means = arguments.round_means;
    let imported = state_dict::import(&state, &facts.normalisation(), &import)?;
    finish(arguments, &imported.model, (&imported.report, imported.report.summary()), json)
}

/// The graph of a file and its time steps: a graph file, a model file, or the config of a run.
fn network(path: &Path, arguments: &Import) -> Result<(Graph, usize)> {
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        let model = Model::load(path)?;
        return Ok((model.graph().clone(), model.time_steps()));
    }
    let is_config = || -> Result<bool> {
        let text = fs_err::read_to_string(path)?;
        Ok(text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("network")))
    };
    if path.extension().is_some_and(|ending| ending == "toml") && is_config()? {
        let config = RunConfig::load(path, &[])?;
        let (image, classes) = config.input(arguments.data.data.as_deref())?;
        let graph = config.network.build(image, classes, &config.neuron)?;
        return Ok((graph, config.time_steps));
    }
    Ok((Graph::load(path)?, 1))
}

fn of_onnx(arguments: &Import, facts: Facts, json: bool) -> Result<Outcome> {
    let mut options = onnx::Options::default();
    options.mean = facts.mean;
    options.std = facts.std;
    options.usual = facts.usual;
    options.shape = facts.shape;
    options.usual_shape = facts.usual_shape;
    options.classes = facts.classes;
    options.round_means = arguments.round_means;
    options.output.clone_from(&arguments.output);
    let imported = onnx::read(&arguments.file, &options)?;
    finish(arguments, &imported.model, (&imported.report, imported.report.summary()), json)
}

fn of_nir(arguments: &Import, facts: Facts, json: bool) -> Result<Outcome> {
    let NirArgs { time_steps, dt, discretisation } = &arguments.nir;
    let mut options = snn_nir::Options {
        time_steps: time_steps.map(std::num::NonZeroUsize::get),
        dt: *dt,
        ..snn_nir::Options::default()
    };
    if let Some(discretisation) = discretisation {
        options.discretisation = match discretisation {
            Discretisation::Euler => snn_nir::Discretisation::Euler,
            Discretisation::Exponential => snn_nir::Discretisation::Exponential,
        };
    }
    let imported = snn_nir::read(&arguments.file, &options)?;
    let mut summary = imported.report.to_string().trim_end().to_owned();
    let (mut signature, mut weights) = imported.model.into_parts();
    if facts.mean.is_some() || facts.std.is_some() {
        let channels = signature.preprocessing.mean.len();
        let normalisation = facts.normalisation().for_channels(channels)?;
        let (graph, offset) = (&mut signature.graph, normalisation.offset());
        let remainder = add_offset(graph, &mut weights, &offset, arguments.round_means)?;
        signature.preprocessing = normalisation.preprocessing();
        summary = format!("{summary}\n{remainder}");
    }
    signature.classes = facts.classes;
    let model = Model::new(signature, weights);
    model.validate()?;
    finish(arguments, &model, (&imported.report, summary), json)
}

/// Writes the model and says so.
fn finish<R: Serialize + Display>(
    arguments: &Import,
    model: &Model,
    (report, summary): (&R, String),
    json: bool,
) -> Result<Outcome> {
    files::save(model, &arguments.out)?;
    let bytes = fs_err::metadata(&arguments.out)?.len();
    if json {
        print_json(&Written { out: &arguments.out, bytes, report })?;
        return Ok(Outcome::Holds);
    }
    if arguments.long {
        output::print(report)?;
    }
    output::line(summary)?;
    output::line(format_args!("wrote {} ({bytes} bytes)", arguments.out.display()))?;
    Ok(Outcome::Holds)
}
