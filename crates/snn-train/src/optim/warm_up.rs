//! A slow start before any schedule.

use crate::config::check::check;
use crate::error::Result;
use crate::optim::schedule::ScheduleConfig;
use serde::{Deserialize, Serialize};

/// Steps during which the learning rate rises linearly to the schedule's first, before the schedule
/// begins (Goyal 2017, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WarmUpConfig {
    /// So many; 0 for none. As many as the run has or more make all of it rise.
    Steps(usize),
    /// This share of the run's, 0 to below 1, rounded down.
    Fraction(f64),
}

impl Default for WarmUpConfig {
    fn default() -> Self {
        Self::Steps(0)
    }
}

impl WarmUpConfig {
    /// Number of steps of a run of `total`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of steps"
    )]
    pub fn steps(&self, total: usize) -> usize {
        match *self {
            Self::Steps(steps) => steps.min(total),
            Self::Fraction(fraction) => ((fraction * total as f64) as usize).min(total),
        }
    }

    /// The learning rate, in peaks, at step `step` (from 0) of `total`: `(step + 1)/n` of the
    /// schedule's first in the n steps of the warm-up, then the schedule over the rest of the run.
    ///
    /// ```
    /// use snn_train::{ScheduleConfig, WarmUpConfig};
    /// let rate = |step| WarmUpConfig::Steps(4).factor(&ScheduleConfig::Constant, step, 100);
    /// assert_eq!((rate(0), rate(1), rate(3), rate(4)), (0.25, 0.5, 1.0, 1.0));
    /// ```
    pub fn factor(&self, schedule: &ScheduleConfig, step: usize, total: usize) -> f64 {
        let rising = self.steps(total);
        if step < rising {
            (step + 1) as f64 / rising as f64 * schedule.factor(0, (total - rising).max(1))
        } else {
            schedule.factor(step - rising, total - rising)
        }
    }

    /// Checks the ranges, and that a cosine schedule does not warm up a second time.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self, schedule: &ScheduleConfig) -> Result<()> {
        let none = match *self {
            Self::Steps(steps) => steps == 0,
            Self::Fraction(fraction) => {
                check(
                    "warm_up.fraction",
                    (0.0..1.0).contains(&fraction),
                    "0 to below 1",
                    fraction,
                )?;
                fraction <= 0.0
            }
        };
        match *schedule {
            ScheduleConfig::Cosine { warm_up, .. } => check(
                "schedule.warm_up",
                none || warm_up <= 0.0,
                "0 beside a `warm_up` for every schedule",
                warm_up,
            ),
            ScheduleConfig::Linear { peak_fraction, .. } => check(
                "schedule.peak_fraction",
                none || peak_fraction <= 0.0,
                "0 beside a `warm_up` for every schedule",
                peak_fraction,
            ),
            ScheduleConfig::OneCycle { .. } | ScheduleConfig::Constant => Ok(()),
        }
    }
}
