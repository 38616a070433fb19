//! A model compiled for one number type, and batches of samples through it.

use crate::batch::{contiguous, logits, time_first};
use crate::deploy::events::{EventsView, Extent};
use crate::deploy::name::NAME;
use crate::deploy::number::Number;
use crate::deploy::options::{MAX_BUFFER_BYTES, Options};
use crate::deploy::plan::{NodePlan, Plan};
use crate::deploy::run::arena::Arena;
use crate::deploy::run::engine::{Clock, Engine, Observer};
use crate::idle::Idle;
use crate::threads::{Threads, in_current_pool};
use ndarray::{ArrayD, Axis};
use rayon::prelude::*;
use snn_ir::{Error, Evaluation, Input, Model, Record, Result, SiteOutput, SiteTrace};
use snn_simd::Available;
use std::sync::Arc;

/// A plan with the engines that wait for the next batch.
#[derive(Debug)]
pub(crate) struct Compiled<N: Number> {
    pub(crate) plan: Arc<Plan<N>>,
    idle: Idle<Engine<N>>,
}

impl<N: Number> Compiled<N> {
    pub(crate) fn new(model: &Model, options: &Options, instructions: Available) -> Result<Self> {
        let plan = Arc::new(Plan::compile(model, options.kernels, instructions.set())?);
        let bytes = Arena::buffer_bytes(&plan, options.threads);
        if bytes > MAX_BUFFER_BYTES {
            return Err(Error::Refused {
                node: "model".into(),
                reason: format!(
                    "a session would take {bytes} bytes for {} macro-steps and {} threads, \
                     expected at most {MAX_BUFFER_BYTES}; deploy the model with fewer macro-steps \
                     and push frames, which has no limit",
                    plan.time_steps, options.threads
                ),
            });
        }
        Ok(Self { plan, idle: Idle::default() })
    }

    pub(crate) fn engine(
        &self,
        instructions: Available,
        pool: Option<Arc<Threads>>,
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
        // By sample and site; macro-steps that run one by one follow each other.
        let traced = match record {
            Record::Logits => 0,
            Record::Sites => self.plan.sites().count(),
        };
        let mut traces: Vec<Vec<Vec<i16>>> = vec![vec![Vec::new(); traced]; batch];
        let mut ordinal = vec![0; self.plan.nodes.len()];
        let sites = (0..self.plan.nodes.len()).filter(|&node| self.plan.nodes[node].is_site);
        sites.enumerate().for_each(|(site, node)| ordinal[node] = site);
        let samples = sums.par_chunks_mut(classes).zip(&mut traces).enumerate();
        let failed = |message| Error::Interpreter { interpreter: NAME, message };
        let each = || {
            samples.try_for_each_init(
                || self.idle.lend(|| self.engine(instructions, None, false)),
                |engine, (index, (sums, traces))| {
                    let view = match input {
                        Input::Static(images) => images.index_axis(Axis(0), index),
                        Input::Frames(frames) => frames.index_axis(Axis(1), index),
                    };
                    let mut observe = |node: usize, events: EventsView<'_>| {
                        traces[ordinal[node]].extend(dense(&self.plan.nodes[node], events));
                    };
                    let observer: Option<Observer<'_>> = match record {
                        Record::Logits => None,
                        Record::Sites => Some(&mut observe),
                    };
                    engine.evaluate(&contiguous(&view), clock, None, observer)?;
                    sums.copy_from_slice(&engine.sums);
                    Ok::<(), Error>(())
                },
            )
        };
        in_current_pool(each).map_err(failed)??;
        let sites = match record {
            Record::Logits => Vec::new(),
            Record::Sites => self.join(&traces, clock)?,
        };
        let divisor = self.plan.readout.divisor(clock.steps as u64);
        Ok(Evaluation { logits: logits::<N>(sums, classes, divisor, NAME)?, sites })
    }

    /// Traces of samples, time first.
    fn join(&self, samples: &[Vec<Vec<i16>>], clock: Clock) -> Result<Vec<SiteTrace>> {
        let join = |(site, node): (usize, &NodePlan<N>)| {
            let mut shape = vec![clock.of(node.varies), samples.len()];
            shape.extend(&node.shape);
            let traces = samples.iter().filter_map(|traces| traces.get(site).map(Vec::as_slice));
            let levels: ArrayD<i16> = time_first(&traces, &shape, node.size(), NAME)?;
            Ok(SiteTrace { site: node.name.clone(), output: SiteOutput::Levels(levels), ties: 0 })
        };
        self.plan.sites().enumerate().map(join).collect()
    }
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
