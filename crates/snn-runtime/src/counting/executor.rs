//! A compiled program of one number type with its idle states and its counts.

use crate::batch::{contiguous, logits};
use crate::counting::counts::{Counts, NodeCounts, Tally};
use crate::counting::program::{NAME, Program};
use crate::counting::state::{RunState, Sample};
use crate::counting::trace::{self, Trace};
use crate::idle::{Idle, Lent};
use crate::neuron::SiteNumber;
use crate::per_process::PerProcess;
use crate::threads::in_current_pool;
use ndarray::Axis;
use rayon::prelude::*;
use snn_ir::Model;
use snn_ir::{Evaluation, Input, Neurons, Record, Result};

/// A program with its states and counts.
#[derive(Debug)]
pub(crate) struct Executor<A: SiteNumber> {
    program: Program<A>,
    idle: Idle<RunState<A>>,
    totals: PerProcess<Totals>,
}

/// Counts since the last reset, in this process. No panic leaves them half-changed: they are added
/// whole.
#[derive(Debug, Default)]
struct Totals {
    samples: u64,
    /// By node; empty before the first sample.
    tallies: Vec<Tally>,
}

impl<A: SiteNumber> Executor<A> {
    pub(crate) fn new(model: &Model, neurons: &Neurons) -> Result<Self> {
        let program = Program::compile(model, neurons)?;
        Ok(Self { program, idle: Idle::default(), totals: PerProcess::default() })
    }

    pub(crate) fn input_shape(&self) -> &[usize] {
        self.program.nodes.first().map_or(&[], |node| &node.shape)
    }

    /// A worker with a state that was used before, or a new one.
    pub(crate) fn worker(&self) -> Worker<'_, A> {
        Worker { executor: self, state: self.idle.lend(|| RunState::new(&self.program)) }
    }

    /// Runs a batch whose shape has been checked, in parallel over samples.
    pub(crate) fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        let (batch, classes, steps) =
            (input.batch(), self.program.classes(), self.program.time_steps);
        let mut sums = vec![A::Sum::default(); batch * classes];
        let steps_of = |varies: bool| if varies || input.varies() { steps } else { 1 };
        let traces = |_| match record {
            Record::Logits => Vec::new(),
            Record::Sites => {
                self.program.sites().map(|site| Trace::new(site, steps_of(site.varies))).collect()
            }
        };
        let mut samples: Vec<Vec<Trace>> = (0..batch).map(traces).collect();
        let failed = |message| snn_ir::Error::Interpreter { interpreter: NAME, message };
        let all = sums.par_chunks_mut(classes).zip(&mut samples).enumerate();
        let each = || {
            all.try_for_each_init(
                || self.worker(),
                |worker, (index, (sums, traces))| {
                    let view = match input {
                        Input::Static(images) => images.index_axis(Axis(0), index),
                        Input::Frames(frames) => frames.index_axis(Axis(1), index),
                    };
                    let pixels = contiguous(&view);
                    let sample = Sample { pixels: &pixels, frames: input.varies() };
                    sums.copy_from_slice(worker.run(sample, traces)?);
                    Ok::<(), snn_ir::Error>(())
                },
            )
        };
        in_current_pool(each).map_err(failed)??;
        let sites = match record {
            Record::Logits => Vec::new(),
            Record::Sites => {
                let sites = self.program.sites().enumerate();
                sites
                    .map(|(site, node)| trace::join(node, &samples, site, steps_of(node.varies)))
                    .collect::<Result<_>>()?
            }
        };
        let divisor = self.program.readout.divisor(steps as u64);
        Ok(Evaluation { logits: logits::<A>(sums, classes, divisor, NAME)?, sites })
    }

    pub(crate) fn classes(&self) -> usize {
        self.program.classes()
    }

    /// Macro-steps T.
    pub(crate) fn time_steps(&self) -> usize {
        self.program.time_steps
    }

    pub(crate) fn counts(&self) -> Counts {
        let totals = self.totals.lock();
        let nodes = self.program.nodes.iter().enumerate().map(|(index, node)| NodeCounts {
            node: node.name.clone(),
            op: node.label.to_string(),
            neurons: if node.is_site() { node.size() as u64 } else { 0 },
            tally: totals.tallies.get(index).copied().unwrap_or_default(),
        });
        Counts {
            samples: totals.samples,
            time_steps: self.program.time_steps,
            nodes: nodes.collect(),
        }
    }

    pub(crate) fn reset_counts(&self) {
        *self.totals.lock() = Totals::default();
    }
}

/// A state on loan; what it counted reaches the totals when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker<'e, A: SiteNumber> {
    executor: &'e Executor<A>,
    state: Lent<'e, RunState<A>>,
}

impl<A: SiteNumber> Worker<'_, A> {
    /// Runs one sample whose shape has been checked and returns the sums of the head.
    pub(crate) fn run(&mut self, sample: Sample<'_>, traces: &mut [Trace]) -> Result<&[A::Sum]> {
        self.state.run(&self.executor.program, sample, traces)?;
        Ok(&self.state.sums)
    }

    /// The sums of the last run.
    pub(crate) fn sums(&self) -> &[A::Sum] {
        &self.state.sums
    }
}

impl<A: SiteNumber> Drop for Worker<'_, A> {
    fn drop(&mut self) {
        let mut totals = self.executor.totals.lock();
        totals.tallies.resize(self.state.tallies.len(), Tally::default());
        totals.samples += std::mem::take(&mut self.state.samples);
        for (total, tally) in totals.tallies.iter_mut().zip(&mut self.state.tallies) {
            *total += std::mem::take(tally);
        }
    }
}
