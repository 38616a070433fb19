//! AMX: eight registers of 16 rows of 64 bytes, and products of them.
//!
//! Stable Rust has no intrinsics for AMX, so the instructions are written out, one in each `asm!`.
//! What a register holds stays from one to the next, since the compiler itself has no use for
//! tiles: it neither keeps values in them nor saves them around calls.
//!
//! Whatever the tiles are configured to, memory stays safe: no configuration reads or writes more
//! than 16 rows of 64 bytes.
#![expect(unsafe_code, reason = "instructions of the machine")]

use super::rows::ByteRows;
use super::types::{BytePair, ByteSums, Pair, SIDE, Sums};
use crate::amx::is_detected;
use std::arch::asm;
use std::cell::Cell;

/// Values of a tile.
const TILE: usize = 512;
/// Sums of a tile.
const QUARTER: usize = 256;

/// The tile registers of this thread, each of 16 rows of 64 bytes until it is dropped; the proof
/// that AMX and AVX-512 are there. There is one at a time.
#[derive(Debug)]
pub(super) struct Configured(());

thread_local! {
    static IS_CONFIGURED: Cell<bool> = const { Cell::new(false) };
}

/// The operand of `LDTILECFG`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_a_row: [u16; 16],
    rows: [u8; 16],
}

impl Configured {
    /// `None` where AMX was not detected, or the tiles of this thread have an owner.
    pub(super) fn new() -> Option<Self> {
        if !is_detected() || IS_CONFIGURED.replace(true) {
            return None;
        }
        let mut configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_of_a_row: [0; 16],
            rows: [0; 16],
        };
        configuration.bytes_of_a_row[..8].fill(64);
        configuration.rows[..8].fill(16);
        // SAFETY: AMX is available, and the configuration is one that palette 1 has.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const configuration,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags)
            );
        }
        Some(Self(()))
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        IS_CONFIGURED.set(false);
        // SAFETY: AMX is available.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nomem, nostack, preserves_flags)
            );
        }
    }
}

/// Sets a register to zeros.
macro_rules! zero {
    ($($tile:tt)*) => {
        $(asm!(
            concat!("tilezero ", $tile),
            out($tile) _,
            options(nomem, nostack, preserves_flags)
        );)*
    };
}

/// Loads a register from 16 rows of 64 bytes, one behind the other or so many bytes apart.
macro_rules! load {
    ($tile:tt, $from:expr) => {
        load!($tile, $from, 64_usize)
    };
    ($tile:tt, $from:expr, $stride:expr) => {
        asm!(
            concat!("tileloadd ", $tile, ", [{from} + {stride}]"),
            from = in(reg) $from,
            stride = in(reg) $stride,
            out($tile) _,
            options(readonly, nostack, preserves_flags)
        )
    };
}

/// Stores a register to 16 rows of 64 bytes, one behind the other or so many bytes apart.
macro_rules! store {
    ($tile:tt, $to:expr) => {
        store!($tile, $to, 64_usize)
    };
    ($tile:tt, $to:expr, $stride:expr) => {
        asm!(
            concat!("tilestored [{to} + {stride}], ", $tile),
            to = in(reg) $to,
            stride = in(reg) $stride,
            options(nostack, preserves_flags)
        )
    };
}

/// Adds the product of two registers to a third.
macro_rules! multiply {
    ($sum:tt, $left:tt, $right:tt) => {
        asm!(
            concat!("tdpbf16ps ", $sum, ", ", $left, ", ", $right),
            out($sum) _,
            options(nomem, nostack, preserves_flags)
        )
    };
}

/// Adds the product of two registers of bytes, the left ones without a sign, to a third.
macro_rules! multiply_bytes {
    ($sum:tt, $left:tt, $right:tt) => {
        asm!(
            concat!("tdpbusd ", $sum, ", ", $left, ", ", $right),
            out($sum) _,
            options(nomem, nostack, preserves_flags)
        )
    };
}

