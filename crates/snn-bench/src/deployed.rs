//! The interpreters of a proof: libtorch, the event runtime, and deployments with every instruction
//! set, thread, kernel and way of feeding them.

use crate::tuning;
use ndarray::{Array2, ArrayViewD, Axis};
use snn_core::Libtorch;
use snn_ir::{Evaluate, Evaluation, Input, Logits, Model, Record};
use snn_reparam::proof::{Engine, EngineError, Engines, Way};
use snn_runtime::deploy::{Deployment, Kernels, Options, Session};
use snn_runtime::{Counting, InstructionSet, Scores};
use std::sync::Arc;
use std::thread::available_parallelism;
use tch::Device;

/// Images on which ways run that differ from the usual one of their instruction set in one setting
/// only: fewer threads, threads over pixels, forced kernels, streams of frames.
const SAMPLE: usize = 100;

/// Settings that deployments are tried with.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) instruction_sets: Vec<InstructionSet>,
    pub(crate) threads: Vec<usize>,
}

impl Default for Ways {
    /// Every instruction set of this machine; one thread, and as many as it has cores.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            instruction_sets: InstructionSet::available().collect(),
            threads: if cores > 1 { vec![1, cores] } else { vec![1] },
        }
    }
}

/// The interpreters of this program.
pub(crate) struct ProgramEngines {
    /// Where libtorch computes.
    pub(crate) device: Device,
    pub(crate) ways: Ways,
}

impl Engines for ProgramEngines {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Libtorch::new(model, self.device)?))
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Counting::new(model)?))
    }

    fn ways(&self, model: &Model) -> Result<Vec<Way>, EngineError> {
        let mut all = Vec::new();
        for &set in &self.ways.instruction_sets {
            all.extend(over_threads(model, set, &self.ways.threads)?);
            all.extend(forced_kernels(model, set)?);
            all.push(stream(model, set)?);
        }
        Ok(all)
    }

    fn self_test(&self, model: &Model) -> Result<(), EngineError> {
        snn_core::self_test(model, self.device)?;
        Ok(())
    }
}

/// Deployments on so many threads each, over samples and over the pixels of one sample.
fn over_threads(
    model: &Model,
    set: InstructionSet,
    threads: &[usize],
) -> Result<Vec<Way>, EngineError> {
    let options = Options { instruction_set: Some(set), ..tuning::options()? };
    let deployment = Arc::new(Deployment::new(model, &options)?);
    let most = threads.iter().copied().max();
    let mut all = Vec::new();
    for &threads in threads {
        let samples = if Some(threads) == most { None } else { Some(SAMPLE) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let how = match threads {
            1 => "1 thread".to_string(),
            _ => format!("{threads} threads over samples"),
        };
        let runner = Runner::Samples(Arc::clone(&deployment), pool);
        all.push(way(set, &how, Record::Sites, samples, runner));
        if threads > 1 {
            let options = Options { threads, ..options.clone() };
            let session = Deployment::new(model, &options)?.session();
            let how = format!("{threads} threads over pixels");
            let runner = Runner::Pixels(Box::new(session));
            all.push(way(set, &how, Record::Logits, Some(SAMPLE), runner));
        }
    }
    Ok(all)
}

/// Deployments whose kernels are not chosen by the plan but forced.
fn forced_kernels(model: &Model, set: InstructionSet) -> Result<Vec<Way>, EngineError> {
    let kernels = [
        (Kernels::Events, "events forced"),
        (Kernels::StepTree, "patterns forced"),
        (Kernels::Dense, "dense forced"),
    ];
    kernels
        .into_iter()
        .map(|(kernels, how)| {
            let options = Options { instruction_set: Some(set), kernels, ..Options::default() };
            let deployment = Arc::new(Deployment::new(model, &options)?);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
            let runner = Runner::Samples(deployment, pool);
            Ok(way(set, how, Record::Sites, Some(SAMPLE), runner))
        })
        .collect()
}

/// A deployment that is fed one frame after another and keeps its state between them.
fn stream(model: &Model, set: InstructionSet) -> Result<Way, EngineError> {
    let options = Options { instruction_set: Some(set), ..tuning::options()? };
    let session = Deployment::new(model, &options)?.session();
    let runner = Runner::Stream(Box::new(session), model.time_steps());
    Ok(way(set, "streamed frame by frame", Record::Logits, Some(SAMPLE), runner))
}

fn way(
    set: InstructionSet,
    how: &str,
    record: Record,
    samples: Option<usize>,
    runner: Runner,
) -> Way {
    let name = format!("deployment ({}, {how})", set.label());
    Way { name, record, samples, engine: Box::new(runner) }
}

enum Runner {
    /// Threads share out the samples; every site can be seen.
    Samples(Arc<Deployment>, rayon::ThreadPool),
    /// Threads share out the pixels of one sample; logits can be seen.
    Pixels(Box<Session>),
    /// Frames are pushed one by one, so many a sample; logits can be seen.
    Stream(Box<Session>, usize),
}

impl Evaluate for Runner {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        match self {
            Runner::Samples(deployment, pool) => pool.install(|| deployment.run(input, record)),
            Runner::Pixels(session) => one_by_one(input, |index, sums| {
                let pixels = sample(input, index);
                let scores = match input {
                    Input::Static(_) => session.run(&pixels)?,
                    Input::Frames(_) => session.run_frames(&pixels)?,
                };
                sums.extend(integers(&scores));
                Ok(())
            }),
            Runner::Stream(session, time_steps) => one_by_one(input, |index, sums| {
                let mut state = session.rest();
                for t in 0..*time_steps {
                    let frame = bytes(&input.frame(t).index_axis(Axis(0), index).into_dyn());
                    session.push(&mut state, &frame)?;
                }
                sums.extend(integers(&state.scores()));
                Ok(())
            }),
        }
    }
}

fn bytes(view: &ArrayViewD<'_, u8>) -> Vec<u8> {
    view.iter().copied().collect()
}

/// The pixels of one sample, time first where there is one.
pub(crate) fn sample(input: &Input<'_>, index: usize) -> Vec<u8> {
    match input {
        Input::Static(images) => bytes(&images.index_axis(Axis(0), index)),
        Input::Frames(frames) => bytes(&frames.index_axis(Axis(1), index)),
    }
}

fn integers(scores: &Scores<'_>) -> Vec<i64> {
    scores.integers().unwrap_or_default().to_vec()
}

/// Logits of each sample, run alone.
fn one_by_one(
    input: &Input<'_>,
    mut run: impl FnMut(usize, &mut Vec<i64>) -> snn_ir::Result<()>,
) -> snn_ir::Result<Evaluation> {
    let mut sums: Vec<i64> = Vec::new();
    for index in 0..input.batch() {
        run(index, &mut sums)?;
    }
    let failed =
        |message: String| snn_ir::Error::Interpreter { interpreter: "deployment", message };
    let classes = sums.len() / input.batch().max(1);
    let sums = Array2::from_shape_vec((input.batch(), classes), sums)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Evaluation { logits: Logits::Integer(sums), sites: Vec::new() })
}
