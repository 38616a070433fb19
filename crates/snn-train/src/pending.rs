//! Steps whose losses are still on the device.
//!
//! A host that reads a loss waits until the device has computed it, and then the device waits until
//! the host has started the next step's operations. So on a GPU the numbers of many steps are read
//! at once.

use crate::error::Result;
use tch::{Kind, Tensor};

/// Steps after which losses are read from a GPU, at the latest.
const READ_EVERY: usize = 50;

/// What came of a pass over a batch, or over a part of one.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Read. Where the loss is no number there are no gradients.
    Read {
        /// The loss of the whole batch.
        loss: f64,
        /// Samples of the part that were classified right.
        correct: usize,
    },
    /// Two scalars on a GPU, the loss and the number of samples that were classified right.
    OnDevice([Tensor; 2]),
}

impl Passed {
    /// `true` if the loss is known to be no number.
    pub(crate) fn has_diverged(&self) -> bool {
        matches!(self, Self::Read { loss, .. } if !loss.is_finite())
    }
}

/// A step that was done.
#[derive(Debug)]
pub(crate) struct Step {
    /// Number in the epoch, from 1.
    pub(crate) number: usize,
    /// Samples of the batch.
    pub(crate) images: usize,
    pub(crate) learning_rate: f64,
    pub(crate) passed: Passed,
}

/// The numbers of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    pub(crate) number: usize,
    pub(crate) images: usize,
    pub(crate) learning_rate: f64,
    pub(crate) loss: f64,
    pub(crate) correct: usize,
}

/// Steps in order that have not been told of.
#[derive(Debug, Default)]
pub(crate) struct Pending(Vec<Step>);

impl Pending {
    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    /// `true` if nothing is to be waited for any longer: the last loss is known, or many are not.
    pub(crate) fn is_due(&self) -> bool {
        let read = self.0.last().is_some_and(|step| matches!(step.passed, Passed::Read { .. }));
        read || self.0.len() >= READ_EVERY
    }

    /// The numbers of all steps, of which there are none then.
    pub(crate) fn take(&mut self) -> Result<Vec<Seen>> {
        let steps = std::mem::take(&mut self.0);
        let on_device = |step: &Step| match &step.passed {
            Passed::OnDevice(scalars) => Some(scalars.each_ref().map(Tensor::shallow_clone)),
            Passed::Read { .. } => None,
        };
        let scalars: Vec<Tensor> = steps.iter().filter_map(on_device).flatten().collect();
        let mut numbers = if scalars.is_empty() { Vec::new() } else { read(&scalars)? }.into_iter();
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let seen = |Step { number, images, learning_rate, passed }| {
            let (loss, correct) = match passed {
                Passed::Read { loss, correct } => (loss, correct),
                Passed::OnDevice(_) => (next(), count(next())),
            };
            Seen { number, images, learning_rate, loss, correct }
        };
        Ok(steps.into_iter().map(seen).collect())
    }
}

/// The values of scalars on one device, which is waited for once.
fn read(scalars: &[Tensor]) -> Result<Vec<f64>> {
    let scalars = scalars.iter().map(|scalar| Ok(scalar.f_detach()?.f_to_kind(Kind::Double)?));
    let all = Tensor::f_stack(&scalars.collect::<Result<Vec<_>>>()?, 0)?;
    let mut values = vec![0.0; all.numel()];
    let number = values.len();
    all.f_to(tch::Device::Cpu)?.f_copy_data(&mut values, number)?;
    Ok(values)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of samples")]
fn count(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize, passed: Passed) -> Step {
        Step { number, images: 10, learning_rate: 0.5, passed }
    }

    fn on_device(loss: f64, correct: i64) -> Passed {
        let loss = Tensor::from(loss).to_kind(Kind::Float).set_requires_grad(true);
        Passed::OnDevice([loss, Tensor::from(correct)])
    }

    #[test]
    fn what_is_read_later_is_that_of_its_step() {
        let mut pending = Pending::default();
        assert!(!pending.is_due());
        pending.push(step(1, on_device(2.5, 3)));
        pending.push(step(2, on_device(f64::NAN, 0)));
        assert!(!pending.is_due());
        pending.push(step(3, Passed::Read { loss: 1.25, correct: 7 }));
        assert!(pending.is_due());
        let seen = pending.take().unwrap();
        let numbers: Vec<_> = seen.iter().map(|s| (s.number, s.loss, s.correct)).collect();
        assert_eq!((numbers[0], numbers[2]), ((1, 2.5, 3), (3, 1.25, 7)));
        assert!(numbers[1].1.is_nan());
        assert!(pending.take().unwrap().is_empty());
        for number in 1..=READ_EVERY {
            assert!(!pending.is_due());
            pending.push(step(number, on_device(1.0, 1)));
        }
        assert!(pending.is_due());
    }
}
