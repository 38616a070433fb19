//! Training as a config says.

use crate::config::RunConfig;
use crate::config::data::RunData;
use crate::config::network::NetworkConfig;
use crate::config::start_from::StartFromConfig;
use crate::error::{Error, Result};
use crate::loss::teacher;
use crate::processes::in_own_folder;
use crate::progress::{Options, Outcome, Progress};
use crate::run::RunFolder;
use crate::stages;
use crate::swap::{SpikingFit, activity, fits, settle, swap_sites};
use crate::trainer::{Trainer, check_threads, set_threads};
use ndarray::{ArrayD, IxDyn};
use snn_core::NetworkOptions;
use snn_data::{Loader, SampleShape};
use snn_hybrid::Placement;
use snn_ir::{
    Encoder, Form, Graph, Initial, Model, Signature, Tensor, WeightSpec, Weights, weight_specs,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Trains a network as `config` says, in the folder `folder`: a [`Trainer`] made by
/// [`Trainer::from_config`], and before it its twin, if it has one ([`TwinConfig`]).
///
/// [`TwinConfig`]: crate::TwinConfig
///
/// # Errors
/// As [`Trainer::from_config`] and [`Trainer::fit`].
pub fn train(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    in_own_folder(Some(config), folder, options, |folder| {
        train_in(config, folder, options, progress)
    })
}

/// [`train`] in the folder of this process.
fn train_in(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    match config.before()? {
        Some(_) => stages::train(config, folder, options, progress),
        None if options.twin.is_some() => Err(Error::Toml(
            "a finished twin was given, but the config has no table `twin` that it would be of"
                .into(),
        )),
        None => Trainer::from_config(config, folder, options)?.fit_in(folder, options, progress),
    }
}

impl Trainer {
    /// The trainer of a config, for a run in `folder`; a program may give it its own neurons and
    /// surrogate gradients ([`with_registry`](Self::with_registry)) before it trains. The twin of a
    /// staged run must have been trained in `folder/twin`, with [`RunConfig::twin_config`]; the
    /// stages of a crossover, which lie in `folder/crossover`, are trained by [`train`] alone.
    ///
    /// # Errors
    /// A key is out of range, the data cannot be read, or network, policy, weights to start from or
    /// teacher do not fit.
    pub fn from_config(config: &RunConfig, folder: &Path, options: &Options) -> Result<Self> {
        config.validate()?;
        check_threads("", config.threads, config.data.loader_threads)?;
        let (original, config) = (config, &config.after_stages(folder));
        let data = config.open_data(options.data_root.as_deref())?;
        // A run goes on with what it was started with, whatever has become of that.
        let begun = RunFolder::begun(folder, options.start);
        let network = match (&config.network, begun.as_ref().and_then(RunFolder::network)) {
            (NetworkConfig::File { .. }, Some(path)) => NetworkConfig::File { path },
            (network, _) => network.clone(),
        };
        let spiking = build(config, &network, &data)?;
        let (model, placement) = place(config, &spiking, &data)?;
        let (model, differences) = start(config, begun.as_ref(), model, &data, options)?;
        let twin = original.twin.is_some().then(|| stages::twin_result(folder)).transpose()?;
        let teacher = teacher::of_run(config, folder, options.start)?;
        let trainer = Self::of_data(config, &data, model, teacher);
        Ok(Self {
            config: Some(original.clone()),
            placement: Some(placement),
            twin: twin.flatten(),
            differences,
            network_file: matches!(network, NetworkConfig::File { .. }).then_some(spiking),
            keeps_base: config.start_from.is_on(),
            computes_weights: !config.start_from.is_on(),
            ..trainer
        })
    }

    /// The trainer of a model on the data of a config.
    pub(crate) fn of_data(
        config: &RunConfig,
        data: &RunData,
        model: Model,
        teacher: Option<Model>,
    ) -> Self {
        let trainer = Self::new(model, data.train.clone(), config.recipe(&data.mean));
        Self {
            validation: data.validation.clone(),
            test: Some(data.test.clone()),
            teacher,
            config: Some(config.clone()),
            ..trainer.with_data_name(data.name.clone())
        }
    }
}

/// The model of a config before training: its network for these samples, the policy applied,
/// weights drawn from the seed.
///
/// # Errors
/// The network's file cannot be read, the policy cannot be applied or the graph is invalid.
pub fn initial_model(config: &RunConfig, data: &RunData) -> Result<(Model, Placement)> {
    place(config, &build(config, &config.network, data)?, data)
}

/// [`initial_model`] with 0 in place of every value that is drawn: enough to check what fits, and a
/// second sooner for a network of ten million weights.
pub(crate) fn undrawn_model(config: &RunConfig, data: &RunData) -> Result<Model> {
    let spiking = build(config, &config.network, data)?;
    let (graph, _) = snn_hybrid::apply(&spiking, &config.policy, &config.replacement)?;
    let mut weights = Weights::new();
    for WeightSpec { name, part, .. } in weight_specs(&graph, &graph.resolve()?, Form::Trained)? {
        let value = match part.initial {
            Some(Initial::Constant(value)) => value,
            _ => 0.0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "initial weights are f32")]
        let array = ArrayD::from_elem(IxDyn(&part.shape), value as f32);
        weights.insert(name, Tensor::F32(array));
    }
    Ok(Model::new(signature(config, graph, data), weights))
}

