//! Training on the grid, to win back what rounding lost.

use crate::batches::Batches;
use crate::config::check::check;
use crate::config::{BatchNormReestimationConfig, RunConfig};
use crate::error::{Error, Result};
use crate::loss::LossConfig;
use crate::loss::teacher::Teacher;
use crate::optim::OptimiserConfig;
use crate::optim::schedule::ScheduleConfig;
use crate::optim::sgd::SgdConfig;
use crate::optim::warm_up::WarmUpConfig;
use crate::progress::{Options, Outcome, Progress};
use crate::run::RunFolder;
use crate::train::{Job, fit, set_threads};
use crate::trainable::OnGrid;
use snn_core::{GridNetwork, Registry, SurrogateGradient};
use snn_data::Dataset;
use snn_hybrid::{Decision, PlacedSite, Placement};
use snn_ir::Model;
use std::path::Path;

/// Peak learning rate of fine-tuning: a twentieth of
/// [`DEFAULT_LEARNING_RATE`](crate::optim::sgd::DEFAULT_LEARNING_RATE). Shadows have batch norm folded
/// into them, so the rate must be that of a network near its end.
pub const DEFAULT_FINETUNE_RATE: f64 = 0.005;

impl RunConfig {
    /// The config to fine-tune a model of this run with: the same data, batch, teacher and
    /// surrogate, but `epochs` epochs of stochastic gradient descent with a rate that falls along
    /// half a cosine from `learning_rate` (see [`DEFAULT_FINETUNE_RATE`]), without weight decay (it
    /// would shrink weights whose batch norm is gone), warm-up and clipping (gradients are of
    /// another size on the grid), and with the loss of the mean over macro-steps, the only one that
    /// the grid tells.
    #[must_use]
    pub fn for_finetuning(&self, epochs: usize, learning_rate: f64) -> Self {
        let sgd = match self.optimiser {
            OptimiserConfig::Sgd(sgd) => sgd,
            OptimiserConfig::AdamW(_) => SgdConfig::default(),
        };
        Self {
            epochs,
            optimiser: OptimiserConfig::Sgd(SgdConfig { learning_rate, weight_decay: 0.0, ..sgd }),
            schedule: ScheduleConfig::Cosine { warm_up: 0.0 },
            warm_up: WarmUpConfig::default(),
            gradient_clip: 0.0,
            loss: LossConfig::CrossEntropy,
            batch_norm_reestimation: BatchNormReestimationConfig::default(),
            ..self.clone()
        }
    }
}

/// Trains a model on the grid further, in the folder `folder`: the loop of
/// [`train`](crate::train()) over integers, with gradients straight through their rounding, whose
/// steps are relative to the size of each layer's weights
/// ([`Optimiser::scale_rates_by_size`](crate::Optimiser::scale_rates_by_size)). Of the config the
/// data, batch, loss, rates and the surrogate of the neuron count; network and policy are the
/// model's.
///
/// `model.safetensors` is on the grid. The model started from is kept in the folder as
/// `base.safetensors`, and a resume with another one is refused.
///
/// # Errors
/// The model is not on the grid or does not fit the config or the data; and as
/// [`train`](crate::train()).
pub fn finetune(
    config: &RunConfig,
    model: &Model,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    config.validate()?;
    let data = Dataset::open_named(config.data.dataset, options.data_root.as_deref())?;
    check_model(config, model, &data)?;
    let batches = Batches::new(config, &data)?;
    let teacher = Teacher::find(config, &data, folder, options)?;
    let placement = placement(config, model)?;
    set_threads(config.threads);
    let network = GridNetwork::with_surrogate(
        model,
        options.device,
        SurrogateGradient::new(&config.neuron.surrogate, &Registry::default())?,
    )?;
    let mut network = OnGrid { network, graph: model.graph().clone(), device: options.device };
    let (folder, _lock) = RunFolder::begin(folder, config, options.start)?;
    folder.keep_base(model)?;
    let teacher =
        teacher.map(|model| Teacher::keep(&model, config, &folder, options)).transpose()?;
    let (data, batches, placement, teacher) = (&data, &batches, &placement, teacher.as_ref());
    let job = Job { config, data, batches, placement, teacher, folder: &folder, options };
    fit(&mut network, &job, progress)
}

fn check_model(config: &RunConfig, model: &Model, data: &Dataset) -> Result<()> {
    let resolved = model.validate()?;
    let compare = |what: &'static str, expected: String, found: String| {
        if expected == found { Ok(()) } else { Err(Error::Mismatch { what, expected, found }) }
    };
    let shapes = (&resolved.nodes[0].shape, &resolved.nodes[resolved.nodes.len() - 1].shape);
    compare(
        "images",
        format!("shape {:?}", shapes.0),
        format!("shape {:?}", data.train.image_shape()),
    )?;
    compare(
        "classes of the data",
        format!("{:?}", shapes.1),
        format!("{:?}", [data.classes.len()]),
    )?;
    let (steps, found) = (model.time_steps().to_string(), config.time_steps.to_string());
    compare("time_steps of the config", steps, found)?;
    let (loss, batches) = (config.loss, config.batch_norm_reestimation.batches);
    let fits = loss == LossConfig::CrossEntropy;
    check(
        "loss",
        fits,
        "cross_entropy on the grid, which tells the sum over macro-steps alone",
        format!("{loss:?}"),
    )?;
    let expected = "0 on the grid, which has no batch norm";
    check("batch_norm_reestimation.batches", batches == 0, expected, batches.to_string())?;
    let found = format!("{:?}", data.channel_mean_u8);
    compare("mean pixel of the data", format!("{:?}", model.preprocessing().mean), found)
}

/// The sites of the model as they are.
fn placement(config: &RunConfig, model: &Model) -> Result<Placement> {
    let sites = model.graph().sites()?;
    let sites = sites.into_iter().map(|info| PlacedSite {
        neurons: info.neurons(),
        before: info.site.label().to_string(),
        after: info.site.label().to_string(),
        spiking: info.site.is_stateful(),
        decision: Decision::Kept,
        site: info.name,
        shape: info.shape,
    });
    Ok(Placement { policy: config.policy.clone(), sites: sites.collect() })
}
