//! The fast engine: a converted model compiled into stages that run with the instructions of this
//! machine.
//!
//! Layers run one after another, each over all macro-steps, so that weights are read once a tile of
//! image rows, and not once a macro-step, and a sample's state is two layers' events. A stage adds
//! up its synapses, fires and sends in one pass over the output, tile by tile of image rows. A
//! model of form `grid` gives the bits of [`snn_ir::Naive`], as everything there is an integer. One
//! of form `events` is summed in f32, in an order of its own: levels agree with the other
//! interpreters but where a membrane is within rounding of its threshold, and are the same bits
//! with every instruction set and number of threads.

mod aligned;
mod events;
mod exit;
mod input;
mod kernels;
mod name;
mod number;
mod options;
mod plan;
mod run;
mod session;
mod size;
mod summary;
mod tuning;

pub use exit::trajectories::{CurvePoint, Trajectories};
pub use exit::{Confidence, Exit};
pub use input::{Event, Scale, count_events, windows};
pub use options::{Kernels, MAX_BUFFER_BYTES, Options};
pub use run::engine::NodeStatistics;
pub use session::{Session, State};
pub use summary::{NodeSummary, Summary};
pub use tuning::{LayerTimes, ModelLayer, SHARES, Tuning};

use crate::by_form::{ByForm, by_form};
use crate::idle::Idle;
use crate::limits::not_converted;
use crate::pixels::Pixels;
use crate::scores::{Head, Prediction};
use crate::threads::{Threads, note_process};
use name::NAME;
use ndarray::{Array2, ArrayView, ArrayViewD, Dimension};
use run::batch::Compiled;
use snn_ir::Form;
use snn_ir::{Encoder, Error, Evaluate, Evaluation, Input, Logits, Model, Record, Result};
use snn_simd::{Available, InstructionSet};
use std::sync::Arc;

/// A converted model, compiled for this machine. It may be shared between threads.
///
/// ```no_run
/// # let image = vec![0_u8];
/// let best = snn_runtime::Deployment::load("model.safetensors")?.classify(&image)?;
/// println!("{best}"); // apple (93.1 %)
/// # Ok::<(), snn_runtime::Error>(())
/// ```
#[derive(Debug)]
pub struct Deployment {
    model: ByForm<Compiled<i32>, Compiled<f32>>,
    instructions: Available,
    /// Of sessions; none of one thread.
    pool: Option<Arc<Threads>>,
    /// Of batches; none for rayon's current one.
    batch_pool: Option<Arc<Threads>>,
    statistics: bool,
    head: Arc<Head>,
    encoder: Encoder,
    /// Sessions that classify one sample.
    idle: Idle<Session>,
}

