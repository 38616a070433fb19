//! Vectors of sums, for each instruction set. Those of 16 bits are exact whatever the set: every
//! one is proved to stay within them. Those of f32 are added in the same order by every set, and so
//! are the same bits.

use crate::deploy::events::step_tree::Members;
use crate::deploy::kernels::emit::bits_of;

/// A vector of `LANES` 16-bit sums.
pub(crate) trait Vectors<const LANES: usize> {
    type Sums: Copy;
    fn zero() -> Self::Sums;
    /// Sums plus weights.
    fn add(sums: Self::Sums, weights: &[i8; LANES]) -> Self::Sums;
    /// Sums plus weights times a level.
    fn add_product(sums: Self::Sums, weights: &[i8; LANES], level: i16) -> Self::Sums;
    fn lanes(sums: Self::Sums) -> [i16; LANES];
}

/// 16-bit sums of rows of paired weights: two weights a 16-bit word, so that no instruction has to
/// widen them.
///
/// In 32 lanes, lane `i < 16` is the low byte of word `i`, kept as `w + 128`, and lane `16 + i` the
/// high byte. With `R` the words of a row as integers, `H = Σ ⌊R/2⁸⌋` are the sums of the high
/// lanes, and those of the low lanes are `Σ R − 2⁸·H − 128·rows`. Both are exact modulo 2¹⁶, and so
/// exact.
pub(crate) trait Pairs<const LANES: usize> {
    type Sums: Copy;
    fn zero() -> Self::Sums;
    /// Sums plus a row.
    fn add(sums: Self::Sums, words: &[i8; LANES]) -> Self::Sums;
    /// The sums of each lane after so many rows.
    fn lanes(sums: Self::Sums, rows: usize) -> [i16; LANES];
}

/// Sixteen sums of products of a group of levels with groups of weights; `BYTES` are those of
/// sixteen lanes.
pub(crate) trait Products<const GROUP: usize, const BYTES: usize> {
    type Sums: Copy;
    fn zero() -> Self::Sums;
    /// Sums plus `w₀·x₀ + w₁·x₁ + …`, the weights of each lane side by side; levels are at most
    /// 128 in pairs, 255 in fours.
    fn add(sums: Self::Sums, weights: &[i8; BYTES], levels: [u8; GROUP]) -> Self::Sums;
    fn lanes(sums: Self::Sums) -> [i32; 16];
    /// Adds the sums of all lanes, times the multipliers of their outputs, to these.
    #[inline(always)]
    fn add_to(sums: Self::Sums, multipliers: &[i32; 16], outputs: &mut [i32; 16]) {
        add_products(outputs, &Self::lanes(sums), multipliers);
    }
}

/// Adds sums times multipliers to outputs, of which there may be fewer.
#[inline(always)]
pub(crate) fn add_products(outputs: &mut [i32], sums: &[i32; 16], multipliers: &[i32; 16]) {
    for ((output, sum), multiplier) in outputs.iter_mut().zip(sums).zip(multipliers) {
        *output = output.wrapping_add(sum.wrapping_mul(*multiplier));
    }
}

/// A vector of `LANES` sums of f32.
pub(crate) trait Floats<const LANES: usize> {
    type Sums: Copy;
    fn zero() -> Self::Sums;
    /// Sums plus weights.
    fn add(sums: Self::Sums, weights: &[f32; LANES]) -> Self::Sums;
    /// Sums plus weights times a level; the product is rounded before it is added.
    fn add_product(sums: Self::Sums, weights: &[f32; LANES], level: f32) -> Self::Sums;
    fn lanes(sums: Self::Sums) -> [f32; LANES];
}

/// Flags that are looked at together.
pub(crate) const FLAGS: usize = 32;

/// Bytes as bits, the first the lowest.
pub(crate) trait Flags {
    /// Packs flags of 0 and 1 into bits.
    fn bits(flags: &[u8; FLAGS]) -> u32;
    /// Membership of sets of steps: whether they are in a list.
    fn members(seen: &[u8; FLAGS], members: Members) -> u32;

