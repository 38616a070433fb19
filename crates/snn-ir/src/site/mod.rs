//! Activation sites: the only place where an artificial and a spiking network differ.

mod code;
mod custom;
mod first_membrane;
mod grid;
mod lif;
pub(crate) mod parts;
mod quant_relu;
mod share;
mod surrogate;
mod threshold;

// Everything public in these files is an attribute of a site; a new one needs no list here.
pub use code::*;
pub use custom::*;
pub use first_membrane::*;
pub use grid::*;
pub use lif::*;
pub use parts::MEMBRANE_LIMIT;
pub use quant_relu::*;
pub use share::*;
pub use surrogate::*;
pub use threshold::*;

use crate::model::form::Form;
use parts::{Fault, PartSpec, Range};
use serde::{Deserialize, Serialize};

/// Function that an activation site computes. A policy changes this and nothing else; conversion to
/// the grid replaces it by its integer twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Site {
    /// Leaky integrate-and-fire (eq. 8); IF, PLIF, I-LIF, ternary, current-based and adaptive LIF
    /// are settings of it.
    Lif(Lif),
    /// `max(x, 0)`, or `min(max(x, 0), limit)` (eq. 9).
    Relu {
        /// The largest value, positive: 6 of a `ReLU6`. Absent in a file: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<f64>,
    },
    /// Clipped and quantised ReLU with a learned step (eq. 10).
    QuantRelu(QuantRelu),
    /// A user's own neuron, found by its name in a registry.
    Custom(Custom),
    /// LIF on the grid (eq. 13); weight `<node>.threshold`, i32 `[C]`.
    GridLif(GridLif),
    /// QuantRelu on the grid (eq. 13); weight `<node>.thresholds`, i32 `[D, C]`, ascending in D.
    GridQuantRelu {
        /// Number of levels D ≥ 1.
        levels: u8,
    },
}

impl Site {
    /// A ReLU without a limit.
    pub const RELU: Self = Site::Relu { limit: None };

    /// Name as used in reports; of a LIF site with several attributes the one that matters most to
    /// a reader: levels, then threshold, then synapse, then leak.
    pub fn label(&self) -> &'static str {
        match self {
            Site::Lif(lif) => match (lif.spike, lif.adaptation, lif.synapse, lif.leak) {
                (Spike::Ternary, ..) => "ternary_lif",
                (Spike::Integer { .. }, ..) => "integer_lif",
                (Spike::Binary, Adaptation::Threshold { .. }, ..) => "adaptive_lif",
                (Spike::Binary, Adaptation::None, Synapse::Current { .. }, _) => "current_lif",
                (
                    Spike::Binary,
                    Adaptation::None,
                    Synapse::Instant,
                    Leak::Factor { factor: 1.0 },
                ) => "if",
                (Spike::Binary, Adaptation::None, Synapse::Instant, Leak::Factor { .. }) => "lif",
                (Spike::Binary, Adaptation::None, Synapse::Instant, Leak::Learned { .. }) => "plif",
            },
            Site::Relu { .. } => "relu",
            Site::QuantRelu(_) => "quant_relu",
            Site::Custom(_) => "custom",
            Site::GridLif(_) => "grid_lif",
            Site::GridQuantRelu { .. } => "grid_quant_relu",
        }
    }

    /// `true` if the site carries state from one macro-step to the next; a user's own neuron is
    /// taken to do so.
    pub fn is_stateful(&self) -> bool {
        match self {
            Site::Lif(_) | Site::GridLif(_) | Site::Custom(_) => true,
            Site::Relu { .. } | Site::QuantRelu(_) | Site::GridQuantRelu { .. } => false,
        }
    }

    /// The levels the site emits; `None` for real values.
    pub fn spike(&self) -> Option<Spike> {
        match self {
            Site::Lif(lif) => Some(lif.spike),
            Site::GridLif(lif) => Some(lif.spike),
            Site::Custom(custom) => Some(custom.spike),
            Site::Relu { .. } => None,
            Site::QuantRelu(QuantRelu { levels, .. }) | Site::GridQuantRelu { levels } => {
                Some(Spike::Integer { levels: *levels })
            }
        }
    }

    /// The largest absolute level the site emits; `None` for real values.
    pub fn levels(&self) -> Option<u8> {
        self.spike().map(Spike::levels)
    }
}

impl Site {
    /// The weights of a site over `channels` channels in a form.
    ///
    /// # Errors
    /// The site does not exist in the form; the message says why.
    pub fn parts(&self, channels: usize, form: Form) -> Result<Vec<PartSpec>, &'static str> {
        let on_grid = matches!(form, Form::Grid { .. });
        match self {
            Site::Lif(_) | Site::Relu { .. } | Site::QuantRelu(_) | Site::Custom(_) if on_grid => {
                Err("a site on the grid must be grid_lif or grid_quant_relu")
            }
            Site::GridLif(_) | Site::GridQuantRelu { .. } if !on_grid => {
                Err("grid sites exist on the grid only")
            }
            Site::Lif(lif) => lif.parts(channels, form),
            Site::Relu { .. } => Ok(Vec::new()),
            Site::QuantRelu(relu) => Ok(relu.parts(channels, form)),
            Site::Custom(custom) => Ok(custom.parts(channels, form)),
            Site::GridLif(lif) => Ok(lif.parts(channels, form)),
            Site::GridQuantRelu { levels } => {
                let shape = vec![usize::from(*levels), channels];
                Ok(vec![PartSpec::new("thresholds", shape, form).within(Range::Ascending)])
            }
        }
    }

    /// The first attribute that is outside its range: attribute, range, value.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Site::Lif(lif) => lif.fault(),
            Site::QuantRelu(relu) => relu.fault(),
            Site::Custom(custom) => custom.fault(),
            Site::GridLif(lif) => lif.fault(),
            Site::GridQuantRelu { levels: 0 } => Some(("levels", "1 to 255", "0".into())),
            Site::Relu { limit: Some(limit) } if !parts::positive(*limit) => {
                Some(("limit", "positive", limit.to_string()))
            }
            Site::Relu { .. } | Site::GridQuantRelu { .. } => None,
        }
    }
}
