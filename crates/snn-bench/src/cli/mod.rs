//! The command line as data.

#[cfg(feature = "data")]
pub(crate) mod data;
mod exchange;
mod policy;

pub(crate) use exchange::{Discretisation, Export, Import, NirArgs, StateDictArgs};
pub(crate) use policy::{Policy, PolicySearch};

use crate::names::{BudgetName, CodeName, TargetName};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use snn_data::DatasetName;
use snn_reparam::StepRule;
use snn_train::{Options, Start};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Spiking neural networks by hybrid conversion: train, convert, prove it, run on events.
///
/// Conversion loses nothing in real arithmetic; rounding to integers is a second step, whose effect
/// `verify` prints.
///
/// Without a command: what the tool does, and the tables of results as far as they are made.
/// Results go to stdout, progress to stderr. Exit codes: 0 holds, 1 a check failed, 2 usage,
/// input or I/O, 130 training stopped by Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "snn", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Go the whole way in three minutes, without data: train a small hybrid on an embedded image
    /// set, convert it with all codes, verify each, compare.
    #[command(after_help = "JSON: `run` (as `train`), `lif_share`, `dense_images_per_second`, \
                      `dense_macs`, \
                        `conversions` (each `code`, `micro_steps`, `firing_rate`, `verification`, \
                        `inference`), `holds`, `failures`, `seconds`.")]
    Demo(Demo),
    /// Look after data sets.
    #[cfg(feature = "data")]
    #[command(subcommand)]
    Data(data::Data),
    /// Train a hybrid network into a run folder.
    ///
    /// Ctrl-C ends it with a checkpoint, from which --resume continues bit for bit.
    #[command(
        after_help = "JSON, the `result.json` of the run: `dataset`, `test_accuracy` (0 to 1), \
                        `test_images`, `validation_accuracy`, `averaged`, `batch_norm_batches`, \
                        `final_epoch`, `wall_seconds`, `policy`, `relu_share`, `time_steps`, \
                        `parameters`, `chance` (0 to 1)."
    )]
    Train(Train),
    /// Predict what a training will cost on this machine, from a few steps of each of its stages.
    ///
    /// Data are read and augmented as in training; what is trained is thrown away. Evaluation after
    /// each epoch, conversion and proof come on top.
    #[command(
        after_help = "JSON: `seconds` and `stages` (each `stage`, `epochs`, `samples` of an \
                            epoch, `samples_per_second`, `peak_memory_bytes`)."
    )]
    Estimate(Estimate),
    /// Convert a run into an event-driven model file.
    ///
    /// Prints a summary, and with --plan what becomes of every node. What cannot be converted ends
    /// with 2 and a list.
    #[command(after_help = "JSON: `out`, `form`, `bytes`, `plan`.")]
    Convert(Convert),
    /// Read a trained network of another framework: weights of PyTorch, an ONNX graph, a NIR graph.
    ///
    /// Of PyTorch a state dict is read as data, no pickle is executed (`.pt`, `.pth`, `.th`,
    /// `.bin`, `.ckpt`, `.safetensors`). Its network is recognised (ResNets and VGGs in the layouts
    /// of torchvision, timm and the usual ones for CIFAR), or given by --network. Of ONNX (`.onnx`)
    /// a CNN is read. What comes out of both is a trained network at T = 1 whose sites are ReLUs;
    /// `quantise` and `convert` make events of it, and `start_from` of a config trains on from it.
    /// NIR (`.nir`) has spiking neurons, whose differential equations become steps of time.
    ///
    /// Prints what was matched, missing and left over, or what each node became. What cannot be
    /// taken over ends with 2 and a list.
    #[command(after_help = "JSON: `out`, `bytes`, `report`.")]
    Import(Import),
    /// Write a network for another framework, PyTorch, ONNX or NIR, or for a small device.
    ///
    /// Of a network on the grid PyTorch and ONNX get the same integers, so that anybody can check a
    /// conversion without this project. What cannot be expressed exactly is refused by node.
    #[command(after_help = "JSON: `written` (each `format`, `out`, `bytes`), `nir` \
                            (`primitives`, `dt`, `time_steps`, `discretisation`, `notes`), \
                            and `edge` (`flash`, `image`, `frames` and `stream`: bytes of \
                            flash, and of RAM by the way it runs).")]
    Export(Export),
    /// Put quantised ReLUs in the place of the ReLUs of a trained network, by what they yield on
    /// training samples. Nothing is trained.
    ///
    /// What comes out is a trained network that `convert` makes exact events of. Its steps differ
    /// between channels; layers take up in their biases what the mean of their inputs changes by.
    /// Prints how far each site is off.
    #[command(after_help = "JSON: `out`, `bytes`, `samples`, `plan`.")]
    Quantise(Quantise),
    /// Compare codes with rate coding: the accuracy of a trained ReLU network as events, by the
    /// number of steps, without training.
    ///
    /// The network is quantised with each number of levels and converted; and its ReLUs become
    /// integrate-and-fire neurons that send rates, with the first membrane at rest and with that of
    /// QCFS. Everything runs on this project's runtimes.
    #[command(after_help = "JSON: `model`, `dataset`, `samples`, `trained` (percent), `machine`, \
                            `rows` (each `method`, `levels` or `time_steps`, `steps`, \
                            `accuracy` and `accuracy_int8` (percent), `additions`).")]
    Codes(Codes),
    /// Fine-tune a model on the grid, to win back what rounding lost.
    #[command(after_help = "JSON: as `train`.")]
    Finetune(Finetune),
    /// Prove that a converted model is its trained network: spike for spike off the grid, bit for
    /// bit on it.
    #[command(after_help = "JSON: `run`, `model`, `holds`, `finetuned`, `verdict`, `level`, \
                            `samples`, `test_samples` (`null` where not known), `flips`, `sites`, \
                            `active_sites`, `accuracy_reference`, `accuracy_converted` (percent), \
                            `max_drop`, `class_changes`, `noise` (`samples`, `class_changes`), \
                            `calibrated`, `changed_weights`, `weights`, `rounding` (each \
                            `node`, `weights`, \
                            `largest_error`, `relative_error`), `failures`, `notes`, and \
                            `comparisons` (each `level`, `reference`, `candidate`, `samples`, \
                            `decisions`, `flips`, `ties`, `unequal_logits`, `logit_difference` \
                            (`null` where logits are not compared), `class_changes`, `sites`).")]
    Verify(Verify),
    /// Run a converted model on events, as fast as this machine can; or a trained one on libtorch.
    ///
    /// A model on the grid is deployed: it runs with the best instructions of this machine. With
    /// --counts the interpreter that counts every operation runs as well, untimed, and its logits
    /// must be the same; a model off the grid is run by that interpreter alone.
    ///
    /// An image is a PNG or JPEG file or raw bytes. With --run a picture is resized and cropped as
    /// the run's test pictures were. Otherwise it is turned upright as its camera noted, resized to
    /// cover the model's input (for 224×224 pixels, to a shorter side of 256), and its middle is
    /// cut out. For a model of one channel it becomes grey. Its five best
    /// classes are printed with their share (the softmax of the logits), the time of one run, and
    /// the events and additions that it took.
    ///
    /// A recording of an event camera is cut into frames as the recordings were that the model was
    /// trained on; its file says how, or the run does. With --stream the frames are run one by one
    /// as their events arrive, and the logits after each are printed: of a file or, with `-` or the
    /// name of a pipe, of a stream without end, for which a window says where frames end.
    #[command(after_help = "JSON: `samples`, `accuracy` and `chance` (percent), `engine`, \
                      `images_per_second`, and with --counts `energy_microjoules`, \
                      `energy_figures`, `counts`. Of one image: `image`, `class`, `name`, `best` \
                      (each `class`, `name`, `share`), `logits`, `engine`, `seconds`, `events`, \
                      `additions`, and with --counts `counts`. Of one recording the same, with \
                      `recording` in place of `image`; with --stream a line a frame: `frame`, \
                      `since_rest` (frames that the logits are over), `from_us`, `until_us`, \
                      `events`, `class`, `name`, `logits`.")]
    Infer(Infer),
    /// Measure a converted network as NeuroBench does: footprint, sparsity, effective operations.
    ///
    /// Each binary plane of a code is an input of its own, as if micro-steps were time steps; what
    /// does not vary over macro-steps is counted once.
    #[command(
        name = "neurobench",
        after_help = "JSON, with the names of NeuroBench: `samples`, `Footprint`, \
                      `ParameterCount`, `ConnectionSparsity`, `ClassificationAccuracy`, \
                      `ActivationSparsity`, `SynapticOperations` (`Effective_MACs`, \
                      `Effective_ACs`, `Dense`)."
    )]
    NeuroBench(NeuroBench),
    /// Write a page to look at: of a run its curves, firing rates, spikes and membranes of chosen
    /// samples, confusion, and for converted models the proof, operations and energy of each layer;
    /// of a table its rows.
    ///
    /// One HTML file that needs nothing else: it works offline, in light and dark, and by keyboard.
    #[command(after_help = "JSON: `out`, `bytes`.")]
    Report(Report),
    /// Draw what is in a model file or run folder: its graph with shapes, codes, scales and bounds,
    /// and how a converted model is deployed.
    #[command(after_help = "JSON: `form`, `time_steps`, `micro_steps`, `parameters`, \
                      `multiply_adds`, `neurons`, `lif_neurons`, `preprocessing`, `encoder`, \
                      `classes`, `nodes`, of a \
                      converted model `conversion`, of one that can be deployed `deployment`, \
                      of a run `config` and `result`, and with --times `times` (each `node`, \
                      `additions` (percent of its inputs), `measured` and `predicted` (µs)).")]
    Inspect(Inspect),
    /// Measure how long the layers of a converted model take on this machine, through events and as
    /// dense products, so that each runs in its faster form. No bit of a result changes.
    ///
    /// A layer takes about a tenth of a second. Times are kept for this processor in the cache
    /// (`SNN_CACHE_DIR`, else `$XDG_CACHE_HOME/snn` or `~/.cache/snn`), and all commands that
    /// deploy a model take them from there; layers that were not measured go by a model of costs.
    /// Best on a quiet machine.
    #[command(after_help = "JSON: `file`, `instruction_set`, `measured`, `models` (each `model`, \
                      `layers`: `break_even`, `node`, `time_steps`, `layer`, `added`, `events`, \
                      `dense`; times in nanoseconds at 0, 2, 5, 10, 15, 25, 40, 60 and 100 % of \
                      active inputs).")]
    Tune(Tune),
    /// Make a table of results: train each of its rows, convert, verify and count it, and write
    /// what came out.
    ///
    /// A table is a file in `tables/`. What is there already is not made again, and what was cut
    /// off goes on where it ended. Records and the written table are in `docs/results/tables/`.
    #[command(after_help = "JSON: `table`, `title`, `budget`, `rows` (each `row`, `config`, \
                      `seeds`, `missing` (seeds), `dataset`, `policy`, `lif_share`, \
                      `time_steps`, `test_samples`, `accuracy`, `twin`, `seconds`, `codes`, \
                      `published`, `reproduced`; each of the codes `code`, `seeds`, `holds`, \
                      `level`, `samples`, `accuracy`, `lost`, `max_drop`, `agreement`, \
                      `micro_steps`, `firing_rate`, `additions`, `energy`, \
                      `samples_per_second`; figures over seeds have `values`, `mean`, \
                      `deviation`), `missing` (rows), `published`, `machines`.")]
    Table(TableArguments),
    /// Look at the policy of a config.
    #[command(subcommand)]
    Policy(Policy),
    /// Print a script that completes commands and options in a shell.
    #[command(after_help = "JSON: `shell`, `script`.")]
    Completions(Completions),
    /// Print the manual page, or write one for each command.
    #[command(after_help = "JSON: a list of `name`, `file`, `text`.")]
    Man(Man),
    /// Write the generated parts of the documentation, or check them; `cargo xtask docs` calls it.
    #[command(hide = true)]
    Docs(Docs),
}

