#![doc = include_str!("../README.md")]

mod batches;
pub mod config;
mod error;
mod evaluate;
mod finetune;
pub mod loss;
mod model;
pub mod optim;
mod progress;
mod run;
mod train;
mod trainable;

pub use config::distillation::DistillationConfig;
pub use config::{BatchNormReestimationConfig, DataConfig, NetworkConfig, RunConfig};
pub use error::{Error, Result};
pub use evaluate::{Accuracy, evaluate_accuracy};
pub use finetune::{DEFAULT_FINETUNE_RATE, finetune};
pub use loss::LossConfig;
pub use model::initial_model;
pub use optim::adamw::AdamWConfig;
pub use optim::schedule::ScheduleConfig;
pub use optim::sgd::SgdConfig;
pub use optim::warm_up::WarmUpConfig;
pub use optim::{Optimiser, OptimiserConfig};
pub use progress::{Options, Outcome, Progress};
pub use run::chart;
pub use run::metrics::{EpochMetrics, RunInfo, RunResult};
pub use run::{RunFolder, Start};
pub use train::train;
