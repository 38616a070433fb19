#![doc = include_str!("../README.md")]

mod accuracy;
mod checkpoint;
pub mod config;
mod error;
mod finetune;
pub mod loss;
mod metrics;
mod model;
mod overrides;
mod progress;
mod run;
pub mod schedule;
pub mod sgd;
mod train;
mod trainee;
mod unknown;

pub use accuracy::{Accuracy, evaluate_accuracy};
pub use config::{DataConfig, NetworkConfig, RunConfig};
pub use error::{Error, Result};
pub use finetune::{DEFAULT_FINETUNE_RATE, finetune};
pub use metrics::{EpochMetrics, RunInfo, RunResult};
pub use model::initial_model;
pub use progress::{Options, Outcome, Progress};
pub use run::{RunFolder, Start};
pub use schedule::Schedule;
pub use sgd::{Optimiser, Sgd};
pub use train::train;