#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// Converted models on the grid.
    #[arg(required = true)]
    pub(crate) models: Vec<PathBuf>,
    /// Measure layers again that were measured before.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The root of the repository.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
    /// Write nothing; fail where something is not up to date.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the run and the converted models; a temporary one by default.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Replace an existing run in that folder.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DataRoot {
    /// Folder with the data sets [default: `SNN_DATA`, else `datasets`].
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
}

#[cfg(feature = "data")]
impl DataRoot {
    /// The folder that is named, or the default one.
    pub(crate) fn folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(snn_data::default_root)
    }
}

/// Where a training happens and how it begins.
#[derive(Debug, Args)]
pub(crate) struct RunTarget {
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// The run folder; its model is model.safetensors.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Continue the run where it stopped.
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Replace an existing run.
    #[arg(long)]
    force: bool,
    /// Where to compute: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    device: tch::Device,
}

impl RunTarget {
    /// The same for the training loop.
    pub(crate) fn options(&self) -> Options {
        let start = match (self.resume, self.force) {
            (true, _) => Start::Resume,
            (false, true) => Start::Overwrite,
            (false, false) => Start::New,
        };
        Options {
            data_root: self.data.data.clone(),
            device: self.device,
            start,
            ..Options::default()
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// The run's config, a TOML file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) target: RunTarget,
    /// Set a key of the config, as `epochs=1` or `optimiser.learning_rate=0.05`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// The run folder of a finished twin (`RUN/twin` of a staged run, the innermost `twin` of a
    /// crossover), which is copied in place of training the twin of this config again.
    #[arg(long, value_name = "RUN")]
    pub(crate) twin: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Estimate {
    /// The run's config, a TOML file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Set a key of the config, as `train --set` does.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Steps of each stage that are measured, after as many to warm up.
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) steps: NonZeroUsize,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where to compute: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
}

/// The grid as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GridName {
    /// 8-bit weights, integers everywhere.
    Int8,
    /// 16-bit weights as two of 8 bits: closer to the trained network, for twice the additions.
    Int16,
    /// Real numbers, f64.
    None,
}

/// Instruction sets as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KernelName {
    /// Plain Rust.
    Scalar,
    /// AVX2 (x86-64).
    Avx2,
    /// AVX-512 (x86-64).
    Avx512,
    /// AVX-512 with VNNI (x86-64).
    Avx512vnni,
    /// AVX-512 with VNNI, and the tiles of AMX (x86-64).
    Amx,
}