    /// Writes the places of the set bits, counted from `first`; says how many there are. What
    /// stands behind them is anything.
    #[inline(always)]
    fn places(word: u32, first: u32, entries: &mut [u32; FLAGS]) -> usize {
        let mut count = 0_usize;
        for (base, bits) in (first..).step_by(8).zip(word.to_le_bytes()) {
            // Eight at once cost less than a branch a spike. Eight slots are there behind as many
            // as 24 that are filled.
            let slots = entries[count..][..8].iter_mut().zip(&OFFSETS[usize::from(bits)]);
            slots.for_each(|(slot, &offset)| *slot = base.wrapping_add(u32::from(offset)));
            count = count.wrapping_add(bits.count_ones() as usize);
        }
        count
    }
}

/// Positions of the set bits of every byte.
pub(crate) const OFFSETS: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0_u8;
    loop {
        let (mut bit, mut found) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte as usize][found] = bit;
                found += 1;
            }
            bit += 1;
        }
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// Levels that are looked at together.
#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) const LEVELS: usize = 16;

/// Levels that are not zero, one behind the other.
#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) trait Compress {
    /// Writes the places of those levels, counted from `first`, and the levels; says how many there
    /// are. What stands behind them is anything.
    fn compress(
        levels: &[i32; LEVELS],
        first: u32,
        entries: &mut [u32; LEVELS],
        payloads: &mut [i32; LEVELS],
    ) -> usize;
}

/// Lanes of weights that are paired with one another.
pub(crate) const PAIRED: usize = 32;

/// Brings rows of weights into the order that [`Pairs`] reads.
pub(crate) fn pair(weights: &mut [i8]) {
    for lanes in weights.as_chunks_mut::<PAIRED>().0 {
        let plain = *lanes;
        let (low, high) = plain.split_at(PAIRED / 2);
        for ((word, low), high) in lanes.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high) {
            *word = [low.wrapping_add(i8::MIN), *high];
        }
    }
}

/// `128·rows` modulo 2¹⁶, by which the sums of low lanes are too large.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "modulo 2¹⁶")]
pub(super) fn excess(rows: usize) -> i16 {
    (rows as u16).wrapping_mul(128).cast_signed()
}

/// Plain Rust: the twin that the others must agree with.
#[derive(Debug)]
pub(crate) struct Portable;

impl Flags for Portable {
    #[inline(always)]
    fn bits(flags: &[u8; FLAGS]) -> u32 {
        let mut bytes = [0; FLAGS / 8];
        bytes
            .iter_mut()
            .zip(flags.as_chunks::<8>().0)
            .for_each(|(byte, eight)| *byte = bits_of(*eight));
        u32::from_le_bytes(bytes)
    }

    #[inline(always)]
    fn members(seen: &[u8; FLAGS], members: Members) -> u32 {
        let mut flags = [0; FLAGS];
        flags.iter_mut().zip(seen).for_each(|(flag, &seen)| *flag = u8::from(members.has(seen)));
        Self::bits(&flags)
    }
}

#[cfg(any(test, target_arch = "x86_64"))]
impl Compress for Portable {
    #[inline(always)]
    fn compress(
        levels: &[i32; LEVELS],
        first: u32,
        entries: &mut [u32; LEVELS],
        payloads: &mut [i32; LEVELS],
    ) -> usize {
        let mut count = 0_usize;
        for (place, &level) in (first..).zip(levels) {
            // There is room for one more than those before it.
            (entries[count], payloads[count]) = (place, level);
            count = count.wrapping_add(usize::from(level != 0)) & LEVELS.wrapping_sub(1);
        }
        levels.iter().filter(|level| **level != 0).count()
    }
}

impl Products<2, 32> for Portable {
    type Sums = [i16; 16];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [0; 16]
    }

    #[inline(always)]
    fn add(mut sums: Self::Sums, weights: &[i8; 32], levels: [u8; 2]) -> Self::Sums {
        let [first, second] = levels.map(i16::from);
        for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<2>().0) {
            let products = i16::from(weights[0])
                .wrapping_mul(first)
                .wrapping_add(i16::from(weights[1]).wrapping_mul(second));
            *sum = sum.wrapping_add(products);
        }
        sums
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums) -> [i32; 16] {
        widened(sums)
    }
}