/// Adds products to the registers 0 to 3.
#[inline]
fn multiply_steps<'p>(_: &mut Configured, steps: impl Iterator<Item = (&'p Pair, &'p Pair)>) {
    for (a, b) in steps {
        let (a, b) = (a.0.as_ptr(), b.0.as_ptr());
        // SAFETY: this thread has configured its tiles; each pair has 2,048 bytes.
        unsafe {
            load!("tmm4", a);
            load!("tmm6", b);
            load!("tmm5", a.add(TILE));
            load!("tmm7", b.add(TILE));
            multiply!("tmm0", "tmm4", "tmm6");
            multiply!("tmm1", "tmm4", "tmm7");
            multiply!("tmm2", "tmm5", "tmm6");
            multiply!("tmm3", "tmm5", "tmm7");
        }
    }
}

#[inline]
fn store_sums(_: &mut Configured, sums: &mut Sums) {
    let to = sums.0.as_mut_ptr();
    // SAFETY: as above; four tiles of sums.
    unsafe {
        store!("tmm0", to);
        store!("tmm1", to.add(QUARTER));
        store!("tmm2", to.add(2 * QUARTER));
        store!("tmm3", to.add(3 * QUARTER));
    }
}

#[inline]
pub(super) fn sum<'p>(
    tiles: &mut Configured,
    steps: impl Iterator<Item = (&'p Pair, &'p Pair)>,
    sums: &mut Sums,
) {
    // SAFETY: this thread has configured its tiles.
    unsafe {
        zero!("tmm0" "tmm1" "tmm2" "tmm3");
    }
    multiply_steps(tiles, steps);
    store_sums(tiles, sums);
}

#[inline]
pub(super) fn add<'p>(
    tiles: &mut Configured,
    steps: impl Iterator<Item = (&'p Pair, &'p Pair)>,
    sums: &mut Sums,
) {
    let from = sums.0.as_ptr();
    // SAFETY: this thread has configured its tiles; four tiles of sums.
    unsafe {
        load!("tmm0", from);
        load!("tmm1", from.add(QUARTER));
        load!("tmm2", from.add(2 * QUARTER));
        load!("tmm3", from.add(3 * QUARTER));
    }
    multiply_steps(tiles, steps);
    store_sums(tiles, sums);
}

/// Half of the rows of `a` at a time, so that the sums of three neighbours fill six registers.
#[inline]
pub(super) fn add_neighbours<'p>(
    _: &mut Configured,
    rows: &(impl Iterator<Item = (&'p [Pair], &'p [Pair])> + Clone),
    padding: usize,
    sums: &mut [Sums; 3],
) {
    for half in 0..2 {
        let at = sums.each_mut().map(|sums| sums.0[2 * half * QUARTER..].as_mut_ptr());
        // SAFETY: this thread has configured its tiles; two tiles of sums each.
        unsafe {
            load!("tmm0", at[0]);
            load!("tmm1", at[0].add(QUARTER));
            load!("tmm2", at[1]);
            load!("tmm3", at[1].add(QUARTER));
            load!("tmm4", at[2]);
            load!("tmm5", at[2].add(QUARTER));
        }
        for (a, b) in rows.clone() {
            for (i, a) in a.iter().enumerate() {
                // A neighbour before the first is as far out as one behind the last.
                let neighbour = |s: usize| b.get(i.wrapping_add(padding).wrapping_sub(s));
                // SAFETY: as above; pairs of tiles.
                unsafe {
                    load!("tmm6", a.0[half * TILE..].as_ptr());
                    if let Some(b) = neighbour(0) {
                        load!("tmm7", b.0.as_ptr());
                        multiply!("tmm0", "tmm6", "tmm7");
                        load!("tmm7", b.0[TILE..].as_ptr());
                        multiply!("tmm1", "tmm6", "tmm7");
                    }
                    if let Some(b) = neighbour(1) {
                        load!("tmm7", b.0.as_ptr());
                        multiply!("tmm2", "tmm6", "tmm7");
                        load!("tmm7", b.0[TILE..].as_ptr());
                        multiply!("tmm3", "tmm6", "tmm7");
                    }
                    if let Some(b) = neighbour(2) {
                        load!("tmm7", b.0.as_ptr());
                        multiply!("tmm4", "tmm6", "tmm7");
                        load!("tmm7", b.0[TILE..].as_ptr());
                        multiply!("tmm5", "tmm6", "tmm7");
                    }
                }
            }
        }
        // SAFETY: as above.
        unsafe {
            store!("tmm0", at[0]);
            store!("tmm1", at[0].add(QUARTER));
            store!("tmm2", at[1]);
            store!("tmm3", at[1].add(QUARTER));
            store!("tmm4", at[2]);
            store!("tmm5", at[2].add(QUARTER));
        }
    }
}

