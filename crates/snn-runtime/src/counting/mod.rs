//! The counting interpreter: runs a converted model on events, and counts every operation.
//!
//! This engine is the plain counterpart of the [`Deployment`](crate::Deployment): slower, made to
//! be read and to measure. It takes custom neurons and real-valued sites, which a deployment does
//! not.

mod compile;
mod counts;
mod event_list;
mod executor;
mod interpreter;
mod program;
mod rearrange;
mod spike_planes;
mod state;
mod stream;
mod synapse;
mod trace;
mod weights;

pub use counts::{Counts, NodeCounts, Tally};

use crate::arithmetic::Arithmetic as _;
use crate::by_form::{ByForm, by_form};
use crate::limits::not_converted;
use crate::pixels::{Pixels, checked, encoded};
use crate::scores::{Head, Prediction, Scores};
use executor::{Executor, Worker};
use ndarray::{Array2, ArrayView, ArrayViewD, Dimension};
use snn_ir::{Encoder, Evaluate, Evaluation, Input, Logits, Neurons, Record, Result};
use snn_ir::{Form, Model};
use state::Sample;

/// The counting interpreter of one converted model. It may be shared between threads.
///
/// A model of form `grid` runs in integers, bit for bit as `docs/semantics.md` says; one of form
/// `events` in f64, in which it decides as the trained network does in f64.
#[derive(Debug)]
pub struct Counting {
    executor: ByForm<Executor<i32>, Executor<f64>>,
    shape: Vec<usize>,
    head: Head,
    encoder: Encoder,
}

impl Counting {
    /// Validates a model and compiles it.
    ///
    /// # Errors
    /// The model is not valid, is in the form `trained`, is larger than
    /// [`MAX_TOTAL_VALUES`](crate::MAX_TOTAL_VALUES), needs more than 2¹⁶ micro-steps in a
    /// macro-step, or has a custom neuron (see [`Counting::with_neurons`]).
    pub fn new(model: &Model) -> Result<Self> {
        Self::with_neurons(model, &Neurons::default())
    }

    /// Validates and compiles a model that may have custom neurons. They compute in f64; runs fail
    /// where one emits a level that the graph does not announce.
    ///
    /// # Errors
    /// As [`Counting::new`]; or a neuron is unknown or refuses its parameters: the message names
    /// node and neuron.
    pub fn with_neurons(model: &Model, neurons: &Neurons) -> Result<Self> {
        let executor = match model.form() {
            Form::Grid { .. } => ByForm::Grid(Executor::new(model, neurons)?),
            Form::Events => ByForm::Real(Executor::new(model, neurons)?),
            Form::Trained => return Err(not_converted(model)),
        };
        let shape = by_form!(&executor, executor => executor.input_shape().to_vec());
        Ok(Self { executor, shape, head: Head::of(model), encoder: model.encoder() })
    }

