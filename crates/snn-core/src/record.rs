//! What a forward pass tells about its sites.

use crate::convert::{array, int};
use crate::error::Result;
use snn_ir::{SiteOutput, SiteTrace};
use tch::{Kind, Tensor};

/// What one site emitted for a batch.
pub(crate) struct Emission<'e> {
    /// Name of its node.
    pub(crate) site: &'e str,
    /// Spikes, levels or, of an unquantised ReLU, values: `[steps·B, …]`.
    pub(crate) output: &'e Tensor,
    /// Whether `output` holds values.
    pub(crate) values: bool,
    /// T, or 1 in the time-invariant prefix.
    pub(crate) steps: usize,
    /// Shape of one sample.
    pub(crate) shape: &'e [usize],
    /// Near misses of a threshold.
    pub(crate) ties: u64,
}

/// A listener of a forward pass.
pub(crate) trait Record {
    /// Whether `ties` are worth counting.
    fn counts_ties(&self) -> bool;
    /// Takes note of one site.
    fn site(&mut self, emission: &Emission<'_>) -> Result<()>;
}

/// Share of the values of a site that are not zero.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringRate {
    /// Name of the site.
    pub site: String,
    /// Between 0 and 1.
    pub rate: f64,
}

impl Record for Vec<FiringRate> {
    fn counts_ties(&self) -> bool {
        false
    }

    fn site(&mut self, emission: &Emission<'_>) -> Result<()> {
        let active = emission.output.f_count_nonzero(None)?.f_int64_value(&[])?;
        self.push(FiringRate {
            site: emission.site.to_string(),
            rate: active as f64 / emission.output.numel().max(1) as f64,
        });
        Ok(())
    }
}

impl Record for Vec<SiteTrace> {
    fn counts_ties(&self) -> bool {
        true
    }

    fn site(&mut self, emission: &Emission<'_>) -> Result<()> {
        let mut shape = vec![int(emission.steps), -1];
        shape.extend(emission.shape.iter().map(|&n| int(n)));
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
