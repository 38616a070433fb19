//! Results of one sample: sums, logits, probabilities and the best classes.

use ndarray::Array2;
use snn_ir::Model;
use snn_ir::{Form, Logits, Readout};
use std::fmt;

/// Sums of the head over macro-steps for one sample, without a copy; of a head that does not sum,
/// the last or largest scores in their place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sums<'s> {
    /// Sums of a model of form `grid`, `Σ_t J[t]` (eq. 13): the same integers on every machine.
    Integer(&'s [i64]),
    /// Sums of a model of form `events`, `Σ_t x[t]` (eq. 7 before the division by T).
    Real(&'s [f64]),
}

impl Sums<'_> {
    /// Number of classes.
    #[expect(clippy::len_without_is_empty, reason = "a network has at least one class")]
    pub fn len(&self) -> usize {
        match self {
            Self::Integer(sums) => sums.len(),
            Self::Real(sums) => sums.len(),
        }
    }

    /// Position of the largest sum, the first of equals.
    pub fn argmax(&self) -> usize {
        fn first_largest<V: PartialOrd>(values: &[V]) -> usize {
            (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
        }
        match self {
            Self::Integer(sums) => first_largest(sums),
            Self::Real(sums) => first_largest(sums),
        }
    }

    /// Classes from the largest sum to the smallest; of equals the first stays first.
    fn ranked(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.len()).collect();
        match self {
            Self::Integer(sums) => classes.sort_by(|&a, &b| sums[b].cmp(&sums[a])),
            Self::Real(sums) => classes.sort_by(|&a, &b| sums[b].total_cmp(&sums[a])),
        }
        classes
    }
}

/// Meaning of the head's sums: the logit of a unit, and the names of the classes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Head {
    /// Value of one unit, of a model of form `grid`.
    logit_unit: Option<f64>,
    readout: Readout,
    pub(crate) classes: Vec<String>,
}

impl Head {
    pub(crate) fn of(model: &Model) -> Self {
        let logit_unit = match model.form() {
            Form::Grid { logit_unit } => Some(logit_unit),
            Form::Events | Form::Trained => None,
        };
        let readout = model.graph().readout();
        Self { logit_unit, readout, classes: model.classes().to_vec() }
    }

    /// Logits of a batch of whole runs, `[B, classes]`; of integers with T macro-steps.
    pub(crate) fn logits(&self, logits: Logits, time_steps: usize) -> Array2<f64> {
        match logits {
            Logits::Integer(sums) => {
                let scale = self.scale(time_steps as u64);
                sums.mapv(|sum| scale * sum as f64)
            }
            Logits::Real(logits) => logits,
        }
    }

    /// Value of one unit of integers after some macro-steps.
    fn scale(&self, steps: u64) -> f64 {
        self.logit_unit.unwrap_or(1.0) / self.readout.divisor(steps) as f64
    }
}

/// Result of one sample: the sums of the head over the macro-steps that ran, and what follows from
/// them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores<'s> {
    pub(crate) sums: Sums<'s>,
    pub(crate) steps: u64,
    pub(crate) head: &'s Head,
}

impl<'s> Scores<'s> {
    /// The sums of the head over the macro-steps that ran.
    pub fn sums(&self) -> Sums<'s> {
        self.sums
    }

    /// The sums of a model of form `grid`; `None` for form `events`, which has no integers.
    pub fn integers(&self) -> Option<&'s [i64]> {
        match self.sums {
            Sums::Integer(sums) => Some(sums),
            Sums::Real(_) => None,
        }
    }

    /// Macro-steps that the sums are over; 0 if nothing has run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Number of classes.
    #[expect(clippy::len_without_is_empty, reason = "a network has at least one class")]
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Position of the largest sum, the first of equals: the class of the sample.
    pub fn argmax(&self) -> usize {
        self.sums.argmax()
    }

    /// Logit of one class: the mean of the head's input over the macro-steps, or the last or
    /// largest of it (eq. 7).
    ///
    /// # Panics
    /// There is no such class, as with an index into a slice.
    pub fn logit(&self, class: usize) -> f64 {
        match self.sums {
            Sums::Integer(sums) => self.head.scale(self.steps) * sums[class] as f64,
            Sums::Real(sums) => sums[class] / self.head.readout.divisor(self.steps) as f64,
        }
    }

    /// Logits of all classes.
    pub fn logits(&self) -> Vec<f64> {
        (0..self.len()).map(|class| self.logit(class)).collect()
    }

    /// Softmax of the logits, `exp(l_i)/Σ_j exp(l_j)`. A network that was not calibrated is often
    /// surer than it is right.
    pub fn probabilities(&self) -> Vec<f64> {
        softmax(self.logits())
    }

    /// The `k` best classes, the best first; all if there are fewer. Of equal sums the first class
    /// comes first.
    pub fn best(&self, k: usize) -> Vec<Prediction> {
        let probabilities = self.probabilities();
        let prediction = |class: usize| Prediction {
            class,
            name: self.head.classes.get(class).cloned(),
            probability: probabilities[class],
        };
        self.sums.ranked().into_iter().take(k).map(prediction).collect()
    }

    /// The best class, with its name and probability.
    pub fn prediction(&self) -> Prediction {
        let class = self.argmax();
        Prediction {
            class,
            name: self.head.classes.get(class).cloned(),
            probability: self.probabilities().get(class).copied().unwrap_or_default(),
        }
    }
}

