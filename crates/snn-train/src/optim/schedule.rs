//! The learning rate as a pure function of the step.

use crate::config::check::check;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Share of the steps that one-cycle spends rising (`PyTorch`'s `pct_start`; Smith & Topin 2018).
pub const DEFAULT_PEAK_FRACTION: f64 = 0.3;
/// First rate of one-cycle, in peaks (`PyTorch`'s `1/div_factor`).
pub const DEFAULT_START_FACTOR: f64 = 0.04;
/// Last rate of one-cycle, in peaks (`PyTorch`'s `1/(div_factor · final_div_factor)`).
pub const DEFAULT_FINAL_FACTOR: f64 = 4e-6;

/// The learning rate over the steps of a run, as a multiple of the optimiser's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// A rise and a fall, each half a cosine (Smith & Topin 2018; `PyTorch`'s `OneCycleLR`, cosine
    /// annealing, two phases).
    OneCycle {
        /// Share of the steps spent rising, 0 to 1.
        #[serde(default = "default_peak_fraction")]
        peak_fraction: f64,
        /// First rate, in peaks.
        #[serde(default = "default_start_factor")]
        start_factor: f64,
        /// Last rate, in peaks.
        #[serde(default = "default_final_factor")]
        final_factor: f64,
    },
    /// A linear rise over `warm_up` of the steps, then half a cosine that would reach 0, or
    /// `final_factor`, at the step after the last (Loshchilov & Hutter 2017; `PyTorch`'s
    /// `CosineAnnealingLR`).
    Cosine {
        /// Share of the steps spent rising, 0 to below 1.
        #[serde(default)]
        warm_up: f64,
        /// Rate in peaks that half a cosine falls to (`PyTorch`'s `eta_min`), 0 to 1.
        #[serde(default)]
        final_factor: f64,
    },
    /// A linear rise from `start_factor` to 1 over ⌊`peak_fraction`·steps⌋ steps, then a linear
    /// fall that would reach `final_factor` at the step after the last (airbench: 0.23, 0.2 and
    /// 0.07; with Muon 0, 0 and 0).
    Linear {
        /// Share of the steps spent rising, 0 to below 1.
        #[serde(default)]
        peak_fraction: f64,
        /// First rate of the rise, in peaks.
        #[serde(default)]
        start_factor: f64,
        /// Last rate, in peaks.
        #[serde(default)]
        final_factor: f64,
    },
    /// Always the same.
    Constant,
}

fn default_peak_fraction() -> f64 {
    DEFAULT_PEAK_FRACTION
}
fn default_start_factor() -> f64 {
    DEFAULT_START_FACTOR
}
fn default_final_factor() -> f64 {
    DEFAULT_FINAL_FACTOR
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig::OneCycle {
            peak_fraction: DEFAULT_PEAK_FRACTION,
            start_factor: DEFAULT_START_FACTOR,
            final_factor: DEFAULT_FINAL_FACTOR,
        }
    }
}

impl ScheduleConfig {
    /// The factor at step `step` (from 0) of `total` steps.
    ///
    /// ```
    /// use snn_train::ScheduleConfig;
    /// let schedule = ScheduleConfig::Cosine { warm_up: 0.0, final_factor: 0.0 };
    /// assert_eq!(schedule.factor(0, 10), 1.0);
    /// assert!((schedule.factor(5, 10) - 0.5).abs() < 1e-12);
    /// ```
    pub fn factor(&self, step: usize, total: usize) -> f64 {
        let (step, total) = (step as f64, total as f64);
        match *self {
            ScheduleConfig::OneCycle { peak_fraction, start_factor, final_factor } => {
                let (peak, last) = (peak_fraction * total - 1.0, total - 1.0);
                if step <= peak {
                    anneal(start_factor, 1.0, if peak > 0.0 { step / peak } else { 1.0 })
                } else {
                    anneal(1.0, final_factor, ((step - peak) / (last - peak)).clamp(0.0, 1.0))
                }
            }
            ScheduleConfig::Cosine { warm_up, final_factor } => {
                let rising = (warm_up * total).floor();
                if step < rising {
                    (step + 1.0) / rising
                } else {
                    anneal(1.0, final_factor, (step - rising) / (total - rising))
                }
            }
            ScheduleConfig::Linear { peak_fraction, start_factor, final_factor } => {
                let peak = (peak_fraction * total).floor();
                if step < peak {
                    start_factor + (1.0 - start_factor) * (step / peak)
                } else {
                    1.0 + (final_factor - 1.0) * ((step - peak) / (total - peak))
                }
            }
            ScheduleConfig::Constant => 1.0,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            ScheduleConfig::OneCycle { peak_fraction, start_factor, final_factor } => {
                let factor = 0.0..=1.0;
                check(
                    "schedule.peak_fraction",
                    factor.contains(&peak_fraction),
                    "0 to 1",
                    peak_fraction,
                )?;
                check(
                    "schedule.start_factor",
                    factor.contains(&start_factor),
                    "0 to 1",
                    start_factor,
                )?;
                check(
                    "schedule.final_factor",
                    factor.contains(&final_factor),
                    "0 to 1",
                    final_factor,
                )
            }
            ScheduleConfig::Cosine { warm_up, final_factor } => {
                check("schedule.warm_up", (0.0..1.0).contains(&warm_up), "0 to below 1", warm_up)?;
                let fits = (0.0..=1.0).contains(&final_factor);
                check("schedule.final_factor", fits, "0 to 1", final_factor)
            }
            ScheduleConfig::Linear { peak_fraction, start_factor, final_factor } => {
                let fits = (0.0..1.0).contains(&peak_fraction);
                check("schedule.peak_fraction", fits, "0 to below 1", peak_fraction)?;
                let fits = (0.0..=1.0).contains(&start_factor);
                check("schedule.start_factor", fits, "0 to 1", start_factor)?;
                let fits = (0.0..=1.0).contains(&final_factor);
                check("schedule.final_factor", fits, "0 to 1", final_factor)
            }
            ScheduleConfig::Constant => Ok(()),
        }
    }
}

/// Half a cosine from `start` (at 0) to `end` (at 1).
fn anneal(start: f64, end: f64, position: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * position).cos())
}
