//! Deployment: a model on the grid compiled into stages that run with the instructions of this machine.
//!
//! Layers are run one after another, each over all macro-steps, so that weights are read once and a sample's state is two layers' events. A stage adds up its synapses, fires
//! and sends in one pass over the output, tile by tile of image rows. The bits are those of [`snn_ir::naive`], as everything on the grid is an integer.

mod aligned;
mod arena;
mod calibrate;
pub(crate) mod dense;
pub(crate) mod events;
mod exit;
mod grouped;
mod input;
pub(crate) mod patterns;
mod plan;
mod rearrange;
pub(crate) mod rows;
mod session;
mod site;
mod stage;
mod summary;
pub(crate) mod windows;

pub use calibrate::{CurvePoint, Trajectories};
pub use exit::{Confidence, Exit};
pub use input::{Event, Scale, count_events, windows};
pub use session::{NodeStatistics, Session, State};
pub use summary::{NodeSummary, Summary};

use crate::simd::{Available, Level};
use ndarray::{Array2, ArrayD, ArrayViewD, Axis};
use plan::Plan;
use rayon::prelude::*;
use session::Clock;
use snn_ir::{Error, Evaluate, Evaluation, Input, Logits, Model, Record, Result, SiteOutput, SiteTrace};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes that a session may take, its threads included; a limit for files from strangers. Its buffers hold all macro-steps, of which a file may ask for many.
pub const MAX_BUFFER_BYTES: usize = 1 << 32;

/// How convolutions and linear layers are computed. The bits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// Through events as [`Kernels::Events`], and as a dense integer product where so many inputs are active that it takes fewer instructions; decided for every tile of
    /// image rows from the events that are there.
    #[default]
    Auto,
    /// Through events, always: work follows the spikes. Where many inputs are active at each of several macro-steps, events are sorted by the steps at which they
    /// occur, and the weights of an input are added once for all its steps; where few are, each step is added up by itself.
    Events,
    /// Through events that are sorted by their steps, wherever all levels are one.
    Patterns,
    /// As a dense integer product wherever levels allow it (none negative, none above 128).
    Dense,
}

/// How a model is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Instruction set; `None` for the best that the machine has.
    pub level: Option<Level>,
    /// Threads that work on one sample in a session; 1 is best for many samples, which [`Deployment::run`] spreads over threads instead.
    pub threads: usize,
    /// How convolutions and linear layers are computed.
    pub kernels: Kernels,
    /// Whether sessions measure what each node does.
    pub statistics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { level: None, threads: 1, kernels: Kernels::Auto, statistics: false }
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

/// A model on the grid, compiled for this machine. It may be shared between threads.
#[derive(Debug)]
pub struct Deployment {
    plan: Arc<Plan>,
    level: Available,
    pool: Option<Arc<rayon::ThreadPool>>,
    shape: Vec<usize>,
    statistics: bool,
    /// Sessions that wait for the next batch.
    idle: Mutex<Vec<Session>>,
}

