//! Activation sites: the only place where an artificial and a spiking network differ.

use serde::{Deserialize, Serialize};

/// What an activation site computes. A policy changes this and nothing else; conversion to the grid replaces it by its integer twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Site {
    /// Leaky integrate-and-fire (eq. 8); IF and PLIF are settings of its leak.
    Lif(Lif),
    /// `max(x, 0)` (eq. 9).
    Relu,
    /// Clipped and quantised ReLU with a learned step (eq. 10).
    QuantRelu(QuantRelu),
    /// LIF on the grid (eq. 13); weight `<node>.threshold`, i32 `[C]`.
    GridLif(GridLif),
    /// QuantRelu on the grid (eq. 13); weight `<node>.thresholds`, i32 `[D, C]`, ascending in D.
    GridQuantRelu {
        /// Number of levels D ≥ 1.
        levels: u8,
    },
}

impl Site {
    /// Name as used in reports.
    pub fn label(&self) -> &'static str {
        match self {
            Site::Lif(lif) => match lif.leak {
                Leak::Factor { factor: 1.0 } => "if",
                Leak::Factor { .. } => "lif",
                Leak::Learned { .. } => "plif",
            },
            Site::Relu => "relu",
            Site::QuantRelu(_) => "quant_relu",
            Site::GridLif(_) => "grid_lif",
            Site::GridQuantRelu { .. } => "grid_quant_relu",
        }
    }

    /// Whether the site carries state from one macro-step to the next.
    pub fn is_stateful(&self) -> bool {
        match self {
            Site::Lif(_) | Site::GridLif(_) => true,
            Site::Relu | Site::QuantRelu(_) | Site::GridQuantRelu { .. } => false,
        }
    }

    /// The largest level the site emits; `None` for real values.
    pub fn levels(&self) -> Option<u8> {
        match self {
            Site::Lif(_) | Site::GridLif(_) => Some(1),
            Site::Relu => None,
            Site::QuantRelu(q) => Some(q.levels),
            Site::GridQuantRelu { levels } => Some(*levels),
        }
    }
}

/// Leaky integrate-and-fire neuron (eq. 8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lif {
    /// How the membrane decays towards the reset potential.
    pub leak: Leak,
    /// Firing threshold θ; the neuron fires at `u ≥ θ`.
    pub threshold: f64,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// Whether the gradient flows through the reset.
    pub reset_gradient: ResetGradient,
    /// Derivative used in place of the step function's.
    pub surrogate: Surrogate,
}

/// Leak factor ½, i.e. τ = 2 without input decay: the setting of the peers we compare with (Fang 2021, Zheng 2021).
pub const DEFAULT_LEAK: f64 = 0.5;
/// Threshold 1 (all surveyed recipes normalise to it).
pub const DEFAULT_THRESHOLD: f64 = 1.0;

impl Default for Lif {
    fn default() -> Self {
        Self {
            leak: Leak::Factor { factor: DEFAULT_LEAK },
            threshold: DEFAULT_THRESHOLD,
            reset: Reset::Hard { potential: 0.0 },
            reset_gradient: ResetGradient::Detached,
            surrogate: Surrogate::default(),
        }
    }
}

/// Leak of a LIF neuron.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Leak {
    /// Fixed λ in [0, 1]; 1 is the IF neuron.
    Factor {
        /// λ.
        factor: f64,
    },
    /// PLIF: λ = 1/(1 + e^(−a)), `a` is the weight `<node>.leak`, shape `[1]` (Fang 2021).
    Learned {
        /// λ at the start of training, in (0, 1).
        initial: f64,
    },
}

/// What a spike does to the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reset {
    /// The membrane is set to the reset potential, to which the leak also decays.
    Hard {
        /// `v_r`, below the threshold.
        potential: f64,
    },
    /// The threshold is subtracted.
    Soft,
}

/// Whether the gradient flows through the reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetGradient {
    /// The reset is a constant for the gradient (Zenke & Vogels 2021 found it trains better).
    Detached,
    /// The gradient passes through the reset.
    Flowing,
}

/// Surrogate derivative of the step function, at `x = u − θ`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Surrogate {
    /// `α/2 / (1 + (π/2·α·x)²)` (Fang 2021).
    Atan {
        /// Sharpness α.
        alpha: f64,
    },
    /// `1/w` where `|x| < w/2` (Wu 2018).
    Rectangle {
        /// Full width w.
        width: f64,
    },
    /// `max(0, w − |x|)/w²` (Esser 2016; TET).
    Triangle {
        /// Half base w.
        width: f64,
    },
}

/// Sharpness of `ATan` used by its authors (Fang 2021).
pub const ATAN_ALPHA: f64 = 2.0;

impl Default for Surrogate {
    fn default() -> Self {
        Surrogate::Atan { alpha: ATAN_ALPHA }
    }
}

/// Clipped, quantised ReLU (eq. 10); its step is the weight `<node>.step`, shape `[1]` or `[C]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantRelu {
    /// Number of levels D, 1 to 255.
    pub levels: u8,
    /// Step s at the start of training.
    pub step: f64,
    /// Which values share a step.
    pub share: Share,
}

/// Four levels: the number in the published placement trial (docs of the method, recommended {3, 4, 7}).
pub const DEFAULT_LEVELS: u8 = 4;
/// LSQ's start `2·E|z|/√D` for a standard normal z and D = 4 (Esser 2020).
pub const DEFAULT_STEP: f64 = 0.8;

impl Default for QuantRelu {
    fn default() -> Self {
        Self { levels: DEFAULT_LEVELS, step: DEFAULT_STEP, share: Share::Layer }
    }
}

/// Which values of a site share a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// One value for the whole layer.
    Layer,
    /// One value for each channel.
    Channel,
}

/// LIF on the grid (eq. 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridLif {
    /// k of the leak k/2^m, 0 to 2^m.
    pub leak_multiplier: u32,
    /// m of the leak k/2^m, at most 16.
    pub leak_shift: u8,
    /// f: fractional bits of the membrane, at most 16.
    pub guard_bits: u8,
    /// Hard (to 0) or soft.
    pub reset: GridReset,
}

/// Reset on the grid; a hard reset goes to 0, since other potentials have been moved into the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GridReset {
    /// To zero.
    Hard,
    /// The threshold is subtracted.
    Soft,
}

/// How a converted site sends its level (eq. 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// One plane: the spikes of a LIF neuron.
    Binary,
    /// D planes, a thermometer.
    Unary,
    /// ⌈log₂(D+1)⌉ planes, most significant first.
    BitPlane,
    /// One event with the level (or, for a ReLU, the value) as payload.
    Graded,
}

impl Code {
    /// Number of micro-steps K of a macro-step for levels up to `levels` (eq. 15).
    pub fn micro_steps(self, levels: u32) -> u32 {
        match self {
            Code::Binary | Code::Graded => 1,
            Code::Unary => levels,
            Code::BitPlane => u32::BITS - levels.leading_zeros(),
        }
    }

    /// Name as used on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Code::Binary => "binary",
            Code::Unary => "unary",
            Code::BitPlane => "bitplane",
            Code::Graded => "graded",
        }
    }
}
