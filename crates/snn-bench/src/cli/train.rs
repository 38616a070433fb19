//! Arguments of commands that train.

use super::DataRoot;
use clap::Args;
use snn_train::{Options, Start};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the run and the converted models; a temporary one by default.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Replace an existing run in that folder.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
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
