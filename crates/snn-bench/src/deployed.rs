//! A deployment as the proof runs it: with every instruction set, on one thread and on several.

use anyhow::Result;
use ndarray::{Array2, ArrayViewD, Axis};
use snn_ir::{Evaluate, Evaluation, Input, Logits, Model, Record};
use snn_runtime::InstructionSet;
use snn_runtime::Scores;
use snn_runtime::deploy::{Deployment, Options, Session};
use std::sync::Arc;
use std::thread::available_parallelism;

/// What a deployment is tried with.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) levels: Vec<InstructionSet>,
    pub(crate) threads: Vec<usize>,
}

impl Default for Ways {
    /// Every instruction set of this machine; one thread, and as many as it has cores.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            levels: InstructionSet::available().collect(),
            threads: if cores > 1 { vec![1, cores] } else { vec![1] },
        }
    }
}

/// One way to run a deployment.
pub(crate) struct Way {
    pub(crate) name: String,
    pub(crate) record: Record,
    runner: Runner,
}

enum Runner {
    /// Threads share out the samples; every site can be seen.
    Samples(Arc<Deployment>, rayon::ThreadPool),
    /// Threads share out the pixels of one sample; logits can be seen.
    Pixels(Box<Session>),
}

/// Every way to run a model on the grid.
pub(crate) fn ways(model: &Model, ways: &Ways) -> Result<Vec<Way>> {
    let mut all = Vec::new();
    for &level in &ways.levels {
        let options = Options { instruction_set: Some(level), ..Options::default() };
        let deployment = Arc::new(Deployment::new(model, &options)?);
        let name = |how: &str| format!("deployment ({}, {how})", level.label());
        for &threads in &ways.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let how = if threads == 1 {
                "1 thread".to_string()
            } else {
                format!("{threads} threads over samples")
            };
            let runner = Runner::Samples(Arc::clone(&deployment), pool);
            all.push(Way { name: name(&how), record: Record::Sites, runner });
            if threads > 1 {
                let session =
                    Deployment::new(model, &Options { threads, ..options.clone() })?.session();
                let name = name(&format!("{threads} threads over pixels"));
                all.push(Way {
                    name,
                    record: Record::Logits,
                    runner: Runner::Pixels(Box::new(session)),
                });
            }
        }
    }
    Ok(all)
}

impl Evaluate for Way {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        match &mut self.runner {
            Runner::Samples(deployment, pool) => pool.install(|| deployment.run(input, record)),
            Runner::Pixels(session) => one_by_one(session, input),
        }
    }
}

/// Logits of each sample, run alone.
fn one_by_one(session: &mut Session, input: &Input<'_>) -> snn_ir::Result<Evaluation> {
    let bytes = |view: ArrayViewD<'_, u8>| view.iter().copied().collect::<Vec<u8>>();
    let mut sums: Vec<i64> = Vec::new();
    for index in 0..input.batch() {
        let scores = match input {
            Input::Static(images) => session.run(&bytes(images.index_axis(Axis(0), index)))?,
            Input::Frames(frames) => {
                session.run_frames(&bytes(frames.index_axis(Axis(1), index)))?
            }
        };
        if let Scores::Integer(scores) = scores {
            sums.extend(scores);
        }
    }
    let failed =
        |message: String| snn_ir::Error::Interpreter { interpreter: "deployment", message };
    let classes = sums.len() / input.batch().max(1);
    let sums = Array2::from_shape_vec((input.batch(), classes), sums)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Evaluation { logits: Logits::Integer(sums), sites: Vec::new() })
}
