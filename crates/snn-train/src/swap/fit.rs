//! The LIF neuron that computes nearly what a quantised `ReLU` does.

use crate::error::{Error, Result};
use snn_core::arrays;
use snn_core::lif::{self, LifParameters};
use snn_ir::{Leak, Lif, Threshold};
use tch::Tensor;

/// Points in the interval of each level.
const POINTS: usize = 8;
/// Thresholds that are tried, in s·D: a geometric series between these two.
const THRESHOLDS: usize = 48;
const LEAST_THRESHOLD: f64 = 0.15;
const MOST_THRESHOLD: f64 = 1.25;
/// Shifts that are tried for each threshold, between 0 and the threshold.
const SHIFTS: usize = 17;
/// Share of the samples that is taken to be spread evenly over the levels, so that levels which did
/// not occur count a little.
const SPREAD: f64 = 0.01;

/// Threshold, shift and value of a spike with which a LIF neuron comes nearest to a quantised
/// `ReLU`: `v·n(x + b) ≈ s·clip(⌊x/s + ½⌋, 0, D)` for currents x that do not vary over time, where
/// `n` is the mean over T macro-steps of what it emits.
///
/// ```
/// use snn_ir::{Leak, Lif, Reset};
/// use snn_train::SpikingFit;
/// // Without leak and with a soft reset T = 4 spikes are four levels.
/// let integrator =
///     Lif { leak: Leak::Factor { factor: 1.0 }, reset: Reset::Soft, ..Lif::default() };
/// let fit = SpikingFit::new(&integrator, 4, 0.5, &[1.0; 5], true)?;
/// assert!((fit.threshold / 2.0 - 1.0).abs() < 0.05 && (fit.value / 2.0 - 1.0).abs() < 0.05);
/// assert!(fit.error < 0.05, "{fit:?}");
/// # Ok::<(), snn_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpikingFit {
    /// Threshold θ.
    pub threshold: f64,
    /// Shift b of the current, at least 0.
    pub shift: f64,
    /// Value v of a spike.
    pub value: f64,
    /// Root of the mean square error in that of the output.
    pub error: f64,
}

impl SpikingFit {
    /// The nearest neuron of the kind of `lif` over `time_steps` macro-steps to a quantised `ReLU`
    /// of step `step`, whose level q occurs `levels[q]` times; without a shift unless `shifts`.
    ///
    /// # Errors
    /// There are fewer than two levels, or libtorch fails.
    pub fn new(
        lif: &Lif,
        time_steps: usize,
        step: f64,
        levels: &[f64],
        shifts: bool,
    ) -> Result<Self> {
        let total: f64 = levels.iter().sum();
        let (Some(most), true) =
            (levels.len().checked_sub(1).filter(|most| *most > 0), total > 0.0)
        else {
            return Err(Error::Mismatch {
                what: "levels of a quantised ReLU",
                expected: "how often each of two or more occurs".into(),
                found: format!("{levels:?}"),
            });
        };
        let share = |count: &f64| {
            ((1.0 - SPREAD) * count / total + SPREAD / levels.len() as f64) / POINTS as f64
        };
        let points: Vec<Point> = levels
            .iter()
            .enumerate()
            .flat_map(|(level, count)| {
                let (level, share) = (level as f64, share(count));
                let place = |point: usize| (point as f64 + 0.5) / POINTS as f64 - 0.5;
                (0..POINTS).map(move |point| Point {
                    current: step * (level + place(point)),
                    target: step * level,
                    share,
                })
            })
            .collect();
        let place = |number: usize| number as f64 / (THRESHOLDS - 1) as f64;
        let series = (0..THRESHOLDS).map(place);
        let series = series.map(|p| LEAST_THRESHOLD * (MOST_THRESHOLD / LEAST_THRESHOLD).powf(p));
        // What is exact for integer spikes, and for a neuron that integrates, comes first.
        let exact = [1.0 / most as f64, 1.0];
        let mut best: Option<Self> = None;
        for ratio in exact.into_iter().chain(series) {
            let threshold = ratio * step * most as f64;
            if threshold <= lif.rest() {
                continue;
            }
            let shifts: Vec<f64> = (0..if shifts { SHIFTS } else { 1 })
                .map(|number| threshold * number as f64 / (SHIFTS - 1) as f64)
                .collect();
            let means = emitted(lif, time_steps, threshold, &points, &shifts)?;
            for (shift, means) in shifts.iter().zip(means.chunks(points.len())) {
                let fit = Self::with_value(threshold, *shift, &points, means);
                if best.is_none_or(|best| fit.error < best.error) {
                    best = Some(fit);
                }
            }
        }
        best.ok_or_else(|| Error::Mismatch {
            what: "threshold",
            expected: format!("a reset potential below {}", MOST_THRESHOLD * step * most as f64),
            found: lif.rest().to_string(),
        })
    }

    /// The value by least squares, and what is left.
    fn with_value(threshold: f64, shift: f64, points: &[Point], means: &[f64]) -> Self {
        let (mut product, mut square, mut power) = (0.0, 0.0, 0.0);
        for (Point { target, share, .. }, mean) in points.iter().zip(means) {
            product += share * target * mean;
            square += share * mean * mean;
            power += share * target * target;
        }
        // A neuron that never fires has a value by name only.
        let value = if square > 0.0 { product / square } else { threshold };
        let left: f64 = { points.iter().zip(means) }
            .map(|(point, mean)| point.share * (point.target - value * mean).powi(2))
            .sum();
        Self { threshold, shift, value, error: (left / power).sqrt() }
    }
}

/// A current, what the quantised `ReLU` gives for it, and how often it occurs.
#[derive(Debug, Clone, Copy)]
struct Point {
    current: f64,
    target: f64,
    share: f64,
}

/// The mean over macro-steps of what the neuron emits for each shift and point.
fn emitted(
    lif: &Lif,
    time_steps: usize,
    threshold: f64,
    points: &[Point],
    shifts: &[f64],
) -> Result<Vec<f64>> {
    let lif = Lif {
        threshold: Threshold::Fixed(threshold),
        leak: match lif.leak {
            Leak::Learned { initial } => Leak::Factor { factor: initial },
            leak @ Leak::Factor { .. } => leak,
        },
        surrogate: snn_ir::Surrogate::default(),
        ..lif.clone()
    };
    let currents: Vec<f64> =
        shifts.iter().flat_map(|shift| points.iter().map(move |p| p.current + shift)).collect();
    let currents = Tensor::f_from_slice(&currents)?.f_unsqueeze(0)?;
    let (levels, _) = lif::sequence(&lif, LifParameters::default(), &currents, time_steps, None)?;
    let means = levels.f_mean_dim([0_i64].as_slice(), false, None::<tch::Kind>)?;
    Ok(arrays::array::<f64>(&means)?.into_iter().collect())
}