    /// Reads a model file and compiles it.
    ///
    /// # Errors
    /// As [`Model::load`] and [`Counting::new`].
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Self::new(&Model::load(path)?)
    }

    /// Shape of one sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        by_form!(&self.executor, executor => executor.time_steps())
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        by_form!(&self.executor, executor => executor.classes())
    }

    /// Names of the classes, in the order of the logits; may be empty.
    pub fn classes(&self) -> &[String] {
        &self.head.classes
    }

    /// The class of one image with its name and probability: the largest logit, the first of
    /// equals.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn classify<P: Pixels>(&self, image: P) -> Result<Prediction> {
        Ok(self.session().run(image)?.prediction())
    }

    /// Logits of one image, one a class.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn logits<P: Pixels>(&self, image: P) -> Result<Vec<f64>> {
        Ok(self.session().run(image)?.logits())
    }

    /// The class of each image of a batch `[B, …shape]`, in parallel over samples.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn classify_batch<D: Dimension>(&self, images: ArrayView<'_, u8, D>) -> Result<Vec<usize>> {
        Ok(self.run_images(images.into_dyn())?.logits.argmax())
    }

    /// Logits of a batch `[B, …shape]`, `[B, classes]`. Samples run in parallel on rayon's current
    /// pool.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn logits_batch<D: Dimension>(&self, images: ArrayView<'_, u8, D>) -> Result<Array2<f64>> {
        Ok(self.to_logits(self.run_images(images.into_dyn())?.logits))
    }

    /// Logits in floating point of a batch that [`Counting::run`] returned.
    pub fn to_logits(&self, logits: Logits) -> Array2<f64> {
        self.head.logits(logits, self.time_steps())
    }

    fn run_images(&self, images: ArrayViewD<'_, u8>) -> Result<Evaluation> {
        self.run(&Input::Static(images), Record::Logits)
    }

    /// Runs a batch and records its sites where asked to: [`Evaluate::evaluate`] of a shared
    /// interpreter. Where the model has an encoder, images become its frames
    /// ([`Encoder::with_input`]).
    ///
    /// # Errors
    /// The shape does not fit the model, or its encoder makes no frames of images.
    pub fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        self.encoder.with_input(input, self.time_steps(), |input| {
            input.check(&self.shape, self.time_steps())?;
            by_form!(&self.executor, executor => executor.run(input, record))
        })
    }

    /// Operations since the interpreter was made or its counts were reset, of all runs that have
    /// returned and all sessions that have been dropped, in this process: a child of `fork` counts
    /// from zero.
    pub fn counts(&self) -> Counts {
        by_form!(&self.executor, executor => executor.counts())
    }

    /// Sets the counts to zero.
    pub fn reset_counts(&self) {
        by_form!(&self.executor, executor => executor.reset_counts());
    }

    /// A session for one sample after another on the calling thread, without any allocation once
    /// it is made.
    pub fn session(&self) -> CountingSession<'_> {
        let worker = match &self.executor {
            ByForm::Grid(executor) => ByForm::Grid(executor.worker()),
            ByForm::Real(executor) => ByForm::Real(executor.worker()),
        };
        CountingSession { counting: self, worker, ran: false }
    }
}

impl Evaluate for Counting {
    fn name(&self) -> &'static str {
        program::NAME
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        self.run(input, record)
    }
}

/// The buffers of one thread that runs samples with a [`Counting`]. What it counts reaches the
/// interpreter when it is dropped.
#[derive(Debug)]
pub struct CountingSession<'r> {
    counting: &'r Counting,
    worker: ByForm<Worker<'r, i32>, Worker<'r, f64>>,
    /// `true` if the last run succeeded.
    ran: bool,
}

impl CountingSession<'_> {
    /// Runs one image, shown at every macro-step, or made the frames of the model's encoder.
    ///
    /// # Errors
    /// The shape does not fit the model, or its encoder makes no frames of images.
    pub fn run<P: Pixels>(&mut self, image: P) -> Result<Scores<'_>> {
        self.ran = false;
        let Counting { encoder, shape, .. } = self.counting;
        let pixels = checked(&image, None, shape)?;
        match encoded(*encoder, &pixels, shape, self.counting.time_steps())? {
            None => self.sample(Sample { pixels: &pixels, frames: false }),
            Some(frames) => self.sample(Sample { pixels: &frames, frames: true }),
        }
    }

    /// Runs one sample of a frame for each macro-step, `[T, …shape]`, as the network reads them:
    /// encoded already, if the model has an encoder.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn run_frames<P: Pixels>(&mut self, frames: P) -> Result<Scores<'_>> {
        self.ran = false;
        let pixels = checked(&frames, Some(self.counting.time_steps()), &self.counting.shape)?;
        self.sample(Sample { pixels: &pixels, frames: true })
    }

    fn sample(&mut self, sample: Sample<'_>) -> Result<Scores<'_>> {
        by_form!(&mut self.worker, worker => worker.run(sample, &mut []).map(drop))?;
        self.ran = true;
        Ok(self.scores())
    }

    /// Scores of the last run; over no macro-steps before the first, and after one that failed or
    /// was refused.
    pub fn scores(&self) -> Scores<'_> {
        let sums = match &self.worker {
            ByForm::Grid(worker) => i32::sums(worker.sums()),
            ByForm::Real(worker) => f64::sums(worker.sums()),
        };
        let steps = if self.ran { self.counting.time_steps() as u64 } else { 0 };
        Scores { sums, steps, head: &self.counting.head }
    }
}
