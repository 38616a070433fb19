//! Pooling (eq. 5): geometry, and pooling of currents.

use crate::arithmetic::Arithmetic;
use crate::geometry::Window2d;

/// Sum or max; averages do not exist after conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    Sum,
    Max,
}

/// Pooling of an image.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) pooling: Pooling,
    pub(crate) channels: usize,
    pub(crate) grid: Window2d,
}

impl Pool {
    /// Sums or comparisons of one macro-step: one less than the values of each window.
    pub(crate) fn operations(&self) -> u64 {
        (self.grid.inside() - self.grid.outputs() as u64) * self.channels as u64
    }

    /// Pools currents, channels last.
    pub(crate) fn currents<A: Arithmetic>(&self, x: &[A], pooled: &mut [A]) {
        let channels = self.channels;
        self.grid.for_each_output(|output, rows, columns| {
            let row = &mut pooled[output * channels..][..channels];
            let mut first = true;
            self.grid.for_each_tap(rows, columns, |_, position| {
                let x = &x[position * channels..][..channels];
                if first {
                    row.copy_from_slice(x);
                    first = false;
                    return;
                }
                match self.pooling {
                    Pooling::Sum => row.iter_mut().zip(x).for_each(|(sum, &x)| *sum = sum.plus(x)),
                    Pooling::Max => row.iter_mut().zip(x).for_each(|(largest, &x)| {
                        if x > *largest {
                            *largest = x;
                        }
                    }),
                }
            });
        });
    }
}
