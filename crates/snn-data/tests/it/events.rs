//! Recordings that are damaged, hostile or unusual, in every format.

use snn_data::Result;
use snn_data::recordings::events::{
    Chip, Event, EventFormat, EventReader, Events, ReadOptions, SensorSize,
};
use std::io::Cursor;
use std::path::Path;

fn read(name: &str, bytes: &[u8], options: ReadOptions) -> Result<Events> {
    EventReader::new(Box::new(Cursor::new(bytes.to_vec())), Path::new(name), None, options)?
        .read_all()
}

fn plain(name: &str, bytes: &[u8]) -> Result<Events> {
    read(name, bytes, ReadOptions::default())
}

fn refused(name: &str, bytes: &[u8], parts: &[&str]) {
    let message = plain(name, bytes).unwrap_err().to_string();
    for part in parts.iter().chain([&name, &": byte "]) {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

fn aedat2(header: &str, records: &[(u32, i32)]) -> Vec<u8> {
    let records = records
        .iter()
        .flat_map(|&(address, time)| [address.to_be_bytes(), time.to_be_bytes()].concat());
    header.bytes().chain(records).collect()
}

const CRLF: &str = "#!AER-DAT2.0\r\n# created by a test\r\n";

#[test]
fn aedat2_filters_special_events_and_unwraps_times() {
    let records = [
        (0x0102, -5),
        (0x8102, -4),
        (0x8000_0102, -3),
        (0x0103, i32::MAX - 1),
        (0x0103, i32::MIN + 1),
        (0x0103, i32::MIN),
    ];
    for header in [CRLF, "#!AER-DAT2.0\n# LF\n", "#!AER-DAT2.0\r\n# x\r\n#End Of ASCII Header\r\n"]
    {
        let bytes = aedat2(header, &records);
        let mut reader = EventReader::new(
            Box::new(Cursor::new(bytes)),
            Path::new("a"),
            None,
            ReadOptions::default(),
        )
        .unwrap();
        let events = reader.read_all().unwrap();
        assert_eq!((reader.format(), reader.skipped()), (EventFormat::Aedat2, 2));
        assert_eq!(events.iter().next(), Some(Event { t: -5, x: 126, y: 126, polarity: true }));
        assert_eq!(events.polarity(), [true, false, false, false]);
        let t = events.t();
        assert_eq!([t[2] - t[1], t[3] - t[2]], [3, -1], "over the edge, then one late");
    }
}

#[test]
fn aedat2_tells_sensors_apart() {
    let davis = "#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n";
    let records = [(0x0, 1), (0x8000_0000, 2), (0x400, 3), (1 << 22 | 2 << 12 | 1 << 11, 4)];
    let events = plain("a.aedat", &aedat2(davis, &records)).unwrap();
    assert_eq!(events.size(), Chip::Davis240.size());
    let expected = [
        Event { t: 1, x: 239, y: 179, polarity: false },
        Event { t: 4, x: 237, y: 178, polarity: true },
    ];
    assert_eq!(events.iter().collect::<Vec<_>>(), expected);
    refused(
        "a.aedat",
        &aedat2(davis, &[(0, 1), (0x7FC0_0000, 2)]),
        &["address of davis240", "0x7fc00000"],
    );
    // Without a word in the header, addresses of more than 16 bits are a question, not a guess.
    let silent = aedat2(CRLF, &[(1 << 22, 1)]);
    refused("a.aedat", &silent, &["AEChip", "name the sensor"]);
    let named = ReadOptions { chip: Some(Chip::Davis346), ..ReadOptions::default() };
    assert_eq!(read("a.aedat", &silent, named).unwrap().size(), Chip::Davis346.size());
    refused("a.aedat", &aedat2("#!AER-DAT2.0\n# AEChip: cochlea\n", &[]), &["AEChip", "cochlea"]);
    // Events may begin like a line of the header.
    let events = plain("a.aedat", &aedat2(davis, &[(0x2300_0000 | 5 << 12, 7)])).unwrap();
    assert_eq!((events.len(), events.t()[0]), (1, 7));
}

#[test]
fn truncated_and_wrong_files_name_the_place() {
    let whole = aedat2(CRLF, &[(0, 1), (2, 3)]);
    for cut in 1..8 {
        let offset = format!("byte {}", CRLF.len() + 8);
        refused("cut.aedat", &whole[..whole.len() - cut], &[&offset, "expected 8 bytes"]);
    }
    refused("empty.aedat", b"", &["byte 0", "an empty file"]);
    refused("other.aedat", b"\x00\x01", &["format", "00 01"]);
    refused("x.bin", &[1, 2, 3], &["expected 5 bytes, found 3 bytes"]);
    refused("x.bin", &[40, 2, 3, 4, 5], &["byte 0", "34x34", "(40, 2)"]);
    refused("x.raw", b"% camera\n\x00", &["evt 3.0"]);
    refused("x.raw", b"% evt 3.0\n\x00\x00", &["geometry"]);
    refused("x.raw", b"% evt 3.0\n% geometry 8x8\n\x00\x00\x05", &["byte 27", "2 bytes"]);
    refused(
        "x.raw",
        b"% evt 2.0\n% geometry 8x8\n\x00\x00\x00\x80\x00\x48\x00\x10",
        &["byte 29", "(9, 0)"],
    );
    refused("x.dat", b"% Width 8\n% Height 8\n\x01\x08", &["type 0 or 12"]);
    refused("x.dat", b"% Width 8\n% Height 8\n\x00", &["2 bytes"]);
    let long = [b"#!AER-DAT2.0\n".to_vec(), b"# many lines\n".repeat(400_000)].concat();
    refused("long.aedat", &long, &["header", "at most"]);
    refused("x.bin", b"", &["byte 0", "an empty file"]);
}

#[test]
fn a_limit_on_events_is_an_error_that_says_what_to_do() {
    let options = ReadOptions { max_events: 3, ..ReadOptions::default() };
    let error = read("x.bin", &[1, 2, 0, 0, 0].repeat(4), options.clone()).unwrap_err().to_string();
    assert!(error.contains("at most 3") && error.contains("max_events"), "{error}");
    assert_eq!(read("x.bin", &[1, 2, 0, 0, 0].repeat(3), options).unwrap().len(), 3);
}

fn aedat3(packets: &[(u16, u32, u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n".to_vec();
    for (kind, capacity, count, content) in packets {
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0, 0]);
        for word in [8, 4, 1, *capacity, *count, *count] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(content);
    }
    bytes
}

fn aedat3_event(x: u32, y: u32, on: bool, valid: bool, t: u32) -> Vec<u8> {
    [(x << 17 | y << 2 | u32::from(on) << 1 | u32::from(valid)).to_le_bytes(), t.to_le_bytes()]
        .concat()
}

#[test]
fn aedat3_reads_valid_polarity_events() {
    let content =
        [aedat3_event(3, 5, true, true, 9), aedat3_event(1, 1, true, false, 9), vec![0xFF; 8]]
            .concat();
    let bytes = aedat3(&[(0, 1, 1, vec![7; 8]), (1, 3, 2, content), (1, 0, 0, vec![])]);
    let events = plain("g.aedat", &bytes).unwrap();
    assert_eq!(
        events.iter().collect::<Vec<_>>(),
        [Event { t: (1 << 31) + 9, x: 3, y: 5, polarity: true }]
    );
    for cut in 1..20 {
        assert!(plain("g.aedat", &bytes[..bytes.len() - 28 - cut]).is_err(), "cut by {cut}");
    }
    refused("g.aedat", &aedat3(&[(1, 1, 2, vec![])]), &["at most its capacity"]);
    refused("g.aedat", &aedat3(&[(0, u32::MAX, 1, vec![0; 16])]), &["more bytes"]);
    refused("g.aedat", &aedat3(&[(1, 1, 1, aedat3_event(128, 0, true, true, 1))]), &["(128, 0)"]);
    refused("g.aedat", b"#!AER-DAT3.1\r\n#no end\r\n", &["#!END-HEADER"]);
}

/// A flat buffer with a root table of fields at fixed places, as written by hand.
pub(crate) fn flat(identifier: [u8; 4], fields: &[u16], body: &[u8]) -> Vec<u8> {
    let vtable: u16 = 4 + 2 * u16::try_from(fields.len()).unwrap();
    let mut bytes = (u32::from(8 + vtable)).to_le_bytes().to_vec();
    bytes.extend(identifier);
    bytes.extend(vtable.to_le_bytes());
    bytes.extend(u16::try_from(4 + body.len()).unwrap_or(u16::MAX).to_le_bytes());
    for field in fields {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(u32::from(vtable).to_le_bytes());
    bytes.extend(body);
    bytes
}

pub(crate) const XML: &str = r#"<dv version="2.0"><node name="outInfo"><node name="1">
<attr key="typeIdentifier" type="string">EVTS</attr>
<node name="info"><attr key="sizeX" type="int">16</attr>
<attr key="sizeY" type="int">8</attr></node></node></node></dv>"#;

pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&i32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

fn aedat4(compression: i32, xml: &str, packets: &[(i32, Vec<u8>)]) -> Vec<u8> {
    // compression at 4, the text's offset at 8, the text behind.
    let body = [&compression.to_le_bytes(), &4_u32.to_le_bytes(), sized(xml.as_bytes()).as_slice()]
        .concat();
    let header = flat(*b"IOHE", &[4, 0, 8], &body);
    let packets = packets
        .iter()
        .flat_map(|(stream, packet)| [stream.to_le_bytes().to_vec(), sized(packet)].concat());
    b"#!AER-DAT4.0\r\n".iter().copied().chain(sized(&header)).chain(packets).collect()
}

pub(crate) fn packet(events: &[(i64, u16, u16, bool)]) -> Vec<u8> {
    let mut body = 4_u32.to_le_bytes().to_vec();
    body.extend(u32::try_from(events.len()).unwrap().to_le_bytes());
    for &(t, x, y, on) in events {
        body.extend(t.to_le_bytes());
        body.extend([x.to_le_bytes(), y.to_le_bytes()].concat());
        body.extend([u8::from(on), 0, 0, 0]);
    }
    sized(&flat(*b"EVTS", &[4], &body))
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn aedat4_reads_the_first_stream_of_events_in_every_packing() {
    let events = [(1_718_320_899_149_165, 15, 7, true), (1_718_320_899_149_166, 0, 0, false)];
    let plainly = packet(&events);
    for (compression, packed) in [
        (0, plainly.clone()),
        (1, lz4(&plainly)),
        (2, lz4(&plainly)),
        (3, zstd(&plainly)),
        (4, zstd(&plainly)),
    ] {
        let bytes =
            aedat4(compression, XML, &[(0, vec![1, 2, 3]), (1, packed.clone()), (1, packed)]);
        let read = plain("a.aedat4", &bytes).unwrap();
        assert_eq!(read.size(), SensorSize { width: 16, height: 8 });
        let expected: Vec<_> =
            events.iter().map(|&(t, x, y, polarity)| Event { t, x, y, polarity }).collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), [expected.clone(), expected].concat());
        for cut in 1..40 {
            refused("a.aedat4", &bytes[..bytes.len() - cut], &["then the end"]);
        }
    }
    let whole = |compression, packet| aedat4(compression, XML, &[(1, packet)]);
    refused("a.aedat4", &whole(0, packet(&[(0, 16, 0, true)])), &["16x8", "(16, 0)"]);
    refused("a.aedat4", &whole(1, vec![9; 20]), &["Lz4"]);
    refused("a.aedat4", &whole(3, vec![9; 20]), &["Zstd"]);
    refused("a.aedat4", &whole(9, vec![]), &["compression", "found 9"]);
    refused(
        "a.aedat4",
        &whole(1, lz4(&vec![0; 1 << 27])),
        &["67108864 bytes at most", "found more"],
    );
    refused("a.aedat4", &aedat4(0, "<dv/>", &[]), &["no stream of events"]);
    refused("a.aedat4", &aedat4(0, "<dv", &[]), &["XML"]);
    refused("a.aedat4", b"#!AER-DAT4.0\r\n\xff\xff\xff\x7f", &["header", "found 2147483647"]);
}
