//! Exponential time surfaces.

use super::accumulate::{BLOCK, Places};
use super::{Slicing, target, zeros};
use crate::recordings::events::{Events, SensorSize};
use crate::{Error, Result};
use ndarray::{Array4, Axis};
use serde::{Deserialize, Serialize};

/// How recently each pixel changed, at the end of every interval.
///
/// `surface[i, p, y, x] = exp(−((i + 1)·Δ + t_first − t_last(p, y, x)) / τ)`, where `t_last` is the
/// time of the last event of polarity p at (x, y) before the end of interval i; 0 without one. The
/// events must be sorted by time.
///
/// ```
/// use snn_data::recordings::{
///     events::{Event, Events, SensorSize},
///     frames::TimeSurface,
/// };
/// let mut events = Events::new(SensorSize { width: 2, height: 1 });
/// events.push(Event { t: 0, x: 0, y: 0, polarity: true })?;
/// events.push(Event { t: 1_500, x: 1, y: 0, polarity: true })?;
/// let surface = TimeSurface { micros: 1_000, tau_micros: 1_000.0, size: None };
/// let surfaces = surface.surfaces(&events)?;
/// assert_eq!(surfaces.dim(), (2, 2, 1, 2));
/// // An event that is one τ old is e⁻¹ high, and e⁻² one τ later.
/// assert!((surfaces[[0, 1, 0, 0]] - (-1.0_f32).exp()).abs() < 1e-6);
/// assert!((surfaces[[1, 1, 0, 0]] - (-2.0_f32).exp()).abs() < 1e-6);
/// // The second pixel had not changed yet; ON events say nothing of OFF.
/// assert_eq!((surfaces[[0, 1, 0, 1]], surfaces[[1, 0, 0, 0]]), (0.0, 0.0));
/// # Ok::<(), snn_data::Error>(())
/// ```
///
/// # References
/// Lagorce et al. 2016, *HOTS: a hierarchy of event-based time-surfaces for pattern recognition*,
/// eq. 2, at fixed times and over the whole sensor as in tonic's `ToTimesurface`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSurface {
    /// Δ: µs between two surfaces.
    pub micros: u64,
    /// τ: decay constant in µs.
    pub tau_micros: f64,
    /// Size of the surfaces, at most that of the sensor, which is the default.
    #[serde(default)]
    pub size: Option<SensorSize>,
}

impl TimeSurface {
    /// The surfaces of a recording, `[T, 2, H, W]`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if a number is out of range; [`Error::InvalidEvents`] without
    /// events or if they are not sorted.
    pub fn surfaces(&self, events: &Events) -> Result<Array4<f32>> {
        if !(self.tau_micros > 0.0 && self.tau_micros.is_finite()) {
            let found = self.tau_micros.to_string();
            return Err(Error::InvalidConfig {
                field: "tau_micros",
                expected: "a positive number".into(),
                found,
            });
        }
        let size = target(self.size, events.size())?;
        let slices = match (Slicing::Duration { micros: self.micros }).slices(events)? {
            super::slicing::Slices::Ranges(ranges) => ranges,
            super::slicing::Slices::Times { count, .. } => {
                // Too many slices, or times that fall.
                zeros(count, size, ())?;
                let expected = "events sorted by time (`Events::sorted`)".into();
                return Err(Error::InvalidEvents { expected, found: "times that fall".into() });
            }
        };
        let mut surfaces = zeros(slices.len(), size, 0.0_f32)?;
        let places = Places::new(events.size(), size);
        let first = events.t()[0];
        let mut block = [0; BLOCK];
        let mut last = vec![None; 2 * size.pixels()];
        for ((index, range), mut surface) in
            slices.into_iter().enumerate().zip(surfaces.axis_iter_mut(Axis(0)))
        {
            for start in range.clone().step_by(BLOCK) {
                let range = start..range.end.min(start + BLOCK);
                for (&place, &t) in
                    places.of(events, range.clone(), &mut block).iter().zip(&events.t()[range])
                {
                    last[place as usize] = Some(t);
                }
            }
            let end = self.micros.saturating_mul(index as u64 + 1);
            for (value, last) in surface.iter_mut().zip(&last) {
                if let Some(last) = last {
                    let age = end.saturating_sub(last.abs_diff(first));
                    *value = decay(age as f64 / self.tau_micros);
                }
            }
        }
        Ok(surfaces)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "surfaces are f32, computed in f64")]
fn decay(ages: f64) -> f32 {
    (-ages).exp() as f32
}
