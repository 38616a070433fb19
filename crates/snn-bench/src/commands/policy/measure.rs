//! What a network costs and reaches with some of its sites LIF, before any training.

use crate::commands::convert::convert;
use crate::commands::infer::infer;
use crate::names::CodeName;
use crate::tables::{checksum, processor};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use snn_core::{Mode, Network, Pixels};
use snn_data::{Source, Subset};
use snn_hybrid::Policy;
use snn_ir::{ConversionOptions, GridOptions, Model};
use snn_train::loss::cross_entropy;
use snn_train::{
    Accuracy, Options, RunConfig, RunFolder, StartFromConfig, Trainer, encode, evaluation_batches,
    input,
};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Kind;

/// Samples of a batch: few enough for any network.
const BATCH: usize = 32;
/// Training samples of a batch by which sites are swapped and norms measured again.
const SWAP_BATCH: usize = 128;

/// A network with some of its sites LIF.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// Its LIF sites.
    pub(super) lif: Vec<String>,
    /// Cross entropy on the held-out samples.
    pub(super) loss: f64,
    /// Accuracy on them, in percent.
    pub(super) accuracy: f64,
    /// Additions of a sample, of the integer network.
    pub(super) additions: f64,
    /// Energy of a sample, by counting.
    pub(super) microjoules: f64,
    /// Time of a sample in the deployment, on all cores.
    pub(super) milliseconds: f64,
    /// Share of the neurons that are LIF.
    pub(super) lif_share: f64,
}

/// Measures networks, each once: measurements stand in a file of the folder.
pub(super) struct Bench {
    config: RunConfig,
    options: Options,
    validation: Arc<dyn Source>,
    counted: Arc<dyn Source>,
    code: CodeName,
    folder: PathBuf,
    known: Vec<Line>,
    key: String,
    /// Every site of the network that can be either.
    pub(super) sites: Vec<String>,
}

/// A measurement with the key of everything but the sites that it depends on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    measured: Measured,
}

const FILE: &str = "measurements.jsonl";

impl Bench {
    /// `samples` of the held-out samples decide, operations are counted on `counted` of them.
    pub(super) fn new(
        config: &RunConfig,
        twin: &Path,
        folder: &Path,
        code: CodeName,
        [samples, counted]: [usize; 2],
        options: Options,
    ) -> Result<Self> {
        let mut config = config.clone();
        config.twin = None;
        config.distillation = snn_train::DistillationConfig::default();
        config.start_from =
            StartFromConfig { path: twin.to_path_buf(), swap: true, new_classes: false };
        config.batch = config.batch.min(SWAP_BATCH);
        config.batch_norm_reestimation = snn_train::BatchNormReestimationConfig::default();
        let data = config.open_data(options.data_root.as_deref())?;
        let held_out = data.validation.context(
            "a search measures held-out samples, but there are none: set `data.held_out`",
        )?;
        ensure!(
            samples <= held_out.len() && counted <= samples,
            "a search can measure at most the {} held-out samples, and count on no more than it \
             measures",
            held_out.len()
        );
        let steps = config.time_steps;
        let spread = |count: usize| -> Result<Arc<dyn Source>> {
            let places = (0..count).map(|place| place * held_out.len() / count).collect();
            let chosen: Arc<dyn Source> = Arc::new(Subset::new(Arc::clone(&held_out), places)?);
            Ok(encode(&chosen, &config.encoder, steps)?)
        };
        let (validation, counted_samples) = (spread(samples)?, spread(counted)?);
        let twin = RunFolder::open(twin)?.model_path();
        // Times are of this machine and its cores, figures of this program.
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let parts = format!(
            "{}{}{samples} {counted} {code:?} {:?} {:?} {:?} {cores} {}",
            config.to_toml()?,
            checksum(&fs_err::read(twin)?),
            options.data_root,
            options.device,
            processor(),
            env!("CARGO_PKG_VERSION"),
        );
        fs_err::create_dir_all(folder)?;
        let mut bench = Self {
            options,
            validation,
            counted: counted_samples,
            code,
            folder: folder.to_path_buf(),
            known: read(&folder.join(FILE))?,
            key: checksum(parts.as_bytes()),
            sites: Vec::new(),
            config,
        };
        bench.sites = bench.candidates()?;
        Ok(bench)
    }

