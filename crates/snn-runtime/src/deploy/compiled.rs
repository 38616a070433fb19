//! A model compiled to one kind of numbers, and batches of samples through it.

use crate::deploy::arena::Arena;
use crate::deploy::engine::{Clock, Engine, Observer};
use crate::deploy::events::{EventsView, Extent};
use crate::deploy::number::Number;
use crate::deploy::plan::{NodePlan, Plan};
use crate::deploy::{MAX_BUFFER_BYTES, Options};
use ndarray::{Array2, ArrayD, ArrayViewD, Axis};
use rayon::prelude::*;
use snn_ir::{Error, Evaluation, Input, Model, Record, Result, SiteOutput, SiteTrace};
use snn_simd::Available;
use std::sync::{Arc, Mutex, PoisonError};

/// A plan with the engines that wait for the next batch.
#[derive(Debug)]
pub(crate) struct Compiled<N: Number> {
    pub(crate) plan: Arc<Plan<N>>,
    idle: Mutex<Vec<Engine<N>>>,
}

impl<N: Number> Compiled<N> {
    pub(crate) fn new(model: &Model, options: &Options, instructions: Available) -> Result<Self> {
        let plan = Arc::new(Plan::compile(model, options.kernels, instructions.set())?);
        let bytes = Arena::buffer_bytes(&plan, options.threads);
        if bytes > MAX_BUFFER_BYTES {
            return Err(Error::Refused {
                node: "model".into(),
                reason: format!(
                    "a session would take {bytes} bytes for {} macro-steps and {} threads, expected at most {MAX_BUFFER_BYTES}; fewer macro-steps can be streamed for ever",
                    plan.time_steps, options.threads
                ),
            });
        }
        Ok(Self { plan, idle: Mutex::default() })
    }

    pub(crate) fn engine(
        &self,
        instructions: Available,
        pool: Option<Arc<rayon::ThreadPool>>,
        statistics: bool,
    ) -> Engine<N> {
        Engine::new(Arc::clone(&self.plan), instructions, pool, statistics)
    }

    pub(crate) fn input_shape(&self) -> &[usize] {
        self.plan.nodes.first().map_or(&[], |node| &node.shape)
    }

    /// Runs a batch whose shape has been checked, in parallel over its samples.
    pub(crate) fn run(
        &self,
        instructions: Available,
        input: &Input<'_>,
        record: Record,
    ) -> Result<Evaluation> {
        let (batch, classes) = (input.batch(), self.plan.classes());
        let clock = Clock { steps: self.plan.time_steps, frames: input.varies() };
        let mut sums = vec![N::Sum::default(); batch * classes];
        let mut traces: Vec<Vec<Vec<i16>>> = vec![Vec::new(); batch];
        sums.par_chunks_mut(classes).zip(&mut traces).enumerate().try_for_each_init(
            || Lent { compiled: self, instructions, engine: None },
            |lent, (index, (sums, traces))| {
                let view = match input {
                    Input::Static(images) => images.index_axis(Axis(0), index),
                    Input::Frames(frames) => frames.index_axis(Axis(1), index),
                };
                let engine = lent.engine();
                let mut observe = |node: usize, events: EventsView<'_>| {
                    traces.push(dense(&self.plan.nodes[node], events));
                };
                let observer: Option<Observer<'_>> = match record {
                    Record::Logits => None,
                    Record::Sites => Some(&mut observe),
                };
                match view.as_slice() {
                    Some(pixels) => engine.evaluate(pixels, clock, None, observer)?,
                    None => engine.evaluate(&contiguous(&view), clock, None, observer)?,
                }
                sums.copy_from_slice(&engine.sums);
                Ok::<(), Error>(())
            },
        )?;
        let sites = match record {
            Record::Logits => Vec::new(),
            Record::Sites => self.join(&traces, clock)?,
        };
        let sums = Array2::from_shape_vec((batch, classes), sums).map_err(|error| {
            Error::Interpreter { interpreter: crate::NAME, message: error.to_string() }
        })?;
        Ok(Evaluation { logits: N::logits(sums, clock.steps), sites })
    }

    /// Traces of samples, time first.
    fn join(&self, samples: &[Vec<Vec<i16>>], clock: Clock) -> Result<Vec<SiteTrace>> {
        let join = |(site, node): (usize, &NodePlan<N>)| {
            let mut shape = vec![clock.of(node.varies), samples.len()];
            shape.extend(&node.shape);
            let traces = samples.iter().filter_map(|traces| traces.get(site).map(Vec::as_slice));
            let levels: ArrayD<i16> = crate::trace::time_first(&traces, &shape, node.size())?;
            Ok(SiteTrace { site: node.name.clone(), output: SiteOutput::Levels(levels), ties: 0 })
        };
        self.plan.sites().enumerate().map(join).collect()
    }
}

/// An engine on loan to a thread of a batch; it goes back when this is dropped. It works alone, as
/// the batch is what runs in parallel.
struct Lent<'c, N: Number> {
    compiled: &'c Compiled<N>,
    instructions: Available,
    engine: Option<Engine<N>>,
}

impl<N: Number> Lent<'_, N> {
    fn engine(&mut self) -> &mut Engine<N> {
        let Self { compiled, instructions, engine } = self;
        engine.get_or_insert_with(|| {
            let idle = compiled.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            idle.unwrap_or_else(|| compiled.engine(*instructions, None, false))
        })
    }
}

impl<N: Number> Drop for Lent<'_, N> {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.compiled.idle.lock().unwrap_or_else(PoisonError::into_inner).push(engine);
        }
    }
}

fn contiguous(view: &ArrayViewD<'_, u8>) -> Vec<u8> {
    view.iter().copied().collect()
}

/// Levels of one site, `[step][channel][position]`.
fn dense<N: Number>(node: &NodePlan<N>, events: EventsView<'_>) -> Vec<i16> {
    let Extent { rows, columns, channels, steps, .. } = events.extent;
    let mut levels = vec![0; steps * node.size()];
    for step in 0..steps {
        for y in 0..rows {
            for (entry, level) in events.at(y, step).levels(0..columns) {
                let (x, channel) = (entry / channels, entry % channels);
                let at = step * node.size() + (channel * rows + y) * columns + x;
                levels[at] = i16::try_from(level).unwrap_or(i16::MAX);
            }
        }
    }
    levels
}
