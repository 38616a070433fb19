//! The command line as data.

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use snn_data::DatasetName;
use snn_train::{Options, Start};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Spiking neural networks by hybrid conversion: train, convert without loss, prove it, run on events.
///
/// Without a command: what the tool does, and the paper's tables beside what has been measured here.
/// Results go to stdout, progress to stderr. Exit codes: 0 holds, 1 a check failed, 2 usage, input or I/O, 130 training stopped by Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "snn-bench", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole way in three minutes: train a small hybrid on an embedded image set, convert it with all codes, verify each, compare.
    Demo(Demo),
    /// Look after data sets.
    #[command(subcommand)]
    Data(Data),
    /// Train a hybrid network into a run folder.
    Train(Train),
    /// Convert a run into an event-driven model file.
    Convert(Convert),
    /// Fine-tune a model on the grid, to win back what rounding lost.
    Finetune(Finetune),
    /// Prove that a converted model is its trained network: spike for spike off the grid, bit for bit on it.
    Verify(Verify),
    /// Run a converted model on events, as fast as this machine can, and count what it does where asked to.
    Infer(Infer),
    /// Draw what is in a model file or run folder: its graph with shapes, codes, units and bounds, and how a model on the grid is deployed.
    Inspect(Inspect),
    /// Look at the policy of a config.
    #[command(subcommand)]
    Policy(Policy),
    /// Print a script that completes commands and options in a shell.
    Completions(Completions),
    /// Print the manual page, or write one for each command.
    Man(Man),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the run and the converted models; a temporary one by default.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Replace an existing run in that folder.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Say which files of the data sets are there, missing or different.
    Check {
        /// Only this data set.
        dataset: Option<DatasetName>,
        #[command(flatten)]
        data: DataRoot,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DataRoot {
    /// Folder with the data sets [default: `SNN_DATA`, else `datasets`].
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
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
        Options { data_root: self.data.data.clone(), device: self.device, start, ..Options::default() }
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
}

/// Codes of ReLU sites as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodeName {
    /// As many binary micro-steps as levels.
    Unary,
    /// One binary micro-step a bit.
    Bitplane,
    /// One event with a payload.
    Graded,
}

impl From<CodeName> for snn_ir::Code {
    fn from(name: CodeName) -> Self {
        match name {
            CodeName::Unary => Self::Unary,
            CodeName::Bitplane => Self::BitPlane,
            CodeName::Graded => Self::Graded,
        }
    }
}

/// The grid as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GridName {
    /// 8-bit weights, integers everywhere.
    Int8,
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
}

impl From<KernelName> for snn_runtime::Level {
    fn from(name: KernelName) -> Self {
        match name {
            KernelName::Scalar => Self::Scalar,
            KernelName::Avx2 => Self::Avx2,
            KernelName::Avx512 => Self::Avx512,
        }
    }
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
    /// Fractional bits of membranes on the grid.
    #[arg(long, default_value_t = snn_reparam::DEFAULT_GUARD_BITS)]
    pub(crate) guard_bits: u8,
    /// The model file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
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
    /// Passes over the training images.
    #[arg(long, default_value_t = 1)]
    pub(crate) epochs: usize,
    /// Learning rate, falling to zero along a cosine.
    #[arg(long, default_value_t = snn_train::DEFAULT_FINETUNE_RATE)]
    pub(crate) learning_rate: f64,
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
    #[arg(long, default_value_t = 1.0)]
    pub(crate) max_drop: f64,
    /// Only the first N test images.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Test images on which the naive evaluator runs as well.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(crate) naive_samples: NonZeroUsize,
    /// The model was fine-tuned: its weights may differ from the run's conversion, nothing else.
    #[arg(long)]
    pub(crate) finetuned: bool,
    /// Instruction sets that the deployment is proved with [default: all that this machine has].
    #[arg(long = "kernel", value_enum, value_delimiter = ',', value_name = "LEVEL")]
    pub(crate) kernels: Vec<KernelName>,
    /// Numbers of threads that it is proved with [default: 1 and the cores of this machine].
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(crate) threads: Vec<NonZeroUsize>,
    /// Images in a batch.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("input").args(["dataset", "image"]).required(true)))]
pub(crate) struct Infer {
    /// The converted model.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// The data set whose test images to classify.
    #[arg(long)]
    pub(crate) dataset: Option<DatasetName>,
    /// One image instead: raw bytes, channel by channel.
    #[arg(long)]
    pub(crate) image: Option<PathBuf>,
    /// Only the first N test images.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Count every operation as well, and the energy that they stand for. Of a model off the grid they always are.
    #[arg(long)]
    pub(crate) counts: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A model file or run folder.
    pub(crate) path: PathBuf,
    /// Draw the graph into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Replace an existing file.
    #[arg(long, requires = "svg")]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show which sites a config makes ReLU, before any training and without data files.
    Show {
        /// The config, a TOML file.
        config: PathBuf,
        /// Set a key of the config, as `policy=outer` or `'policy={ kind = "ratio", share = 0.25 }'`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
    },
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
