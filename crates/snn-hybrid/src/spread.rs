//! Where the sites of a share stand.

use crate::named::{self, Kind};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How the sites of [`Policy::Ratio`](crate::Policy::Ratio) are spread over the graph. As data a
/// name or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "snake_case")]
pub enum Spread {
    /// At even distances: the middles of as many equal parts of the list of sites.
    #[default]
    Uniform,
    /// Drawn from a seed, every set of that many sites equally likely. With the same seed a smaller
    /// share is part of a larger one.
    Random {
        /// The seed; nothing else has an influence.
        #[serde(default)]
        seed: u64,
    },
    /// Denser towards the input: the density falls linearly, to zero at the last site. If a site is
    /// already chosen, the next free one is taken.
    Early,
    /// The mirror image of `early`: denser towards the output.
    Late,
}

const KINDS: &[Kind] = &[("uniform", &[]), ("random", &["seed"]), ("early", &[]), ("late", &[])];

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named::read(deserializer, "a spread", KINDS, Self::deserialize)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spread::Uniform => f.write_str("uniform"),
            Spread::Random { seed } => write!(f, "random (seed {seed})"),
            Spread::Early => f.write_str("early"),
            Spread::Late => f.write_str("late"),
        }
    }
}

impl Spread {
    /// `count` different positions of `0..sites`; `count` is at most `sites`.
    pub(crate) fn positions(self, sites: usize, count: usize) -> Vec<usize> {
        match self {
            Spread::Uniform => (0..count).map(|i| (2 * i + 1) * sites / (2 * count)).collect(),
            Spread::Random { seed } => random(sites, count, seed),
            Spread::Early => early(sites, count),
            Spread::Late => {
                early(sites, count).into_iter().map(|position| sites - 1 - position).collect()
            }
        }
    }
}

/// Every site draws a number, those with the smallest are chosen: the choice depends on no
/// algorithm of a library but `ChaCha` itself.
fn random(sites: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    let mut draws: Vec<(u64, usize)> =
        (0..sites).map(|position| (generator.next_u64(), position)).collect();
    draws.sort_unstable();
    draws.into_iter().take(count).map(|(_, position)| position).collect()
}

/// The i-th position is where the cumulative density `1 − (1 − x)²`, x in parts of the list,
/// reaches `(i + ½)/count`.
fn early(sites: usize, count: usize) -> Vec<usize> {
    let mut positions = Vec::with_capacity(count);
    let (mut quantile, mut free) = (0, 0);
    for left in (1..=count).rev() {
        // 1 − (1 − x)² ≤ (i + ½)/count with i = count − left, in integers.
        while (2 * left - 1) * sites * sites
            <= 2 * count * (sites - quantile - 1) * (sites - quantile - 1)
        {
            quantile += 1;
        }
        let position = quantile.max(free).min(sites - left);
        positions.push(position);
        free = position + 1;
    }
    positions
}
