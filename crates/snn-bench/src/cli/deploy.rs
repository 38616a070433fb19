//! Arguments of commands that prove, run and measure converted models.

use super::DataRoot;
#[cfg(feature = "data")]
use super::data;
use clap::{ArgGroup, Args, ValueEnum};
use snn_data::DatasetName;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// Converted models on the grid.
    #[arg(required = true)]
    pub(crate) models: Vec<PathBuf>,
    /// Measure layers again that were measured before.
    #[arg(long)]
    pub(crate) force: bool,
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