impl Deployment {
    /// Validates and compiles a model.
    ///
    /// # Errors
    /// The model is not valid, not on the grid, larger than [`crate::MAX_TOTAL_VALUES`] or with its macro-steps than [`MAX_BUFFER_BYTES`]; the machine lacks the level, or cannot make the threads.
    pub fn new(model: &Model, options: &Options) -> Result<Self> {
        let failed = |message| Error::Interpreter { interpreter: crate::NAME, message };
        let level = options.level.unwrap_or_else(Level::best);
        let level = Available::new(level)
            .ok_or_else(|| failed(format!("this machine does not have the instructions of level {}", level.label())))?;
        let plan = Arc::new(Plan::compile(model, options.kernels)?);
        let bytes = arena::Arena::buffer_bytes(&plan, options.threads);
        if bytes > MAX_BUFFER_BYTES {
            return Err(Error::Refused {
                node: "model".into(),
                reason: format!(
                    "a session would take {bytes} bytes for {} macro-steps and {} threads, expected at most {MAX_BUFFER_BYTES}; fewer macro-steps can be streamed for ever",
                    plan.time_steps, options.threads
                ),
            });
        }
        let pool = match options.threads {
            0 => return Err(failed("threads must be at least 1, found 0".into())),
            1 => None,
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(Arc::new(pool.map_err(|error| failed(error.to_string()))?))
            }
        };
        let shape = plan.nodes.first().map_or_else(Vec::new, |node| node.shape.clone());
        Ok(Self { plan, level, pool, shape, statistics: options.statistics, idle: Mutex::default() })
    }

    /// A session, with buffers of its own.
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(&self.plan), self.level, self.pool.clone(), self.statistics)
    }

    /// Shape of one sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        self.plan.time_steps
    }

    /// The instruction set in use.
    pub fn level(&self) -> Level {
        self.level.level()
    }

    /// What the plan does with each node.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.plan, self.level())
    }

    /// Runs a batch, in parallel over its samples on rayon's current pool.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        input.check(&self.shape, self.plan.time_steps)?;
        let (batch, classes) = (input.batch(), self.plan.classes());
        let clock = Clock { steps: self.plan.time_steps, frames: input.varies() };
        let mut sums = vec![0_i64; batch * classes];
        let mut traces: Vec<Vec<Vec<i16>>> = vec![Vec::new(); batch];
        sums.par_chunks_mut(classes).zip(&mut traces).enumerate().try_for_each_init(
            || Lent { deployment: self, session: None },
            |lent, (index, (sums, traces))| {
                let view = match input {
                    Input::Static(images) => images.index_axis(Axis(0), index),
                    Input::Frames(frames) => frames.index_axis(Axis(1), index),
                };
                let session = lent.session();
                let mut observe = |node: usize, events: events::EventsView<'_>| {
                    traces.push(dense(&self.plan.nodes[node], events));
                };
                let observer: Option<session::Observer<'_>> = match record {
                    Record::Logits => None,
                    Record::Sites => Some(&mut observe),
                };
                match view.as_slice() {
                    Some(pixels) => session.evaluate(pixels, clock, None, observer)?,
                    None => session.evaluate(&contiguous(&view), clock, None, observer)?,
                }
                sums.copy_from_slice(session.sums());
                Ok::<(), Error>(())
            },
        )?;
        let sites = match record {
            Record::Logits => Vec::new(),
            Record::Sites => self.join(&traces, clock)?,
        };
        let sums = Array2::from_shape_vec((batch, classes), sums)
            .map_err(|error| Error::Interpreter { interpreter: crate::NAME, message: error.to_string() })?;
        Ok(Evaluation { logits: Logits::Integer(sums), sites })
    }

    /// Traces of samples, time first.
    fn join(&self, samples: &[Vec<Vec<i16>>], clock: Clock) -> Result<Vec<SiteTrace>> {
        let join = |(site, node): (usize, &plan::NodePlan)| {
            let mut shape = vec![clock.of(node.varies), samples.len()];
            shape.extend(&node.shape);
            let traces = samples.iter().filter_map(|traces| traces.get(site).map(Vec::as_slice));
            let levels: ArrayD<i16> = crate::trace::time_first(&traces, &shape, node.size())?;
            Ok(SiteTrace { site: node.name.clone(), output: SiteOutput::Levels(levels), ties: 0 })
        };
        self.plan.sites().enumerate().map(join).collect()
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

/// A session on loan to a thread of a batch; it goes back when this is dropped. It works alone, as the batch is what runs in parallel.
struct Lent<'d> {
    deployment: &'d Deployment,
    session: Option<Session>,
}

impl Lent<'_> {
    fn session(&mut self) -> &mut Session {
        let Self { deployment, session } = self;
        session.get_or_insert_with(|| {
            let idle = deployment.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            idle.unwrap_or_else(|| Session::new(Arc::clone(&deployment.plan), deployment.level, None, false))
        })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.deployment.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

fn contiguous(view: &ArrayViewD<'_, u8>) -> Vec<u8> {
    view.iter().copied().collect()
}

/// Levels of one site, `[step][channel][position]`.
fn dense(node: &plan::NodePlan, events: events::EventsView<'_>) -> Vec<i16> {
    let events::Extent { rows, columns, channels, steps, .. } = events.extent;
    let mut levels = vec![0; steps * node.size()];
    for step in 0..steps {
        for y in 0..rows {
            for (entry, level) in events.line(y, step).levels(0..columns) {
                let (x, channel) = (entry / channels, entry % channels);
                let at = step * node.size() + (channel * rows + y) * columns + x;
                levels[at] = i16::try_from(level).unwrap_or(i16::MAX);
            }
        }
    }
    levels
}
