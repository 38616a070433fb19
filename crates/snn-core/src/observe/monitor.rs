//! Watching the sites of a network while it trains: on request, and at no cost otherwise.

use crate::error::Result;
use crate::observe::observer::{Emission, Observer, Requested, active, shape};
use tch::Tensor;

/// Above this share of active values a site tells its readers next to nothing.
pub const SATURATED: f64 = 0.95;

/// Values to keep of every site besides its firing rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Monitor {
    /// Spikes and levels (of an unquantised ReLU its values).
    pub levels: bool,
    /// Membranes before the reset.
    pub membranes: bool,
    /// Outputs with gradients, for [`SiteMonitor::gradient_norm`]; in [`crate::Mode::Train`] only.
    pub gradients: bool,
}

/// Recorded values of one site.
#[derive(Debug)]
pub struct SiteMonitor {
    /// Name of its node.
    pub site: String,
    /// Its firing rate, as in [`FiringRate`](crate::FiringRate).
    pub firing_rate: f64,
    /// Set if the firing rate is suspicious.
    pub warning: Option<Warning>,
    /// Spikes and levels, or values of an unquantised ReLU, without gradient: `[T, B, …]`,
    /// `[1, B, …]` in the time-invariant prefix.
    pub levels: Option<Tensor>,
    /// Membranes `u[t]`, without gradient and of the same shape; `None` also for a site without
    /// state.
    pub membranes: Option<Tensor>,
    probes: Vec<Tensor>,
}

/// A suspicious firing rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The site never fired: nothing passes, and its surrogate gradient is small.
    Silent,
    /// More than [`SATURATED`] of its values were not zero.
    Saturated,
}

impl SiteMonitor {
    /// Euclidean norm of the gradient of a loss with respect to what the site emitted, once a
    /// backward pass has run; `None` if gradients were not requested or none reached the site.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn gradient_norm(&self) -> Result<Option<f64>> {
        let mut norms = Vec::with_capacity(self.probes.len());
        for probe in &self.probes {
            let gradient = probe.f_grad()?;
            if gradient.defined() {
                norms.push(gradient.f_norm()?.f_double_value(&[])?);
            }
        }
        Ok(match norms[..] {
            [] => None,
            [norm] => Some(norm),
            // One for each macro-step of a recurrence.
            _ => Some(norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()),
        })
    }
}

/// The sites observed so far.
pub(crate) struct Monitoring {
    pub(crate) monitor: Monitor,
    pub(crate) sites: Vec<SiteMonitor>,
}

impl Observer for Monitoring {
    fn requested(&self) -> Requested {
        Requested { ties: false, levels: self.monitor.levels, membranes: self.monitor.membranes }
    }

    fn site(&mut self, emission: Emission<'_>) -> Result<()> {
        let shape = shape(&emission);
        let kept = |tensor: &Tensor| -> Result<Tensor> {
            Ok(tensor.f_detach()?.f_reshape(shape.as_slice())?)
        };
        let firing_rate = active(emission.output)?;
        self.sites.push(SiteMonitor {
            site: emission.site.to_string(),
            firing_rate,
            warning: if firing_rate > SATURATED {
                Some(Warning::Saturated)
            } else {
                (firing_rate <= 0.0).then_some(Warning::Silent)
            },
            levels: if self.monitor.levels { Some(kept(emission.output)?) } else { None },
            membranes: emission.membranes.as_ref().map(kept).transpose()?,
            probes: emission.probes,
        });
        Ok(())
    }

    /// Adds a zero whose gradient is that of the output: libtorch keeps gradients of leaves only.
    fn passed_on(&mut self, output: Tensor) -> Result<(Tensor, Option<Tensor>)> {
        if !self.monitor.gradients || !output.requires_grad() {
            return Ok((output, None));
        }
        let probe = output.f_detach()?.f_zeros_like()?.f_set_requires_grad(true)?;
        let sum = output.f_add(&probe)?;
        Ok((sum, Some(probe)))
    }
}
