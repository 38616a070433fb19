//! Structure of a JPEG file: its segments, and whether every scan decodes to its end.
//!
//! Decoders show what they can of a damaged file: blocks of wrong colours, or grey from the damage
//! on. Here the Huffman codes of every scan are read without making pixels of them (ITU T.81,
//! annexes F and G): a scan is whole if its codes are valid, each block has at most 64
//! coefficients, its mean brightness is one that 8 bits can have, and the data end where the last
//! block does. Bytes between segments that belong to none, which some programs write, are left out.

mod bits;
mod huffman;
mod scan;

use bits::Bits;
use huffman::Huffman;
use scan::Scan;
use std::borrow::Cow;

const TRUNCATED: &str = "the JPEG data end without an end marker: the file is truncated";
/// More scans than this are no picture.
const MAX_SCANS: usize = 100;

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pictures) struct Fault {
    pub(in crate::pictures) at: usize,
    pub(in crate::pictures) what: String,
}

/// The file without bytes between its segments, if all of it is whole.
///
/// Files that decoders refuse by their headers alone (other kinds of compression, more than 8 bits)
/// are returned as they are, and so are those of more pixels than `most`.
pub(in crate::pictures) fn whole(bytes: &[u8], most: usize) -> Result<Cow<'_, [u8]>, Fault> {
    Walk { bytes, at: 2, clean: None, most, ..Walk::default() }.run()
}

#[derive(Default)]
struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
    /// The file so far, once something was left out.
    clean: Option<Vec<u8>>,
    most: usize,
    frame: Option<Frame>,
    /// Tables of DC and AC codes.
    tables: [[Option<Huffman>; 4]; 2],
    /// The first entry of each table of divisors.
    quantisers: [Option<i32>; 4],
    /// MCUs between restart markers; 0 for none.
    interval: usize,
    scans: usize,
    unstuffed: Vec<u8>,
}

struct Frame {
    width: usize,
    height: usize,
    progressive: bool,
    components: Vec<Component>,
}

struct Component {
    id: u8,
    horizontal: usize,
    vertical: usize,
    quantiser: usize,
    /// Blocks in a row, padded to whole MCUs.
    stride: usize,
    /// Of progressive files: one bit for each coefficient of each block that is not zero.
    set: Vec<u64>,
    /// `true` once a scan had its mean brightness.
    seen: bool,
}

/// One of the parts of a scan.
#[derive(Clone, Copy)]
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
}