/// A loop, since the closure of a `map` would not be compiled for the instruction set.
#[inline(always)]
pub(super) fn widened<const LANES: usize>(sums: [i16; LANES]) -> [i32; LANES] {
    let mut wide = [0; LANES];
    for (wide, sum) in wide.iter_mut().zip(sums) {
        *wide = i32::from(sum);
    }
    wide
}

impl<const LANES: usize> Floats<LANES> for Portable {
    type Sums = [f32; LANES];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [0.0; LANES]
    }

    #[inline(always)]
    fn add(mut sums: Self::Sums, weights: &[f32; LANES]) -> Self::Sums {
        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
        sums
    }

    #[inline(always)]
    fn add_product(mut sums: Self::Sums, weights: &[f32; LANES], level: f32) -> Self::Sums {
        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * level);
        sums
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums) -> [f32; LANES] {
        sums
    }
}

impl Pairs<PAIRED> for Portable {
    type Sums = [i16; PAIRED];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [0; PAIRED]
    }

    #[inline(always)]
    fn add(mut sums: Self::Sums, words: &[i8; PAIRED]) -> Self::Sums {
        let (low, high) = sums.split_at_mut(PAIRED / 2);
        for ((word, low), high) in words.as_chunks::<2>().0.iter().zip(low).zip(high) {
            *low = low.wrapping_add(i16::from(word[0].cast_unsigned()));
            *high = high.wrapping_add(i16::from(word[1]));
        }
        sums
    }

    #[inline(always)]
    fn lanes(mut sums: Self::Sums, rows: usize) -> [i16; PAIRED] {
        let excess = excess(rows);
        sums[..PAIRED / 2].iter_mut().for_each(|low| *low = low.wrapping_sub(excess));
        sums
    }
}

