//! Running statistics of batch norm, measured again with the weights as they are.

use crate::error::Error;
use crate::network::Network;
use crate::options::{BATCH_NORM_MOMENTUM, Mode};
use crate::tensor::Pixels;
use snn_ir::Op;
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
        let norm = |node: &str| {
            self.graph().node(node).is_some_and(|node| matches!(node.op, Op::BatchNorm { .. }))
        };
        let mut statistics: Vec<Tensor> = self
            .parameters()
            .iter()
            .filter(|p| !p.learned && norm(p.node()))
            .map(|p| p.tensor.shallow_clone())
            .collect();
        let mut sums = Vec::with_capacity(statistics.len());
        for statistic in &statistics {
            sums.push(statistic.f_zeros_like().map_err(Error::from)?);
        }
        let mut count = 0_u32;
        for pixels in batches {
            let pixels = pixels?;
            self.add_statistics(&pixels, &mut statistics, &mut sums)?;
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

    /// libtorch tells a batch's statistics only as a step of the running ones: from 0 that step is
    /// `momentum` times them.
    fn add_statistics(
        &self,
        pixels: &Pixels,
        statistics: &mut [Tensor],
        sums: &mut [Tensor],
    ) -> Result<(), Error> {
        tch::no_grad(|| {
            for statistic in statistics.iter_mut() {
                let _same_tensor = statistic.f_zero_()?;
            }
            self.forward(pixels, Mode::Train)?;
            for (statistic, sum) in statistics.iter().zip(sums) {
                let _same_tensor = sum.f_add_(&statistic.f_div_scalar(BATCH_NORM_MOMENTUM)?)?;
            }
            Ok(())
        })
    }
}
