//! Options that a caller gives to a run, and progress that the run reports.

use crate::run::Start;
use crate::run::metrics::{EpochMetrics, RunResult};
use snn_core::ProcessRank;
use snn_hybrid::Placement;
use snn_ir::Model;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// Where a run happens; nothing here changes what it computes, apart from the device.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data is; `None` for [`snn_data::default_root`].
    pub data_root: Option<PathBuf>,
    /// On what it computes.
    pub device: Device,
    /// How it begins.
    pub start: Start,
    /// Set to true (from a signal handler, say), it ends the run after the step it is at: with a
    /// checkpoint, and [`Outcome::Interrupted`].
    pub stop: Arc<AtomicBool>,
    /// Run folder of a finished twin that a staged run takes over in place of training its own
    /// ([`TwinConfig`](crate::TwinConfig)): it must have been trained with the same config.
    pub twin: Option<PathBuf>,
    /// The process that this one is, of several that train together: one for each replica of the
    /// recipe. All are started with the same; rank 0 writes the folder of the run, and reports.
    pub processes: Option<Arc<ProcessRank>>,
    /// Stops after this many steps as if the process were killed there: nothing more is written.
    pub step_limit: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_root: None,
            device: Device::Cpu,
            start: Start::New,
            stop: Arc::default(),
            twin: None,
            processes: None,
            step_limit: None,
        }
    }
}

/// Progress of a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The run begins or continues.
    Begun {
        /// Which sites are what.
        placement: &'a Placement,
        /// How the model differs from the one whose weights it starts from (`start_from`).
        differences: &'a [String],
        /// The model that the run began with, with other weights where it is resumed.
        model: &'a Model,
        /// Number of learned values.
        parameters: usize,
        /// Epochs in all.
        epochs: usize,
        /// Steps of an epoch.
        steps: usize,
        /// The epoch it begins in, from 1.
        epoch: usize,
        /// Steps of that epoch that were done before.
        step: usize,
        /// `true` if the run goes on from a checkpoint.
        resumed: bool,
    },
    /// A stage of a staged run begins or continues.
    Stage {
        /// Its number, from 1.
        number: usize,
        /// Number of stages.
        of: usize,
        /// What is trained.
        name: &'a str,
    },
    /// A step was done.
    Step {
        /// The epoch, from 1.
        epoch: usize,
        /// The step in the epoch, from 1.
        step: usize,
        /// Loss of this batch.
        loss: f64,
        /// Its learning rate.
        learning_rate: f64,
        /// Speed so far in this epoch.
        images_per_second: f64,
    },
    /// An epoch was finished.
    Epoch(&'a EpochMetrics),
    /// The test set is being evaluated.
    Testing,
    /// Samples were damaged: parts of them, or all of one, for which its neighbour counts, were
    /// left out ([`Source::damaged`](snn_data::Source::damaged)).
    Damaged {
        /// `training`, `validation` or `test`.
        part: &'static str,
        /// How many samples so far.
        samples: usize,
        /// What was wrong with the first.
        first: &'a str,
    },
}

/// How a call of [`train`](crate::train()) or [`finetune`](crate::finetune()) ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The run is finished.
    Finished(RunResult),
    /// [`Options::stop`] was set; [`Start::Resume`] goes on from here.
    Interrupted {
        /// Steps of the whole run so far.
        steps: usize,
    },
    /// The step limit was reached.
    Stopped {
        /// Steps of the whole run so far.
        steps: usize,
    },
}
