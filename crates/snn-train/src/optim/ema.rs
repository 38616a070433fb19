//! A moving average of weights.

use crate::error::Result;
use crate::optim::named::Named;
use snn_core::{Parameter, lists};
use snn_ir::Weights;

/// The exponential moving average of all weights of a network, running statistics included:
/// `a ← d·a + (1 − d)·p` after every step (Polyak & Juditsky 1992). At step n (from 0) d is at most
/// `(1 + n)/(10 + n)`, so that the weights a run starts with are forgotten early (as TensorFlow's
/// `ExponentialMovingAverage` with `num_updates`).
#[derive(Debug)]
pub(crate) struct Ema {
    decay: f64,
    average: Named,
}

impl Ema {
    /// The average before the first step: the weights. Without decay it holds nothing and does
    /// nothing.
    pub(crate) fn new(decay: f64, parameters: &[Parameter]) -> Result<Self> {
        let averaged = if decay > 0.0 { parameters } else { &[] };
        Ok(Self { decay, average: Named::copies(averaged)? })
    }

    /// `true` if there is one.
    pub(crate) fn is_on(&self) -> bool {
        self.decay > 0.0
    }

    /// Takes in the weights after step `step` of the run, from 0.
    pub(crate) fn update(&mut self, parameters: &[Parameter], step: usize) -> Result<()> {
        let decay = self.decay.min((1 + step) as f64 / (10 + step) as f64);
        let pairs = self.average.tensors.iter().zip(parameters);
        let pairs = pairs.map(|((_, average), parameter)| (average, &parameter.tensor));
        let (averages, weights): (Vec<_>, Vec<_>) = pairs.unzip();
        Ok(lists::lerp(&averages, &weights, 1.0 - decay)?)
    }

    /// Exchanges the weights of the network and the averaged ones; doing it twice changes nothing.
    pub(crate) fn swap(&mut self, parameters: &[Parameter]) -> Result<()> {
        tch::no_grad(|| {
            for ((_, average), parameter) in self.average.tensors.iter_mut().zip(parameters) {
                let weights = parameter.tensor.f_detach()?.f_mul_scalar(1.0)?;
                parameter.tensor.shallow_clone().f_copy_(average)?;
                average.f_copy_(&weights)?;
            }
            Ok(())
        })
    }

    /// The averaged weights by name, for a checkpoint.
    pub(crate) fn state(&self) -> Result<Weights> {
        self.average.state()
    }

    /// Puts back what [`state`](Self::state) returned.
    pub(crate) fn restore(&mut self, state: &Weights) -> Result<()> {
        self.average.restore(state, "average")
    }
}
