//! Event lists from the flags of neurons.

use crate::deploy::events::LineMut;
use crate::deploy::events::step_tree::Members;
#[cfg(target_arch = "x86_64")]
use crate::deploy::kernels::vectors::{Avx2, Avx512, Compress, LEVELS};
use crate::deploy::kernels::vectors::{FLAGS, Flags, Portable};
use snn_simd::compiled;

compiled! {
    /// Fills a line from flags, one a channel, that are 0 or 1.
    pub(crate) fn spikes(flags: &[u8], channels: usize, line: &mut LineMut<'_>) =
        push_spikes::<Portable>, spikes_with_avx2, spikes_with_avx512;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn spikes_with_avx2(flags: &[u8], channels: usize, line: &mut LineMut<'_>) {
    push_spikes::<Avx2>(flags, channels, line);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn spikes_with_avx512(flags: &[u8], channels: usize, line: &mut LineMut<'_>) {
    push_spikes::<Avx512>(flags, channels, line);
}

#[inline(always)]
fn push_spikes<V: Flags>(flags: &[u8], channels: usize, line: &mut LineMut<'_>) {
    push::<V>(flags, channels, line, V::bits, |flag| flag);
}

compiled! {
    /// Fills a line from the steps at which each channel is active: those that are in a list.
    pub(crate) fn members(seen: &[u8], members: Members, channels: usize, line: &mut LineMut<'_>) =
        push_members::<Portable>, members_with_avx2, members_with_avx512;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn members_with_avx2(seen: &[u8], members: Members, channels: usize, line: &mut LineMut<'_>) {
    push_members::<Avx2>(seen, members, channels, line);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn members_with_avx512(seen: &[u8], members: Members, channels: usize, line: &mut LineMut<'_>) {
    push_members::<Avx512>(seen, members, channels, line);
}

#[inline(always)]
fn push_members<V: Flags>(seen: &[u8], members: Members, channels: usize, line: &mut LineMut<'_>) {
    push::<V>(
        seen,
        channels,
        line,
        |word| V::members(word, members),
        |seen| u8::from(members.has(seen)),
    );
}

/// Fills a line from values, one a channel, that are made bits 32 or eight at a time.
#[inline(always)]
fn push<V: Flags>(
    values: &[u8],
    channels: usize,
    line: &mut LineMut<'_>,
    bits: impl Fn(&[u8; FLAGS]) -> u32,
    flag: impl Fn(u8) -> u8,
) {
    let mut filling = line.lend();
    let mut base = 0_usize;
    for values in values.chunks_exact(channels) {
        let (words, rest) = values.as_chunks::<FLAGS>();
        for word in words {
            filling.push_word::<V>(bits(word), base);
            base = base.wrapping_add(FLAGS);
        }
        for_each_byte(rest, &flag, |bits, channel| {
            filling.push_bits(bits, base.wrapping_add(channel));
        });
        base = base.wrapping_add(rest.len());
        filling.end_position();
    }
    let counts = filling.counts();
    line.resume(counts);
}

compiled! {
    /// Fills a line from levels, one a channel, and the flags of those that are not zero.
    pub(crate) fn levels(levels: &[i32], flags: &[u8], channels: usize, line: &mut LineMut<'_>) =
        push_levels, push_levels, levels_with_avx512;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn levels_with_avx512(levels: &[i32], flags: &[u8], channels: usize, line: &mut LineMut<'_>) {
    if channels.is_multiple_of(LEVELS) {
        compress_levels::<Avx512>(levels, channels, line);
    } else {
        push_levels(levels, flags, channels, line);
    }
}

/// In vectors, of which every position has whole ones.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn compress_levels<C: Compress>(levels: &[i32], channels: usize, line: &mut LineMut<'_>) {
    let mut filling = line.lend();
    let mut base = 0_usize;
    for levels in levels.chunks_exact(channels) {
        for levels in levels.as_chunks::<LEVELS>().0 {
            filling.push_levels::<C>(levels, base);
            base = base.wrapping_add(LEVELS);
        }
        filling.end_position();
    }
    let counts = filling.counts();
    line.resume(counts);
}

#[inline(always)]
fn push_levels(levels: &[i32], flags: &[u8], channels: usize, line: &mut LineMut<'_>) {
    for (position, flags) in flags.chunks_exact(channels).enumerate() {
        for_each_byte(
            flags,
            |flag| flag,
            |mut bits, channel| {
                while bits != 0 {
                    let entry = position
                        .wrapping_mul(channels)
                        .wrapping_add(channel)
                        .wrapping_add(bits.trailing_zeros() as usize);
                    line.push(entry, levels[entry]);
                    bits &= bits.wrapping_sub(1);
                }
            },
        );
        line.end_position();
    }
}

/// Values as bits, by their flags, eight at a time, with the channel of the first.
#[inline(always)]
fn for_each_byte(values: &[u8], flag: impl Fn(u8) -> u8, mut visit: impl FnMut(u8, usize)) {
    let (eights, rest) = values.as_chunks::<8>();
    for (i, eight) in eights.iter().enumerate() {
        visit(bits_of(flags(*eight, &flag)), i.wrapping_mul(8));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        visit(bits_of(flags(last, &flag)), values.len().wrapping_sub(rest.len()));
    }
}

/// A loop, since the closure of a `map` would not be compiled for the instruction set.
#[inline(always)]
fn flags(mut values: [u8; 8], flag: impl Fn(u8) -> u8) -> [u8; 8] {
    for value in &mut values {
        *value = flag(*value);
    }
    values
}

/// Eight flags as bits, the first the lowest.
#[inline(always)]
pub(super) fn bits_of(flags: [u8; 8]) -> u8 {
    /// Moves the lowest bit of byte i to bit 56 + i.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    u64::from_le_bytes(flags).wrapping_mul(GATHER).to_le_bytes()[7]
}
