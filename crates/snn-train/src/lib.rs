#![doc = include_str!("../README.md")]

mod checks;
pub mod config;
mod encode;
mod error;
mod evaluate;
mod finetune;
mod from_config;
pub mod loss;
pub mod optim;
mod pending;
mod processes;
mod progress;
mod recipe;
mod replicas;
mod run;
mod stages;
mod swap;
mod train_loop;
mod trainable;
mod trainer;
mod whitening;

pub use config::RunConfig;
pub use config::activity::{ActivityConfig, ActivityTarget};
pub use config::batch_norm::BatchNormReestimationConfig;
pub use config::crossover::CrossoverConfig;
pub use config::data::{AutoAugmentConfig, DataConfig, RunData};
pub use config::distillation::DistillationConfig;
pub use config::finetuning::{DEFAULT_FINETUNING_RATE, FinetuningConfig};
pub use config::network::NetworkConfig;
pub use config::start_from::StartFromConfig;
pub use config::twin::TwinConfig;
pub use encode::{Encoded, encode};
pub use error::{Error, Result};
pub use evaluate::{
    Accuracy, Chance, EVALUATION_BATCH, evaluate, evaluate_with, evaluation_batches, input,
    is_at_chance,
};
pub use finetune::finetune;
pub use from_config::{initial_model, spiking_fits, train, with_own_statistics};
pub use loss::LossConfig;
pub use optim::adamw::AdamWConfig;
pub use optim::groups::GroupConfig;
pub use optim::lookahead::LookaheadConfig;
pub use optim::muon::{MuonConfig, OthersConfig};
pub use optim::schedule::ScheduleConfig;
pub use optim::sgd::SgdConfig;
pub use optim::warm_up::WarmUpConfig;
pub use optim::{Optimiser, OptimiserConfig};
pub use progress::{Options, Outcome, Progress};
pub use recipe::Recipe;
pub use run::chart;
pub use run::metrics::{EpochMetrics, RunInfo, RunResult, TwinResult};
pub use run::{RunFolder, Start};
pub use swap::{SWAP_BATCHES, SpikingFit};
pub use trainer::Trainer;
