//! Spiking neurons of NIR as LIF sites (eq. 8 of `docs/semantics.md`).

use super::build::{Builder, typed};
use super::numbers::{above, precision, shortest, uniform};
use crate::error::{Error, Result};
use crate::op::Op;
use crate::time::Discretisation;
use snn_ir::{
    self as ir, FirstMembrane, Leak, Lif, Reset, Share, Site, Synapse, Tensor, Threshold,
};

/// A first-order filter in steps: `y[t] = λ·y[t−1] + g·x[t]` for each channel.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) leak: Vec<f64>,
    pub(super) gain: Vec<f64>,
}

impl Builder<'_> {
    /// `τ·ẏ = −y + r·x` in steps.
    pub(super) fn filter(
        &self,
        name: &str,
        (tau_field, tau): (&str, &Tensor),
        (r_field, r): (&str, &Tensor),
    ) -> Result<Filter> {
        let dt = self.dt;
        let rounding = precision(&[tau, r]);
        // An infinite τ is no leak, which `parameter` would refuse.
        let taus = super::numbers::per_channel(tau, &self.shapes[name])
            .map_err(|reason| Error::refused(name, format!("`{tau_field}` {reason}")))?;
        let gains = self.parameter(name, r_field, r)?;
        let mut filter = Filter { leak: Vec::new(), gain: Vec::new() };
        for (tau, r) in taus.into_iter().zip(gains) {
            let euler = self.discretisation == Discretisation::Euler;
            if tau.is_nan() || tau <= 0.0 || (euler && dt / tau > 1.0 + 8.0 * rounding) {
                let least = if euler { format!("at least dt = {dt}") } else { "positive".into() };
                return Err(Error::refused(
                    name,
                    format!("`{tau_field}` must be {least} for a leak of 0 to 1, found {tau}"),
                ));
            }
            let ratio = dt / tau;
            let (leak, uncertain, share) = match self.discretisation {
                Discretisation::Euler => ((1.0 - ratio).max(0.0), ratio, ratio),
                Discretisation::Exponential => {
                    ((-ratio).exp(), ratio * (-ratio).exp(), -(-ratio).exp_m1())
                }
            };
            filter.leak.push(shortest(leak, uncertain, rounding).clamp(0.0, 1.0));
            let gain = r * share;
            filter.gain.push(shortest(gain, 2.0 * gain, rounding));
        }
        Ok(filter)
    }

    /// `v̇ = r·x` in steps.
    pub(super) fn integral(&self, name: &str, r: &Tensor) -> Result<Filter> {
        let gains = self.parameter(name, "r", r)?;
        let rounding = precision(&[r]);
        let gain = gains.iter().map(|r| {
            let gain = r * self.dt;
            shortest(gain, 2.0 * gain, rounding)
        });
        Ok(Filter { leak: vec![1.0; gains.len()], gain: gain.collect() })
    }

    pub(super) fn neuron(&mut self, name: &str, read: &str) -> Result<()> {
        let flat = self.flat;
        match &flat.nodes[name] {
            Op::If { r, v_threshold, v_reset } => {
                let membrane = self.integral(name, r)?;
                self.spiking(name, read, &membrane, None, None, v_threshold, v_reset)
            }
            Op::Lif { tau, r, v_leak, v_threshold, v_reset } => {
                let membrane = self.filter(name, ("tau", tau), ("r", r))?;
                self.spiking(name, read, &membrane, None, Some(v_leak), v_threshold, v_reset)
            }
            Op::CubaLif { tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in } => {
                let synapse = self.filter(name, ("tau_syn", tau_syn), ("w_in", w_in))?;
                let mut membrane = self.filter(name, ("tau_mem", tau_mem), ("r", r))?;
                // The filters are linear: the gain of the second may come before the first.
                for (gain, first) in membrane.gain.iter_mut().zip(&synapse.gain) {
                    *gain *= first;
                }
                let Some(alpha) = uniform(&synapse.leak) else {
                    return Err(differs(name, "tau_syn", &synapse.leak));
                };
                let v_leak = Some(v_leak);
                self.spiking(name, read, &membrane, Some(alpha), v_leak, v_threshold, v_reset)
            }
            Op::Threshold { threshold } => self.step(name, read, threshold),
            op => Err(Error::refused(name, format!("a {} is no spiking neuron", op.label()))),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a neuron is made of")]
    fn spiking(
        &mut self,
        name: &str,
        read: &str,
        membrane: &Filter,
        alpha: Option<f64>,
        v_leak: Option<&Tensor>,
        v_threshold: &Tensor,
        v_reset: &Tensor,
    ) -> Result<()> {
        let Some(leak) = uniform(&membrane.leak) else {
            let field = if alpha.is_some() { "tau_mem" } else { "tau" };
            return Err(differs(name, field, &membrane.leak));
        };
        let resets = self.parameter(name, "v_reset", v_reset)?;
        let thresholds = self.parameter(name, "v_threshold", v_threshold)?;
        let leaks = match v_leak {
            Some(v_leak) => self.parameter(name, "v_leak", v_leak)?,
            None => vec![0.0; resets.len()],
        };
        // Where reset potentials differ, all potentials are counted from them.
        let (rest, shift) = match uniform(&resets) {
            Some(rest) => (rest, vec![0.0; resets.len()]),
            None => (0.0, resets),
        };
        if shift.iter().any(|&by| by != 0.0) {
            self.note(name, "potentials are counted from `v_reset` of each channel");
        }
        let rests = leaks.iter().zip(&shift).map(|(leak, by)| leak - by).collect::<Vec<f64>>();
        let thresholds: Vec<f64> = thresholds
            .iter()
            .zip(&shift)
            .map(|(&threshold, by)| above(threshold, v_threshold) - by)
            .collect();
        // A membrane that leaks to another potential than it is reset to has a constant current.
        let offset: Vec<f64> = rests.iter().map(|v_leak| (1.0 - leak) * (v_leak - rest)).collect();
        if alpha.is_some() && offset.iter().any(|&current| current != 0.0) {
            return Err(Error::refused(
                name,
                "`v_leak` must be `v_reset`: the constant current between them would pass the \
                 synapse, which filters it",
            ));
        }
        let Some(first) = uniform(&rests) else {
            return Err(Error::refused(
                name,
                "`v_leak`, where its membrane begins, must be the same distance from `v_reset` \
                 for all channels",
            ));
        };
        let initial =
            if first == rest { FirstMembrane::Rest } else { FirstMembrane::Potential(first) };
        if first != rest {
            self.note(name, &format!("its membrane begins at {first}, not at its reset potential"));
        }
        let current = self.current(name, read, &membrane.gain, &offset, v_threshold)?;
        let synapse = alpha.map_or(Synapse::Instant, |alpha| Synapse::Current { alpha });
        let lif = Lif {
            leak: Leak::Factor { factor: leak },
            reset: Reset::Hard { potential: rest },
            synapse,
            initial,
            ..Lif::default()
        };
        self.site(name, &current, lif, &thresholds, v_threshold)
    }

    /// A step function: a neuron that forgets at once.
    fn step(&mut self, name: &str, read: &str, threshold: &Tensor) -> Result<()> {
        let thresholds = self.parameter(name, "threshold", threshold)?;
        let thresholds: Vec<f64> =
            thresholds.into_iter().map(|value| above(value, threshold)).collect();
        let least = thresholds.iter().copied().fold(f64::INFINITY, f64::min);
        // A site fires above its rest, 0; a constant moves threshold and current there.
        let by = if least > 0.0 { 0.0 } else { 1.0 - least };
        let gain = vec![1.0; thresholds.len()];
        let offset = vec![by; thresholds.len()];
        let current = self.current(name, read, &gain, &offset, threshold)?;
        let lif = Lif { leak: Leak::Factor { factor: 0.0 }, ..Lif::default() };
        let thresholds: Vec<f64> = thresholds.into_iter().map(|value| value + by).collect();
        self.site(name, &current, lif, &thresholds, threshold)
    }

    /// Writes a site with these thresholds.
    pub(super) fn site(
        &mut self,
        name: &str,
        current: &str,
        mut lif: Lif,
        thresholds: &[f64],
        like: &Tensor,
    ) -> Result<()> {
        let rest = lif.rest();
        if let Some(low) = thresholds.iter().find(|threshold| **threshold <= rest) {
            return Err(Error::refused(
                name,
                format!(
                    "its threshold must be above its reset potential, or it fires for ever; found \
                     {low} and {rest}"
                ),
            ));
        }
        if let Some(threshold) = uniform(thresholds) {
            lif.threshold = Threshold::Fixed(threshold);
        } else {
            let initial = thresholds[0];
            if thresholds.iter().any(|threshold| *threshold <= 0.0) {
                return Err(Error::refused(
                    name,
                    "thresholds that differ between channels must be positive",
                ));
            }
            lif.threshold = Threshold::Learned { initial, share: Share::Channel };
            self.weights.insert(format!("{name}.threshold"), typed(thresholds, like));
        }
        let op = ir::Op::Activation { site: Site::Lif(lif), code: None };
        self.graph.push(name, op, &[current]);
        Ok(())
    }
}

/// What our sites have one of.
pub(super) fn differs(name: &str, field: &str, leaks: &[f64]) -> Error {
    let other = leaks.iter().find(|leak| **leak != leaks[0]).copied().unwrap_or(leaks[0]);
    Error::refused(
        name,
        format!(
            "`{field}` must be the same for all its neurons, as ours have one leak factor a layer; \
             found factors {} and {other}",
            leaks[0]
        ),
    )
}