/// The graph of a network for these samples, before the policy.
fn build(config: &RunConfig, network: &NetworkConfig, data: &RunData) -> Result<Graph> {
    let input = config.encoded(data.shape).image();
    network.build(input, data.classes.len(), &config.neuron)
}

/// The model of a graph and the seed, with the policy applied.
fn place(config: &RunConfig, spiking: &Graph, data: &RunData) -> Result<(Model, Placement)> {
    let (graph, placement) = snn_hybrid::apply(spiking, &config.policy, &config.replacement)?;
    let weights = graph.initial_weights(config.seed)?;
    Ok((Model::new(signature(config, graph, data), weights), placement))
}

/// Everything of a model but its weights.
fn signature(config: &RunConfig, graph: Graph, data: &RunData) -> Signature {
    let preprocessing = config.preprocessing(data);
    Signature::new(Form::Trained, graph, config.time_steps, preprocessing)
        .with_encoder(config.encoder)
        // An encoder makes other frames of them.
        .with_framing(data.framing.filter(|_| config.encoder == Encoder::Direct))
        .with_classes(data.classes.clone())
}

/// The model that training starts with, and how it differs from the one whose weights it has: a
/// fresh one as it is, or with the weights that the config starts from.
fn start(
    config: &RunConfig,
    begun: Option<&RunFolder>,
    mut model: Model,
    data: &RunData,
    options: &Options,
) -> Result<(Model, Vec<String>)> {
    let StartFromConfig { swap, .. } = &config.start_from;
    if !config.start_from.is_on() {
        return Ok((model, Vec::new()));
    }
    if let Some(run) = begun
        && let (Some(base), Ok(info)) = (run.base()?, run.info())
    {
        return Ok((base, info.differences));
    }
    let source = start_model(config)?;
    let mut differences = config.start_from.take(&source, &mut model)?;
    if *swap {
        // The order of sums decides the last bits of what is measured.
        set_threads(config.threads, config.replicas);
        let seen = on_samples_of(&source, &model, data.shape);
        let activity = activity(&seen, &unmixed(config, &seen, data)?, options.device)?;
        differences.extend(swap_sites(&source, &activity, &mut model)?);
        let batches = unmixed(config, &model, data)?;
        settle(&mut model, &batches, &NetworkOptions::new(options.device))?;
    }
    Ok((model, differences))
}

/// The fit of every site that is a quantised `ReLU` in the network that a config starts from, and
/// LIF in its own, measured on [`SWAP_BATCHES`](crate::SWAP_BATCHES) training batches: what
/// `start_from.swap` does to the sites. Nothing is trained.
///
/// # Errors
/// The data or the network cannot be read, or a site cannot be simulated.
pub fn spiking_fits(config: &RunConfig, options: &Options) -> Result<BTreeMap<String, SpikingFit>> {
    let data = config.open_data(options.data_root.as_deref())?;
    let model = undrawn_model(config, &data)?;
    let source = start_model(config)?;
    set_threads(config.threads, config.replicas);
    let seen = on_samples_of(&source, &model, data.shape);
    let activity = activity(&seen, &unmixed(config, &seen, &data)?, options.device)?;
    fits(&source, &activity, &model)
}

/// The model that a config starts from.
fn start_model(config: &RunConfig) -> Result<Model> {
    let path = &config.start_from.path;
    let file = if path.is_dir() { RunFolder::open(path)?.model_path() } else { path.clone() };
    config.start_from.load(&file)
}

/// The training batches of a config for a model, without mixing.
fn unmixed(config: &RunConfig, model: &Model, data: &RunData) -> Result<Loader> {
    let trainer = Trainer::new(model.clone(), data.train.clone(), config.recipe(&data.mean));
    Ok(trainer.loader()?.without_mixing())
}

/// The model with the running statistics of its batch norms measured again on
/// [`SWAP_BATCHES`](crate::SWAP_BATCHES) training batches of a config, as those of a network whose
/// sites were swapped are.
///
/// # Errors
/// The data cannot be read, or does not fit the model.
pub fn with_own_statistics(
    config: &RunConfig,
    mut model: Model,
    options: &Options,
) -> Result<Model> {
    let data = config.open_data(options.data_root.as_deref())?;
    set_threads(config.threads, config.replicas);
    let batches = unmixed(config, &model, &data)?;
    settle(&mut model, &batches, &NetworkOptions::new(options.device))?;
    Ok(model)
}

/// A trained network on the samples of another one, which has the same weights: a twin may have
/// been trained on smaller images, or on fewer frames.
fn on_samples_of(source: &Model, model: &Model, samples: SampleShape) -> Model {
    let mut seen = source.clone();
    let input = model.graph().nodes.first();
    if let (Some(own), Some(input)) = (seen.signature_mut().graph.nodes.first_mut(), input) {
        own.op = input.op.clone();
    }
    if samples.time_steps().is_some() {
        seen.signature_mut().time_steps = model.time_steps();
    }
    seen
}