impl<const LANES: usize> Vectors<LANES> for Portable {
    type Sums = [i16; LANES];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn add(mut sums: Self::Sums, weights: &[i8; LANES]) -> Self::Sums {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(i16::from(weight));
        }
        sums
    }

    #[inline(always)]
    fn add_product(mut sums: Self::Sums, weights: &[i8; LANES], level: i16) -> Self::Sums {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(i16::from(weight).wrapping_mul(level));
        }
        sums
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums) -> [i16; LANES] {
        sums
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use crate::deploy::kernels::x86::{Avx2, Avx512};

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn weights<const LANES: usize>(random: &mut ChaCha8Rng) -> [i8; LANES] {
        std::array::from_fn(|_| random.random_range(-127..=127))
    }

    /// Sums of rows, as the plain twin and as paired weights.
    fn sums<const LANES: usize, P: Pairs<LANES>>(rows: &[[i8; LANES]]) -> [[i16; LANES]; 2] {
        let (mut plain, mut paired) = (<Portable as Vectors<LANES>>::zero(), P::zero());
        for row in rows {
            plain = <Portable as Vectors<LANES>>::add(plain, row);
            let mut words = *row;
            pair(&mut words);
            paired = P::add(paired, &words);
        }
        [plain, P::lanes(paired, rows.len())]
    }

    #[test]
    fn paired_weights_sum_as_plain_ones_do_also_where_they_wrap() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        for count in [0, 1, 2, 255, 256, 258, 1000] {
            let rows: Vec<[i8; PAIRED]> = (0..count).map(|_| weights(&mut random)).collect();
            let extremes = vec![[-127; PAIRED]; count];
            for rows in [&rows, &extremes] {
                let [plain, portable] = sums::<PAIRED, Portable>(rows);
                assert_eq!(plain, portable);
                #[cfg(target_arch = "x86_64")]
                if snn_simd::InstructionSet::Avx2.is_available() {
                    assert_eq!(plain, sums::<PAIRED, Avx2>(rows)[1]);
                }
            }
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx512.is_available() {
                let rows: Vec<[i8; 64]> = (0..count).map(|_| weights(&mut random)).collect();
                let [plain, paired] = sums::<64, Avx512>(&rows);
                assert_eq!(plain, paired);
            }
        }
    }

    #[test]
    fn flags_are_bits_in_order() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..100 {
            let flags: [u8; FLAGS] = std::array::from_fn(|_| random.random_range(0..=1));
            let expected =
                flags.iter().rev().fold(0_u32, |bits, flag| bits << 1 | u32::from(*flag));
            assert_eq!(<Portable as Flags>::bits(&flags), expected);
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx2.is_available() {
                assert_eq!(<Avx2 as Flags>::bits(&flags), expected);
            }
        }
    }

    #[test]
    fn set_bits_are_places_in_order() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        for word in (0..200).map(|_| random.random()).chain([0, u32::MAX, 1 << 31]) {
            let expected: Vec<u32> =
                (0..32).filter(|bit| word >> bit & 1 == 1).map(|b| 7 + b).collect();
            let mut entries = [u32::MAX; FLAGS];
            let check = |count: usize, entries: &[u32; FLAGS]| {
                assert_eq!(entries[..count], expected, "{word:b}");
            };
            let count = <Portable as Flags>::places(word, 7, &mut entries);
            check(count, &entries);
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx2.is_available() {
                let count = <Avx2 as Flags>::places(word, 7, &mut entries);
                check(count, &entries);
            }
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx512.is_available() {
                let count = <Avx512 as Flags>::places(word, 7, &mut entries);
                check(count, &entries);
            }
        }
    }

    #[test]
    fn levels_that_are_not_zero_are_put_together() {
        fn compressed<C: Compress>(levels: &[i32; LEVELS], first: u32) -> (Vec<u32>, Vec<i32>) {
            let (mut entries, mut payloads) = ([7; LEVELS], [7; LEVELS]);
            let count = C::compress(levels, first, &mut entries, &mut payloads);
            (entries[..count].to_vec(), payloads[..count].to_vec())
        }
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for case in 0..200 {
            let levels: [i32; LEVELS] = match case {
                0 => [0; LEVELS],
                1 => [-3; LEVELS],
                _ => std::array::from_fn(|_| random.random_range(-2..=2)),
            };
            let active = (5..).zip(levels).filter(|(_, level)| *level != 0);
            let expected: (Vec<u32>, Vec<i32>) = active.unzip();
            assert_eq!(compressed::<Portable>(&levels, 5), expected);
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx512.is_available() {
                assert_eq!(compressed::<Avx512>(&levels, 5), expected);
            }
        }
    }

    /// Weights and levels of one row, the largest ones first.
    fn drawn<const GROUP: usize, const BYTES: usize>(
        case: usize,
        random: &mut ChaCha8Rng,
    ) -> ([i8; BYTES], [u8; GROUP]) {
        let (weights, levels) =
            (weights(random), std::array::from_fn(|_| random.random_range(0..=128)));
        match case {
            0 => ([127; BYTES], [128; GROUP]),
            1 => ([-127; BYTES], [128; GROUP]),
            _ => (weights, levels),
        }
    }

    /// Sums of one row as they should be, and as they are found.
    fn products<const GROUP: usize, const BYTES: usize, P: Products<GROUP, BYTES>>(
        weights: &[i8; BYTES],
        levels: [u8; GROUP],
    ) -> [[i32; 16]; 2] {
        let expected = std::array::from_fn(|lane| {
            let products = weights[lane * GROUP..][..GROUP].iter().zip(levels);
            products.map(|(&weight, level)| i32::from(weight) * i32::from(level)).sum()
        });
        [expected, P::lanes(P::add(P::zero(), weights, levels))]
    }

    #[test]
    fn products_of_the_largest_levels_do_not_saturate() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for case in 0..1000 {
            let (weights, levels) = drawn::<2, 32>(case, &mut random);
            let [expected, found] = products::<2, 32, Portable>(&weights, levels);
            assert_eq!(expected, found);
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx2.is_available() {
                assert_eq!(expected, products::<2, 32, Avx2>(&weights, levels)[1]);
            }
            #[cfg(target_arch = "x86_64")]
            if snn_simd::InstructionSet::Avx512Vnni.is_available() {
                let (weights, levels) = drawn::<4, 64>(case, &mut random);
                let [expected, found] = products::<4, 64, Avx512>(&weights, levels);
                assert_eq!(expected, found);
            }
        }
    }
}
