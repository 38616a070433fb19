//! What a network costs and reaches with some of its sites LIF, or with fewer levels, before any
//! training.

use crate::commands::convert::convert;
use crate::commands::infer::infer;
use crate::names::CodeName;
use crate::tables::{checksum, processor};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use snn_core::{Mode, Network, Pixels};
use snn_data::{Source, Subset};
use snn_hybrid::{Policy, Replacement, SiteLevels};
use snn_ir::{ConversionOptions, GridOptions, Model, QuantRelu, Site, SiteInfo};
use snn_train::loss::cross_entropy;
use snn_train::{
    Accuracy, CrossoverConfig, Options, RunConfig, RunFolder, StartFromConfig, Trainer, encode,
    evaluation_batches, input, spiking_fits, with_own_statistics,
};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples of a batch: few enough for any network.
const BATCH: usize = 32;
/// Training samples of a batch by which sites are swapped and norms measured again.
const SWAP_BATCH: usize = 128;

/// What a site is, where it is not a ReLU with the most levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Choice {
    /// LIF.
    Lif,
    /// A ReLU with fewer levels.
    Levels(u8),
}

impl Choice {
    /// Levels of a ReLU.
    pub(super) fn levels(self) -> Option<u8> {
        match self {
            Self::Lif => None,
            Self::Levels(levels) => Some(levels),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lif => f.pad("LIF"),
            Self::Levels(levels) => f.pad(&format!("{levels} levels")),
        }
    }
}

/// The sites of a network that are not ReLUs with the most levels.
pub(super) type Choices = BTreeMap<String, Choice>;

