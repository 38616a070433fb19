//! Deployment: a converted model compiled into stages that run with the instructions of this
//! machine.
//!
//! Layers are run one after another, each over all macro-steps, so that weights are read once a
//! tile of image rows, and not once a macro-step, and a sample's state is two layers' events. A
//! stage adds up its synapses, fires and sends in one pass over the output, tile by tile of image
//! rows. On the grid the bits are those of [`snn_ir::naive`], as everything there is an integer.
//! Off it sums are of f32, in an order of their own: levels agree with the other interpreters but
//! where a membrane is within rounding of its threshold, and are the same bits with every
//! instruction set and number of threads.

mod aligned;
mod arena;
mod calibrate;
mod compiled;
pub(crate) mod dense;
mod engine;
pub(crate) mod events;
mod exit;
mod grouped;
mod input;
pub(crate) mod number;
pub(crate) mod patterns;
mod plan;
mod rearrange;
pub(crate) mod rows;
mod session;
pub(crate) mod site;
mod stage;
mod summary;
pub(crate) mod windows;

pub use calibrate::{CurvePoint, Trajectories};
pub use engine::NodeStatistics;
pub use exit::{Confidence, Exit};
pub use input::{Event, Scale, count_events, windows};
pub use session::{Session, State};
pub use summary::{NodeSummary, Summary};

use compiled::Compiled;
use snn_ir::model::Form;
use snn_ir::{Error, Evaluate, Evaluation, Input, Model, Record, Result};
use snn_simd::{Available, InstructionSet};
use std::sync::Arc;

/// The most bytes that a session may take, its threads included; a limit for files from strangers.
/// Its buffers hold all macro-steps, of which a file may ask for many.
pub const MAX_BUFFER_BYTES: usize = 1 << 32;

/// How convolutions and linear layers are computed. On the grid the bits are the same; off it each
/// way has an order of sums of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// Through events as [`Kernels::Events`], and as a dense integer product where so many inputs
    /// are active that a model of costs takes that for faster; decided for every tile of image rows
    /// from the events that are there.
    #[default]
    Auto,
    /// Through events, always: work follows the spikes. In layers of 64 outputs or more, where many
    /// inputs are active at all of four macro-steps, or at every second one, events are sorted by
    /// the steps at which they occur, and the weights of such an input are added once for them;
    /// where few are, each step is added up by itself.
    Events,
    /// Through events that are sorted by their steps, wherever all levels are one.
    Patterns,
    /// As a dense integer product wherever levels allow it (none negative, none above 128). Off the
    /// grid there is none: events then.
    Dense,
}

/// How a model is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Instruction set; `None` for the best that the machine has.
    pub instruction_set: Option<InstructionSet>,
    /// Threads that work on one sample in a session; 1 is best for many samples, which
    /// [`Deployment::run`] spreads over threads instead.
    pub threads: usize,
    /// How convolutions and linear layers are computed.
    pub kernels: Kernels,
    /// Whether sessions measure what each node does.
    pub statistics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { instruction_set: None, threads: 1, kernels: Kernels::Auto, statistics: false }
    }
}

/// Gives [`Model`] the method `session`.
pub trait Deploy {
    /// A session of this model.
    ///
    /// # Errors
    /// As [`Deployment::new`].
    fn session(&self, options: &Options) -> Result<Session>;
}

impl Deploy for Model {
    fn session(&self, options: &Options) -> Result<Session> {
        Ok(Deployment::new(self, options)?.session())
    }
}

/// A converted model, compiled for this machine. It may be shared between threads.
#[derive(Debug)]
pub struct Deployment {
    model: Numbers,
    instructions: Available,
    pool: Option<Arc<rayon::ThreadPool>>,
    statistics: bool,
}

/// A model compiled to one kind of numbers or the other.
#[derive(Debug)]
enum Numbers {
    Grid(Compiled<i32>),
    Real(Compiled<f32>),
}

/// The same work with a compiled model, whatever its numbers.
macro_rules! with_compiled {
    ($deployment:expr, $compiled:ident => $work:expr) => {
        match &$deployment.model {
            Numbers::Grid($compiled) => $work,
            Numbers::Real($compiled) => $work,
        }
    };
}

impl Deployment {
    /// Validates and compiles a model: on the grid in integers, off it in f32.
    ///
    /// # Errors
    /// The model is not valid, not converted, larger than [`crate::MAX_TOTAL_VALUES`] or with its
    /// macro-steps than [`MAX_BUFFER_BYTES`]; a site emits values that are no levels, or is a
    /// user's own; the machine lacks the level, or cannot make the threads.
    pub fn new(model: &Model, options: &Options) -> Result<Self> {
        let failed = |message| Error::Interpreter { interpreter: crate::NAME, message };
        snn_simd::check_limit().map_err(|error| failed(error.to_string()))?;
        let wanted = options.instruction_set.unwrap_or_else(InstructionSet::best);
        let instructions = Available::new(wanted).ok_or_else(|| {
            failed(format!(
                "instruction set {wanted} is not available; the best here is {}",
                InstructionSet::best()
            ))
        })?;
        let model = match model.form() {
            Form::Grid { .. } => Numbers::Grid(Compiled::new(model, options, instructions)?),
            Form::Events => Numbers::Real(Compiled::new(model, options, instructions)?),
            Form::Trained => {
                return Err(Error::Refused {
                    node: "model".into(),
                    reason: format!(
                        "a deployment runs converted models, found form `{}`; convert it, or use \
                         Runtime",
                        model.form().label()
                    ),
                });
            }
        };
        let pool = match options.threads {
            0 => return Err(failed("threads must be at least 1, found 0".into())),
            1 => None,
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(Arc::new(pool.map_err(|error| failed(error.to_string()))?))
            }
        };
        Ok(Self { model, instructions, pool, statistics: options.statistics })
    }

    /// A session, with buffers of its own.
    pub fn session(&self) -> Session {
        with_compiled!(self, compiled => compiled.engine(self.instructions, self.pool.clone(), self.statistics).into())
    }

    /// Shape of one sample.
    pub fn input_shape(&self) -> &[usize] {
        with_compiled!(self, compiled => compiled.input_shape())
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        with_compiled!(self, compiled => compiled.plan.time_steps)
    }

    /// The instruction set in use.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instructions.set()
    }

    /// What the plan does with each node.
    pub fn summary(&self) -> Summary {
        with_compiled!(self, compiled => Summary::of(&compiled.plan, self.instruction_set()))
    }

    /// Runs a batch, in parallel over its samples on rayon's current pool.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        input.check(self.input_shape(), self.time_steps())?;
        with_compiled!(self, compiled => compiled.run(self.instructions, input, record))
    }
}

impl Evaluate for Deployment {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        self.run(input, record)
    }
}
