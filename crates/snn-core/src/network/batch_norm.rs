//! Running statistics of batch norm, measured again with the weights as they are.

use crate::error::Error;
use crate::network::{DropoutKey, Network};
use crate::options::Mode;
use crate::tensor::Pixels;
use snn_ir::{Norm, Op};
use tch::Tensor;

impl Network {
    /// Replaces the running statistics of every batch norm by the mean over batches of the batch's
    /// own, and returns the number of batches. While a network trains they lag behind its weights,
    /// and averaged weights never had any of their own (Izmailov 2018, section 3; Wu & Johnson
    /// 2021, section 3.1: "precise" statistics).
    ///
    /// Without a batch nothing changes.
    ///
    /// # Errors
    /// An item of `batches` is an error, the pixels do not fit, or libtorch fails; the statistics
    /// are undefined then.
    pub fn reestimate_batch_norm<E: From<Error>>(
        &mut self,
        batches: impl IntoIterator<Item = Result<Pixels, E>>,
    ) -> Result<usize, E> {
        let momentum = |node: &str| match self.graph().node(node).map(|node| &node.op) {
            Some(Op::BatchNorm(Norm { momentum, .. })) => Some(*momentum),
            _ => None,
        };
        let (mut statistics, mut momenta) = (Vec::new(), Vec::new());
        for parameter in self.parameters().iter().filter(|p| !p.learned) {
            if let Some(momentum) = momentum(parameter.node()) {
                statistics.push(parameter.tensor.shallow_clone());
                momenta.push(momentum);
            }
        }
        let mut sums = Vec::with_capacity(statistics.len());
        for statistic in &statistics {
            sums.push(statistic.f_zeros_like().map_err(Error::from)?);
        }
        let mut count = 0_u32;
        for pixels in batches {
            self.add_statistics(&pixels?, count, &mut statistics, &momenta, &mut sums)?;
            count = count.saturating_add(1);
        }
        if count > 0 {
            for (statistic, sum) in statistics.iter_mut().zip(&sums) {
                let mean = sum.f_div_scalar(f64::from(count)).map_err(Error::from)?;
                statistic.f_copy_(&mean).map_err(Error::from)?;
            }
        }
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The forward pass of [`reestimate_batch_norm`](Self::reestimate_batch_norm) over its batch
    /// `number`, from 0: what the other replicas do with their parts of the batch while one of them
    /// measures the statistics.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn statistics_pass(&mut self, pixels: &Pixels, number: u32) -> Result<(), Error> {
        // A training pass, with masks that no step of the optimiser has had.
        let before = self.interpreter.dropout_key;
        let key = before.unwrap_or(DropoutKey { seed: 0, step: 0, first_sample: 0 });
        self.set_dropout_key(DropoutKey { step: u64::MAX - u64::from(number), ..key });
        let passed = tch::no_grad(|| self.forward(pixels, Mode::Train));
        self.interpreter.dropout_key = before;
        passed.map(drop)
    }

    /// libtorch tells a batch's statistics only as a step of the running ones: from 0 that step is
    /// `momentum` times them.
    fn add_statistics(
        &mut self,
        pixels: &Pixels,
        number: u32,
        statistics: &mut [Tensor],
        momenta: &[f64],
        sums: &mut [Tensor],
    ) -> Result<(), Error> {
        tch::no_grad(|| {
            for statistic in statistics.iter_mut() {
                let _same_tensor = statistic.f_zero_()?;
            }
            self.statistics_pass(pixels, number)?;
            for ((statistic, momentum), sum) in statistics.iter().zip(momenta).zip(sums) {
                let _same_tensor = sum.f_add_(&statistic.f_div_scalar(*momentum)?)?;
            }
            Ok(())
        })
    }
}