/// A network with some of its sites LIF, and some with fewer levels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// Its LIF sites.
    pub(super) lif: Vec<String>,
    /// Levels of the ReLU sites that have fewer than the most.
    #[serde(default)]
    pub(super) levels: BTreeMap<String, u8>,
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
    /// The sites of the twin.
    of_twin: Vec<(String, Kind)>,
    /// The sites of the network that can be either, and are considered.
    pub(super) sites: Vec<String>,
    /// Every site that can be either.
    all: Vec<String>,
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
    /// `samples` of the held-out samples decide, operations are counted on `counted` of them. ReLU
    /// sites have `levels` at most, or those of the config.
    pub(super) fn new(
        config: &RunConfig,
        twin: &Path,
        folder: &Path,
        code: CodeName,
        [samples, counted]: [usize; 2],
        levels: Option<u8>,
        options: Options,
    ) -> Result<Self> {
        let mut config = config.clone();
        if let Some(most) = levels {
            config.replacement = with_most(&config.replacement, most)?;
        }
        config.twin = None;
        config.crossover = CrossoverConfig::default();
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
        let twin = RunFolder::open(twin)?;
        let twin = twin.model_path();
        let of_twin = sites(&Model::load(&twin)?)?;
        // Times are of this machine and its cores, figures of this program.
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let parts = format!(
            "2 {}{}{samples} {counted} {code:?} {:?} {:?} {:?} {cores} {}",
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
            all: Vec::new(),
            of_twin,
            config,
        };
        bench.all = bench.candidates()?;
        bench.sites.clone_from(&bench.all);
        Ok(bench)
    }

    /// Considers only so many sites: those whose LIF neurons fit the ReLUs of the twin best.
    pub(super) fn keep_best_fits(&mut self, count: usize) -> Result<()> {
        let config = RunConfig { policy: Policy::None, ..self.config.clone() };
        let fits = spiking_fits(&config, &self.options)?;
        let error = |site: &String| fits.get(site).map_or(f64::INFINITY, |fit| fit.error);
        let mut best = self.all.clone();
        best.sort_by(|a, b| error(a).total_cmp(&error(b)));
        best.truncate(count);
        self.sites.retain(|site| best.contains(site));
        Ok(())
    }

    /// Sites that are quantised ReLUs in the twin and LIF where the policy leaves them.
    fn candidates(&self) -> Result<Vec<String>> {
        let all = self.trainer(Policy::All, self.config.replacement.clone(), false)?;
        let candidates: Vec<String> = { sites(all.model())?.into_iter() }
            .filter(|(_, kind)| matches!(kind, Kind::Levels(_)))
            .map(|(site, _)| site)
            .collect();
        ensure!(!candidates.is_empty(), "the network has no site that could be either");
        Ok(candidates)
    }

    /// The network with this policy and these ReLUs before training.
    fn model(&self, policy: Policy, replacement: Replacement) -> Result<Model> {
        let plain = self.trainer(policy.clone(), replacement.clone(), false)?;
        if sites(plain.model())? != self.of_twin {
            return Ok(self.trainer(policy, replacement, true)?.model().clone());
        }
        // The twin itself has nothing to swap. Its statistics are measured again as those of all
        // others are, so that these differ from it in their sites alone.
        Ok(with_own_statistics(&self.config, plain.model().clone(), &self.options)?)
    }

    /// The trainer of the network with this policy and these ReLUs; with the sites of the twin
    /// swapped for its own, where it has others.
    fn trainer(&self, policy: Policy, replacement: Replacement, swap: bool) -> Result<Trainer> {
        let mut config = RunConfig { policy, replacement, ..self.config.clone() };
        config.start_from.swap = swap;
        Ok(Trainer::from_config(&config, &self.folder.join("unused"), &self.options)?)
    }

    /// Measures the network with these choices.
    pub(super) fn measure(&mut self, choices: &Choices) -> Result<Measured> {
        let lif: Vec<String> = { choices.iter() }
            .filter(|(_, choice)| **choice == Choice::Lif)
            .map(|(site, _)| site.clone())
            .collect();
        let levels: BTreeMap<String, u8> = { choices.iter() }
            .filter_map(|(site, choice)| Some((site.clone(), choice.levels()?)))
            .collect();
        let known = self.known.iter().find(|line| {
            line.key == self.key && line.measured.lif == lif && line.measured.levels == levels
        });
        if let Some(line) = known {
            return Ok(line.measured.clone());
        }
        let model = self.model(self.policy(&lif), self.replacement(&levels))?;
        let (loss, accuracy) = self.evaluated(&model)?;
        let options = ConversionOptions {
            codes: snn_ir::Code::from(self.code).into(),
            grid: Some(GridOptions::default()),
        };
        let converted = convert(&model, &options)?.model;
        let inference = infer(&converted, &self.counted, true)?;
        let counted = inference.counted.as_ref().context("operations were counted")?;
        let infos = model.graph().sites()?;
        let neurons = |spiking: bool| -> usize {
            let of_kind = infos.iter().filter(|info| !spiking || info.site.is_stateful());
            of_kind.map(SiteInfo::neurons).sum()
        };
        let measured = Measured {
            lif,
            levels,
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
    pub(super) fn policy(&self, lif: &[String]) -> Policy {
        if lif.is_empty() {
            return Policy::All;
        }
        let relus = self.all.iter().filter(|site| !lif.contains(*site)).cloned();
        let include: Vec<String> = relus.collect();
        if include.is_empty() { Policy::None } else { Policy::Sites { include, exclude: vec![] } }
    }

    /// The replacement with these numbers of levels.
    pub(super) fn replacement(&self, levels: &BTreeMap<String, u8>) -> Replacement {
        let mut replacement = self.config.replacement.clone();
        if let Replacement::QuantRelu { sites, .. } = &mut replacement {
            let own =
                levels.iter().map(|(site, &levels)| SiteLevels { names: site.clone(), levels });
            sites.splice(0..0, own);
        }
        replacement
    }

    /// Loss, and accuracy in percent, on the held-out samples.
    fn evaluated(&self, model: &Model) -> Result<(f64, f64)> {
        let device = self.options.device;
        let network = Network::new(model, device, tch::Kind::Float)?;
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

/// What decides whether sites of two networks are swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A quantised ReLU of so many levels.
    Levels(u8),
    /// LIF.
    Lif,
    Other,
}

/// The sites of a network.
fn sites(model: &Model) -> Result<Vec<(String, Kind)>> {
    let of = |info: SiteInfo| {
        let kind = match info.site {
            Site::QuantRelu(relu) => Kind::Levels(relu.levels),
            Site::Lif(_) => Kind::Lif,
            _ => Kind::Other,
        };
        (info.name, kind)
    };
    Ok(model.graph().sites()?.into_iter().map(of).collect())
}

/// Quantised ReLUs with so many levels everywhere, whose largest output stays.
fn with_most(replacement: &Replacement, most: u8) -> Result<Replacement> {
    let Replacement::QuantRelu { relu, sites } = replacement else {
        bail!("--levels is for configs whose `replacement` is `quant_relu`");
    };
    ensure!(
        sites.is_empty(),
        "--levels searches the levels of all sites; `replacement.sites` of the config must be empty"
    );
    let step = relu.step * f64::from(relu.levels) / f64::from(most);
    Ok(QuantRelu { levels: most, step, share: relu.share }.into())
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
