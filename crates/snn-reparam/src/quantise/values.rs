//! What the ReLUs of a network yield, as much of it as a choice of steps needs.

use crate::error::{Error, Result};
use ndarray::{Array1, Axis};
use snn_ir::{Evaluation, SiteOutput};
use std::collections::BTreeMap;

/// What the ReLUs of a network yielded on samples: for each channel the number of its values, their
/// largest and sum, and up to 2,048 of those that are positive, chosen evenly and by their place
/// alone, so that the same samples give the same choice.
#[derive(Debug, Clone, Default)]
pub struct SiteValues {
    sites: BTreeMap<String, Seen>,
}

/// One value a channel.
pub(super) type PerChannel = Array1<f64>;

/// What one site yielded.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) channels: Vec<Channel>,
}

/// What one channel of a site yielded.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    /// Values, of which all but the positive ones are zero.
    pub(super) count: u64,
    pub(super) positive: u64,
    pub(super) largest: f64,
    kept: Vec<Kept>,
    /// Positive values whose key is below it are kept.
    below: u32,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    key: u32,
    value: f32,
}

/// The most values of a channel that are kept.
const MOST: usize = 2048;

/// 2³² divided by the golden ratio: multiples of it, modulo 2³², are spread evenly, whatever the
/// period with which places in an image recur.
const GOLDEN: u32 = 2_654_435_769;

impl Default for Channel {
    fn default() -> Self {
        Self { count: 0, positive: 0, largest: 0.0, kept: Vec::new(), below: u32::MAX }
    }
}

impl Channel {
    fn add(&mut self, value: f64) {
        self.count += 1;
        if value <= 0.0 {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "keys are modulo 2³²")]
        let key = (self.positive as u32).wrapping_mul(GOLDEN);
        self.positive += 1;
        self.largest = self.largest.max(value);
        if key < self.below {
            #[expect(clippy::cast_possible_truncation, reason = "steps need no more digits")]
            self.kept.push(Kept { key, value: value as f32 });
            if self.kept.len() > MOST {
                self.below /= 2;
                self.kept.retain(|kept| kept.key < self.below);
            }
        }
    }

    /// Positive values, evenly chosen among all of them.
    pub(super) fn sample(&self) -> impl ExactSizeIterator<Item = f64> + Clone {
        self.kept.iter().map(|kept| f64::from(kept.value))
    }
}

impl SiteValues {
    /// Adds what the ReLUs yielded on a batch; sites of levels are passed over.
    ///
    /// # Errors
    /// A site yields another number of channels than before, or values that are not finite.
    pub fn add(&mut self, evaluation: &Evaluation) -> Result<()> {
        for trace in &evaluation.sites {
            let SiteOutput::Values(values) = &trace.output else { continue };
            let wrong = |what: String| Error::Comparison(format!("site `{}`: {what}", trace.site));
            // `[T, B, C, …]`.
            let channels = values.shape().get(2).copied().unwrap_or(0);
            let seen = self
                .sites
                .entry(trace.site.clone())
                .or_insert_with(|| Seen { channels: vec![Channel::default(); channels] });
            if seen.channels.len() != channels {
                let before = seen.channels.len();
                return Err(wrong(format!("{channels} channels, and {before} in a batch before")));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(wrong(format!("yields {value}")));
            }
            for (channel, values) in seen.channels.iter_mut().zip(values.axis_iter(Axis(2))) {
                values.iter().for_each(|&value| channel.add(value));
            }
        }
        Ok(())
    }

    /// What a site of so many channels yielded, if it was seen.
    pub(super) fn of(&self, site: &str, channels: usize) -> Option<&Seen> {
        self.sites.get(site).filter(|seen| {
            seen.channels.len() == channels && seen.channels.iter().all(|seen| seen.count > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ArrayD, IxDyn};
    use snn_ir::{Logits, SiteTrace};

    fn batch(values: ArrayD<f64>) -> Evaluation {
        let trace = SiteTrace { site: "act".into(), output: SiteOutput::Values(values), ties: 0 };
        Evaluation { logits: Logits::Real(Array2::zeros((1, 1))), sites: vec![trace] }
    }

    /// Of a hundred thousand values those that are kept have the same distribution, also where the
    /// values recur with a period of a power of two, as columns of an image do.
    #[test]
    fn a_sample_is_spread_over_all_values() {
        let mut values = SiteValues::default();
        for _ in 0..10 {
            let images = ArrayD::from_shape_fn(IxDyn(&[1, 10, 1, 32, 32]), |at| {
                (at[4] + 32 * (at[1] % 2)) as f64
            });
            values.add(&batch(images)).unwrap();
        }
        let channel = &values.of("act", 1).unwrap().channels[0];
        assert_eq!((channel.count, channel.largest), (102_400, 63.0));
        assert_eq!(channel.positive, 102_400 - 10 * 5 * 32);
        let sample: Vec<f64> = channel.sample().collect();
        assert!((MOST / 2..=MOST).contains(&sample.len()), "{}", sample.len());
        for value in 1..64 {
            let share =
                sample.iter().filter(|kept| kept.to_bits() == f64::from(value).to_bits()).count()
                    as f64
                    / sample.len() as f64;
            assert!((share * 63.0 - 1.0).abs() < 0.5, "{value}: {share}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut values = SiteValues::default();
        values.add(&batch(ArrayD::zeros(IxDyn(&[1, 2, 3])))).unwrap();
        assert!(values.of("act", 3).is_some());
        assert!(values.of("act", 2).is_none() && values.of("other", 3).is_none());
        let error = values.add(&batch(ArrayD::zeros(IxDyn(&[1, 2, 4])))).unwrap_err();
        assert!(error.to_string().contains("`act`: 4 channels, and 3"), "{error}");
        let error = values.add(&batch(ArrayD::from_elem(IxDyn(&[1, 2, 3]), f64::NAN)));
        assert!(error.unwrap_err().to_string().contains("NaN"));
    }
}
