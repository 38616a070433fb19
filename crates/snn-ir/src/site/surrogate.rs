//! Surrogate derivatives as data; their tensor form is in `snn-core`.

use crate::strict::no_fields;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Surrogate derivative `h′(x)` of the step function at `x = u − θ` (`docs/semantics.md`, section
/// 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Surrogate {
    /// `α/2 / (1 + (π/2·α·x)²)` (Fang 2021).
    Atan {
        /// Sharpness α.
        #[serde(default = "atan_alpha")]
        alpha: f64,
    },
    /// `1/w` where `|x| < w/2` (Wu 2018).
    Rectangle {
        /// Full width w.
        #[serde(default = "rectangle_width")]
        width: f64,
    },
    /// `max(0, w − |x|)/w²` (Esser 2016; TET).
    Triangle {
        /// Half base w.
        #[serde(default = "triangle_width")]
        width: f64,
    },
    /// `α·σ(αx)·(1 − σ(αx))`, σ the logistic function.
    Sigmoid {
        /// Sharpness α.
        #[serde(default = "sigmoid_alpha")]
        alpha: f64,
    },
    /// `1/(1 + k·|x|)²` (Zenke & Ganguli 2018).
    FastSigmoid {
        /// Sharpness k.
        #[serde(default = "fast_sigmoid_slope")]
        slope: f64,
    },
    /// `max(0, α − α²·|x|)`: the triangle of half base `1/α`, as SpikingJelly parameterises it.
    PiecewiseQuadratic {
        /// Height α.
        #[serde(default = "piecewise_quadratic_alpha")]
        alpha: f64,
    },
    /// `e^(−x²/2σ²) / (σ·√(2π))` (Yin 2021).
    Gaussian {
        /// Deviation σ.
        #[serde(default = "gaussian_sigma")]
        sigma: f64,
    },
    /// `α` for `x ≤ 0`, 1 for `0 < x ≤ 1`, `1/x` above (Cai 2017).
    LogTailedRelu {
        /// Slope α ≥ 0 below the threshold.
        #[serde(default = "log_tailed_relu_alpha")]
        alpha: f64,
    },
    /// `α/(1 + |x|)²` (Zenke & Ganguli 2018, as SpikingJelly parameterises it).
    SuperSpike {
        /// Height α.
        #[serde(default = "super_spike_alpha")]
        alpha: f64,
    },
    /// 1 everywhere (Bengio 2013); for integer spikes `1/θ` where `0 ≤ u ≤ D·θ` (Luo 2024).
    #[serde(deserialize_with = "no_fields")]
    StraightThrough,
    /// A user's own, by the name it has in the registry of `snn-core`.
    Custom {
        /// Its name.
        name: String,
        /// Its parameters.
        #[serde(default)]
        params: BTreeMap<String, f64>,
    },
}

/// Sharpness of `ATan` used by its authors (Fang 2021).
pub(crate) const ATAN_ALPHA: f64 = 2.0;
/// Width a = 1 of the rectangle (Wu 2018, section 4).
pub(crate) const RECTANGLE_WIDTH: f64 = 1.0;
/// γ = 1 of the triangle in TET (Deng 2022).
pub(crate) const TRIANGLE_WIDTH: f64 = 1.0;
/// Default of SpikingJelly's `Sigmoid`.
pub(crate) const SIGMOID_ALPHA: f64 = 4.0;
/// Default of snnTorch's `fast_sigmoid`.
pub(crate) const FAST_SIGMOID_SLOPE: f64 = 25.0;
/// Default of SpikingJelly's `PiecewiseQuadratic`.
pub(crate) const PIECEWISE_QUADRATIC_ALPHA: f64 = 1.0;
/// Deviation used by Yin 2021.
pub(crate) const GAUSSIAN_SIGMA: f64 = 0.5;
/// Default of SpikingJelly's `LogTailedReLU`.
pub(crate) const LOG_TAILED_RELU_ALPHA: f64 = 0.0;
/// Default of SpikingJelly's `SuperSpike`.
pub(crate) const SUPER_SPIKE_ALPHA: f64 = 1.0;

/// Serde takes defaults from functions.
macro_rules! defaults {
    ($($function:ident = $constant:ident),*) => { $(fn $function() -> f64 { $constant })* };
}

defaults!(
    atan_alpha = ATAN_ALPHA,
    rectangle_width = RECTANGLE_WIDTH,
    triangle_width = TRIANGLE_WIDTH,
    sigmoid_alpha = SIGMOID_ALPHA,
    fast_sigmoid_slope = FAST_SIGMOID_SLOPE,
    piecewise_quadratic_alpha = PIECEWISE_QUADRATIC_ALPHA,
    gaussian_sigma = GAUSSIAN_SIGMA,
    log_tailed_relu_alpha = LOG_TAILED_RELU_ALPHA,
    super_spike_alpha = SUPER_SPIKE_ALPHA
);

impl Default for Surrogate {
    fn default() -> Self {
        Surrogate::Atan { alpha: ATAN_ALPHA }
    }
}

impl Surrogate {
    /// Every built-in surrogate with its default parameters, for tests and lists.
    pub const ALL: [Surrogate; 10] = [
        Surrogate::Atan { alpha: ATAN_ALPHA },
        Surrogate::Rectangle { width: RECTANGLE_WIDTH },
        Surrogate::Triangle { width: TRIANGLE_WIDTH },
        Surrogate::Sigmoid { alpha: SIGMOID_ALPHA },
        Surrogate::FastSigmoid { slope: FAST_SIGMOID_SLOPE },
        Surrogate::PiecewiseQuadratic { alpha: PIECEWISE_QUADRATIC_ALPHA },
        Surrogate::Gaussian { sigma: GAUSSIAN_SIGMA },
        Surrogate::LogTailedRelu { alpha: LOG_TAILED_RELU_ALPHA },
        Surrogate::SuperSpike { alpha: SUPER_SPIKE_ALPHA },
        Surrogate::StraightThrough,
    ];

    /// Its first parameter that is outside its range, with that range.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        let (value, least) = match self {
            Surrogate::Atan { alpha: value }
            | Surrogate::Rectangle { width: value }
            | Surrogate::Triangle { width: value }
            | Surrogate::Sigmoid { alpha: value }
            | Surrogate::FastSigmoid { slope: value }
            | Surrogate::PiecewiseQuadratic { alpha: value }
            | Surrogate::Gaussian { sigma: value }
            | Surrogate::SuperSpike { alpha: value } => (*value, f64::MIN_POSITIVE),
            Surrogate::LogTailedRelu { alpha } => (*alpha, 0.0),
            Surrogate::StraightThrough => return None,
            Surrogate::Custom { params, .. } => {
                let bad = params.iter().find(|(_, value)| !value.is_finite())?;
                return Some(("of finite parameters", format!("{} = {}", bad.0, bad.1)));
            }
        };
        if value.is_finite() && value >= least {
            return None;
        }
        Some((
            if least > 0.0 { "of positive width or sharpness" } else { "of a slope of at least 0" },
            value.to_string(),
        ))
    }
}
