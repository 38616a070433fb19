//! What must fit before a run writes anything.

use crate::config::check::check;
use crate::encode::{BatchEncoder, encode, encoded_shape};
use crate::error::{Error, Result};
use crate::evaluate::{TEST, TRAINING, VALIDATION};
use crate::loss::LossConfig;
use crate::loss::activity::ActivityPenalty;
use crate::loss::teacher;
use crate::recipe::Recipe;
use crate::train_loop::Samples;
use crate::trainable::Trainable;
use crate::trainer::Trainer;
use snn_data::{LastBatch, Loader, LoaderConfig, SampleShape, Source};
use snn_ir::{Encoder, Form};
use std::sync::Arc;

impl Trainer {
    /// Checks recipe, model, sources and teacher against each other.
    ///
    /// # Errors
    /// The first that does not fit.
    pub(crate) fn check(&self) -> Result<Samples> {
        let Self { model, recipe, .. } = self;
        recipe.validate()?;
        let checked = model.validate()?;
        snn_core::check_training(model)?;
        if recipe.encoder != model.encoder() {
            return Err(Error::Mismatch {
                what: "encoder",
                expected: format!("{:?}, which the model was trained with", model.encoder()),
                found: format!("{:?}", recipe.encoder),
            });
        }
        let [mut validation, mut test] = [None, None];
        for (part, source) in self.sources() {
            let encoded = self.encoded(part, source, checked.input_shape())?;
            match part {
                VALIDATION => validation = Some(encoded).filter(|source| !source.is_empty()),
                TEST => test = Some(encoded).filter(|source| !source.is_empty()),
                _ => {}
            }
        }
        self.check_preprocessing(checked.input_shape().first().copied().unwrap_or(1))?;
        if matches!(model.form(), Form::Grid { .. }) {
            self.check_grid()?;
        }
        ActivityPenalty::new(&recipe.activity, model)?;
        if let Some(teacher) = &self.teacher {
            let shape = encoded_shape(self.train.shape(), &recipe.encoder, model.time_steps());
            teacher::check(teacher, model, shape.time_steps())?;
        }
        let loader = self.loader()?;
        let (steps, reestimated) =
            (loader.batches_per_epoch(), recipe.batch_norm_reestimation.batches);
        if reestimated > steps {
            return Err(Error::Mismatch {
                what: "`batch_norm_reestimation.batches`",
                expected: format!("at most the {steps} steps of an epoch"),
                found: reestimated.to_string(),
            });
        }
        let train = Arc::clone(&self.train);
        Ok(Samples { classes: checked.classes(), train, loader, validation, test })
    }

    /// The sources by the part that they have in a run.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Source>)> {
        let sources = [
            (TRAINING, Some(&self.train)),
            (VALIDATION, self.validation.as_ref()),
            (TEST, self.test.as_ref()),
        ];
        sources.into_iter().filter_map(|(part, source)| Some((part, source?)))
    }

    /// The training samples as the network sees them in evaluation.
    pub(crate) fn training_samples(&self) -> Result<Arc<dyn Source>> {
        self.encoded(TRAINING, &self.train, self.model.validate()?.input_shape())
    }

    /// A source as a network of this input sees it in evaluation.
    fn encoded(
        &self,
        part: &'static str,
        source: &Arc<dyn Source>,
        input: &[usize],
    ) -> Result<Arc<dyn Source>> {
        let (encoder, time_steps) = (&self.recipe.encoder, self.model.time_steps());
        let shape = encoded_shape(source.shape(), encoder, time_steps);
        let fits = shape.image() == input && shape.time_steps().is_none_or(|t| t == time_steps);
        if !fits {
            let expected = match shape {
                SampleShape::Static(_) => format!("images {input:?}, which the model reads"),
                SampleShape::Frames(_) => {
                    let frames = [&[time_steps], input].concat();
                    format!("frames {frames:?}, which the model reads")
                }
            };
            return Err(Error::Samples { part, expected, found: shape.to_string() });
        }
        encode(source, encoder, time_steps).map_err(|error| Error::Samples {
            part,
            expected: format!("samples for the encoder {}", encoder.label()),
            found: format!("{} ({error})", source.shape()),
        })
    }

    /// An encoder says what its spikes mean. Conversion takes deviations into the weights.
    fn check_preprocessing(&self, channels: usize) -> Result<()> {
        let (model, encoder) = (&self.model, &self.recipe.encoder);
        let Some(mut expected) = encoder.preprocessing(channels) else { return Ok(()) };
        let found = model.preprocessing();
        if model.form() != Form::Trained {
            expected.std.clone_from(&found.std);
        }
        if *found == expected {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "preprocessing of the model",
            expected: format!("{expected:?}, that of the encoder {}", encoder.label()),
            found: format!("{found:?}"),
        })
    }

    /// Groups match weights of the network, and leave it some to learn in every epoch.
    pub(crate) fn check_groups(&self, network: &dyn Trainable) -> Result<()> {
        let Recipe { optimiser, groups, epochs, .. } = &self.recipe;
        if groups.is_empty() {
            return Ok(());
        }
        let mut optimiser = optimiser.init_groups(network.parameters(), groups)?;
        (0..*epochs).try_for_each(|epoch| optimiser.begin_epoch(epoch, 1))
    }

    /// On the grid a loss of single time steps and statistics of batch norm do not exist.
    fn check_grid(&self) -> Result<()> {
        let (loss, batches) = (self.recipe.loss, self.recipe.batch_norm_reestimation.batches);
        check(
            "loss",
            loss == LossConfig::CrossEntropy,
            "cross_entropy on the grid, which tells the sum over time steps alone",
            format!("{loss:?}"),
        )?;
        let expected = "0 on the grid, which has no batch norm";
        check("batch_norm_reestimation.batches", batches == 0, expected, batches)
    }

    /// The training batches; what is random in them is a function of (seed, epoch, place), so that
    /// nothing of it must be kept for a resume.
    pub(crate) fn loader(&self) -> Result<Loader> {
        let recipe = &self.recipe;
        let loader = LoaderConfig {
            batch_size: recipe.batch,
            seed: recipe.seed,
            last_batch: LastBatch::Drop,
            threads: recipe.loader_threads,
            augment: recipe.augment.clone(),
            mix: recipe.mix,
            ..LoaderConfig::default()
        }
        .init_source(Arc::clone(&self.train), None)
        .map_err(by_key)?;
        if recipe.encoder == Encoder::Direct {
            return Ok(loader);
        }
        let (encoder, time_steps) = (recipe.encoder, self.model.time_steps());
        Ok(loader.with_batch_transform(Arc::new(BatchEncoder { encoder, time_steps })))
    }
}

/// What training batches cannot be made of, by the key that it has in a config.
fn by_key(error: snn_data::Error) -> Error {
    let mismatch = |what, expected, found| Error::Mismatch { what, expected, found };
    match error {
        snn_data::Error::InvalidConfig { field: "batch_size", expected, found } => {
            mismatch("`batch`", expected, found)
        }
        snn_data::Error::InvalidConfig { field: "crop_padding", expected, found } => {
            mismatch("`data.crop_padding`", expected, found)
        }
        snn_data::Error::InvalidConfig { field: "policy", expected, found } => {
            mismatch("`data.auto_augment`", expected, found)
        }
        // Of all settings this one alone is refused for the samples.
        snn_data::Error::InvalidImages { expected, found } => {
            mismatch("`data.event_mix`", expected, found)
        }
        other => other.into(),
    }
}
