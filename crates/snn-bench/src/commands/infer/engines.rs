//! Who runs a model, with the time that it takes and the operations that it counts.

use crate::tuning;
use anyhow::{Result, bail, ensure};
use snn_core::{Libtorch, NetworkOptions};
use snn_ir::{Evaluate, Form, Input, Logits, Model, Record};
use snn_runtime::counting::Counts;
use snn_runtime::{Counting, Deployment};
use std::time::Instant;
use tch::Device;

/// Who runs a model: libtorch if it is trained and not converted; else a deployment if it is on the
/// grid, and the runtime that counts if it is not, or counts are requested.
pub(super) struct Engines {
    libtorch: Option<Libtorch>,
    deployment: Option<Deployment>,
    runtime: Option<Counting>,
}

impl Engines {
    pub(super) fn new(model: &Model, counts: bool) -> Result<Self> {
        let on_grid = matches!(model.form(), Form::Grid { .. });
        if model.form() == Form::Trained {
            ensure!(
                !counts,
                "a trained network has no events to count; convert it first with `snn convert`"
            );
            let options = NetworkOptions::new(Device::Cpu);
            let libtorch = Some(Libtorch::with_options(model, &options)?);
            return Ok(Self { libtorch, deployment: None, runtime: None });
        }
        let options = tuning::options()?;
        let deployment = on_grid.then(|| Deployment::new(model, &options)).transpose()?;
        let runtime = (counts || !on_grid).then(|| Counting::new(model)).transpose()?;
        Ok(Self { libtorch: None, deployment, runtime })
    }

    pub(super) fn name(&self) -> String {
        match (&self.libtorch, &self.deployment) {
            (Some(_), _) => "trained, libtorch, f32".into(),
            (None, Some(deployment)) => {
                format!("deployed, {}", deployment.instruction_set().label())
            }
            (None, None) => "events, f64".into(),
        }
    }

    /// Logits of a batch, with the seconds that they took; where operations are counted as well
    /// that is not timed.
    pub(super) fn run(&mut self, input: &Input<'_>) -> Result<(Logits, f64)> {
        let started = Instant::now();
        let timed = |evaluator: &mut dyn Evaluate| -> Result<(Logits, f64)> {
            let logits = evaluator.evaluate(input, Record::Logits)?.logits;
            Ok((logits, started.elapsed().as_secs_f64()))
        };
        if let Some(libtorch) = &mut self.libtorch {
            return timed(libtorch);
        }
        match (&mut self.deployment, &mut self.runtime) {
            (Some(deployment), None) => timed(deployment),
            (None, Some(runtime)) => timed(runtime),
            (Some(deployment), Some(runtime)) => {
                let found = timed(deployment)?;
                let counted = runtime.evaluate(input, Record::Logits)?.logits;
                ensure!(
                    counted == found.0,
                    "the deployment and the runtime that counts differ on this machine: a mistake \
                     in one of them"
                );
                Ok(found)
            }
            (None, None) => bail!("no engine for this model"),
        }
    }

    pub(super) fn counts(&self) -> Option<Counts> {
        self.runtime.as_ref().map(Counting::counts)
    }
}
