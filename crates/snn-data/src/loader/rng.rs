//! Random numbers that are a function of what they are for, not of when they are drawn.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Purpose of a stream of random numbers: streams of different purposes never coincide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of the samples in an epoch.
    Order = 1,
    /// The augmentation of one sample.
    Augment = 2,
    /// The choice of held-out samples.
    HoldOut = 3,
    /// One training image of the procedural set.
    ShapesTrain = 4,
    /// One test image of the procedural set.
    ShapesTest = 5,
    /// The mixing of one batch.
    Mix = 6,
    /// The split of one class of recordings.
    #[cfg(feature = "recordings")]
    RecordingSplit = 7,
    /// The work on one batch after mixing.
    BatchTransform = 8,
    /// Parity of the epochs in which a sample is mirrored.
    Flip = 9,
    /// The choice of a limited number of samples.
    Limit = 10,
    /// The thresholds of a simulated camera.
    #[cfg(all(feature = "recordings", feature = "pictures"))]
    SimulatedPixels = 11,
    /// The noise of one simulated recording.
    #[cfg(all(feature = "recordings", feature = "pictures"))]
    SimulatedNoise = 12,
}

/// A `ChaCha8` stream keyed by (seed, purpose, two numbers), as handed to a
/// [`Transform`](crate::Transform).
///
/// Ranges are derived here and not by `rand`, whose algorithms may change between versions: the
/// same key gives the same numbers for ever, on every machine.
#[derive(Debug, Clone)]
pub struct SampleRng {
    stream: ChaCha8Rng,
    seed: u64,
    epoch: u64,
    number: u64,
}

impl SampleRng {
    pub(crate) fn new(seed: u64, purpose: Purpose, first: u64, second: u64) -> Self {
        let mut key = [0; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, first, second]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self { stream: ChaCha8Rng::from_seed(key), seed, epoch: first, number: second }
    }

    /// The stream that augments sample `index` in epoch `epoch`: a function of these three numbers
    /// and nothing else.
    ///
    /// ```
    /// use snn_data::SampleRng;
    /// let draw = |epoch, index| SampleRng::for_sample(7, epoch, index).below(1_000_000);
    /// assert_eq!(draw(0, 5), draw(0, 5));
    /// assert_ne!(draw(0, 5), draw(1, 5));
    /// ```
    pub fn for_sample(seed: u64, epoch: u64, index: usize) -> Self {
        Self::new(seed, Purpose::Augment, epoch, index as u64)
    }

    /// The stream that mixes batch `batch` of epoch `epoch` ([`Mix`](crate::Mix)): a function of
    /// these three numbers.
    pub fn for_batch(seed: u64, epoch: u64, batch: usize) -> Self {
        Self::new(seed, Purpose::Mix, epoch, batch as u64)
    }

    /// The stream of a [`BatchTransform`](crate::BatchTransform) for batch `batch` of epoch
    /// `epoch`: a function of these three numbers.
    pub fn for_batch_transform(seed: u64, epoch: u64, batch: usize) -> Self {
        Self::new(seed, Purpose::BatchTransform, epoch, batch as u64)
    }

    /// The epoch that the stream is for.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A fair coin that is the same in every epoch: a function of the seed and the number of the
    /// sample. It takes nothing from the stream.
    pub fn coin_of_sample(&self) -> bool {
        Self::new(self.seed, Purpose::Flip, 0, self.number).below(2) == 1
    }

    /// A uniform integer in `0..bound`, without bias (rejection); 0 when `bound` is 0 or 1.
    pub fn below(&mut self, bound: u32) -> u32 {
        // Lemire 2019: the high half of draw · bound, redrawn in the few cases that would favour
        // some values.
        let reject_below = if bound == 0 { 0 } else { bound.wrapping_neg() % bound };
        loop {
            let product = u64::from(self.stream.next_u32()) * u64::from(bound);
            let [high, low] = halves(product);
            if low >= reject_below {
                return high;
            }
        }
    }

    /// A uniform number in `[low, high)`, of 32 random bits.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (f64::from(self.stream.next_u32()) / 4_294_967_296.0)
    }

    /// Puts `items` into a uniformly random order (Fisher–Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // Lists of 2³² samples do not fit the pixel buffers of this crate; saturating keeps the
            // cast honest.
            let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(bound) as usize);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "splitting a word into its halves is the purpose"
)]
fn halves(word: u64) -> [u32; 2] {
    [(word >> 32) as u32, word as u32]
}