    /// Sites that are quantised ReLUs in the twin and LIF where the policy leaves them.
    fn candidates(&self) -> Result<Vec<String>> {
        let all = self.model(Policy::All)?;
        let sites = all.graph().sites()?;
        let candidates: Vec<String> = sites
            .into_iter()
            .filter(|info| matches!(info.site, snn_ir::Site::QuantRelu(_)))
            .map(|info| info.name)
            .collect();
        ensure!(!candidates.is_empty(), "the network has no site that could be either");
        Ok(candidates)
    }

    /// The network with this policy before training.
    fn model(&self, policy: Policy) -> Result<Model> {
        let mut config = RunConfig { policy, ..self.config.clone() };
        // A network without LIF sites has nothing to swap.
        config.start_from.swap = config.policy != Policy::All;
        let trainer = Trainer::from_config(&config, &self.folder.join("unused"), &self.options)?;
        Ok(trainer.model().clone())
    }

    /// Measures the network whose sites `lif` are LIF and whose others are ReLUs.
    pub(super) fn measure(&mut self, lif: &BTreeSet<String>) -> Result<Measured> {
        let names: Vec<String> = lif.iter().cloned().collect();
        let known = self.known.iter().find(|l| l.key == self.key && l.measured.lif == names);
        if let Some(line) = known {
            return Ok(line.measured.clone());
        }
        let model = self.model(self.policy(lif))?;
        let (loss, accuracy) = self.evaluated(&model)?;
        let options = ConversionOptions {
            codes: snn_ir::Code::from(self.code).into(),
            grid: Some(GridOptions::default()),
        };
        let converted = convert(&model, &options)?.model;
        let inference = infer(&converted, &self.counted, true)?;
        let counted = inference.counted.as_ref().context("operations were counted")?;
        let sites = model.graph().sites()?;
        let neurons = |spiking: bool| -> usize {
            let of_kind = sites.iter().filter(|info| !spiking || info.site.is_stateful());
            of_kind.map(snn_ir::SiteInfo::neurons).sum()
        };
        let measured = Measured {
            lif: names,
            loss,
            accuracy,
            additions: counted.counts.total().additions as f64 / counted.counts.samples as f64,
            microjoules: counted.energy_microjoules,
            milliseconds: 1e3 / inference.images_per_second,
            lif_share: neurons(true) as f64 / neurons(false).max(1) as f64,
        };
        let line = Line { key: self.key.clone(), measured: measured.clone() };
        append(&self.folder.join(FILE), &line)?;
        self.known.push(line);
        Ok(measured)
    }

    /// The policy that makes all sites but these ReLUs.
    pub(super) fn policy(&self, lif: &BTreeSet<String>) -> Policy {
        if lif.is_empty() {
            return Policy::All;
        }
        let relus = self.sites.iter().filter(|site| !lif.contains(*site)).cloned();
        let include: Vec<String> = relus.collect();
        if include.is_empty() { Policy::None } else { Policy::Sites { include, exclude: vec![] } }
    }

    /// Loss, and accuracy in percent, on the held-out samples.
    fn evaluated(&self, model: &Model) -> Result<(f64, f64)> {
        let device = self.options.device;
        let network = Network::new(model, device, Kind::Float)?;
        let (mut loss, mut accuracy) = (0.0, Accuracy::default());
        for batch in evaluation_batches(&self.validation, BATCH)? {
            let batch = batch?;
            let pixels = Pixels::new(&input(&batch.samples), device)?;
            let logits = network.forward(&pixels, Mode::Evaluate)?.logits;
            let labels = tch::Tensor::from_slice(&batch.targets.labels).to_device(device);
            let mean = cross_entropy(&logits, &labels, 0.0)?.double_value(&[]);
            loss += mean * batch.len() as f64;
            let best = snn_core::arrays::array::<i64>(&logits.argmax(-1, false))?;
            let best: Vec<usize> =
                best.iter().map(|&class| usize::try_from(class).unwrap_or(usize::MAX)).collect();
            accuracy.add(&best, &batch.targets.labels);
        }
        Ok((loss / self.validation.len() as f64, 100.0 * accuracy.share()))
    }
}

/// Measurements of earlier searches; a last line that was cut off is left out.
fn read(path: &Path) -> Result<Vec<Line>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(path)?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn append(path: &Path, line: &Line) -> Result<()> {
    let ends = !path.is_file() || fs_err::read(path)?.last().is_none_or(|byte| *byte == b'\n');
    let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
    let start = if ends { "" } else { "\n" };
    Ok(file.write_all(format!("{start}{}\n", serde_json::to_string(line)?).as_bytes())?)
}
