//! The runtime as users hold it: one type for every precision.

use crate::arithmetic::{Arithmetic, Scores};
use crate::counts::Counts;
use crate::engine::{Engine, Worker};
use crate::session::Sample;
use ndarray::{Array2, ArrayView, Axis, Dimension};
use snn_ir::model::{Form, Model, Signature};
use snn_ir::{Error, Evaluate, Evaluation, Input, Logits, Neurons, Record, Result};

/// Numbers in which a runtime computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// i32, for models on the grid: every bit as `docs/semantics.md` says.
    Grid,
    /// f32, for models in the form `events`.
    F32,
    /// f64, for models in the form `events`: decides as the trained network does in f64.
    F64,
}

impl Precision {
    /// The precision in which a form is exact: the grid in integers, anything else in f64.
    pub fn of(form: Form) -> Self {
        match form {
            Form::Grid { .. } => Precision::Grid,
            Form::Events | Form::Trained => Precision::F64,
        }
    }
}

/// The event-driven interpreter of one converted model. It may be shared between threads.
#[derive(Debug)]
pub struct Runtime {
    /// The model without its weights, which the engine holds in its own layout.
    signature: Signature,
    shape: Vec<usize>,
    precision: Precision,
    engine: Engines,
}

/// An engine of one precision.
#[derive(Debug)]
enum Engines {
    Grid(Engine<i32>),
    F32(Engine<f32>),
    F64(Engine<f64>),
}

/// Runs `$body` with `$engine` bound to the engine of whichever precision.
macro_rules! with {
    ($engines:expr, $engine:ident => $body:expr) => {
        match $engines {
            Engines::Grid($engine) => $body,
            Engines::F32($engine) => $body,
            Engines::F64($engine) => $body,
        }
    };
}

impl Runtime {
    /// Validates a model and compiles it.
    ///
    /// # Errors
    /// The model is not valid, is in the form `trained`, is larger than
    /// [`crate::MAX_TOTAL_VALUES`], needs more than 2¹⁶ micro-steps in a macro-step, has a neuron
    /// of a user's own (see [`Runtime::with_neurons`]), or its form and the precision do not fit.
    pub fn new(model: &Model, precision: Precision) -> Result<Self> {
        Self::with_neurons(model, precision, &Neurons::default())
    }

    /// Validates and compiles a model that may have neurons of a user's own. They compute in f64 in
    /// every precision; runs fail where one emits a level that the graph does not announce.
    ///
    /// # Errors
    /// As [`Runtime::new`]; or a neuron is unknown or refuses its parameters: the message names
    /// node and neuron.
    pub fn with_neurons(model: &Model, precision: Precision, neurons: &Neurons) -> Result<Self> {
        let engine = match (precision, model.form()) {
            (_, Form::Trained) => {
                return Err(Error::Refused {
                    node: "model".into(),
                    reason:
                        "form `trained` is not event-driven; convert it first (snn-reparam), to \
                         form `events` or `grid`"
                            .into(),
                });
            }
            (Precision::Grid, Form::Grid { .. }) => Engines::Grid(Engine::new(model, neurons)?),
            (Precision::F32, Form::Events) => Engines::F32(Engine::new(model, neurons)?),
            (Precision::F64, Form::Events) => Engines::F64(Engine::new(model, neurons)?),
            (Precision::Grid, Form::Events)
            | (Precision::F32 | Precision::F64, Form::Grid { .. }) => {
                return Err(Error::Refused {
                    node: "model".into(),
                    reason: format!(
                        "form `{}` does not run in precision {precision:?}; use {:?}",
                        model.form().label(),
                        Precision::of(model.form())
                    ),
                });
            }
        };
        let shape = with!(&engine, engine => engine.input_shape().to_vec());
        Ok(Self { signature: model.signature().clone(), shape, precision, engine })
    }