impl From<KernelName> for snn_runtime::InstructionSet {
    fn from(name: KernelName) -> Self {
        match name {
            KernelName::Scalar => Self::Scalar,
            KernelName::Avx2 => Self::Avx2,
            KernelName::Avx512 => Self::Avx512,
            KernelName::Avx512vnni => Self::Avx512Vnni,
            KernelName::Amx => Self::Amx,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    /// The table: the name of a file in `tables/`.
    pub(crate) name: String,
    /// How much it may cost; the file of the table says what each budget means.
    #[arg(long, value_enum)]
    pub(crate) budget: BudgetName,
    /// Only this row.
    #[arg(long)]
    pub(crate) row: Option<String>,
    /// Only this seed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Make nothing; write and show the table of what is there.
    #[arg(long, conflicts_with = "force")]
    pub(crate) show: bool,
    /// Make nothing; measure so many steps of each stage of the chosen rows, and write what their
    /// training will cost on this machine.
    #[arg(long, value_name = "STEPS", conflicts_with_all = ["show", "force", "verify", "export"])]
    pub(crate) estimate: Option<NonZeroUsize>,
    /// Make the chosen rows anew, also those that are there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Verify each conversion on at most so many test samples; without this, on as many as the
    /// budget says, which verifies the rest.
    #[arg(long, value_name = "N", conflicts_with = "show")]
    pub(crate) verify: Option<NonZeroUsize>,
    /// Write a converted network of the row into this folder: the model, its config, its record and
    /// a card that says what it is.
    #[arg(long, value_name = "FOLDER", requires = "row", requires = "seed")]
    pub(crate) export: Option<PathBuf>,
    /// The conversion that `--export` writes.
    #[arg(long, default_value = "unary", requires = "export", value_parser = parse_target)]
    pub(crate) code: TargetName,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Root of the repository, with `tables/` and `configs/`.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
    /// Folder for weights and checkpoints [default: `runs/tables` in the root].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) runs: Option<PathBuf>,
    /// Folder for records and tables [default: `docs/results/tables` in the root].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) results: Option<PathBuf>,
}

/// What a table converts to, as `unary` or `unary-int16`.
fn parse_target(text: &str) -> Result<TargetName, String> {
    TargetName::try_from(text.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct NeuroBench {
    /// A model on the grid.
    pub(crate) model: PathBuf,
    /// The data set whose test images are measured.
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    /// The run whose data set and samples it is measured on.
    #[arg(long)]
    pub(crate) run: Option<PathBuf>,
    /// At most so many test samples.
    #[arg(long)]
    pub(crate) limit: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The run folder, or the name of a table in `tables/`.
    #[arg(value_name = "RUN|TABLE")]
    pub(crate) of: String,
    /// The HTML file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    /// Test samples of a run that are measured.
    #[arg(long, default_value = "200")]
    pub(crate) samples: NonZeroUsize,
    /// A sample whose spikes and membranes are drawn, by its number from 0 among those [default:
    /// the first 3].
    #[arg(long = "sample", value_name = "NUMBER")]
    pub(crate) drawn: Vec<usize>,
    /// A converted model of the run [default: all that stand in its folder].
    #[arg(long = "model", value_name = "FILE")]
    pub(crate) models: Vec<PathBuf>,
    /// Picojoules of a multiply-accumulate and of an addition on your hardware, as `0.23,0.03`, in
    /// place of the 45 nm figures.
    #[arg(long, value_name = "MAC,ADDITION", value_parser = crate::energy::parse)]
    pub(crate) energy: Option<crate::energy::Figures>,
    /// The budget of a table [default: cpu].
    #[arg(long, value_enum)]
    pub(crate) budget: Option<BudgetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Root of the repository, with `tables/`.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The run folder, or a trained model file.
    pub(crate) run: PathBuf,
    /// How ReLU sites send their levels.
    #[arg(long, value_enum)]
    pub(crate) code: CodeName,
    /// The number system.
    #[arg(long, value_enum, default_value = "int8")]
    pub(crate) grid: GridName,
    /// Another code for one site, as `stem.act=graded`.
    #[arg(long = "site-code", value_name = "SITE=CODE", value_parser = parse_site_code)]
    pub(crate) site_codes: Vec<(String, CodeName)>,
    /// Fractional bits of membranes on the grid, 0 to 16 [default: 8, of int16 4].
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) guard_bits: Option<u8>,
    /// Bits that leaks are rounded to on the grid, 0 to 16 [default: 12, of int16 16].
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) leak_bits: Option<u8>,
    /// Round weights by what layers read of so many training samples, in place of to the nearest:
    /// the currents of layers change least.
    #[arg(long, value_name = "SAMPLES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calibrate: Option<u32>,
    /// The data set of these samples [default: the run's].
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    pub(crate) dataset: Option<DatasetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where to calibrate: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// List what becomes of every node, not only a summary; JSON has it always.
    #[arg(long, conflicts_with = "json")]
    pub(crate) plan: bool,
    /// The model file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Quantise {
    /// The trained network: a model file, or a run folder.
    pub(crate) run: PathBuf,
    /// Levels of every site.
    #[arg(
        long,
        value_name = "D",
        value_parser = clap::value_parser!(u8).range(1..),
        conflicts_with = "error",
        required_unless_present = "error"
    )]
    pub(crate) levels: Option<u8>,
    /// For each site the fewest levels with which it is off by this much at most: 0.02 for 2 %.
    #[arg(long, value_name = "SHARE")]
    pub(crate) error: Option<f64>,
    /// How steps are chosen: `least-error`, of what is rounded and clipped; `largest`, nothing is
    /// clipped; or a quantile of the positive values beyond which they are, as 0.999.
    #[arg(long, default_value = "least-error", value_parser = step_rule)]
    pub(crate) rule: StepRule,
    /// Leave biases as they are.
    #[arg(long)]
    pub(crate) keep_biases: bool,
    /// Training samples that decide.
    #[arg(long, default_value = "512", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// The data set of these samples [default: the run's].
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// The model file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Codes {
    /// The trained ReLU network: a model file, or a run folder.
    pub(crate) run: PathBuf,
    /// Levels to quantise it with.
    #[arg(long, value_delimiter = ',', value_name = "D", default_value = "1,2,3,4,7,15,31",
          value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) levels: Vec<u8>,
    /// Macro-steps of the rate-coded networks.
    #[arg(long, value_delimiter = ',', value_name = "T", default_value = "4,8,16,32,64,128,256")]
    pub(crate) steps: Vec<NonZeroUsize>,
    /// Training samples that steps and thresholds are chosen by.
    #[arg(long, default_value = "512", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// The data set [default: the run's].
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    /// Only N test images.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Test images on which additions are counted.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(crate) counted: NonZeroUsize,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Write the table into this folder as `codes.md` and `codes.json`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Replace existing files.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