impl<'b> Walk<'b> {
    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { at: self.at, what: what.into() })
    }

    fn run(mut self) -> Result<Cow<'b, [u8]>, Fault> {
        loop {
            let marker = self.marker()?;
            match marker {
                0xD9 => break,
                // Markers without a segment: a beginning, restarts that no scan expects.
                0x01 | 0xD0..=0xD8 => continue,
                _ => {}
            }
            let segment = self.segment()?;
            match marker {
                0xC4 => self.huffman(segment)?,
                0xDB => self.divisors(segment),
                0xDD => {
                    let interval = segment.try_into().map(u16::from_be_bytes);
                    self.interval = interval.map_or(self.interval, usize::from);
                }
                0xC0..=0xC2 if self.frame(segment, marker == 0xC2)? => {}
                // Frames that it does not follow: lossless, hierarchical and arithmetic ones.
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    return Ok(Cow::Borrowed(self.bytes));
                }
                0xDA => self.scan(segment)?,
                _ => {}
            }
        }
        let missing = |frame: &Frame| frame.components.iter().position(|part| !part.seen);
        match self.frame.as_ref().map(missing) {
            Some(None) => Ok(self.clean.map_or(Cow::Borrowed(self.bytes), Cow::Owned)),
            Some(Some(part)) => self.fault(format!("no data of colour channel {part}")),
            None => self.fault("an end marker before any picture"),
        }
    }

    /// The next marker, whatever bytes stand before it.
    fn marker(&mut self) -> Result<u8, Fault> {
        let (bytes, start) = (self.bytes, self.at);
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(skipped) = rest.iter().position(|&byte| byte == 0xFF) else {
                self.at = bytes.len();
                return self.fault(TRUNCATED);
            };
            self.at += skipped;
            let fill = bytes[self.at..].iter().take_while(|&&byte| byte == 0xFF).count();
            self.at += fill;
            match bytes.get(self.at) {
                // A stuffed byte is no marker.
                Some(0) => self.at += 1,
                Some(&marker) => {
                    self.at += 1;
                    if self.at - start > 2 {
                        self.clean.get_or_insert_with(|| bytes[..start].to_vec());
                    }
                    if let Some(clean) = &mut self.clean {
                        clean.extend([0xFF, marker]);
                    }
                    return Ok(marker);
                }
                None => {}
            }
        }
    }

    /// What belongs to a marker: a length that counts itself, and so many bytes.
    fn segment(&mut self) -> Result<&'b [u8], Fault> {
        let bytes = self.bytes;
        let length = bytes.get(self.at..).and_then(<[u8]>::first_chunk);
        let length = length.map_or(0, |&length| usize::from(u16::from_be_bytes(length)));
        let Some(segment) = bytes.get(self.at..self.at + length).filter(|_| length >= 2) else {
            return self.fault("a segment that goes beyond the file: the file is truncated");
        };
        if let Some(clean) = &mut self.clean {
            clean.extend(segment);
        }
        self.at += length;
        Ok(&segment[2..])
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Result<(), Fault> {
        while let Some((&[place, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            let table = rest.get(..count).and_then(|values| Huffman::new(counts, values));
            let slot = self.tables.get_mut(usize::from(place >> 4));
            let slot = slot.and_then(|tables| tables.get_mut(usize::from(place & 15)));
            let (Some(table), Some(slot)) = (table, slot) else {
                return self.fault("a table of codes that is none");
            };
            *slot = Some(table);
            segment = &rest[count..];
        }
        Ok(())
    }

    fn divisors(&mut self, mut segment: &[u8]) {
        while let [place, rest @ ..] = segment {
            let (bytes, first) = match (place >> 4, rest) {
                (0, &[first, ..]) => (64, i32::from(first)),
                (_, &[high, low, ..]) => (128, i32::from(u16::from_be_bytes([high, low]))),
                _ => return,
            };
            if let Some(slot) = self.quantisers.get_mut(usize::from(place & 15)) {
                *slot = Some(first);
            }
            segment = rest.get(bytes..).unwrap_or_default();
        }
    }

    /// Takes the size and the components; `false` where decoding is not for this reader.
    fn frame(&mut self, segment: &[u8], progressive: bool) -> Result<bool, Fault> {
        let Some((&[precision, h0, h1, w0, w1, count], rest)) = segment.split_first_chunk() else {
            return self.fault("a frame header that is too short");
        };
        let height = usize::from(u16::from_be_bytes([h0, h1]));
        let width = usize::from(u16::from_be_bytes([w0, w1]));
        let (parts, _) = rest.as_chunks::<3>();
        let small = (1..=self.most).contains(&(width * height));
        let sampled =
            |part: &[u8; 3]| (1..=4).contains(&(part[1] >> 4)) && (1..=4).contains(&(part[1] & 15));
        let parts = parts.get(..usize::from(count)).unwrap_or_default();
        let known = precision == 8 && small && self.frame.is_none();
        if !known || parts.is_empty() || parts.len() > 4 || !parts.iter().all(sampled) {
            return Ok(false);
        }
        let components = parts.iter().map(|&[id, factors, quantiser]| Component {
            id,
            horizontal: usize::from(factors >> 4),
            vertical: usize::from(factors & 15),
            quantiser: usize::from(quantiser & 3),
            stride: 0,
            set: Vec::new(),
            seen: false,
        });
        let mut frame = Frame { width, height, progressive, components: components.collect() };
        let [columns, rows] = frame.mcus();
        for component in &mut frame.components {
            component.stride = columns * component.horizontal;
            if progressive {
                component.set = vec![0; component.stride * rows * component.vertical];
            }
        }
        self.frame = Some(frame);
        Ok(true)
    }

    fn scan(&mut self, segment: &[u8]) -> Result<(), Fault> {
        self.scans += 1;
        let Some(mut frame) = self.frame.take() else {
            return self.fault("a scan before the frame header");
        };
        let scanned = self.scan_of(&mut frame, segment);
        self.frame = Some(frame);
        scanned
    }

    fn scan_of(&mut self, frame: &mut Frame, segment: &[u8]) -> Result<(), Fault> {
        let [count, rest @ ..] = segment else { return self.fault("an empty scan header") };
        let (pairs, last) = rest.split_at_checked(2 * usize::from(*count)).unwrap_or_default();
        let (pairs, _) = pairs.as_chunks::<2>();
        let find = |&[id, tables]: &[u8; 2]| {
            let component = frame.components.iter().position(|part| part.id == id)?;
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            (dc < 4 && ac < 4).then_some(Part { component, dc, ac })
        };
        let parts: Option<Vec<Part>> = pairs.iter().map(find).collect();
        let (Some(parts), &[first, end, bits]) = (parts.filter(|parts| !parts.is_empty()), last)
        else {
            return self.fault("a scan header that does not fit the frame header");
        };
        let (first, end) = if frame.progressive { (first, end) } else { (0, 63) };
        if first > end || end > 63 || self.scans > MAX_SCANS || parts.len() > 4 {
            return self.fault("a scan header that makes no sense");
        }
        let (high, low) = (bits >> 4, bits & 15);
        let scan = Scan {
            parts: &parts,
            first: u32::from(first),
            end: u32::from(end),
            refining: frame.progressive && high > 0,
            low: if frame.progressive { u32::from(low) } else { 0 },
        };
        if frame.progressive && first > 0 && parts.len() > 1 {
            return self.fault("coefficients of several colour channels in one scan");
        }
        let total = scan.units(frame);
        let each = if self.interval == 0 { total } else { self.interval };
        let (mut done, mut restart) = (0, 0);
        loop {
            let start = self.at;
            let Some(marker) = self.entropy_coded() else {
                return self.fault(TRUNCATED);
            };
            let bits = &mut Bits::new(&self.unstuffed);
            let units = done..total.min(done + each);
            done = units.end;
            let tables = &self.tables;
            if let Err(what) = scan.read(frame, tables, &self.quantisers, bits, units) {
                // Stuffed bytes are few: near enough to find the place.
                return Err(Fault { at: start + bits.place(), what: what.into() });
            }
            if !bits.only_filler_left() {
                let at = start + bits.place();
                return Err(Fault { at, what: "data after the last block of a scan".into() });
            }
            if done == total {
                break;
            }
            if marker != 0xD0 + restart {
                return self.fault("a scan that ends before its last block");
            }
            restart = (restart + 1) % 8;
            self.marker()?;
        }
        for part in &parts {
            frame.components[part.component].seen |= first == 0;
        }
        Ok(())
    }

    /// Goes to the marker that ends the coded data and returns it; `None` at the end of the file.
    /// The data are in `unstuffed` then.
    fn entropy_coded(&mut self) -> Option<u8> {
        self.unstuffed.clear();
        let start = self.at;
        let mut rest = &self.bytes[start..];
        let marker = loop {
            let Some(next) = rest.iter().position(|&byte| byte == 0xFF) else {
                self.unstuffed.extend(rest);
                break None;
            };
            self.unstuffed.extend(&rest[..next]);
            rest = &rest[next..];
            match rest.iter().position(|&byte| byte != 0xFF).map(|place| (place, rest[place])) {
                Some((1, 0)) => {
                    self.unstuffed.push(0xFF);
                    rest = &rest[2..];
                }
                // Several of them and a zero: filler, and nothing that ends the data.
                Some((place, 0)) => rest = &rest[place + 1..],
                found => break found.map(|(_, marker)| marker),
            }
        };
        self.at = self.bytes.len() - rest.len();
        if marker.is_none() {
            self.at = self.bytes.len();
        }
        if let Some(clean) = &mut self.clean {
            clean.extend(&self.bytes[start..self.at]);
        }
        marker
    }
}

impl Frame {
    /// MCUs in a row, and rows of them.
    fn mcus(&self) -> [usize; 2] {
        let [horizontal, vertical] = self.factors();
        [self.width.div_ceil(8 * horizontal), self.height.div_ceil(8 * vertical)]
    }

    /// The greatest sampling factors.
    fn factors(&self) -> [usize; 2] {
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        [most(|part| part.horizontal), most(|part| part.vertical)]
    }
}
