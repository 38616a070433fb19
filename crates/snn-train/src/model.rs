//! The model that a run starts from.

use crate::config::RunConfig;
use crate::error::Result;
use snn_data::Dataset;
use snn_hybrid::Placement;
use snn_ir::{Form, Model, Preprocessing, Signature};

/// The model of a config before training: its network for these images, the policy applied, weights
/// drawn from the seed.
///
/// # Errors
/// The policy cannot be applied or the graph is invalid.
pub fn initial_model(config: &RunConfig, data: &Dataset) -> Result<(Model, Placement)> {
    let spiking =
        config.network.build(data.train.image_shape(), data.classes.len(), &config.neuron);
    let (graph, placement) = snn_hybrid::apply(&spiking, &config.policy, &config.replacement)?;
    let weights = graph.initial_weights(config.seed)?;
    let preprocessing = Preprocessing::new(data.channel_mean_u8.clone(), data.channel_std.clone());
    let signature = Signature::new(Form::Trained, graph, config.time_steps, preprocessing)
        .with_classes(data.classes.clone());
    Ok((Model::new(signature, weights), placement))
}
