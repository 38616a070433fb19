//! Training on the grid, to win back what rounding lost.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::progress::{Options, Outcome, Progress};
use crate::run::RunFolder;
use crate::schedule::Schedule;
use crate::train::{Job, fit, set_threads};
use crate::trainee::OnGrid;
use snn_core::GridNetwork;
use snn_data::Dataset;
use snn_hybrid::{Decision, PlacedSite, Placement};
use snn_ir::Model;
use std::path::Path;

/// Peak learning rate of fine-tuning: a twentieth of [`DEFAULT_LEARNING_RATE`](crate::sgd::DEFAULT_LEARNING_RATE). Shadows have
/// batch norm folded into them, so the rate must be that of a network near its end.
pub const DEFAULT_FINETUNE_RATE: f64 = 0.005;

impl RunConfig {
    /// The config to fine-tune a model of this run with: the same data, batch, loss and surrogate, but `epochs` epochs of a rate that falls
    /// along half a cosine from `learning_rate` (see [`DEFAULT_FINETUNE_RATE`]), without weight decay (it would shrink weights whose batch norm is gone).
    #[must_use]
    pub fn for_finetuning(&self, epochs: usize, learning_rate: f64) -> Self {
        let mut config = self.clone();
        config.epochs = epochs;
        config.optimiser.learning_rate = learning_rate;
        config.optimiser.weight_decay = 0.0;
        config.schedule = Schedule::Cosine { warm_up: 0.0 };
        config
    }
}

/// Trains a model on the grid further, in the folder `folder`: the loop of [`train`](crate::train()) over integers, with gradients straight through their
/// rounding, whose steps are relative to the size of each layer's weights ([`Optimiser::scale_rates_by_size`](crate::Optimiser::scale_rates_by_size)). Of the config the data, batch, loss, rates and the surrogate of the neuron count; network and policy are the model's.
///
/// `model.safetensors` is on the grid. The model started from is kept in the folder as `base.safetensors`, and a resume with another one is refused.
///
/// # Errors
/// The model is not on the grid or does not fit the config or the data; and as [`train`](crate::train()).
pub fn finetune(
    config: &RunConfig,
    model: &Model,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    config.validate()?;
    let data = Dataset::open_named(config.data.dataset, options.data_root.as_deref())?;
    check(config, model, &data)?;
    let placement = placement(config, model)?;
    set_threads(config.threads);
    let network = GridNetwork::with_surrogate(model, options.device, &config.neuron.surrogate)?;
    let mut trainee = OnGrid { network, graph: model.graph.clone(), device: options.device };
    let folder = RunFolder::begin(folder, config, options.start)?;
    folder.keep_base(model)?;
    fit(&mut trainee, &Job { config, data: &data, placement: &placement, folder: &folder, options }, progress)
}

fn check(config: &RunConfig, model: &Model, data: &Dataset) -> Result<()> {
    let resolved = model.validate()?;
    let compare = |what: &'static str, expected: String, found: String| {
        if expected == found { Ok(()) } else { Err(Error::Mismatch { what, expected, found }) }
    };
    let shapes = (&resolved.nodes[0].shape, &resolved.nodes[resolved.nodes.len() - 1].shape);
    compare("images", format!("shape {:?}", shapes.0), format!("shape {:?}", data.train.image_shape()))?;
    compare("classes of the data", format!("{:?}", shapes.1), format!("{:?}", [data.classes.len()]))?;
    let (steps, found) = (model.time_steps.to_string(), config.time_steps.to_string());
    compare("time_steps of the config", steps, found)?;
    let found = format!("{:?}", data.channel_mean_u8);
    compare("mean pixel of the data", format!("{:?}", model.preprocessing.mean), found)
}

/// The sites of the model as they are.
fn placement(config: &RunConfig, model: &Model) -> Result<Placement> {
    let sites = model.graph.sites()?;
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