    /// Reads a model file and compiles it in the precision in which its form is exact.
    ///
    /// # Errors
    /// As [`Model::load`] and [`Runtime::new`].
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let model = Model::load(path)?;
        Self::new(&model, Precision::of(model.form()))
    }

    /// Shape of one sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        self.signature.time_steps
    }

    /// The precision it computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Names of the classes, in the order of the logits; may be empty.
    pub fn classes(&self) -> &[String] {
        &self.signature.classes
    }

    /// Logits of a batch, `[B, classes]`. Samples run in parallel on rayon's current pool.
    ///
    /// # Shapes
    /// `[B, …shape]`, raw pixels.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn logits<D: Dimension>(&self, images: ArrayView<'_, u8, D>) -> Result<Array2<f64>> {
        self.run(&Input::Static(images.into_dyn()), Record::Logits)?.logits.to_real(&self.signature)
    }

    /// The class of one image: the position of its largest logit, the first of equals.
    ///
    /// # Shapes
    /// The model's input shape, raw pixels.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn classify<D: Dimension>(&self, image: ArrayView<'_, u8, D>) -> Result<usize> {
        Ok(self
            .classify_batch(image.into_dyn().insert_axis(Axis(0)))?
            .first()
            .copied()
            .unwrap_or_default())
    }

    /// The class of each image of a batch `[B, …shape]`.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn classify_batch<D: Dimension>(&self, images: ArrayView<'_, u8, D>) -> Result<Vec<usize>> {
        Ok(self.run(&Input::Static(images.into_dyn()), Record::Logits)?.logits.argmax())
    }

    /// As [`Evaluate::evaluate`], on a shared runtime.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        input.check(&self.shape, self.signature.time_steps)?;
        with!(&self.engine, engine => engine.run(input, record))
    }

    /// Operations since the runtime was made or its counts were reset, of all runs that have
    /// returned and all sessions that have been dropped.
    pub fn counts(&self) -> Counts {
        with!(&self.engine, engine => engine.counts())
    }

    /// Sets the counts to zero.
    pub fn reset_counts(&self) {
        with!(&self.engine, engine => engine.reset_counts());
    }

    /// A session for one sample after another on the calling thread, without any allocation once it
    /// is made.
    pub fn session(&self) -> Session<'_> {
        let worker = match &self.engine {
            Engines::Grid(engine) => Workers::Grid(engine.worker()),
            Engines::F32(engine) => Workers::F32(engine.worker()),
            Engines::F64(engine) => Workers::F64(engine.worker()),
        };
        Session { runtime: self, worker }
    }
}

impl Evaluate for Runtime {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        self.run(input, record)
    }
}

/// The buffers of one thread that runs samples of a [`Runtime`]. What it counts reaches the runtime
/// when it is dropped.
#[derive(Debug)]
pub struct Session<'r> {
    runtime: &'r Runtime,
    worker: Workers<'r>,
}

/// A worker of one precision.
#[derive(Debug)]
enum Workers<'r> {
    Grid(Worker<'r, i32>),
    F32(Worker<'r, f32>),
    F64(Worker<'r, f64>),
}

impl Session<'_> {
    /// Runs one image, shown at every macro-step, and returns the sums of the head.
    ///
    /// # Errors
    /// The shape is not the model's.
    pub fn image<D: Dimension>(&mut self, image: ArrayView<'_, u8, D>) -> Result<Scores<'_>> {
        let shape = &self.runtime.shape;
        if image.shape() != shape.as_slice() {
            return Err(Error::Input {
                expected: format!("{shape:?}"),
                found: image.shape().to_vec(),
            });
        }
        self.sample(&Sample::Static(image.into_dyn()))
    }

    /// Runs one sample of a frame for each macro-step, `[T, …shape]`.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn frames<D: Dimension>(&mut self, frames: ArrayView<'_, u8, D>) -> Result<Scores<'_>> {
        let (shape, found) = (&self.runtime.shape, frames.shape());
        if found.first() != Some(&self.runtime.time_steps()) || found[1..] != **shape {
            let expected = format!("[{}, {shape:?}]", self.runtime.time_steps());
            return Err(Error::Input { expected, found: found.to_vec() });
        }
        self.sample(&Sample::Frames(frames.into_dyn()))
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<Scores<'_>> {
        Ok(match &mut self.worker {
            Workers::Grid(worker) => i32::scores(worker.run(sample, &mut [])?),
            Workers::F32(worker) => f32::scores(worker.run(sample, &mut [])?),
            Workers::F64(worker) => f64::scores(worker.run(sample, &mut [])?),
        })
    }
}

impl Scores<'_> {
    /// Position of the largest score, the first of equals.
    pub fn argmax(&self) -> usize {
        fn first_largest<V: PartialOrd>(values: &[V]) -> usize {
            (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
        }
        match self {
            Scores::Integer(sums) => first_largest(sums),
            Scores::Real(sums) => first_largest(sums),
        }
    }
}

/// Class scores of a whole batch; kept here so that [`Logits`] is built in one place.
pub(crate) fn logits<A: Arithmetic>(
    sums: Vec<A::Sum>,
    classes: usize,
    time_steps: usize,
) -> Result<Logits> {
    let batch = sums.len() / classes.max(1);
    let sums = Array2::from_shape_vec((batch, classes), sums).map_err(|error| {
        Error::Interpreter { interpreter: crate::NAME, message: error.to_string() }
    })?;
    Ok(A::logits(sums, time_steps))
}
