//! The trainer: any network, any source of samples.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::loss::activity::ActivityPenalty;
use crate::loss::teacher::Teacher;
use crate::processes::in_own_folder;
use crate::progress::{Options, Outcome, Progress};
use crate::recipe::Recipe;
use crate::replicas::{Learner, Replicas};
use crate::run::identity::Identity;
use crate::run::metrics::{RunInfo, TwinResult};
use crate::run::{Beginning, RunFolder};
use crate::train_loop::{Job, fit};
use crate::trainable::{OffGrid, OnGrid, Trainable};
use crate::whitening;
use snn_core::{GridNetwork, Network, NetworkOptions, Ranks, Registry, SurrogateGradient};
use snn_data::Source;
use snn_hybrid::{Decision, PlacedSite, Placement, Policy};
use snn_ir::{Encoder, Form, Graph, Model};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use tch::Device;

/// Trains a network on a source of samples, with checkpoints, exact resume, metrics and figures in
/// a run folder.
///
/// The network is a model: off the grid it is trained, on the grid it is fine-tuned in integers.
/// The sources are images or frames ([`Source`]); with an encoder in the recipe, images become
/// frames in the loader's threads.
///
/// ```
/// use snn_data::{Source, Split, shapes::Shapes10};
/// use snn_ir::{Form, Model, Preprocessing, Signature, networks::SmallNet};
/// use snn_train::{Options, Outcome, Recipe, Trainer};
/// use std::sync::Arc;
///
/// let shapes = Shapes10 { train: 64, test: 32, ..Shapes10::default() };
/// let train: Arc<dyn Source> = Arc::new(shapes.images(Split::Train)?);
/// let graph = SmallNet { width: 2, ..SmallNet::default() }.build();
/// let weights = graph.initial_weights(0)?;
/// let preprocessing = Preprocessing::new(vec![113; 3], vec![69.0; 3]);
/// let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
/// let recipe = Recipe { epochs: 1, batch: 16, ..Recipe::default() };
/// let test = Arc::new(shapes.images(Split::Test)?);
/// let trainer = Trainer::new(model, train, recipe).with_test(test);
/// let folder = tempfile::tempdir()?;
/// let outcome = trainer.fit(&folder.path().join("run"), &Options::default(), &mut |_| {})?;
/// assert!(matches!(outcome, Outcome::Finished(result) if result.test_images == 32));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer {
    pub(crate) model: Model,
    pub(crate) train: Arc<dyn Source>,
    pub(crate) validation: Option<Arc<dyn Source>>,
    pub(crate) test: Option<Arc<dyn Source>>,
    pub(crate) teacher: Option<Model>,
    pub(crate) registry: Registry,
    pub(crate) recipe: Recipe,
    /// The config that it was made from, which the run folder keeps.
    pub(crate) config: Option<RunConfig>,
    /// Name of the data in the result.
    pub(crate) data: String,
    /// Which sites a policy changed; `None` for the sites as they are.
    pub(crate) placement: Option<Placement>,
    /// How the model that training starts from differs from the one it has its weights of.
    pub(crate) differences: Vec<String>,
    /// The graph of the network's file, before the policy; the run folder keeps it.
    pub(crate) network_file: Option<Graph>,
    /// `true` if the run folder keeps the model that training starts with.
    pub(crate) keeps_base: bool,
    /// What the twin of a staged run reached.
    pub(crate) twin: Option<TwinResult>,
    /// `true` if first weights that depend on the training samples are computed.
    pub(crate) computes_weights: bool,
}

impl Trainer {
    /// A trainer of a model on the samples of `train`.
    ///
    /// The encoder is the recipe's or the model's, whichever has one; the trained model keeps it.
    /// The samples must have the input shape of the model (with an encoder: their frames must), as
    /// many frames as the model has time steps if they are frames, and labels below its number of
    /// classes; [`fit`](Self::fit) checks all that.
    pub fn new(mut model: Model, train: Arc<dyn Source>, mut recipe: Recipe) -> Self {
        match (model.encoder(), recipe.encoder) {
            (Encoder::Direct, encoder) => model = model.with_encoder(encoder),
            (encoder, Encoder::Direct) => recipe.encoder = encoder,
            _ => {} // of two others the model's must be the recipe's, which `fit` checks
        }
        let keeps_base = matches!(model.form(), Form::Grid { .. });
        Self {
            model,
            train,
            validation: None,
            test: None,
            teacher: None,
            registry: Registry::default(),
            recipe,
            config: None,
            data: "data of a program's own".into(),
            placement: None,
            differences: Vec::new(),
            network_file: None,
            keeps_base,
            twin: None,
            computes_weights: false,
        }
    }