fn step_rule(text: &str) -> Result<StepRule, String> {
    match (text, text.parse::<f64>()) {
        ("least-error", _) => Ok(StepRule::LeastError),
        ("largest", _) => Ok(StepRule::Largest),
        (_, Ok(share)) if share > 0.0 && share <= 1.0 => Ok(StepRule::Percentile(share)),
        _ => Err("expected `least-error`, `largest` or a quantile above 0 and at most 1".into()),
    }
}

fn parse_site_code(text: &str) -> Result<(String, CodeName), String> {
    let (site, code) = text.split_once('=').ok_or("expected SITE=CODE")?;
    Ok((site.to_string(), CodeName::from_str(code, true)?))
}

#[derive(Debug, Args)]
pub(crate) struct Finetune {
    /// The run folder whose conversion the model is; its config gives data, batch and augmentation.
    pub(crate) run: PathBuf,
    /// The model on the grid.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) target: RunTarget,
    /// Passes over the training images [default: the run's `finetuning.epochs`].
    #[arg(long)]
    pub(crate) epochs: Option<usize>,
    /// Learning rate, falling to zero along a cosine [default: the run's
    /// `finetuning.learning_rate`].
    #[arg(long)]
    pub(crate) learning_rate: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The run folder, or a trained model file.
    pub(crate) run: PathBuf,
    /// The converted model.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// The data set [default: the run's].
    #[arg(long)]
    pub(crate) dataset: Option<DatasetName>,
    /// The most accuracy that conversion may cost, in points.
    #[arg(long, default_value_t = 1.0, value_parser = points)]
    pub(crate) max_drop: f64,
    /// Only N test images: the first ones, or a choice that is always the same where the set stands
    /// class by class (pictures, recordings) [default: the run's `data.test_limit`, else all].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Test images on which the naive evaluator runs as well.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(crate) naive_samples: NonZeroUsize,
    /// The model was fine-tuned: its weights may differ from the run's conversion, nothing else. It
    /// holds on 1,000 images at least (or all there are), since accuracy alone speaks for it.
    #[arg(long)]
    pub(crate) finetuned: bool,
    /// List every comparison and what rounding did to every layer; JSON has them always.
    #[arg(long, conflicts_with = "json")]
    pub(crate) long: bool,
    /// Instruction sets that the deployment is proved with [default: all that this machine has].
    #[arg(long = "kernel", value_enum, value_delimiter = ',', value_name = "LEVEL")]
    pub(crate) kernels: Vec<KernelName>,
    /// Numbers of threads that it is proved with, the most on all images, fewer on the first 100
    /// [default: 1 and the cores of this machine].
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = threads)]
    pub(crate) threads: Vec<NonZeroUsize>,
    /// Images in a batch, whose spikes are all in memory at once [default: 50, or fewer for a large
    /// network].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Option<u16>,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
}

