//! How the neurons of a site are shared out among threads.

use super::machine::Launch;

/// Most threads of a block: those of the backward pass have many registers each.
const FORWARD_THREADS: usize = 256;
const BACKWARD_THREADS: usize = 128;
/// Most threads of a block side by side along channels, so that there are several positions.
const WIDEST: usize = 32;
/// Positions that a thread has at least, where there are so many: sums that it makes in registers.
const POSITIONS: usize = 8;
/// Most rows of blocks: each is a partial sum.
const MOST_ROWS: usize = 512;

/// The neurons of one macro-step: channels at positions, channels last in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) channels: usize,
    pub(super) positions: usize,
    /// Neighbouring channels of a thread.
    pub(super) pack: usize,
}

impl Geometry {
    /// `most` is the largest pack that registers have room for
    /// ([`most_pack`](super::specialisation::Specialisation::most_pack)); `aligned` the largest
    /// power of two that divides the address of every tensor, in values.
    pub(super) fn new(channels: usize, positions: usize, most: usize, aligned: usize) -> Self {
        let fits =
            |pack: &usize| channels.is_multiple_of(*pack) && aligned >= *pack && most >= *pack;
        let pack = [8, 4, 2].into_iter().find(fits).unwrap_or(1);
        Self { channels, positions, pack }
    }

    /// A kernel that writes what it computes and makes no sums.
    pub(super) fn plain(&self, kernel: &'static str) -> Launch {
        let [x, y] = self.block(FORWARD_THREADS);
        self.launch(kernel, [x, y], self.positions.div_ceil(y).min(64 * MOST_ROWS), 0)
    }

    /// A kernel that makes sums of its channels, one of each row of blocks.
    pub(super) fn summing(&self, kernel: &'static str) -> Launch {
        let [x, y] = self.block(BACKWARD_THREADS);
        let shared = x * y * self.pack * size_of::<f64>();
        self.launch(kernel, [x, y], self.rows(), shared)
    }

    /// Rows of blocks of a kernel that makes sums.
    pub(super) fn rows(&self) -> usize {
        let [_, y] = self.block(BACKWARD_THREADS);
        self.positions.div_ceil(y * POSITIONS).clamp(1, MOST_ROWS)
    }

    /// A kernel with a thread for each channel.
    pub(super) fn by_channel(&self, kernel: &'static str) -> Launch {
        let threads = 64;
        let grid = [number(self.channels.div_ceil(threads)), 1];
        Launch { kernel, grid, block: [number(threads), 1], shared: 0, bytes: 0 }
    }

    /// A kernel of one block.
    pub(super) fn alone(&self, kernel: &'static str) -> Launch {
        let block = [number(self.channels.clamp(32, 256)), 1];
        Launch { kernel, grid: [1, 1], block, shared: 0, bytes: 0 }
    }

    fn block(&self, threads: usize) -> [usize; 2] {
        let columns = (self.channels / self.pack).clamp(1, WIDEST);
        [columns, (threads / columns).max(1)]
    }

    fn launch(
        &self,
        kernel: &'static str,
        [x, y]: [usize; 2],
        rows: usize,
        shared: usize,
    ) -> Launch {
        let columns = (self.channels / self.pack).div_ceil(x);
        let grid = [number(columns), number(rows.max(1))];
        Launch { kernel, grid, block: [number(x), number(y)], shared, bytes: 0 }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_neuron_has_a_thread() {
        for channels in [1, 3, 6, 8, 20, 64, 100, 256, 1000, 2048] {
            for positions in [1, 7, 300, 100_000] {
                for (most, aligned) in [(8, 8), (8, 2), (4, 8), (1, 8)] {
                    let geometry = Geometry::new(channels, positions, most, aligned);
                    let pack = geometry.pack;
                    assert!(channels % pack == 0 && aligned % pack == 0, "{geometry:?}");
                    for launch in [geometry.plain("a"), geometry.summing("b")] {
                        let [x, y] = launch.block;
                        assert!(x * y <= 256 && x * y >= 64, "{launch:?}");
                        let wide = (launch.grid[0] * x) as usize * pack;
                        assert!(wide >= channels && wide < channels + x as usize * pack);
                        // What the grid does not reach at once its threads go on to.
                        assert!(launch.grid[1] >= 1 && launch.grid[1] <= 65_535, "{launch:?}");
                        assert!(launch.shared <= 48 << 10, "{launch:?}");
                    }
                    assert_eq!(geometry.summing("b").grid[1] as usize, geometry.rows());
                }
            }
        }
        assert_eq!(Geometry::new(64, 1, 8, 8).pack, 8);
        assert_eq!(Geometry::new(64, 1, 4, 8).pack, 4);
        assert_eq!(Geometry::new(20, 1, 8, 8).pack, 4);
        assert_eq!(Geometry::new(64, 1, 8, 1).pack, 1, "a tensor begins anywhere");
    }
}
