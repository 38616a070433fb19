//! Scans: their blocks and coefficients.

use super::bits::{Bits, TOO_LARGE};
use super::huffman::Huffman;
use super::{Frame, Part};

/// Bits of the greatest coefficients but the first of a picture of 8 bits (T.81, table F.2).
const AC_BITS: u32 = 10;
const TOO_MANY: &str = "a block of more than 64 coefficients";

/// A scan: which components and coefficients it has.
pub(super) struct Scan<'s> {
    pub(super) parts: &'s [Part],
    pub(super) first: u32,
    pub(super) end: u32,
    /// `true` if coefficients get one more bit.
    pub(super) refining: bool,
    /// The bit that values begin at.
    pub(super) low: u32,
}

impl Scan<'_> {
    /// Blocks in a row and rows of them, of a scan of one component alone.
    fn blocks(&self, frame: &Frame) -> [usize; 2] {
        let [horizontal, vertical] = frame.factors();
        let part = &frame.components[self.parts[0].component];
        let size = |pixels: usize, factor: usize, most: usize| {
            (pixels * factor).div_ceil(most).div_ceil(8)
        };
        [
            size(frame.width, part.horizontal, horizontal),
            size(frame.height, part.vertical, vertical),
        ]
    }

    /// What restart markers count: MCUs, or blocks of one component alone.
    pub(super) fn units(&self, frame: &Frame) -> usize {
        let [columns, rows] = if self.parts.len() == 1 { self.blocks(frame) } else { frame.mcus() };
        columns * rows
    }

    /// Reads the units of one part between restart markers.
    pub(super) fn read(
        &self,
        frame: &mut Frame,
        tables: &[[Option<Huffman>; 4]; 2],
        quantisers: &[Option<i32>; 4],
        bits: &mut Bits<'_>,
        units: std::ops::Range<usize>,
    ) -> Result<(), &'static str> {
        const NO_TABLE: &str = "a scan whose table of codes is missing";
        let alone = self.parts.len() == 1;
        let [columns, _] = if alone { self.blocks(frame) } else { frame.mcus() };
        let (mut means, mut empty) = ([0_i32; 4], 0_u32);
        let baseline = !frame.progressive;
        for unit in units {
            for (part, mean) in self.parts.iter().zip(&mut means) {
                let [dc, ac] =
                    [(0, part.dc), (1, part.ac)].map(|(kind, at)| tables[kind][at].as_ref());
                let component = &mut frame.components[part.component];
                let [across, down] =
                    if alone { [1, 1] } else { [component.horizontal, component.vertical] };
                for block in 0..across * down {
                    if self.first == 0 && !self.refining {
                        let size = dc.ok_or(NO_TABLE)?.decode(bits)?;
                        *mean = mean.wrapping_add(bits.signed(size)?);
                        // Eight times the deviation of the mean from 128, with room for rounding.
                        let step = quantisers[component.quantiser].unwrap_or(1).max(1);
                        let value = (i64::from(*mean) * i64::from(step)) << self.low;
                        if value.abs() > 2048 + 2 * i64::from(step) {
                            return Err("a block whose brightness no picture has");
                        }
                    } else if self.first == 0 {
                        bits.skip(1)?;
                    }
                    if baseline {
                        coefficients(ac.ok_or(NO_TABLE)?, bits)?;
                    } else if self.first > 0 {
                        let [x, y] = [
                            unit % columns * across + block % across,
                            unit / columns * down + block / across,
                        ];
                        let set = component.set.get_mut(y * component.stride + x);
                        let set = set.ok_or("a block outside the picture")?;
                        let ac = ac.ok_or(NO_TABLE)?;
                        if self.refining {
                            self.refine(ac, bits, set, &mut empty)?;
                        } else {
                            self.begin(ac, bits, set, &mut empty)?;
                        }
                    }
                }
            }
        }
        if empty > 0 { Err("more empty blocks than the picture has") } else { Ok(()) }
    }

    /// The coefficients of a block for the first time (T.81, G.1.2.2).
    fn begin(
        &self,
        ac: &Huffman,
        bits: &mut Bits<'_>,
        set: &mut u64,
        empty: &mut u32,
    ) -> Result<(), &'static str> {
        if *empty > 0 {
            *empty -= 1;
            return Ok(());
        }
        let mut at = self.first;
        while at <= self.end {
            let code = ac.decode(bits)?;
            let (run, size) = (code >> 4, code & 15);
            if size > 0 {
                at += run;
                if at > self.end || size > AC_BITS {
                    return Err(if size > AC_BITS { TOO_LARGE } else { TOO_MANY });
                }
                *set |= 1 << at;
                bits.skip(size)?;
                at += 1;
            } else if run == 15 {
                at += 16;
            } else {
                *empty = (1 << run) - 1 + bits.take(run)?;
                break;
            }
        }
        Ok(())
    }

    /// One more bit of the coefficients of a block (T.81, G.1.2.3).
    fn refine(
        &self,
        ac: &Huffman,
        bits: &mut Bits<'_>,
        set: &mut u64,
        empty: &mut u32,
    ) -> Result<(), &'static str> {
        let mut at = self.first;
        while *empty == 0 && at <= self.end {
            let code = ac.decode(bits)?;
            let (mut run, size) = (code >> 4, code & 15);
            match size {
                0 if run < 15 => {
                    *empty = (1 << run) + bits.take(run)?;
                    break;
                }
                0 => {}
                1 => bits.skip(1)?,
                _ => return Err("a step of a coefficient that is no bit"),
            }
            while at <= self.end {
                if *set >> at & 1 == 1 {
                    bits.skip(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if size == 1 {
                if at > self.end {
                    return Err(TOO_MANY);
                }
                *set |= 1 << at;
            }
            at += 1;
        }
        if *empty > 0 {
            if at <= self.end {
                let rest = *set >> at << at & (u64::MAX >> (63 - self.end));
                (0..rest.count_ones()).try_for_each(|_| bits.skip(1))?;
            }
            *empty -= 1;
        }
        Ok(())
    }
}

/// The coefficients of a block but the first (T.81, F.2.2.2).
fn coefficients(ac: &Huffman, bits: &mut Bits<'_>) -> Result<(), &'static str> {
    let mut at = 1;
    while at < 64 {
        let code = ac.decode(bits)?;
        let (run, size) = (code >> 4, code & 15);
        if size == 0 {
            if run != 15 {
                break;
            }
            at += 16;
            continue;
        }
        at += run;
        if at > 63 || size > AC_BITS {
            return Err(if size > AC_BITS { TOO_LARGE } else { TOO_MANY });
        }
        bits.skip(size)?;
        at += 1;
    }
    Ok(())
}
