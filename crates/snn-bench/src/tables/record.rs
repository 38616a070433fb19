//! The record of a row with one seed: what was reached, on what.

use super::machine::Machine;
use crate::names::TargetName;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use snn_reparam::proof::{Strictness, Verdict};
use snn_train::{FinetuningConfig, RunConfig, RunResult, TwinResult};
use std::num::NonZeroUsize;
use std::path::Path;

/// Name of the config in the folder of a record.
pub(crate) const CONFIG: &str = "config.toml";

/// Name of the record in its folder.
const FILE: &str = "record.json";

/// The beginning of the SHA-256 of a file, eight hexadecimal digits.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// The checksum of a config as TOML, seed included, which names the folder of a record. Files that
/// the config names (a start, a teacher, a network) are not part of it, and nor is what comes after
/// training.
pub(crate) fn key(config: &RunConfig) -> Result<String> {
    Ok(checksum(training(config).to_toml()?.as_bytes()))
}

/// What decides the training of a row: its config but for fine-tuning, which comes after it.
pub(crate) fn training(config: &RunConfig) -> RunConfig {
    RunConfig { finetuning: FinetuningConfig::default(), ..config.clone() }
}

/// A row with one seed: its training and its conversions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The row.
    pub(crate) row: String,
    /// Seed of the config.
    pub(crate) seed: u64,
    /// The config, from the root of the repository, whose keys the row and the budget set.
    pub(crate) config: String,
    /// Checksum of the trained model file, which the conversions are of.
    pub(crate) weights: String,
    /// Where and when it was trained.
    pub(crate) machine: Machine,
    /// The training.
    pub(crate) training: Training,
    /// One for each code.
    pub(crate) conversions: Vec<Conversion>,
}

/// What the training reached, all stages together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Training {
    /// Data set.
    pub(crate) dataset: String,
    /// Policy, as JSON has it.
    pub(crate) policy: snn_hybrid::Policy,
    /// Share of the neurons that are LIF, 0 to 1.
    pub(crate) lif_share: f64,
    /// Macro-steps.
    pub(crate) time_steps: usize,
    /// Learned values.
    pub(crate) parameters: usize,
    /// Epochs of the last stage.
    pub(crate) epochs: usize,
    /// Accuracy on the test samples after the last epoch, in percent.
    pub(crate) accuracy: f64,
    /// Test samples.
    pub(crate) test_samples: usize,
    /// Accuracy on the held-out samples, in percent.
    pub(crate) held_out_accuracy: Option<f64>,
    /// Seconds of all stages.
    pub(crate) seconds: f64,
    /// What the twin of a staged run reached.
    pub(crate) twin: Option<Twin>,
}

/// What the twin of a staged run reached: the network of its first stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Twin {
    /// Test accuracy in percent.
    pub(crate) accuracy: f64,
    /// Macro-steps.
    pub(crate) time_steps: usize,
    /// Epochs.
    pub(crate) epochs: usize,
}

impl From<&TwinResult> for Twin {
    fn from(twin: &TwinResult) -> Self {
        Self {
            accuracy: 100.0 * twin.test_accuracy,
            time_steps: twin.time_steps,
            epochs: twin.final_epoch,
        }
    }
}

impl From<&RunResult> for Training {
    fn from(result: &RunResult) -> Self {
        let before = result.twin.as_ref().map_or(0.0, |twin| twin.wall_seconds);
        Self {
            dataset: result.dataset.clone(),
            policy: result.policy.clone(),
            lif_share: 1.0 - result.relu_share,
            time_steps: result.time_steps,
            parameters: result.parameters,
            epochs: result.final_epoch,
            accuracy: 100.0 * result.test_accuracy,
            test_samples: result.test_images,
            held_out_accuracy: result.validation_accuracy.map(|share| 100.0 * share),
            seconds: result.wall_seconds + before,
            twin: result.twin.as_ref().map(Twin::from),
        }
    }
}

/// A converted network: what was shown of it and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conversion {
    /// The code of its ReLU sites, and the bits of its weights.
    pub(crate) code: TargetName,
    /// Checksum of the converted model file; absent in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// How it was fine-tuned; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finetuning: Option<Finetuning>,
    /// What the proof showed, whatever rounding costs.
    pub(crate) verdict: Verdict,
    /// Strictness of the proof.
    pub(crate) level: Strictness,
    /// Why the proof does not hold, one cause each; empty if it does.
    pub(crate) failures: Vec<String>,
    /// Test samples that the proof ran on.
    pub(crate) samples: usize,
    /// `true` if these are all.
    pub(crate) whole: bool,
    /// Accuracy of the trained network on these, in percent.
    pub(crate) trained_accuracy: f64,
    /// Accuracy of the integer network on these, in percent.
    pub(crate) accuracy: f64,
    /// Share of these that both put into the same class, in percent.
    pub(crate) agreement: f64,
    /// Micro-steps of a macro-step.
    pub(crate) micro_steps: u32,
    /// Events of a sample, those of the input not counted.
    pub(crate) events: f64,
    /// Events divided by neuron updates.
    pub(crate) firing_rate: f64,
    /// Additions of a sample.
    pub(crate) additions: f64,
    /// Multiplications of a sample.
    pub(crate) multiplications: f64,
    /// Energy of a sample by counting, in µJ (docs/semantics.md, section 8).
    pub(crate) energy_microjoules: f64,
    /// Samples a second of the deployment, on all cores.
    pub(crate) samples_per_second: f64,
    /// Where and when it was made.
    pub(crate) machine: Machine,
}

/// How a converted network was trained further on the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finetuning {
    /// Epochs and rate.
    pub(crate) config: FinetuningConfig,
    /// Its accuracy on all test samples, in percent.
    pub(crate) accuracy: f64,
    /// Seconds that it took.
    pub(crate) seconds: f64,
}

impl Conversion {
    /// `true` if its proof holds, whatever rounding costs: bit for bit with the conversion of the
    /// trained network, or with itself in every interpreter where it was fine-tuned.
    pub(crate) fn is_proved(&self) -> bool {
        let is_tuned = self.code.rounding.is_tuned();
        self.verdict == if is_tuned { Verdict::FineTuned } else { Verdict::Bitwise }
    }
}

impl Record {
    /// Reads the record of a folder; `None` if there is none.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs_err::read_to_string(&path)?;
        let record = serde_json::from_str(&text)
            .with_context(|| format!("{}: not a record of this version", path.display()))?;
        Ok(Some(record))
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(snn_ir::write_atomically(&folder.join(FILE), text.as_bytes())?)
    }

    /// Removes the record of a folder, if there is one.
    pub(crate) fn remove(folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        if path.is_file() { Ok(fs_err::remove_file(path)?) } else { Ok(()) }
    }

    /// The conversion with this code, if it was verified on so many samples, or on all.
    pub(crate) fn conversion(
        &self,
        code: TargetName,
        verified: Option<NonZeroUsize>,
    ) -> Option<&Conversion> {
        self.conversions.iter().find(|conversion| {
            let enough = verified.is_some_and(|least| conversion.samples >= least.get());
            conversion.code == code && (conversion.whole || enough)
        })
    }
}
