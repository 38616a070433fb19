//! Products of tiles of bf16 values: AMX where the machine has it, and a plain form that gives the
//! same bits wherever no value is subnormal (AMX takes those for 0) or not a number.
//!
//! A tile has 16 rows of 64 bytes. The tiles of a factor come in pairs, so that a product fills
//! four tiles of sums and every tile that is loaded takes part in two products: with fewer, the
//! loads would take longer than the products.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;
mod rows;
mod types;

pub use rows::Rows;
pub use types::{Pair, SIDE, Sums};

#[cfg(target_arch = "x86_64")]
use amx::Configured;

use std::marker::PhantomData;

/// A form of the products that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles(Form);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Tiles {
    /// Loops over single values, which every machine can run, slowly.
    pub const PLAIN: Self = Self(Form::Plain);

    /// AMX, where the processor has it for bf16, the system lets this process use it, and
    /// `SNN_INSTRUCTION_SET` names no instruction set: each of them goes without.
    ///
    /// The first call asks the system to save tiles of all threads, for which signal stacks that
    /// are set up later must have room (12 KiB; Rust's and glibc's have).
    pub fn amx() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            amx::is_available().then_some(Self(Form::Amx))
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// The plain form, and AMX where it can be used: what tests run one after another.
    pub fn each() -> impl Iterator<Item = Self> {
        [Some(Self::PLAIN), Self::amx()].into_iter().flatten()
    }

    /// Runs `body` with a multiplier of this thread. Inside of another such call it is the plain
    /// one.
    ///
    /// `body`, and the iterators that it gives to the multiplier, must not call other code that
    /// uses tiles, such as libtorch's convolutions: the products after it would be wrong, or end
    /// the process.
    pub fn run<R>(self, body: impl FnOnce(&mut Multiplier) -> R) -> R {
        let form = match self.0 {
            Form::Plain => Running::Plain,
            #[cfg(target_arch = "x86_64")]
            Form::Amx => Configured::new().map_or(Running::Plain, Running::Amx),
        };
        body(&mut Multiplier { form, _of_this_thread: PhantomData })
    }
}

/// The tiles of a thread, ready to multiply.
#[derive(Debug)]
pub struct Multiplier {
    form: Running,
    _of_this_thread: PhantomData<*const ()>,
}

#[derive(Debug)]
enum Running {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Amx(Configured),
}

