//! Metrics of a run.

use crate::evaluate::is_at_chance;
use serde::{Deserialize, Serialize};
use snn_hybrid::Policy;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tch::Device;

/// One line of `metrics.jsonl`: an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochMetrics {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean loss over its training images, as they were trained on.
    pub train_loss: f64,
    /// Accuracy on its training images, as they were trained on, 0 to 1.
    pub train_accuracy: f64,
    /// Accuracy on the held-out images after it, 0 to 1; absent if none are held out. But for the
    /// last epoch it is measured in the precision of training, as are the firing rates.
    pub validation_accuracy: Option<f64>,
    /// Share of each site's outputs that are not zero, on the held-out images; empty if none are
    /// held out.
    pub firing_rates: BTreeMap<String, f64>,
    /// Sites that emit nothing at all after this epoch: on the held-out images or, where none are
    /// held out, on a batch of training images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_sites: Vec<String>,
    /// `true` if all those images had the same class scores.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub constant_scores: bool,
    /// `true` if validation accuracy, firing rates and the model of this epoch are those of
    /// averaged weights (`weight_average`).
    #[serde(default)]
    pub averaged: bool,
    /// Training images a second, evaluation not counted.
    pub images_per_second: f64,
    /// Largest memory of the process so far, in bytes; absent where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
}

impl EpochMetrics {
    /// What is wrong with a network that passes nothing on, a sentence each, where it was not so
    /// after the epoch `before` (`None` of the first epoch).
    pub fn warnings(&self, before: Option<&Self>) -> Vec<String> {
        let mut warnings = Vec::new();
        let was_silent = |site: &String| before.is_some_and(|b| b.silent_sites.contains(site));
        let silent: Vec<&str> = { self.silent_sites.iter() }
            .filter(|site| !was_silent(site))
            .map(String::as_str)
            .collect();
        if !silent.is_empty() {
            let (sites, fire, its) = if silent.len() == 1 {
                ("site", "fires", "its")
            } else {
                ("sites", "fire", "their")
            };
            warnings.push(format!(
                "the {sites} `{}` never {fire}: nothing passes and hardly anything is learned \
                 there; lower {its} threshold, change the learning rate, or start from other \
                 weights",
                silent.join("`, `")
            ));
        }
        if self.constant_scores && !before.is_some_and(|before| before.constant_scores) {
            warnings.push(
                "every image gets the same class scores, as if the network did not see them".into(),
            );
        }
        warnings
    }
}

/// `run.json`: where and when a run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// Seed of the config.
    pub seed: u64,
    /// Version of this crate.
    pub version: String,
    /// The device.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// When it was started, in seconds since 1970.
    pub started_unix_seconds: u64,
    /// How the model differs from the one whose weights it started from (`start_from`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// First weights that were computed from the training samples
    /// ([`InitialWeights::Whitening`](snn_ir::InitialWeights::Whitening)), a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed_weights: Vec<String>,
}

impl RunInfo {
    /// A run that is started now.
    pub(crate) fn now(
        seed: u64,
        device: Device,
        differences: Vec<String>,
        computed_weights: Vec<String>,
    ) -> Self {
        Self {
            seed,
            version: env!("CARGO_PKG_VERSION").to_string(),
            device: format!("{device:?}"),
            threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
            started_unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            differences,
            computed_weights,
        }
    }
}

/// `result.json`: what a finished run reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Name of the data set.
    pub dataset: String,
    /// Accuracy on the test images, measured once, after the last epoch; nothing was chosen by it.
    /// 0 to 1.
    pub test_accuracy: f64,
    /// Number of test images.
    pub test_images: usize,
    /// Accuracy on the test images of always naming their most frequent class, 0 to 1; 0 in results
    /// from before this was recorded.
    #[serde(default)]
    pub chance: f64,
    /// Accuracy on the held-out images after the last epoch; absent if none are held out.
    pub validation_accuracy: Option<f64>,
    /// `true` if both are those of averaged weights (`weight_average`).
    #[serde(default)]
    pub averaged: bool,
    /// Training batches over which the running statistics of batch norm were measured again after
    /// training; 0 if they were not.
    #[serde(default)]
    pub batch_norm_batches: usize,
    /// Number of epochs.
    pub final_epoch: usize,
    /// Time of the run in seconds, evaluation included, pauses between resumes not.
    pub wall_seconds: f64,
    /// The policy.
    pub policy: Policy,
    /// Share of the neurons that are `ReLU`, 0 to 1.
    pub relu_share: f64,
    /// Macro-steps.
    pub time_steps: usize,
    /// Number of learned values.
    pub parameters: usize,
    /// What the twin of a staged run reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<TwinResult>,
}

/// What the twin of a staged run reached; its whole result is in its own folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinResult {
    /// Accuracy on the test images, 0 to 1.
    pub test_accuracy: f64,
    /// Macro-steps.
    pub time_steps: usize,
    /// Number of epochs.
    pub final_epoch: usize,
    /// Time of its run in seconds, and of the stages of a crossover between it and the run, which
    /// that of the run does not count.
    pub wall_seconds: f64,
}

impl From<RunResult> for TwinResult {
    fn from(result: RunResult) -> Self {
        let RunResult { test_accuracy, time_steps, final_epoch, wall_seconds, .. } = result;
        Self { test_accuracy, time_steps, final_epoch, wall_seconds }
    }
}

impl RunResult {
    /// `true` if the test accuracy is no better than chance ([`is_at_chance`]).
    pub fn is_at_chance(&self) -> bool {
        is_at_chance(self.test_accuracy, self.chance, self.test_images)
    }
}

/// Largest resident memory of this process so far, in bytes.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
