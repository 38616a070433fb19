//! Products of tiles, of bf16 values and of bytes: AMX where the machine has it, and a plain form
//! that gives the same bits; of bf16 wherever no value is subnormal (AMX takes those for 0) or not
//! a number.
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

pub use rows::{ByteRows, Rows};
pub use types::{BYTE_ROWS, BytePair, ByteSums, Pair, SIDE, Sums};

#[cfg(target_arch = "x86_64")]
use amx::Configured;

use crate::instruction_set::InstructionSet;
use crate::kernel::Available;
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

    /// AMX, where it [is available](InstructionSet::is_available).
    pub fn amx() -> Option<Self> {
        Available::new(InstructionSet::Amx).map(Self::of)
    }

    /// The form of an instruction set: AMX where it has that.
    pub fn of(instructions: Available) -> Self {
        #[cfg(target_arch = "x86_64")]
        if instructions.set() == InstructionSet::Amx {
            return Self(Form::Amx);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = instructions;
        Self::PLAIN
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

    /// `sums = Σ a·b` over the steps, each the place to which the rows of a have moved on and a
    /// right factor, in the columns of so many tiles (1, or else both) and in the rows of the tiles
    /// of a; the others are 0. Sums wrap.
    ///
    /// # Panics
    /// The rows of a step do not fit.
    #[inline]
    pub fn sum_bytes<'p>(
        &mut self,
        a: &ByteRows<'_>,
        steps: impl Iterator<Item = (usize, &'p BytePair)>,
        tiles: usize,
        sums: &mut ByteSums,
    ) {
        let tiles = tiles.clamp(1, 2);
        match &mut self.form {
            Running::Plain => {
                *sums = ByteSums::ZERO;
                steps.for_each(|(place, b)| plain::multiply_bytes(a, place, b, tiles, sums));
            }
            #[cfg(target_arch = "x86_64")]
            Running::Amx(configured) => amx::sum_bytes(configured, a, steps, tiles, sums),
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

    #[test]
    fn products_of_bytes_are_products_of_matrices() {
        let state = &mut 5;
        let bytes: Vec<u8> = (0..6000).map(|_| random(state).to_le_bytes()[0]).collect();
        for (count, stride, second, tiles) in [
            (3, 64, Some(1024), 2),
            (5, 128, Some(7), 1),
            (2, 3, None, 2),
            (1, 80, None, 1),
            (0, 64, Some(0), 2),
        ] {
            let pair = |state: &mut u64| {
                BytePair(std::array::from_fn(|_| random(state).to_le_bytes()[1].cast_signed()))
            };
            let steps: Vec<(usize, BytePair)> =
                (0..count).map(|step| (step * 77, pair(state))).collect();
            let start = 11;
            let mut expected = ByteSums::ZERO;
            for row in 0..if second.is_some() { 32 } else { 16 } {
                let start = if row < 16 { start } else { second.unwrap_or_default() };
                for column in 0..16 * tiles {
                    for (place, b) in &steps {
                        for k in 0..BYTE_ROWS {
                            let a = bytes[start + place + row % 16 * stride + k];
                            let b = b.0[BytePair::place(k, column)];
                            expected.0[row * SIDE + column] += i32::from(a) * i32::from(b);
                        }
                    }
                }
            }
            for form in Tiles::each() {
                let mut found = ByteSums([9; SIDE * SIDE]);
                form.run(|multiplier| {
                    let rows = ByteRows::new(&bytes, (start, second), stride);
                    let steps = steps.iter().map(|(place, b)| (*place, b));
                    multiplier.sum_bytes(&rows, steps, tiles, &mut found);
                });
                assert_eq!(found, expected, "{form:?}");
            }
        }
    }

    #[test]
    fn rows_of_bytes_that_do_not_fit_are_refused() {
        let bytes = [0; 1100];
        for form in Tiles::each() {
            let sum = |start, place| {
                std::panic::catch_unwind(|| {
                    form.run(|multiplier| {
                        let rows = ByteRows::new(&bytes, (start, None), 64);
                        let steps = std::iter::once((place, &BytePair::ZERO));
                        multiplier.sum_bytes(&rows, steps, 2, &mut ByteSums([1; SIDE * SIDE]));
                    });
                })
            };
            assert!(sum(70, 6).is_ok(), "{form:?}");
            assert!(sum(70, 7).is_err() && sum(77, 0).is_err(), "{form:?}");
        }
    }

    /// A form that is not found would be tested nowhere.
    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn amx_is_found_where_the_processor_has_it() {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has = |flag: &str| processor.split_whitespace().any(|word| word == flag);
        let expected = crate::limit::limit() == InstructionSet::Amx
            || std::env::var_os(crate::VARIABLE).is_none()
                && ["amx_tile", "amx_int8", "amx_bf16", "avx512_bf16", "avx512_vnni"]
                    .into_iter()
                    .all(has)
                && crate::amx::is_permitted();
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
