//! The model that a run starts from.

use crate::config::RunConfig;
use crate::error::Result;
use snn_data::Dataset;
use snn_hybrid::Placement;
use snn_ir::{Form, Model, Preprocessing};

/// The model of a config before training: its network for these images, the policy applied, weights
/// drawn from the seed.
///
/// # Errors
/// The policy cannot be applied or the graph is invalid.
pub fn initial_model(config: &RunConfig, data: &Dataset) -> Result<(Model, Placement)> {
    let spiking =
        config.network.build(data.train.image_shape(), data.classes.len(), &config.neuron);
    let (graph, placement) = snn_hybrid::apply(&spiking, &config.policy, &config.replacement)?;
    let model = Model {
        form: Form::Trained,
        weights: graph.initial_weights(config.seed)?,
        graph,
        time_steps: config.time_steps,
        preprocessing: Preprocessing::new(data.channel_mean_u8.clone(), data.channel_std.clone()),
        classes: data.classes.clone(),
    };
    Ok((model, placement))
}