/// What `infer` reads, one of them at least.
#[cfg(feature = "data")]
const INPUTS: [&str; 4] = ["dataset", "run", "image", "recording"];
#[cfg(not(feature = "data"))]
const INPUTS: [&str; 3] = ["dataset", "run", "image"];

#[derive(Debug, Args)]
#[command(group(
    ArgGroup::new("input").args(INPUTS).required(true).multiple(true)
))]
pub(crate) struct Infer {
    /// The converted model; or a trained one, a file or a run folder, which runs on libtorch.
    pub(crate) model: PathBuf,
    #[cfg(feature = "data")]
    #[command(flatten)]
    pub(crate) recording: data::InferRecording,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// The data set whose test images to classify.
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    /// The run that the model is from: its data set, framed and encoded as it was trained; with
    /// --image the size and resizing of its pictures.
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// One image instead: a PNG or JPEG file, resized and cropped to the model's input, or raw
    /// bytes, channel by channel.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dataset", "data", "limit"])]
    pub(crate) image: Option<PathBuf>,
    /// Only N test images: the first ones, or a choice that is always the same where the set stands
    /// class by class (pictures, recordings) [default: the run's `data.test_limit`, else all].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Count every operation as well, and the energy that they stand for; node by node. Of a model
    /// off the grid they always are.
    #[arg(long)]
    pub(crate) counts: bool,
    /// Picojoules of a multiply-accumulate and of an addition on your hardware, as `0.23,0.03`, in
    /// place of the 45 nm figures.
    #[arg(
        long,
        value_name = "MAC,ADDITION",
        value_parser = crate::energy::parse,
        requires = "counts"
    )]
    pub(crate) energy: Option<crate::energy::Figures>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A model file or run folder.
    pub(crate) path: PathBuf,
    /// Draw the graph and list every node, not only a summary; JSON has them always.
    #[arg(long, conflicts_with = "json")]
    pub(crate) nodes: bool,
    /// Draw the graph into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Replace an existing file.
    #[arg(long, requires = "svg")]
    pub(crate) force: bool,
    /// Run N test images, one after another, and list the time of each node that is deployed,
    /// beside what the times of `snn tune` predict.
    #[arg(long, value_name = "N")]
    pub(crate) times: Option<NonZeroUsize>,
    /// The data set of these images [default: the run's].
    #[arg(long, value_name = "NAME", requires = "times")]
    pub(crate) dataset: Option<DatasetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write the page of every command into this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Replace existing pages.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

/// A number of points of accuracy: 0 to 100.
fn points(text: &str) -> Result<f64, String> {
    let points = text.parse::<f64>().ok().filter(|points| (0.0..=100.0).contains(points));
    points.ok_or_else(|| "expected a number of points from 0 to 100".into())
}

/// A number of threads that this machine can make use of.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse::<NonZeroUsize>().map_err(|error| error.to_string())?;
    snn_runtime::check_threads(threads.get()).map_err(|error| error.to_string())?;
    Ok(threads)
}
