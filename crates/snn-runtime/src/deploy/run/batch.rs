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
use ndarray::{ArrayD, Axis, Slice};
use rayon::prelude::*;
use snn_ir::{Error, Evaluation, Input, Model, Record, Result, SiteOutput, SiteTrace};
use snn_simd::Available;
use std::sync::Arc;

/// Bytes of weights that stay in a second-level cache from one image to the next; of more, several
/// images make use of a weight each time that it comes from beyond.
const KEPT_BYTES: usize = 1 << 20;
/// Images of a batch that an engine then takes at once.
const IMAGES_AT_ONCE: usize = 4;

/// A plan with the engines that wait for the next batch.
#[derive(Debug)]
pub(crate) struct Compiled<N: Number> {
    pub(crate) plan: Arc<Plan<N>>,
    /// Images that an engine for batches takes at once.
    images_at_once: usize,
    /// `true` if it does so even where threads would be left without work.
    is_forced: bool,
    idle: Idle<Engine<N>>,
}

impl<N: Number> Compiled<N> {
    pub(crate) fn new(model: &Model, options: &Options, instructions: Available) -> Result<Self> {
        let plan = Arc::new(Plan::compile(model, options, instructions.set())?);
        let images_at_once = match options.images_at_once {
            _ if plan.has_delays() => 1,
            Some(images) => images.max(1),
            None if plan.weight_bytes() > KEPT_BYTES
                && Arena::buffer_bytes(&plan, IMAGES_AT_ONCE, 1) <= MAX_BUFFER_BYTES =>
            {
                IMAGES_AT_ONCE
            }
            None => 1,
        };
        let refuse = |reason| Err(Error::Refused { node: "model".into(), reason });
        let bytes = Arena::buffer_bytes(&plan, 1, options.threads);
        if bytes > MAX_BUFFER_BYTES {
            return refuse(format!(
                "a session would take {bytes} bytes for {} macro-steps and {} threads, expected at \
                 most {MAX_BUFFER_BYTES}; deploy the model with fewer macro-steps and push frames, \
                 which has no limit",
                plan.time_steps, options.threads
            ));
        }
        let bytes = Arena::buffer_bytes(&plan, images_at_once, 1);
        if bytes > MAX_BUFFER_BYTES {
            return refuse(format!(
                "{images_at_once} images at once would take {bytes} bytes, expected at most \
                 {MAX_BUFFER_BYTES}; deploy the model with fewer images at once"
            ));
        }
        let is_forced = options.images_at_once.is_some();
        Ok(Self { plan, images_at_once, is_forced, idle: Idle::default() })
    }

    /// With room for so many images at once.
    pub(crate) fn engine(
        &self,
        images: usize,
        instructions: Available,
        pool: Option<Arc<Threads>>,
        statistics: bool,
    ) -> Engine<N> {
        Engine::new(Arc::clone(&self.plan), images, instructions, pool, statistics)
    }

    pub(crate) fn input_shape(&self) -> &[usize] {
        self.plan.nodes.first().map_or(&[], |node| &node.shape)
    }

    /// Runs a batch whose shape has been checked, in parallel over its samples, on this pool or
    /// rayon's current one.
    pub(crate) fn run(
        &self,
        instructions: Available,
        pool: Option<&Threads>,
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
        let failed = |message| Error::Interpreter { interpreter: NAME, message };
        let each = || {
            let at_once = match record {
                Record::Logits if self.is_forced => self.images_at_once,
                Record::Logits => {
                    // In as many turns as there must be, all of them equally large.
                    let each = batch.div_ceil(rayon::current_num_threads()).max(1);
                    each.div_ceil(each.div_ceil(self.images_at_once))
                }
                // Observers tell no images apart.
                Record::Sites => 1,
            };
            let chunks = sums.par_chunks_mut(at_once * classes).zip(traces.par_chunks_mut(at_once));
            chunks.enumerate().try_for_each_init(
                || self.idle.lend(|| self.engine(self.images_at_once, instructions, None, false)),
                |engine, (index, (sums, traces))| {
                    let first = index * at_once;
                    let images = Slice::from(first..first + traces.len());
                    let view = match input {
                        Input::Static(all) => all.slice_axis(Axis(0), images),
                        Input::Frames(all) => {
                            let mut frames = all.slice_axis(Axis(1), images);
                            frames.swap_axes(0, 1);
                            frames
                        }
                    };
                    let mut observe = |node: usize, events: EventsView<'_>| {
                        let levels = dense(&self.plan.nodes[node], events);
                        for traces in &mut *traces {
                            traces[ordinal[node]].extend(&levels);
                        }
                    };
                    let observer: Option<Observer<'_>> = match record {
                        Record::Logits => None,
                        Record::Sites => Some(&mut observe),
                    };
                    let pixels = (&*contiguous(&view), sums.len() / classes);
                    engine.evaluate(pixels, clock, None, observer)?;
                    sums.copy_from_slice(&engine.sums[..sums.len()]);
                    Ok::<(), Error>(())
                },
            )
        };
        match pool {
            Some(pool) => pool.install(each),
            None => in_current_pool(each),
        }
        .map_err(failed)??;
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
