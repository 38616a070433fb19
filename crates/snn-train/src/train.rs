//! Training as a config says.

use crate::config::RunConfig;
use crate::config::data::RunData;
use crate::error::Result;
use crate::loss::teacher;
use crate::progress::{Options, Outcome, Progress};
use crate::run::{RunFolder, Start};
use crate::trainer::Trainer;
use snn_hybrid::Placement;
use snn_ir::{Form, Model, Signature};
use std::path::Path;

/// Trains a network as `config` says, in the folder `folder`: a [`Trainer`] made by
/// [`Trainer::from_config`].
///
/// # Errors
/// As [`Trainer::from_config`] and [`Trainer::fit`].
pub fn train(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    Trainer::from_config(config, folder, options)?.fit(folder, options, progress)
}

impl Trainer {
    /// The trainer of a config, for a run in `folder`; a program may give it its own neurons and
    /// surrogate gradients ([`with_registry`](Self::with_registry)) before it trains.
    ///
    /// # Errors
    /// A key is out of range, the data cannot be read, or network, policy, weights to start from or
    /// teacher do not fit.
    pub fn from_config(config: &RunConfig, folder: &Path, options: &Options) -> Result<Self> {
        config.validate()?;
        let data = config.open_data(options.data_root.as_deref())?;
        let (mut model, placement) = initial_model(config, &data)?;
        let mut differences = Vec::new();
        if config.start_from.is_on() {
            match RunFolder::open(folder) {
                // The run goes on with what it was started from, whatever has become of that.
                Ok(run) if options.start == Start::Resume => {
                    differences = run.info().map(|info| info.differences).unwrap_or_default();
                    model = run.base()?.unwrap_or(model);
                }
                _ => {
                    let start = &config.start_from;
                    let file = if start.path.is_dir() {
                        RunFolder::open(&start.path)?.model_path()
                    } else {
                        start.path.clone()
                    };
                    differences = start.load_into(&file, &mut model)?;
                }
            }
        }
        let trainer = Self::of_data(config, &data, model, folder, options)?;
        Ok(Self {
            placement: Some(placement),
            differences,
            keeps_base: config.start_from.is_on(),
            ..trainer
        })
    }

    /// The trainer of a model on the data of a config.
    pub(crate) fn of_data(
        config: &RunConfig,
        data: &RunData,
        model: Model,
        folder: &Path,
        options: &Options,
    ) -> Result<Self> {
        let trainer = Self::new(model, data.train.clone(), config.recipe(&data.mean));
        Ok(Self {
            validation: data.validation.clone(),
            test: Some(data.test.clone()),
            teacher: teacher::find(config, data, folder, options)?,
            config: Some(config.clone()),
            ..trainer.with_data_name(data.name.clone())
        })
    }
}

/// The model of a config before training: its network for these samples, the policy applied,
/// weights drawn from the seed.
///
/// # Errors
/// The network's file cannot be read, the policy cannot be applied or the graph is invalid.
pub fn initial_model(config: &RunConfig, data: &RunData) -> Result<(Model, Placement)> {
    let input = config.encoded(data.shape).image();
    let spiking = config.network.build(input, data.classes.len(), &config.neuron)?;
    let (graph, placement) = snn_hybrid::apply(&spiking, &config.policy, &config.replacement)?;
    let weights = graph.initial_weights(config.seed)?;
    let preprocessing = config.preprocessing(data);
    let signature = Signature::new(Form::Trained, graph, config.time_steps, preprocessing)
        .with_encoder(config.encoder)
        .with_classes(data.classes.clone());
    Ok((Model::new(signature, weights), placement))
}
