//! Options of a conversion, which a converted file stores, so that whoever has the trained network
//! can make the file again.

use crate::error::{Error, Result};
use crate::graph::{Graph, Op};
use crate::model::form::Form;
use crate::site::{Code, GridAdaptation, GridSynapse, Site, Spike};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decides how a trained network is converted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversionOptions {
    /// Codes of the sites.
    pub codes: CodeChoice,
    /// Settings of the grid; none for a network off it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridOptions>,
}

/// Which code each site of levels gets (QuantRelu, integer LIF, a user's own of levels) and each
/// ReLU; binary and ternary spikes have one code each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeChoice {
    /// Code of every such site that is not named.
    pub default: Code,
    /// Exceptions by site name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<String, Code>,
}

impl From<Code> for CodeChoice {
    fn from(default: Code) -> Self {
        Self { default, sites: BTreeMap::new() }
    }
}

impl CodeChoice {
    /// The code chosen for a site.
    pub fn of(&self, site: &str) -> Code {
        self.sites.get(site).copied().unwrap_or(self.default)
    }

    /// The choice that a converted graph shows: each site of levels by name.
    pub fn of_graph(graph: &Graph) -> Self {
        let coded = graph.nodes.iter().filter_map(|node| match &node.op {
            Op::Activation { site, code: Some(code) }
                if !matches!(site.spike(), Some(Spike::Binary | Spike::Ternary)) =>
            {
                Some((node.name.clone(), *code))
            }
            _ => None,
        });
        Self { default: Code::Graded, sites: coded.collect() }
    }
}

/// Settings of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridOptions {
    /// Bits of weights: 8, or 16 as two weights of 8 bits (`docs/semantics.md`, eq. G5).
    #[serde(skip_serializing_if = "is_usual")]
    pub weight_bits: u8,
    /// Training samples by whose inputs weights of 8 bits are rounded (`docs/semantics.md`, eq.
    /// G6); 0 for rounding to the nearest.
    #[serde(skip_serializing_if = "is_nearest")]
    pub calibration: u32,
    /// Fractional bits of membranes, 0 to 16.
    pub guard_bits: u8,
    /// Largest shift m of the leak k/2^m, 0 to 16.
    pub leak_bits: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_usual(weight_bits: &u8) -> bool {
    *weight_bits == DEFAULT_WEIGHT_BITS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_nearest(samples: &u32) -> bool {
    *samples == 0
}

/// Bits of weights.
pub const DEFAULT_WEIGHT_BITS: u8 = 8;
/// Bits of weights that are two of 8 bits.
pub const WIDE_WEIGHT_BITS: u8 = 16;
/// Guard bits: the leak ½ is exact for 9 macro-steps, and a leaky membrane loses less than 1/256 of
/// a unit a step otherwise.
pub const DEFAULT_GUARD_BITS: u8 = 8;
/// Guard bits beside weights of 16 bits.
const WIDE_GUARD_BITS: u8 = 4;
/// Bits of the leak: its error, below 2⁻¹³, is far below that of 8-bit weights.
pub const DEFAULT_LEAK_BITS: u8 = 12;
/// The most guard bits, and the most bits of a leak.
pub(crate) const MAX_GRID_BITS: u8 = 16;

impl Default for GridOptions {
    fn default() -> Self {
        Self {
            weight_bits: DEFAULT_WEIGHT_BITS,
            calibration: 0,
            guard_bits: DEFAULT_GUARD_BITS,
            leak_bits: DEFAULT_LEAK_BITS,
        }
    }
}

impl GridOptions {
    /// The settings of weights of 16 bits: leaks are as fine as these, and of the bits of membranes
    /// fewer are fractions, since units are finer.
    pub fn int16() -> Self {
        Self {
            weight_bits: WIDE_WEIGHT_BITS,
            guard_bits: WIDE_GUARD_BITS,
            leak_bits: MAX_GRID_BITS,
            ..Self::default()
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Weights have neither 8 nor 16 bits, or another number of bits is above 16, or weights of 16
    /// bits are to be calibrated.
    pub fn check(&self) -> Result<()> {
        let Self { weight_bits, calibration, guard_bits, leak_bits } = *self;
        let refused = |expected, found| {
            Err(Error::Attribute { node: "grid".into(), field: "options", expected, found })
        };
        if ![DEFAULT_WEIGHT_BITS, WIDE_WEIGHT_BITS].contains(&weight_bits) {
            return refused("weight_bits 8 or 16", format!("weight_bits {weight_bits}"));
        }
        if calibration > 0 && weight_bits != DEFAULT_WEIGHT_BITS {
            let found = format!("calibration {calibration}");
            return refused("calibration 0 beside weights of 16 bits", found);
        }
        if guard_bits.max(leak_bits) > MAX_GRID_BITS {
            let found = format!("guard_bits {guard_bits} and leak_bits {leak_bits}");
            return refused("at most 16", found);
        }
        Ok(())
    }

    /// The options that a graph on the grid shows, as far as it does: the guard bits of its LIF
    /// sites, and at least as many bits of leaks as any of their decays has; of a file that does
    /// not store its options.
    pub fn of_graph(graph: &Graph) -> Self {
        let mut options = Self::default();
        for node in &graph.nodes {
            if let Op::Activation { site: Site::GridLif(lif), .. } = &node.op {
                options.guard_bits = lif.guard_bits;
                let synapse = match lif.synapse {
                    GridSynapse::Instant => 0,
                    GridSynapse::Current { shift, .. } => shift,
                };
                let adaptation = match lif.adaptation {
                    GridAdaptation::None => 0,
                    GridAdaptation::Threshold { shift, .. } => shift,
                };
                let shifts = [lif.leak_shift, synapse, adaptation];
                options.leak_bits = shifts.into_iter().fold(options.leak_bits, u8::max);
            }
        }
        options
    }
}

impl ConversionOptions {
    /// Checks the options of a model of this form.
    ///
    /// # Errors
    /// The model is not converted, has options of the grid and is not on it or the other way round,
    /// or a number of bits is out of range.
    pub(crate) fn check(&self, form: Form) -> Result<()> {
        let fits = match form {
            Form::Trained => false,
            Form::Events => self.grid.is_none(),
            Form::Grid { .. } => self.grid.is_some(),
        };
        if !fits {
            return Err(Error::Graph(format!(
                "the options of a conversion {} settings of a grid do not fit the form {}",
                if self.grid.is_some() { "with" } else { "without" },
                form.label()
            )));
        }
        self.grid.map_or(Ok(()), |grid| grid.check())
    }

    /// The options that a converted graph shows, as far as it does.
    pub fn of_graph(graph: &Graph, on_grid: bool) -> Self {
        let grid = on_grid.then(|| GridOptions::of_graph(graph));
        Self { codes: CodeChoice::of_graph(graph), grid }
    }
}