impl Multiplier {
    /// `sums = Σ a·b` over the steps, in order. A product of two values is exact. Those of even
    /// rows of b and those of odd ones are added up apart, then together, then to the sum so far;
    /// each addition is rounded to nearest.
    #[inline]
    pub fn sum<'p>(&mut self, steps: impl Iterator<Item = (&'p Pair, &'p Pair)>, sums: &mut Sums) {
        match &mut self.form {
            Running::Plain => {
                *sums = Sums::ZERO;
                steps.for_each(|(a, b)| plain::multiply(a, b, sums));
            }
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => amx::sum(tiles, steps, sums),
        }
    }

    /// `sums += Σ a·b`.
    #[inline]
    pub fn add<'p>(&mut self, steps: impl Iterator<Item = (&'p Pair, &'p Pair)>, sums: &mut Sums) {
        match &mut self.form {
            Running::Plain => steps.for_each(|(a, b)| plain::multiply(a, b, sums)),
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => amx::add(tiles, steps, sums),
        }
    }

    /// `sums[s] += Σᵢ aᵢ·bⱼ` with j = i + `padding` − s, where there is such a bⱼ, for three
    /// neighbours s and all rows of a and b: the same values as three calls of
    /// [`add`](Self::add), with half as much read from beyond the first cache.
    #[inline]
    pub fn add_neighbours<'p>(
        &mut self,
        rows: &(impl Iterator<Item = (&'p [Pair], &'p [Pair])> + Clone),
        padding: usize,
        sums: &mut [Sums; 3],
    ) {
        match &mut self.form {
            Running::Plain => {
                for (s, sums) in sums.iter_mut().enumerate() {
                    for (a, b) in rows.clone() {
                        for (i, a) in a.iter().enumerate() {
                            if let Some(b) =
                                i.wrapping_add(padding).checked_sub(s).and_then(|j| b.get(j))
                            {
                                plain::multiply(a, b, sums);
                            }
                        }
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => amx::add_neighbours(tiles, rows, padding, sums),
        }
    }

    /// The rows as a left factor; missing ones and missing columns are 0.
    #[inline]
    pub fn left(&self, rows: Rows<'_>, to: &mut Pair) {
        match &self.form {
            Running::Plain => plain::left(rows, to),
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => avx512::left(tiles, rows, to),
        }
    }

    /// The columns as rows of a left factor.
    #[inline]
    pub fn left_of_columns(&self, rows: Rows<'_>, to: &mut Pair) {
        match &self.form {
            Running::Plain => plain::left_of_columns(rows, to),
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => avx512::left_of_columns(tiles, rows, to),
        }
    }

    /// The rows as those of a right factor.
    #[inline]
    pub fn right(&self, rows: Rows<'_>, to: &mut Pair) {
        match &self.form {
            Running::Plain => plain::right(rows, to),
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => avx512::right(tiles, rows, to),
        }
    }

    /// The rows as columns of a right factor.
    #[inline]
    pub fn right_of_columns(&self, rows: Rows<'_>, to: &mut Pair) {
        match &self.form {
            Running::Plain => plain::right_of_columns(rows, to),
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => avx512::right_of_columns(tiles, rows, to),
        }
    }

    /// The first columns of the first rows of sums, rounded to bf16, to nearest and ties to even:
    /// rows of as many values, `stride` values apart.
    ///
    /// # Panics
    /// More than 32 rows or columns, or rows that do not fit.
    #[inline]
    pub fn round(&self, sums: &Sums, to: &mut [u16], stride: usize, [rows, columns]: [usize; 2]) {
        rows::check(to.len(), stride, [rows, columns]);
        match &self.form {
            Running::Plain => plain::round(sums, to, stride, [rows, columns]),
            #[cfg(target_arch = "x86_64")]
            Running::Amx(tiles) => avx512::round(tiles, sums, to, stride, [rows, columns]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values like those of a network: of many sizes and both signs, with zeros.
    fn random(state: &mut u64) -> u16 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bits = u16::try_from(*state >> 48).unwrap_or_default();
        if bits.trailing_zeros() >= 3 { bits & 0x8000 } else { (bits & 0x83ff) | 0x3c00 }
    }

    fn pair(state: &mut u64) -> Pair {
        Pair(std::array::from_fn(|_| random(state)))
    }

    fn sums(state: &mut u64) -> Sums {
        Sums(std::array::from_fn(|_| f32::from_bits(u32::from(random(state)) << 16)))
    }

    #[test]
    fn every_form_gives_the_same_bits() {
        let state = &mut 1;
        for count in [0, 1, 2, 5] {
            let a: Vec<Pair> = (0..count).map(|_| pair(state)).collect();
            let b: Vec<Pair> = (0..count).map(|_| pair(state)).collect();
            let first = sums(state);
            let mut expected = None;
            for tiles in Tiles::each() {
                let found = tiles.run(|multiplier| {
                    let mut fresh = first;
                    multiplier.sum(a.iter().zip(&b), &mut fresh);
                    let mut added = first;
                    multiplier.add(a.iter().zip(&b), &mut added);
                    let mut rounded = vec![7; 33 * 31 + 30];
                    multiplier.round(&added, &mut rounded, 33, [32, 30]);
                    (fresh, added, rounded)
                });
                assert_eq!(*expected.get_or_insert_with(|| found.clone()), found, "{tiles:?}");
            }
        }
    }

    /// A form that is not found would be tested nowhere.
    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn amx_is_found_where_the_processor_has_it() {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has = |flag: &str| processor.split_whitespace().any(|word| word == flag);
        let expected = std::env::var_os(crate::VARIABLE).is_none()
            && ["amx_tile", "amx_bf16", "avx512_bf16"].into_iter().all(has)
            && amx::is_permitted();
        assert_eq!(Tiles::amx().is_some(), expected);
    }

    #[test]
    fn a_multiplier_inside_of_another_leaves_it_its_tiles() {
        let state = &mut 4;
        let (a, b) = (pair(state), pair(state));
        let mut expected = Sums::ZERO;
        plain::multiply(&a, &b, &mut expected);
        for tiles in Tiles::each() {
            let mut found = [Sums::ZERO; 3];
            tiles.run(|outer| {
                tiles.run(|inner| {
                    inner.sum(std::iter::once((&a, &b)), &mut found[0]);
                    std::mem::swap(inner, outer);
                });
                outer.sum(std::iter::once((&a, &b)), &mut found[1]);
            });
            tiles.run(|after| after.sum(std::iter::once((&a, &b)), &mut found[2]));
            assert!(found == [expected; 3], "{tiles:?}");
        }
    }

    #[test]
    fn neighbours_share_loads_and_change_no_bit() {
        let state = &mut 2;
        for (inputs, outputs, padding) in [(5, 5, 1), (6, 4, 0), (1, 1, 1), (1, 3, 2), (7, 9, 2)] {
            let rows: Vec<(Vec<Pair>, Vec<Pair>)> = (0..3)
                .map(|_| {
                    let of = |count: usize, state: &mut u64| -> Vec<Pair> {
                        (0..count).map(|_| pair(state)).collect()
                    };
                    (of(inputs, state), of(outputs, state))
                })
                .collect();
            let first = [sums(state), sums(state), sums(state)];
            for tiles in Tiles::each() {
                let mut together = first;
                let mut apart = first;
                tiles.run(|multiplier| {
                    let rows = rows.iter().map(|(a, b)| (a.as_slice(), b.as_slice()));
                    multiplier.add_neighbours(&rows, padding, &mut together);
                    for (s, sums) in apart.iter_mut().enumerate() {
                        let steps = rows.clone().flat_map(|(a, b)| {
                            a.iter().enumerate().filter_map(move |(i, a)| {
                                Some((a, b.get((i + padding).checked_sub(s)?)?))
                            })
                        });
                        multiplier.add(steps, sums);
                    }
                });
                assert!(together == apart, "{tiles:?}: {inputs}, {outputs}, {padding}");
            }
        }
    }

    #[test]
    fn factors_are_made_of_any_rows() {
        let state = &mut 3;
        let values: Vec<u16> = (0..32 * 40).map(|_| random(state)).collect();
        for size in [[32, 32], [1, 1], [31, 7], [5, 32], [32, 24], [0, 9], [3, 0]] {
            let rows = Rows::new(&values[3..], 37, size);
            let at = |row: usize, column: usize| {
                if row < size[0] && column < size[1] { values[3 + row * 37 + column] } else { 0 }
            };
            for tiles in Tiles::each() {
                let [left, of_columns, right, right_of_columns] = tiles.run(|multiplier| {
                    let mut made = [Pair([9; SIDE * SIDE]); 4];
                    multiplier.left(rows, &mut made[0]);
                    multiplier.left_of_columns(rows, &mut made[1]);
                    multiplier.right(rows, &mut made[2]);
                    multiplier.right_of_columns(rows, &mut made[3]);
                    made
                });
                for row in 0..SIDE {
                    for column in 0..SIDE {
                        let as_left = row * SIDE + column;
                        assert_eq!(left.0[as_left], at(row, column), "{tiles:?} {size:?}");
                        assert_eq!(of_columns.0[as_left], at(column, row), "{tiles:?} {size:?}");
                        let as_right =
                            (column / 16 * 16 + row / 2) * 32 + column % 16 * 2 + row % 2;
                        assert_eq!(right.0[as_right], at(row, column), "{tiles:?} {size:?}");
                        let transposed = right_of_columns.0[as_right];
                        assert_eq!(transposed, at(column, row), "{tiles:?} {size:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_plain_form_is_a_product_of_matrices() {
        // Small integers, whose sums are exact in any order.
        let a = |i: usize, k: usize| ((i * 5 + k * 3) % 7) as f32 - 3.0;
        let b = |k: usize, j: usize| ((k * 2 + j * 11) % 5) as f32 - 2.0;
        let flat = |value: &dyn Fn(usize, usize) -> f32| -> Vec<u16> {
            let places = (0..SIDE * SIDE).map(|at| value(at / SIDE, at % SIDE));
            places.map(|value| (value.to_bits() >> 16) as u16).collect()
        };
        let (flat_a, flat_b) = (flat(&a), flat(&b));
        let mut found = Sums::ZERO;
        Tiles::PLAIN.run(|multiplier| {
            let [mut left, mut right] = [Pair::ZERO; 2];
            multiplier.left(Rows::new(&flat_a, SIDE, [SIDE; 2]), &mut left);
            multiplier.right(Rows::new(&flat_b, SIDE, [SIDE; 2]), &mut right);
            multiplier.sum(std::iter::once((&left, &right)), &mut found);
        });
        let mut expected = Sums::ZERO;
        for i in 0..SIDE {
            for j in 0..SIDE {
                expected.0[Sums::place(i, j)] = (0..SIDE).map(|k| a(i, k) * b(k, j)).sum();
            }
        }
        assert_eq!(found, expected);
    }
}