/// Softmax of the logits of one sample, `exp(l_i)/Σ_j exp(l_j)`, in their place: what
/// [`Scores::probabilities`] gives, for logits of a batch.
pub fn softmax(mut logits: Vec<f64>) -> Vec<f64> {
    // Less the largest, so that no exponential overflows.
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for value in &mut logits {
        *value = (*value - largest).exp();
    }
    let sum: f64 = logits.iter().sum();
    for value in &mut logits {
        *value /= sum;
    }
    logits
}

/// A class with its probability, as [`Scores::best`] gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Position of the class among the logits.
    pub class: usize,
    /// Name of the class, if the model has one.
    pub name: Option<String>,
    /// Softmax of the logits, see [`Scores::probabilities`].
    pub probability: f64,
}

impl Prediction {
    /// The name of the class; `class 3` where the model has none.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("class {}", self.class))
    }
}

impl fmt::Display for Prediction {
    /// The label and the probability in percent: `apple (93.1 %)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:.1} %)", self.label(), 100.0 * self.probability)
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Scores, Sums};
    use snn_ir::Readout;

    fn head() -> Head {
        Head {
            logit_unit: Some(0.5),
            readout: Readout::Mean,
            classes: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn logits_are_means_over_the_macro_steps_in_units() {
        let head = head();
        let scores = Scores { sums: Sums::Integer(&[-4, 6, 6]), steps: 4, head: &head };
        assert_eq!(scores.logits(), [-0.5, 0.75, 0.75]);
        let real = Scores { sums: Sums::Real(&[1.0, 2.0]), steps: 2, head: &Head::default() };
        assert_eq!(real.logits(), [0.5, 1.0]);
    }

    #[test]
    fn other_heads_divide_by_nothing() {
        for readout in [Readout::Last, Readout::Max] {
            let head = Head { readout, ..head() };
            let scores = Scores { sums: Sums::Integer(&[-4, 6]), steps: 4, head: &head };
            assert_eq!(scores.logits(), [-2.0, 3.0]);
            let real = Scores { sums: Sums::Real(&[1.0, 2.0]), steps: 2, head: &head };
            assert_eq!(real.logits(), [1.0, 2.0]);
        }
    }

    #[test]
    fn probabilities_are_the_softmax_and_do_not_overflow() {
        let head = head();
        for offset in [0_i64, 10_000, -10_000] {
            let sums = [offset, offset + 2, offset + 2];
            let scores = Scores { sums: Sums::Integer(&sums), steps: 1, head: &head };
            let found = scores.probabilities();
            let e = 1_f64.exp();
            for (found, expected) in
                found.iter().zip([1.0 / (1.0 + 2.0 * e), e / (1.0 + 2.0 * e), e / (1.0 + 2.0 * e)])
            {
                assert!((found - expected).abs() < 1e-15, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn the_best_classes_come_first_and_equals_in_their_order() {
        let head = head();
        let scores = Scores { sums: Sums::Integer(&[1, 5, 0, 5]), steps: 1, head: &head };
        let best = scores.best(3);
        assert_eq!(best.iter().map(|one| one.class).collect::<Vec<_>>(), [1, 3, 0]);
        assert_eq!(best[0], scores.prediction());
        assert_eq!((best[0].label().as_str(), best[1].label().as_str()), ("b", "class 3"));
        assert!(best[0].to_string().starts_with("b (4"), "{}", best[0]);
        assert_eq!(scores.best(9).len(), 4);
        let sum: f64 = scores.best(4).iter().map(|one| one.probability).sum();
        assert!((sum - 1.0).abs() < 1e-15);
    }
}
