//! Arguments of what reads and writes the files of other frameworks.

use super::DataRoot;
use clap::{ArgGroup, Args, ValueEnum};
use snn_data::DatasetName;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; its ending tells the format, of PyTorch's files their content.
    pub(crate) file: PathBuf,
    /// Shape of one image, as `3x32x32`, where the file leaves it open [default: the data set's].
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// The data set that it was trained on, which has the shape of an image, the normalisation and
    /// the names of the classes.
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    /// Mean of each channel in the normalisation (p/255 − mean)/std of pixels p of 0 to 255, as
    /// `0.485,0.456,0.406` [default: the data set's, else 0; of NIR what the file says, else 0].
    #[arg(long, value_delimiter = ',', value_name = "MEAN", allow_negative_numbers = true)]
    pub(crate) mean: Vec<f64>,
    /// Deviation of each channel in that normalisation [default: the data set's, else 1; of NIR
    /// what the file says, else 1].
    #[arg(long, value_delimiter = ',', value_name = "STD")]
    pub(crate) std: Vec<f64>,
    /// Round means to integers in pixel terms at once, for `snn convert` or `start_from` without
    /// `snn quantise` between; exact but at a border of zero padding.
    #[arg(long)]
    pub(crate) round_means: bool,
    #[command(flatten)]
    pub(crate) state_dict: StateDictArgs,
    /// ONNX: the output of the network, where it has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    #[command(flatten)]
    pub(crate) nir: NirArgs,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// List every weight and tensor, or what every node became; JSON has it always.
    #[arg(long, conflicts_with = "json")]
    pub(crate) long: bool,
    /// The model file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What weights of PyTorch leave open.
#[derive(Debug, Args)]
#[command(next_help_heading = "PyTorch")]
pub(crate) struct StateDictArgs {
    /// The network that the weights are of: a graph file, a model file, or the config of a run
    /// [default: recognised].
    #[arg(long, value_name = "PATH")]
    pub(crate) network: Option<PathBuf>,
    /// The entry that has the state dict, of a checkpoint with several.
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// Take a network of which weights are missing, which get first values, or left over.
    #[arg(long)]
    pub(crate) partial: bool,
    /// Match layers whose names are known in no layout by their order.
    #[arg(long)]
    pub(crate) by_order: bool,
    /// ε of the batch norms [default: that of PyTorch, 1e-5].
    #[arg(long, value_name = "EPS")]
    pub(crate) eps: Option<f64>,
}

/// What a NIR graph leaves open.
#[derive(Debug, Args)]
#[command(next_help_heading = "NIR")]
pub(crate) struct NirArgs {
    /// Time steps T of a sample [default: what a file of `snn export` says].
    #[arg(long, value_name = "T")]
    pub(crate) time_steps: Option<NonZeroUsize>,
    /// Duration of a time step in seconds [default: 1e-4].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) dt: Option<f64>,
    /// How the differential equations of neurons become steps [default: euler].
    #[arg(long, value_name = "HOW")]
    pub(crate) discretisation: Option<Discretisation>,
}

/// How differential equations become steps of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Discretisation {
    /// Forward Euler.
    Euler,
    /// Exact for a current that is constant during a step.
    Exponential,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("format").required(true).multiple(true))]
pub(crate) struct Export {
    /// A model file or run folder.
    pub(crate) model: PathBuf,
    /// Write a network on the grid into this folder: `weights.safetensors` and `model.py`, plain
    /// torch operations.
    #[arg(long, value_name = "DIR", group = "format")]
    pub(crate) torch: Option<PathBuf>,
    /// Write a dense ONNX graph: of a network on the grid with its integers, of a trained one in
    /// f32.
    #[arg(long, value_name = "FILE", group = "format")]
    pub(crate) onnx: Option<PathBuf>,
    /// Write a NIR graph of a spiking network that is trained, or converted with `--grid none`.
    #[arg(long, value_name = "FILE", group = "format")]
    pub(crate) nir: Option<PathBuf>,
    /// Write a program for small devices, which `snn-edge` runs from flash without allocating, of a
    /// network on the grid; prints the memory that it takes.
    #[arg(long, value_name = "FILE", group = "format")]
    pub(crate) edge: Option<PathBuf>,
    /// Duration of a time step in the NIR graph, in seconds [default: 1e-4].
    #[arg(long, value_name = "SECONDS", requires = "nir")]
    pub(crate) dt: Option<f64>,
    /// LIF neurons of the NIR graph with `r = 1` and potentials in that unit, which is what Norse
    /// and sinabs take [default: `r = τ/dt`, with the numbers of the model].
    #[arg(long, requires = "nir")]
    pub(crate) unit_gain: bool,
    /// Replace existing files.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Shape of a sample.
#[derive(Debug, Clone)]
pub(crate) struct Shape(pub(crate) Vec<usize>);

fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Option<Vec<usize>> =
        text.split('x').map(|size| size.parse().ok().filter(|size| *size > 0)).collect();
    sizes.map(Shape).ok_or_else(|| "expected positive sizes with `x` between them: 3x32x32".into())
}
