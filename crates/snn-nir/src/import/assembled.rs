//! A neuron that is several nodes of NIR as one site.

use super::build::Builder;
use super::neurons::{Filter, differs};
use super::numbers::{above, precision, shortest, uniform};
use super::soft_reset::SoftReset;
use crate::error::{Error, Result};
use crate::op::Op;
use snn_ir::{FirstMembrane, Leak, Lif, Reset, Tensor};

impl Builder<'_> {
    pub(super) fn soft_reset(&mut self, name: &str, neuron: &SoftReset) -> Result<()> {
        let flat = self.flat;
        let membrane = &neuron.membrane;
        let Op::Threshold { threshold } = &flat.nodes[name] else {
            return Err(Error::refused(name, "a neuron without a threshold"));
        };
        let filter = match &flat.nodes[membrane] {
            Op::I { r } => self.integral(membrane, r)?,
            Op::Li { tau, r, v_leak } => {
                self.at_rest(membrane, v_leak)?;
                self.filter(membrane, ("tau", tau), ("r", r))?
            }
            op => return Err(Error::refused(membrane, format!("a {} is no membrane", op.label()))),
        };
        let Some(leak) = uniform(&filter.leak) else {
            return Err(differs(membrane, "tau", &filter.leak));
        };
        let fires: Vec<f64> = self
            .parameter(name, "threshold", threshold)?
            .into_iter()
            .map(|value| above(value, threshold))
            .collect();
        let (reset, thresholds, first) = match &neuron.scale {
            None => (Reset::None, fires, 0.0),
            Some(scale) => {
                let (thresholds, first) = self.subtracted(scale, threshold, &fires, &filter)?;
                self.note(
                    name,
                    &format!(
                        "with `{membrane}` and what comes back by `{scale}` it is a soft reset"
                    ),
                );
                (Reset::Soft, thresholds, first)
            }
        };
        let read = self.read(membrane)?;
        let offset = vec![0.0; filter.gain.len()];
        let current = self.current(membrane, &read, &filter.gain, &offset, threshold)?;
        let initial =
            if first == 0.0 { FirstMembrane::Rest } else { FirstMembrane::Potential(first) };
        let leak = Leak::Factor { factor: leak };
        self.site(
            name,
            &current,
            Lif { leak, reset, initial, ..Lif::default() },
            &thresholds,
            threshold,
        )
    }

    /// The thresholds, which are subtracted, and the first membrane of a neuron that fires at
    /// `fires`: what comes back is −λ·θ in units of the membrane.
    fn subtracted(
        &self,
        scale: &str,
        threshold: &Tensor,
        fires: &[f64],
        filter: &Filter,
    ) -> Result<(Vec<f64>, f64)> {
        let Op::Scale { scale: back } = &self.flat.nodes[scale] else {
            return Err(Error::refused(scale, "what comes back must be a Scale"));
        };
        let rounding = precision(&[threshold, back]);
        let back = self.parameter(scale, "scale", back)?;
        let (mut thresholds, mut firsts) = (Vec::new(), Vec::new());
        for (channel, (&back, &fires)) in back.iter().zip(fires).enumerate() {
            let leak = filter.leak[channel];
            let amount = -back * filter.gain[channel] / leak;
            if leak > 0.0 && (amount - fires).abs() <= 16.0 * rounding * fires.abs() {
                thresholds.push(fires);
                firsts.push(0.0);
            } else if leak == 1.0 && amount > 0.0 {
                // Counted from its first membrane: θ − v₀ fires, θ is subtracted.
                let amount = shortest(amount, amount, rounding);
                thresholds.push(amount);
                firsts.push(shortest(amount - fires, amount, rounding));
            } else {
                return Err(Error::refused(
                    scale,
                    format!(
                        "what it subtracts after a spike, {amount}, must be the threshold, {fires}"
                    ),
                ));
            }
        }
        let first = uniform(&firsts)
            .ok_or_else(|| Error::refused(scale, "the first membranes of its neurons differ"))?;
        Ok((thresholds, first))
    }
}
