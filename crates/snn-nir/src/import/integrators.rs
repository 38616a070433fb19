//! Integrators of NIR, which emit their membranes.
//!
//! Our sites emit spikes, so an integrator is written out: `v[t] = λ·v[t−1] + g·x[t]` is a sum, and
//! what it reads of the step before are two ReLU sites, `max(v, 0)` and `max(−v, 0)`, whose
//! difference is v.

use super::build::Builder;
use super::neurons::Filter;
use crate::error::{Error, Result};
use crate::op::Op;
use snn_ir::{self as ir, Site, Tensor};

impl Builder<'_> {
    /// The two sites of an integrator, which may be written later.
    pub(super) fn parts_of(&mut self, name: &str) -> [String; 2] {
        if let Some(parts) = self.integrators.get(name) {
            return parts.clone();
        }
        let parts = ["positive", "negative"].map(|part| self.fresh(&format!("{name}.{part}")));
        self.integrators.insert(name.into(), parts.clone());
        parts
    }

    pub(super) fn integrator(&mut self, name: &str, read: &str) -> Result<()> {
        let flat = self.flat;
        match &flat.nodes[name] {
            Op::I { r } => {
                let filter = self.integral(name, r)?;
                self.integrate(name, read, &filter, r)
            }
            Op::Li { tau, r, v_leak } => {
                self.at_rest(name, v_leak)?;
                let filter = self.filter(name, ("tau", tau), ("r", r))?;
                self.integrate(name, read, &filter, r)
            }
            Op::CubaLi { tau_syn, tau_mem, r, v_leak, w_in } => {
                self.at_rest(name, v_leak)?;
                let synapse = self.filter(name, ("tau_syn", tau_syn), ("w_in", w_in))?;
                let membrane = self.filter(name, ("tau_mem", tau_mem), ("r", r))?;
                let current = self.fresh(&format!("{name}.synapse"));
                let gained = self.current(name, read, &synapse.gain, &zeros(&synapse), w_in)?;
                self.recurrence(&current, name, &gained, &synapse.leak, w_in);
                let gained = if membrane.gain.iter().all(|&gain| gain == 1.0) {
                    current
                } else {
                    let own = self.fresh(&format!("{name}.resistance"));
                    self.scale(&own, &current, &membrane.gain, Some(r));
                    own
                };
                self.recurrence(name, name, &gained, &membrane.leak, r);
                Ok(())
            }
            op => Err(Error::refused(name, format!("a {} is no integrator", op.label()))),
        }
    }

    /// Refuses what does not rest at 0: the output of a sum has no constant.
    pub(super) fn at_rest(&self, name: &str, v_leak: &Tensor) -> Result<()> {
        match self.parameter(name, "v_leak", v_leak)?.iter().find(|v_leak| **v_leak != 0.0) {
            None => Ok(()),
            Some(v_leak) => Err(Error::refused(
                name,
                format!(
                    "`v_leak` must be 0, found {v_leak}: count potentials from it and add it to \
                     what reads the node"
                ),
            )),
        }
    }

    fn integrate(&mut self, name: &str, read: &str, filter: &Filter, like: &Tensor) -> Result<()> {
        let current = self.current(name, read, &filter.gain, &zeros(filter), like)?;
        self.recurrence(name, name, &current, &filter.leak, like);
        self.note(
            name,
            "emits its membrane: a sum whose positive and negative parts come back a step later",
        );
        Ok(())
    }

    /// The sum `name`, of the shape of `of`: `v[t] = λ·v[t−1] + x[t]`.
    fn recurrence(&mut self, name: &str, of: &str, read: &str, leak: &[f64], like: &Tensor) {
        let [positive, negative] = self.parts_of(name);
        let shape = self.shapes[of].clone();
        let mut sum = vec![read.to_owned()];
        for (part, sign) in [(&positive, 1.0), (&negative, -1.0)] {
            let (delay, keep) =
                (self.fresh(&format!("{part}.delay")), self.fresh(&format!("{part}.keep")));
            let op = ir::Op::Delay { steps: 1, shape: shape.clone() };
            self.graph.push(delay.clone(), op, &[part]);
            let leak: Vec<f64> = leak.iter().map(|leak| sign * leak).collect();
            self.scale(&keep, &delay, &leak, Some(like));
            sum.push(keep);
        }
        let sum: Vec<&str> = sum.iter().map(String::as_str).collect();
        self.graph.push(name, ir::Op::Add, &sum);
        let relu = || ir::Op::Activation { site: Site::RELU, code: None };
        self.graph.push(positive, relu(), &[name]);
        let negated = self.fresh(&format!("{name}.negated"));
        self.scale(&negated, name, &vec![-1.0; leak.len()], Some(like));
        self.graph.push(negative, relu(), &[&negated]);
    }
}

fn zeros(filter: &Filter) -> Vec<f64> {
    vec![0.0; filter.gain.len()]
}
