//! AEDAT 4 (iniVation's DV): a header in FlatBuffers with an XML text about its streams, then
//! packets, each a FlatBuffers table, packed or not. The first stream of events is read. The origin
//! is the upper left corner.

use super::bytes::ByteSource;
use super::flat::Buffer;
use super::{Event, Events, ReadOptions, SensorSize};
use crate::{OnDamage, Result};
use std::io::Read;

pub(super) const MAGIC: &[u8] = b"#!AER-DAT4.0\r\n";
/// The header is XML of a few kilobytes.
const MAX_HEADER: usize = 1 << 22;
/// A packet is what a camera sent within a few milliseconds: megabytes at most.
const MAX_PACKET: usize = 1 << 26;
/// Bytes of an event: time (64 bits), x, y (16 bits), polarity, and three of padding.
const EVENT_BYTES: usize = 16;

/// How packets are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Lz4,
    Zstd,
}

#[derive(Debug)]
pub(super) struct Decoder {
    compression: Compression,
    stream: i32,
    /// Where packets end and the table of them begins, if there is one.
    end: Option<u64>,
    /// `true` once the file ended before that.
    cut: bool,
    forgiving: bool,
    pub(super) skipped: u64,
    unpacked: Vec<u8>,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        source.exact(MAGIC.len(), "header")?;
        let length = length(source, "header", MAX_HEADER)?;
        let path = source.path().to_owned();
        let offset = source.offset();
        let wrong = |field: &'static str, expected: &str, found: String| crate::Error::Parse {
            path: path.clone(),
            offset,
            field,
            expected: expected.to_owned(),
            found,
        };
        let bytes = source.exact(length, "header")?;
        let header = Buffer(bytes)
            .root(*b"IOHE")
            .ok_or_else(|| wrong("header", "a FlatBuffers table `IOHE`", "other bytes".into()))?;
        let compression = match header.i32(0).unwrap_or(0) {
            0 => Compression::None,
            1 | 2 => Compression::Lz4,
            3 | 4 => Compression::Zstd,
            other => {
                return Err(wrong(
                    "compression",
                    "0 (none), 1, 2 (LZ4), 3 or 4 (Zstandard)",
                    other.to_string(),
                ));
            }
        };
        let end = header.i64(1).and_then(|end| u64::try_from(end).ok());
        // Where the header ends; a table of packets cannot lie before it, and −1 or 0 is none.
        let start = offset + length as u64;
        let end = end.filter(|&end| end >= start);
        let xml = header
            .vector(2, 1)
            .ok_or_else(|| wrong("header", "an XML text about the streams", "none".into()))?;
        let xml = std::str::from_utf8(xml)
            .map_err(|error| wrong("header", "XML in UTF-8", error.to_string()))?;
        let (stream, size) = event_stream(xml).map_err(|found| {
            wrong("header", "XML with a stream of type EVTS and its `sizeX` and `sizeY`", found)
        })?;
        let forgiving = options.on_damage == OnDamage::Skip;
        let start = Self {
            compression,
            stream,
            end,
            cut: false,
            forgiving,
            skipped: 0,
            unpacked: Vec::new(),
        };
        Ok((start, size))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let at_end = source.fill(1)?.is_empty();
        match self.end {
            Some(end) if source.offset() >= end => return Ok(false),
            // Cut between two packets: only the header tells.
            Some(end) if at_end && !self.cut => {
                self.cut = true;
                let expected = format!("packets up to byte {end}, as the header says");
                source.cut(source.error("packet", expected, "the end"))?;
                return Ok(false);
            }
            _ if at_end => return Ok(false),
            _ => {}
        }
        let Some(head) = source.whole(8, "stream and size of a packet")? else {
            self.cut = true;
            return Ok(false);
        };
        let [s0, s1, s2, s3, l0, l1, l2, l3] = *head.first_chunk().unwrap_or(&[0; 8]);
        let stream = i32::from_le_bytes([s0, s1, s2, s3]);
        let length =
            in_range(source, i32::from_le_bytes([l0, l1, l2, l3]), "size of a packet", MAX_PACKET)?;
        let place = source.error("packet", "", "");
        let Some(packed) = source.whole(length, "packet")? else {
            self.cut = true;
            return Ok(false);
        };
        if stream != self.stream {
            return Ok(true);
        }
        let wrong = |expected: String, found: String| match place {
            crate::Error::Parse { path, offset, field, .. } => {
                crate::Error::Parse { path, offset, field, expected, found }
            }
            other => other,
        };
        let unpacked = match unpack(self.compression, packed, &mut self.unpacked) {
            Ok(unpacked) => unpacked,
            Err(found) => {
                let compression = self.compression;
                let expected =
                    format!("{compression:?} data that unpack to {MAX_PACKET} bytes at most");
                source.cut(wrong(expected, found))?;
                return Ok(true);
            }
        };
        match append(unpacked, events, self.forgiving) {
            Ok(Outside { count: 0, .. }) => {}
            Ok(Outside { count, first: (x, y) }) => {
                let expected = format!("events on a sensor of {}", events.size);
                source.outside(count, wrong(expected, format!("({x}, {y})")))?;
            }
            Err((expected, found)) => source.cut(wrong(expected, found))?,
        }
        Ok(true)
    }
}