/// `sums = Σ a·b`, of so many tiles of columns: 1 or 2.
#[inline]
pub(super) fn sum_bytes<'p>(
    _: &mut Configured,
    a: &ByteRows<'_>,
    steps: impl Iterator<Item = (usize, &'p BytePair)>,
    tiles: usize,
    sums: &mut ByteSums,
) {
    /// Bytes of a tile.
    const BYTES: usize = 1024;
    let stride = a.stride;
    // SAFETY: this thread has configured its tiles.
    unsafe {
        zero!("tmm0" "tmm1" "tmm2" "tmm3");
    }
    match (a.tiles, tiles) {
        (2, 2) => {
            for (place, b) in steps {
                let (first, second) = (a.tile(0, place).as_ptr(), a.tile(1, place).as_ptr());
                let b = b.0.as_ptr();
                // SAFETY: as above; `tile` has checked that 16 rows are inside from there on, and
                // each pair has 2,048 bytes.
                unsafe {
                    load!("tmm4", first, stride);
                    load!("tmm6", b);
                    multiply_bytes!("tmm0", "tmm4", "tmm6");
                    load!("tmm5", second, stride);
                    multiply_bytes!("tmm2", "tmm5", "tmm6");
                    load!("tmm7", b.add(BYTES));
                    multiply_bytes!("tmm1", "tmm4", "tmm7");
                    multiply_bytes!("tmm3", "tmm5", "tmm7");
                }
            }
        }
        (2, _) => {
            for (place, b) in steps {
                let (first, second) = (a.tile(0, place).as_ptr(), a.tile(1, place).as_ptr());
                // SAFETY: as above.
                unsafe {
                    load!("tmm6", b.0.as_ptr());
                    load!("tmm4", first, stride);
                    multiply_bytes!("tmm0", "tmm4", "tmm6");
                    load!("tmm5", second, stride);
                    multiply_bytes!("tmm2", "tmm5", "tmm6");
                }
            }
        }
        (_, 2) => {
            for (place, b) in steps {
                let b = b.0.as_ptr();
                // SAFETY: as above.
                unsafe {
                    load!("tmm4", a.tile(0, place).as_ptr(), stride);
                    load!("tmm6", b);
                    multiply_bytes!("tmm0", "tmm4", "tmm6");
                    load!("tmm7", b.add(BYTES));
                    multiply_bytes!("tmm1", "tmm4", "tmm7");
                }
            }
        }
        _ => {
            for (place, b) in steps {
                // SAFETY: as above.
                unsafe {
                    load!("tmm4", a.tile(0, place).as_ptr(), stride);
                    load!("tmm6", b.0.as_ptr());
                    multiply_bytes!("tmm0", "tmm4", "tmm6");
                }
            }
        }
    }
    let to = sums.0.as_mut_ptr();
    // SAFETY: as above; 32 rows of 32 sums.
    unsafe {
        store!("tmm0", to, 4 * SIDE);
        store!("tmm1", to.add(16), 4 * SIDE);
        store!("tmm2", to.add(16 * SIDE), 4 * SIDE);
        store!("tmm3", to.add(16 * SIDE + 16), 4 * SIDE);
    }
}