impl Deployment {
    /// Reads a model file and compiles it for the best instruction set that is available and one
    /// thread.
    ///
    /// # Errors
    /// As [`Model::load`] and [`Deployment::new`].
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Self::new(&Model::load(path)?, &Options::default())
    }

    /// Validates and compiles a model: of form `grid` in integers, of form `events` in f32.
    ///
    /// # Errors
    /// The model is not valid, not converted, larger than
    /// [`MAX_TOTAL_VALUES`](crate::MAX_TOTAL_VALUES) or with its macro-steps than
    /// [`MAX_BUFFER_BYTES`]; the outputs of a site are real numbers, or it is a custom neuron; the
    /// instruction set is not available, `SNN_INSTRUCTION_SET` names none, or the machine cannot
    /// make the threads.
    pub fn new(model: &Model, options: &Options) -> Result<Self> {
        let failed = |message| Error::Interpreter { interpreter: NAME, message };
        snn_simd::check_limit().map_err(|error| failed(error.to_string()))?;
        let wanted = options.instruction_set.unwrap_or_else(InstructionSet::best);
        let instructions = Available::new(wanted).ok_or_else(|| {
            let best = InstructionSet::best();
            failed(format!("instruction set {wanted} is not available here, the best is {best}"))
        })?;
        let (head, encoder) = (Arc::new(Head::of(model)), model.encoder());
        let model = match model.form() {
            Form::Grid { .. } => ByForm::Grid(Compiled::new(model, options, instructions)?),
            Form::Events => ByForm::Real(Compiled::new(model, options, instructions)?),
            Form::Trained => return Err(not_converted(model)),
        };
        for (name, threads) in
            [("threads", Some(options.threads)), ("batch_threads", options.batch_threads)]
        {
            let threads = threads.unwrap_or(1);
            if threads == 0 {
                return Err(failed(format!("{name} must be at least 1, found 0")));
            }
            snn_simd::check_threads(threads).map_err(|error| failed(format!("{name}: {error}")))?;
        }
        let start = |threads| Threads::new(threads).map(Arc::new).map_err(failed);
        let pool = match options.threads {
            1 => None,
            threads => Some(start(threads)?),
        };
        let batch_pool = match (&pool, options.batch_threads) {
            (Some(pool), Some(threads)) if pool.count() == threads => Some(Arc::clone(pool)),
            (_, threads) => threads.map(start).transpose()?,
        };
        note_process();
        let (statistics, idle) = (options.statistics, Idle::default());
        Ok(Self { model, instructions, pool, batch_pool, statistics, head, encoder, idle })
    }

    /// A session, with buffers of its own.
    pub fn session(&self) -> Session {
        let (pool, head) = (self.pool.clone(), Arc::clone(&self.head));
        let engine = match &self.model {
            ByForm::Grid(compiled) => {
                ByForm::Grid(compiled.engine(1, self.instructions, pool, self.statistics))
            }
            ByForm::Real(compiled) => {
                ByForm::Real(compiled.engine(1, self.instructions, pool, self.statistics))
            }
        };
        Session::new(engine, head, self.encoder)
    }

    /// Lends a session that was used before, or a new one, and keeps it for the next call.
    pub fn with_session<R>(&self, work: impl FnOnce(&mut Session) -> R) -> R {
        work(&mut self.idle.lend(|| self.session()))
    }

    /// The class of one image with its name and probability: the largest logit, the first of
    /// equals. Buffers are kept for the next call; for many images one after another take a
    /// [`session`](Self::session), which gives all scores, and for a batch
    /// [`classify_batch`](Self::classify_batch).
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn classify<P: Pixels>(&self, image: P) -> Result<Prediction> {
        self.with_session(|session| Ok(session.run(image)?.prediction()))
    }

    /// Logits of one image, one a class.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn logits<P: Pixels>(&self, image: P) -> Result<Vec<f64>> {
        self.with_session(|session| Ok(session.run(image)?.logits()))
    }

    /// The class of each image of a batch `[B, …shape]`, in parallel over samples on
    /// [`Options::batch_threads`] or rayon's current pool.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn classify_batch<D: Dimension>(&self, images: ArrayView<'_, u8, D>) -> Result<Vec<usize>> {
        Ok(self.run_images(images.into_dyn())?.logits.argmax())
    }

    /// Logits of a batch `[B, …shape]`, `[B, classes]`, in parallel over samples.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn logits_batch<D: Dimension>(&self, images: ArrayView<'_, u8, D>) -> Result<Array2<f64>> {
        Ok(self.to_logits(self.run_images(images.into_dyn())?.logits))
    }

    /// Logits in floating point of a batch that [`Deployment::run`] returned.
    pub fn to_logits(&self, logits: Logits) -> Array2<f64> {
        self.head.logits(logits, self.time_steps())
    }

    fn run_images(&self, images: ArrayViewD<'_, u8>) -> Result<Evaluation> {
        self.run(&Input::Static(images), Record::Logits)
    }

    /// Names of the classes, in the order of the logits; may be empty.
    pub fn classes(&self) -> &[String] {
        &self.head.classes
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        by_form!(&self.model, compiled => compiled.plan.classes())
    }

    /// Shape of one sample.
    pub fn input_shape(&self) -> &[usize] {
        by_form!(&self.model, compiled => compiled.input_shape())
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        by_form!(&self.model, compiled => compiled.plan.time_steps)
    }

    /// The instruction set in use.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instructions.set()
    }

    /// `true` if a layer has a dense form.
    pub(crate) fn has_dense_form(&self) -> bool {
        by_form!(&self.model, compiled => compiled.plan.has_dense_form())
    }

    /// Summary of the plan for each node.
    pub fn summary(&self) -> Summary {
        by_form!(&self.model, compiled => Summary::of(&compiled.plan, self.instruction_set()))
    }

    /// Runs a batch, in parallel over its samples on [`Options::batch_threads`] or rayon's current
    /// pool, and records its sites where asked to. Where the model has an encoder, images become
    /// its frames ([`Encoder::with_input`]).
    ///
    /// # Errors
    /// The shape does not fit the model, or its encoder makes no frames of images.
    pub fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        self.encoder.with_input(input, self.time_steps(), |input| {
            input.check(self.input_shape(), self.time_steps())?;
            let pool = self.batch_pool.as_deref();
            by_form!(&self.model, compiled => compiled.run(self.instructions, pool, input, record))
        })
    }
}

impl Evaluate for Deployment {
    fn name(&self) -> &'static str {
        match self.instruction_set() {
            InstructionSet::Scalar => "deployment scalar",
            InstructionSet::Avx2 => "deployment avx2",
            InstructionSet::Avx512 => "deployment avx512",
            InstructionSet::Avx512Vnni => "deployment avx512vnni",
            InstructionSet::Amx => "deployment amx",
        }
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        self.run(input, record)
    }
}