/// A length of 32 bits, at most `most`.
fn length(source: &mut ByteSource, field: &'static str, most: usize) -> Result<usize> {
    let length = i32::from_le_bytes(*source.exact(4, field)?.first_chunk().unwrap_or(&[0; 4]));
    in_range(source, length, field, most)
}

fn in_range(source: &ByteSource, length: i32, field: &'static str, most: usize) -> Result<usize> {
    match usize::try_from(length) {
        Ok(length) if length <= most => Ok(length),
        _ => Err(source.error(field, format!("0 to {most} bytes"), length)),
    }
}

/// Number and sensor of the first stream of events.
fn event_stream(xml: &str) -> Result<(i32, SensorSize), String> {
    let options = roxmltree::ParsingOptions { nodes_limit: 100_000, ..Default::default() };
    let document =
        roxmltree::Document::parse_with_options(xml, options).map_err(|error| error.to_string())?;
    let attribute = |node: roxmltree::Node<'_, '_>, key: &str| {
        let attribute = node.children().find(|child| child.attribute("key") == Some(key));
        attribute.and_then(|attribute| attribute.text().map(|text| text.trim().to_owned()))
    };
    let streams = document.descendants().filter_map(|node| {
        let number: i32 = node.attribute("name")?.parse().ok()?;
        (attribute(node, "typeIdentifier")? == "EVTS").then_some((number, node))
    });
    let (number, node) = streams.min_by_key(|&(number, _)| number).ok_or("no stream of events")?;
    let info = node
        .children()
        .find(|child| child.attribute("name") == Some("info"))
        .ok_or("no node `info`")?;
    let side = |key: &str| {
        attribute(info, key).and_then(|text| text.parse::<u16>().ok()).filter(|&side| side > 0)
    };
    match (side("sizeX"), side("sizeY")) {
        (Some(width), Some(height)) => Ok((number, SensorSize { width, height })),
        _ => Err("no size".into()),
    }
}

fn unpack<'b>(
    compression: Compression,
    packed: &'b [u8],
    into: &'b mut Vec<u8>,
) -> Result<&'b [u8], String> {
    let mut read = |reader: &mut dyn Read| {
        into.clear();
        reader.take(MAX_PACKET as u64 + 1).read_to_end(into).map_err(|error| error.to_string())?;
        if into.len() > MAX_PACKET { Err("more".to_owned()) } else { Ok(()) }
    };
    match compression {
        Compression::None => return Ok(packed),
        Compression::Lz4 => read(&mut lz4_flex::frame::FrameDecoder::new(packed))?,
        Compression::Zstd => {
            read(
                &mut ruzstd::decoding::StreamingDecoder::new(packed)
                    .map_err(|error| error.to_string())?,
            )?;
        }
    }
    Ok(into)
}

/// Events of a packet outside the sensor: how many, and where the first one is.
#[derive(Debug, Clone, Copy, Default)]
struct Outside {
    count: u64,
    first: (u16, u16),
}

/// Adds the events of an unpacked packet: all, or with `forgiving` those on the sensor, or none if
/// one is outside. An error is what was expected and what was found.
fn append(
    packet: &[u8],
    events: &mut Events,
    forgiving: bool,
) -> Result<Outside, (String, String)> {
    let table = packet.get(4..).and_then(|bytes| Buffer(bytes).root(*b"EVTS"));
    let table =
        table.ok_or_else(|| ("a FlatBuffers table `EVTS`".to_owned(), "other bytes".to_owned()))?;
    if !table.has(0) {
        return Ok(Outside::default());
    }
    let elements = table.vector(0, EVENT_BYTES);
    let elements = elements
        .ok_or_else(|| ("a vector of events".to_owned(), "an end beyond the packet".to_owned()))?;
    let (records, _) = elements.as_chunks::<EVENT_BYTES>();
    let place = |record: &[u8; EVENT_BYTES]| {
        let [.., x0, x1, y0, y1, _, _, _, _] = *record;
        (u16::from_le_bytes([x0, x1]), u16::from_le_bytes([y0, y1]))
    };
    let time = |record: &[u8; EVENT_BYTES]| {
        record.first_chunk().map_or(0, |time| i64::from_le_bytes(*time))
    };
    let size = events.size;
    let outside = |record: &&[u8; EVENT_BYTES]| {
        let (x, y) = place(record);
        !size.holds(x, y)
    };
    // Whether there is one takes no branch; which ones they are, is asked only then.
    if records.iter().fold(false, |any, record| any | outside(&record)) {
        let first = records.iter().find(outside).map(place).unwrap_or_default();
        if forgiving {
            for record in records.iter().filter(|record| !outside(record)) {
                let (x, y) = place(record);
                events.append(Event { t: time(record), x, y, polarity: record[12] != 0 });
            }
        }
        return Ok(Outside { count: records.iter().filter(outside).count() as u64, first });
    }
    events.t.extend(records.iter().map(time));
    events.x.extend(records.iter().map(|record| place(record).0));
    events.y.extend(records.iter().map(|record| place(record).1));
    events.polarity.extend(records.iter().map(|record| record[12] != 0));
    Ok(Outside::default())
}