    /// Evaluates the samples of `source` after every epoch.
    #[must_use]
    pub fn with_validation(self, source: Arc<dyn Source>) -> Self {
        Self { validation: Some(source), ..self }
    }

    /// Evaluates the samples of `source` once, after the last epoch. Without one the result says 0
    /// test images.
    #[must_use]
    pub fn with_test(self, source: Arc<dyn Source>) -> Self {
        Self { test: Some(source), ..self }
    }

    /// Learns from the class scores of a teacher as well (Hinton 2015), a model off the grid with
    /// the same classes that reads the same samples.
    #[must_use]
    pub fn with_teacher(self, teacher: Model) -> Self {
        Self { teacher: Some(teacher), ..self }
    }

    /// Knows neurons and surrogate gradients of a user's own.
    #[must_use]
    pub fn with_registry(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// Computes the first weights that depend on the training samples
    /// ([`InitialWeights::Whitening`](snn_ir::InitialWeights::Whitening)) before the first step, in
    /// place of those of the model: for a model whose weights are fresh. A trainer of a config does
    /// so by itself.
    #[must_use]
    pub fn with_computed_weights(self) -> Self {
        Self { computes_weights: true, ..self }
    }

    /// Names the data in the result of the run.
    #[must_use]
    pub fn with_data_name(self, name: impl Into<String>) -> Self {
        Self { data: name.into(), ..self }
    }

    /// Says in the result and the figures that this policy placed the sites of the model.
    pub(crate) fn with_policy(self, policy: Policy) -> Result<Self> {
        let placement = Placement { policy, ..sites_as_they_are(&self.model)? };
        Ok(Self { placement: Some(placement), ..self })
    }

    /// The model that training starts with.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Trains in the folder `folder`, from the start or, with
    /// [`Start::Resume`](crate::Start::Resume), from the last checkpoint.
    ///
    /// The same model, sources, recipe, device, threads and build give the same weights bit for
    /// bit, however often the run was stopped and resumed. A run is resumed with what it was
    /// started with; the first thing that differs is named. Validation samples are evaluated after
    /// every epoch, test samples once after the last; nothing is selected by either.
    ///
    /// # Errors
    /// Model, sources and recipe do not fit each other, the folder is in use or damaged, files
    /// cannot be read or written, or the loss is no number.
    pub fn fit(
        &self,
        folder: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Outcome> {
        in_own_folder(self.config.as_ref(), folder, options, |folder| {
            self.fit_in(folder, options, progress)
        })
    }

    /// [`fit`](Self::fit) in the folder of this process.
    pub(crate) fn fit_in(
        &self,
        folder: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Outcome> {
        // Everything is checked before anything is written.
        check_threads("", self.recipe.threads, self.recipe.loader_threads)?;
        let mut samples = self.check()?;
        set_threads(self.recipe.threads, self.recipe.replicas);
        self.check_replicas(options)?;
        let (model, computed_weights) = self.first_model(folder, options)?;
        let learner = self.learner(&model, options)?;
        self.check_groups(learner.network.as_ref())?;
        let teacher = self.teacher.as_ref();
        let identity =
            Identity::new(&self.recipe, &model, samples.classes, teacher, self.sources())?;
        if let Some(process) = &options.processes {
            identity.agree(process)?;
            samples.loader = samples.loader.with_part(process.rank(), process.count())?;
        }
        let processes = options.processes.as_ref();
        let mut replicas = Replicas::new(learner, processes, || self.learner(&model, options))?;
        let beginning = Beginning {
            config: self.config.as_ref(),
            identity: &identity,
            info: &RunInfo::now(
                self.recipe.seed,
                options.device,
                self.differences.clone(),
                computed_weights,
            ),
            network: self.network_file.as_ref(),
            base: self.keeps_base.then_some(&model),
            teacher: self.teacher.as_ref(),
        };
        let (folder, _lock) = RunFolder::begin(folder, &beginning, options.start)?;
        let placement = match &self.placement {
            Some(placement) => placement.clone(),
            None => sites_as_they_are(&self.model)?,
        };
        let job = Job {
            recipe: &self.recipe,
            samples: &samples,
            data: &self.data,
            placement: &placement,
            differences: &self.differences,
            model: &model,
            twin: self.twin.as_ref(),
            folder: &folder,
            options,
        };
        fit(&mut replicas, &job, progress)
    }

    /// Checks everything that can be checked without a folder.
    pub(crate) fn check_whole(&self, options: &Options) -> Result<()> {
        self.check()?;
        self.check_replicas(options)?;
        if self.recipe.groups.is_empty() {
            return Ok(());
        }
        self.check_groups(self.network(&self.model, options)?.as_ref())
    }

    /// The model that training starts with, with its weights that depend on the training samples,
    /// and a line about each of them. Those of a run that goes on are in its checkpoint.
    fn first_model(
        &self,
        folder: &Path,
        options: &Options,
    ) -> Result<(Cow<'_, Model>, Vec<String>)> {
        let goes_on = RunFolder::begun(folder, options.start)
            .is_some_and(|folder| folder.checkpoint_path().is_file());
        if !self.computes_weights || goes_on || !whitening::is_needed(&self.model) {
            return Ok((Cow::Borrowed(&self.model), Vec::new()));
        }
        let mut model = self.model.clone();
        let source = self.training_samples()?;
        let told = whitening::whiten(&mut model, &source, self.recipe.seed)?;
        Ok((Cow::Owned(model), told))
    }

    /// There is a process for each replica, or all are in this one, on the CPU.
    fn check_replicas(&self, options: &Options) -> Result<()> {
        let replicas = self.recipe.replicas;
        if let Some(process) = &options.processes {
            if process.count() == replicas {
                return Ok(());
            }
            let expected = format!("{}, one for each process", process.count());
            let found = replicas.to_string();
            return Err(Error::Mismatch { what: "`replicas`", expected, found });
        }
        if replicas == 1 || options.device == Device::Cpu {
            return Ok(());
        }
        let expected =
            format!("1 on {:?}: replicas share the cores of a processor", options.device);
        Err(Error::Mismatch { what: "`replicas`", expected, found: replicas.to_string() })
    }

    /// The network on the device with what it learns from.
    fn learner(&self, model: &Model, options: &Options) -> Result<Learner> {
        let teacher = self.teacher.as_ref();
        let teacher = teacher
            .map(|teacher| Teacher::new(teacher, &self.recipe, &self.registry, options.device));
        Ok(Learner {
            network: self.network(model, options)?,
            recipe: self.recipe.clone(),
            teacher: teacher.transpose()?,
            penalty: ActivityPenalty::new(&self.recipe.activity, model)?,
            ranks: None,
        })
    }

    /// The network on the device.
    fn network(&self, model: &Model, options: &Options) -> Result<Box<dyn Trainable + Send>> {
        if matches!(model.form(), Form::Grid { .. }) {
            let surrogate = SurrogateGradient::new(&self.recipe.grid_surrogate, &self.registry)?;
            let network = GridNetwork::with_surrogate(model, options.device, surrogate)?;
            return Ok(Box::new(OnGrid {
                network,
                time_steps: model.time_steps(),
                device: options.device,
            }));
        }
        let registry = self.registry.clone();
        let training = self.recipe.training();
        let settings = NetworkOptions { training, registry, ..NetworkOptions::new(options.device) };
        let network = Network::with_options(model, &settings)?;
        Ok(Box::new(OffGrid { network, signature: model.signature().clone() }))
    }
}

/// The sites of a model without a policy's changes.
fn sites_as_they_are(model: &Model) -> Result<Placement> {
    let sites = model.graph().sites()?.into_iter().map(|info| PlacedSite {
        neurons: info.neurons(),
        before: info.site.label().to_string(),
        after: info.site.label().to_string(),
        spiking: info.site.is_stateful(),
        decision: Decision::Kept,
        site: info.name,
        shape: info.shape,
    });
    Ok(Placement { policy: Policy::None, sites: sites.collect() })
}

/// Refuses numbers of threads far above what this machine has, before any work; a config that is
/// only read may be of a larger machine. `table` is in front of the keys.
pub(crate) fn check_threads(table: &str, threads: usize, loader_threads: usize) -> Result<()> {
    for (key, threads) in [("threads", threads), ("data.loader_threads", loader_threads)] {
        let bounded = snn_simd::check_threads(threads);
        bounded.map_err(|error| Error::Toml(format!("`{table}{key}`: {error}")))?;
    }
    Ok(())
}

/// Sets the threads of libtorch for as many replicas as there are; those of replicas would be in
/// each other's way where libtorch chose.
pub(crate) fn set_threads(threads: usize, replicas: usize) {
    let threads = if replicas > 1 { threads.max(1) } else { threads };
    if let (1.., Ok(threads)) = (threads, i32::try_from(threads)) {
        tch::set_num_threads(threads);
    }
}
