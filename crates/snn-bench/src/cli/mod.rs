//! The command line as data.

mod convert;
#[cfg(feature = "data")]
pub(crate) mod data;
mod deploy;
mod exchange;
mod policy;
mod results;
mod train;

pub(crate) use convert::{Codes, Convert, GridName, Quantise};
pub(crate) use deploy::{Infer, Inspect, NeuroBench, Tune, Verify};
pub(crate) use exchange::{Discretisation, Export, Import, NirArgs, StateDictArgs};
pub(crate) use policy::{Policy, PolicySearch};
pub(crate) use results::{Report, TableArguments};
pub(crate) use train::{Demo, Estimate, Finetune, Train};

use clap::{Args, Parser, Subcommand};
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
                      `deviation`), `missing` (rows), `published`, `machines`, and `costs` \
                      where they were predicted (each `row`, `key`, `steps`, `stages` as \
                      `estimate`, `machine`).")]
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
pub(crate) struct Docs {
    /// The root of the repository.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
    /// Write nothing; fail where something is not up to date.
    #[arg(long)]
    pub(crate) check: bool,
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
