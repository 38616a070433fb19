//! Observers of activation sites during a forward pass.

use crate::error::Result;
use crate::network::value::Value;
use crate::tensor::{array, int};
use snn_ir::{SiteOutput, SiteTrace};
use tch::{Kind, Tensor};

/// Output of one site for a batch.
pub(crate) struct Emission<'e> {
    /// Name of its node.
    pub(crate) site: &'e str,
    /// Spikes or levels, values where the site has none, or, unless levels were requested, values
    /// of a QuantRelu: `[steps·B, …]`.
    pub(crate) output: &'e Tensor,
    /// `true` if the site emits values instead of levels.
    pub(crate) values: bool,
    /// Membranes before the reset, `[steps·B, …]`, if they were requested and the site has one.
    pub(crate) membranes: Option<Tensor>,
    /// Zeros whose gradients are those of the output, one for each part of it
    /// ([`Observer::passed_on`]).
    pub(crate) probes: Vec<Tensor>,
    /// T, or 1 in the time-invariant prefix.
    pub(crate) steps: usize,
    /// Shape of one sample.
    pub(crate) shape: &'e [usize],
    /// Near misses of a threshold.
    pub(crate) ties: u64,
}

/// Values that an observer requests beyond outputs; each costs passes over memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Requested {
    /// Near misses, and that levels lie in their range.
    pub(crate) ties: bool,
    /// Levels of a QuantRelu, not values.
    pub(crate) levels: bool,
    /// Membranes.
    pub(crate) membranes: bool,
}

/// An observer of a forward pass.
pub(crate) trait Observer {
    /// The values that the observer requests.
    fn requested(&self) -> Requested;
    /// The tensor that the rest of the network reads in place of a site's output, of one macro-step
    /// in a recurrence: the output itself, or an equal tensor with a probe whose gradient is kept.
    fn passed_on(&mut self, output: Tensor) -> Result<(Tensor, Option<Tensor>)> {
        Ok((output, None))
    }
    /// Takes note of what a convolution or linear layer on the grid reads, of one macro-step in a
    /// recurrence: the node and `[steps·B, …]`.
    fn layer(&mut self, _node: usize, _input: &Value) -> Result<()> {
        Ok(())
    }
    /// Takes note of one site, once its last macro-step is done.
    fn site(&mut self, emission: Emission<'_>) -> Result<()>;
}

/// The firing rate of a site: events per neuron update, the mean over neurons and macro-steps.
///
/// A network in training has no codes yet, so a value that is not zero counts as one event, as the
/// graded code sends it; for binary and ternary spikes that is the rate after conversion too.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringRate {
    /// Name of the site.
    pub site: String,
    /// The rate, between 0 and 1.
    pub rate: f64,
}

/// Share of values that are not zero.
pub(crate) fn active(output: &Tensor) -> Result<f64> {
    let active = output.f_count_nonzero(None)?.f_int64_value(&[])?;
    Ok(active as f64 / output.numel().max(1) as f64)
}

impl Observer for Vec<FiringRate> {
    fn requested(&self) -> Requested {
        Requested::default()
    }

    fn site(&mut self, emission: Emission<'_>) -> Result<()> {
        self.push(FiringRate { site: emission.site.to_string(), rate: active(emission.output)? });
        Ok(())
    }
}

impl Observer for Vec<SiteTrace> {
    fn requested(&self) -> Requested {
        Requested { ties: true, levels: true, membranes: false }
    }

    fn site(&mut self, emission: Emission<'_>) -> Result<()> {
        let shape = shape(&emission);
        let output = emission.output.f_detach()?;
        // Convert before the change of layout: levels are a quarter of the size.
        let output = if emission.values {
            SiteOutput::Values(array(&output.f_to_kind(Kind::Double)?.f_reshape(shape)?)?)
        } else {
            SiteOutput::Levels(array(&output.f_to_kind(Kind::Int16)?.f_reshape(shape)?)?)
        };
        self.push(SiteTrace { site: emission.site.to_string(), output, ties: emission.ties });
        Ok(())
    }
}

/// `[steps, B, …]`.
pub(crate) fn shape(emission: &Emission<'_>) -> Vec<i64> {
    let mut shape = vec![int(emission.steps), -1];
    shape.extend(emission.shape.iter().map(|&n| int(n)));
    shape
}
