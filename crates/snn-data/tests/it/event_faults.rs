//! Recordings as other programs write them, and damaged ones of which the rest is read.

use super::events::{XML, flat, packet, sized};
use snn_data::inventory::FileInfo;
use snn_data::recordings::events::{
    ArrayNames, Event, EventFormat, EventReader, Events, ReadOptions, SensorSize,
};
use snn_data::{OnDamage, Result};
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::write::SimpleFileOptions;

fn reader(name: &str, bytes: &[u8], options: ReadOptions) -> Result<EventReader> {
    EventReader::new(Box::new(Cursor::new(bytes.to_vec())), Path::new(name), None, options)
}

fn read(name: &str, bytes: &[u8], options: ReadOptions) -> Result<Events> {
    reader(name, bytes, options)?.read_all()
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

/// What is left of a damaged recording: events, events outside the sensor, cut records.
fn left(name: &str, bytes: &[u8], options: ReadOptions) -> (Vec<Event>, u64, u64) {
    let strict = read(name, bytes, options.clone()).unwrap_err().to_string();
    let options = ReadOptions { on_damage: OnDamage::Skip, ..options };
    let mut reader = reader(name, bytes, options).unwrap();
    let events = reader.read_all().unwrap();
    let damage = reader.damage();
    // The first that is left out is the error that there would have been.
    assert_eq!(damage.first.as_deref(), Some(strict.as_str()), "{name}");
    assert!(damage.to_string().contains(&strict), "{damage}");
    (events.iter().collect(), damage.outside, damage.cut)
}

/// An array as NumPy stores it.
fn npy(descr: &str, length: usize, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ({length},), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(values);
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Four events at (1, 2), (2, 3), … under these names, with polarities `p`.
fn columns(names: [&str; 4], p: [i8; 4]) -> Vec<u8> {
    let shorts = |from: u16| (from..from + 4).flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let times: Vec<_> = (0..4_i64).flat_map(|t| (t * 10).to_le_bytes()).collect();
    npz(&[
        (names[0], npy("'<i8'", 4, &times)),
        (names[1], npy("'<u2'", 4, &shorts(1))),
        (names[2], npy("'<u2'", 4, &shorts(2))),
        (names[3], npy("'|i1'", 4, &p.map(|p| p.to_le_bytes()[0]))),
    ])
}

#[test]
fn npz_polarities_are_the_two_values_that_occur() {
    let usual = ["t", "x", "y", "p"];
    for (values, on) in [
        ([1, 2, 2, 1], [false, true, true, false]), // as MATLAB writes them
        ([0, 1, 1, 0], [false, true, true, false]),
        ([-1, 1, -1, 1], [false, true, false, true]),
        ([1, 1, 1, 1], [true; 4]),
        ([0, 0, 0, 0], [false; 4]),
        ([2, 2, 2, 2], [true; 4]),
    ] {
        let events = plain("e.npz", &columns(usual, values)).unwrap();
        assert_eq!(events.polarity(), on, "{values:?}");
    }
    refused("e.npz", &columns(usual, [0, 1, 2, 1]), &["polarities", "0 and 1", "0, 1, 2"]);
    refused("e.npz", &columns(usual, [3, 7, 3, 7]), &["polarities", "values 3, 7"]);
    refused("e.npz", &columns(usual, [-1, 0, -1, 0]), &["values -1, 0"]);
}

#[test]
fn npz_arrays_have_their_usual_names_or_are_named() {
    let expected = plain("e.npz", &columns(["t", "x", "y", "p"], [0, 1, 1, 0])).unwrap();
    for names in [
        ["ts", "x", "y", "p"],
        ["timestamps", "x", "y", "polarity"],
        ["time", "xs", "ys", "pol"],
        ["Timestamp", "X", "Y", "P"],
    ] {
        assert_eq!(plain("e.npz", &columns(names, [0, 1, 1, 0])).unwrap(), expected, "{names:?}");
    }
    let own = columns(["stamp", "x", "y", "sign"], [0, 1, 1, 0]);
    refused("e.npz", &own, &["arrays", "the times as `t`, `ts`", "--arrays t=NAME", "`stamp`"]);
    let arrays: ArrayNames = "t=stamp, p=sign".parse().unwrap();
    let named = ReadOptions { arrays, ..ReadOptions::default() };
    assert_eq!(read("e.npz", &own, named).unwrap(), expected);
    let wrong = ReadOptions { arrays: "t=time".parse().unwrap(), ..ReadOptions::default() };
    let message = read("e.npz", &own, wrong).unwrap_err().to_string();
    assert!(message.contains("the times as `time`, as given"), "{message}");
    for text in ["t", "q=x", "t=", "t=a,t=b", ""] {
        let message = text.parse::<ArrayNames>().unwrap_err().to_string();
        assert!(message.starts_with("arrays: expected `t=NAME`"), "{message}");
    }
    // Two arrays of times are a question, unless one of them has the short name.
    let two = |first| {
        let short = columns(["t", "x", "y", "p"], [0, 1, 1, 0]);
        let mut archive = zip::ZipArchive::new(Cursor::new(short)).unwrap();
        let mut arrays: Vec<(String, Vec<u8>)> = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            std::io::copy(&mut file, &mut bytes).unwrap();
            let name = file.name().unwrap().strip_suffix(".npy").unwrap().to_owned();
            arrays.push((if name == "t" { String::from(first) } else { name }, bytes));
        }
        let copy = arrays[0].1.clone();
        arrays.push(("timestamps".into(), copy));
        let arrays: Vec<_> =
            arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        npz(&arrays)
    };
    refused("e.npz", &two("ts"), &["not `ts` and `timestamps`", "--arrays t=NAME"]);
    assert_eq!(plain("e.npz", &two("t")).unwrap(), expected);
}

#[test]
fn npz_records_of_named_fields_are_events() {
    let record = |t: u32, x: u16, y: u16, p: u8| {
        [&t.to_le_bytes()[..], &x.to_le_bytes(), &[9, 9, 9], &y.to_le_bytes(), &[p]].concat()
    };
    let records = [record(5, 1, 2, 0), record(6, 3, 4, 1)].concat();
    // A hole as aligned types have it, a field of no use, and two kinds of quotation marks.
    let descr = "[('timestamp', '<u4'), (\"x\", '<u2'), ('', '|V1'), ('pad', '|u1', (2,)), \
                 ('y', '<u2'), ('polarity', '|b1')]";
    let whole = npz(&[("events", npy(descr, 2, &records))]);
    let expected =
        [Event { t: 5, x: 1, y: 2, polarity: false }, Event { t: 6, x: 3, y: 4, polarity: true }];
    let events = plain("e.npz", &whole).unwrap();
    assert_eq!(events.iter().collect::<Vec<_>>(), expected);
    assert_eq!(events.size(), SensorSize { width: 4, height: 5 });
    // Other arrays may stand beside it.
    let beside = npz(&[("labels", npy("'<i8'", 1, &[0; 8])), ("a", npy(descr, 2, &records))]);
    assert_eq!(plain("e.npz", &beside).unwrap(), events);
    let two = npz(&[("a", npy(descr, 2, &records)), ("b", npy(descr, 2, &records))]);
    refused("e.npz", &two, &["one array of events", "`a` and `b`"]);
    refused("e.npz", &npz(&[("a", npy(descr, 3, &records))]), &["36 bytes of values of `a`"]);
    for damaged in [
        "[]",
        "[('t', '<i8')",
        "[('t' '<i8')]",
        "[('t', '<i8', (18446744073709551615,9))]",
        "[('t', '<i8', (999999,))]",
        "[('t', '<q8')]",
        "[('t', 5)]",
    ] {
        let bytes = npz(&[("a", npy(damaged, 2, &records))]);
        refused("e.npz", &bytes, &["descr"]);
    }
    let strings = "[('t', '<U2'), ('x', '<u2'), ('y', '<u2'), ('p', '|b1')]";
    refused("e.npz", &npz(&[("a", npy(strings, 1, &[0; 13]))]), &["integers", "`t`", "<U2"]);
    let no_times = "[('x', '<u2'), ('y', '<u2'), ('p', '|b1')]";
    let bytes = npz(&[("a", npy(no_times, 1, &[0; 5]))]);
    refused("e.npz", &bytes, &["the times as", "`a` of records (x <u2, y <u2, p |b1)"]);
}

fn aedat2(header: &str, records: &[(u32, i32)]) -> Vec<u8> {
    let records = records
        .iter()
        .flat_map(|&(address, time)| [address.to_be_bytes(), time.to_be_bytes()].concat());
    header.bytes().chain(records).collect()
}

const DAVIS: &str = "#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n";

fn davis(x: u32, y: u32) -> u32 {
    y << 22 | x << 12 | 1 << 11
}

#[test]
fn damaged_records_are_left_out_counted_and_named_in_every_format() {
    let options = ReadOptions::default;
    // A wild time of a wrong record does not move the clock.
    let records = [(davis(9, 9), 4), (davis(400, 3), i32::MIN + 9), (davis(8, 8), 6)];
    let (events, outside, cut) = left("a.aedat", &aedat2(DAVIS, &records), options());
    assert_eq!(
        (events.iter().map(|event| event.t).collect::<Vec<_>>(), outside, cut),
        (vec![4, 6], 1, 0)
    );
    let whole = aedat2(DAVIS, &[(davis(9, 9), 4), (davis(8, 8), 6)]);
    let (events, outside, cut) = left("a.aedat", &whole[..whole.len() - 3], options());
    assert_eq!((events.len(), outside, cut), (1, 0, 1));

    // N-MNIST: (40, 2) is outside 34x34, and three bytes are no event.
    let bytes = [&[1, 2, 0x80, 0, 5], &[40, 2, 0, 0, 6], &[3, 4, 0, 0, 7], &[1, 2, 3][..]].concat();
    let (events, outside, cut) = left("x.bin", &bytes, options());
    assert_eq!((events.len(), events[1].t, outside, cut), (2, 7, 1, 1));

    // DAT: x in 14 bits.
    let mut bytes = b"% Width 8\n% Height 8\n\x0C\x08".to_vec();
    for (t, x) in [(1_u32, 7_u32), (2, 8), (3, 0)] {
        bytes.extend([t.to_le_bytes(), x.to_le_bytes()].concat());
    }
    let (events, outside, cut) = left("x.dat", &[&bytes[..], &[1]].concat(), options());
    assert_eq!((events.len(), outside, cut), (2, 1, 1));

    // EVT2: a time, then (9, 0) and (1, 0) on 8x8.
    let words = [0x8000_0000_u32, 1 << 28 | 9 << 11, 1 << 28 | 1 << 11];
    let words = words.map(u32::to_le_bytes).concat();
    let bytes = [b"% evt 2.0\n% geometry 8x8\n", &words[..], &[7]].concat();
    let (events, outside, cut) = left("x.raw", &bytes, options());
    assert_eq!((events.len(), events[0].x, outside, cut), (1, 1, 1, 1));

    // EVT3: a vector of eight from column 4 on, four of which are outside.
    let words = [0x8000_u16, 0x0001, 0x3804, 0x50FF, 0x2802].map(u16::to_le_bytes).concat();
    let bytes = [b"% evt 3.0\n% geometry 8x8\n", &words[..], &[7]].concat();
    let (events, outside, cut) = left("x.raw", &bytes, options());
    assert_eq!((events.len(), events[4].x, outside, cut), (5, 2, 4, 1));

    // EVT 2.1: the same in words of 64 bits.
    let bytes =
        [evt21("", &[TIME, (1 << 28 | 4 << 11) << 32 | 0xFF], |word| word), vec![7]].concat();
    let (events, outside, cut) = left("x.raw", &bytes, options());
    assert_eq!((events.len(), outside, cut), (4, 4, 1));

    // AEDAT 3.1: one of three events, and a packet that ends early.
    let event = |x: u32| [(x << 17 | 1).to_le_bytes(), 1_u32.to_le_bytes()].concat();
    let bytes = aedat3("", 4, 4, &[event(1), event(200), event(2)].concat());
    let (events, outside, cut) = left("g.aedat", &bytes, options());
    assert_eq!((events.len(), outside, cut), (2, 1, 1));
    let whole = aedat3("", 1, 1, &event(1));
    let (events, outside, cut) = left("g.aedat", &[&whole[..], &[1; 9]].concat(), options());
    assert_eq!((events.len(), outside, cut), (1, 0, 1));

    // NPZ: columns that no pixel has.
    let shorts: Vec<_> = [1_i16, -1, 3, -1].into_iter().flat_map(i16::to_le_bytes).collect();
    let bytes = npz(&[
        ("t", npy("'<i2'", 4, &shorts)),
        ("x", npy("'<i2'", 4, &shorts)),
        ("y", npy("'<i2'", 4, &[0; 8])),
        ("p", npy("'|u1'", 4, &[0, 1, 1, 0])),
    ]);
    refused("e.npz", &bytes, &["65535", "`x`"]);
    let skip = ReadOptions { on_damage: OnDamage::Skip, ..ReadOptions::default() };
    let mut lenient = reader("e.npz", &bytes, skip).unwrap();
    let kept = lenient.read_all().unwrap();
    assert_eq!((kept.x(), kept.size().width, lenient.damage().outside), (&[1, 3][..], 4, 2));

    // NPZ, with a sensor given.
    let size = Some(SensorSize { width: 4, height: 9 });
    let bytes = columns(["t", "x", "y", "p"], [0, 1, 1, 0]);
    let options = ReadOptions { size, on_damage: OnDamage::Skip, ..ReadOptions::default() };
    let mut reader = reader("e.npz", &bytes, options).unwrap();
    assert_eq!(reader.read_all().unwrap().len(), 3);
    assert_eq!((reader.damage().outside, reader.damage().cut), (1, 0));
    assert!(reader.damage().to_string().contains("(4, 5)"), "{}", reader.damage());
    let given = ReadOptions { size, ..ReadOptions::default() };
    let message = read("e.npz", &bytes, given).unwrap_err().to_string();
    assert!(message.contains("(4, 5)") && message.contains("frames.sensor"), "{message}");
}

#[test]
fn aedat4_ends_where_its_header_says() {
    let packets: Vec<_> = [1_i32, 0, 1]
        .into_iter()
        .map(|stream| {
            let packet = packet(&[(5, 15, 7, true), (6, 0, 0, false)]);
            [stream.to_le_bytes().to_vec(), sized(&packet)].concat()
        })
        .collect();
    // Compression at 4, the position of the table at 8, the text's offset at 16, the text behind.
    let header = |end: i64| {
        let text = sized(XML.as_bytes());
        let body = [&0_i32.to_le_bytes()[..], &end.to_le_bytes(), &4_u32.to_le_bytes(), &text];
        sized(&flat(*b"IOHE", &[4, 8, 16], &body.concat()))
    };
    let start = b"#!AER-DAT4.0\r\n".len() + header(0).len();
    let end = start + packets.concat().len();
    let of = |end: i64, content: &[u8]| [b"#!AER-DAT4.0\r\n", &header(end)[..], content].concat();
    let whole = of(i64::try_from(end).unwrap(), &[&packets.concat()[..], b"table"].concat());
    let events = plain("a.aedat4", &whole).unwrap();
    assert_eq!(events.len(), 4);
    // Cut between two packets only the header tells, and in a packet the packet does.
    for (length, left_over, says) in [
        (start, 0, "as the header says"),
        (start + packets[0].len(), 2, "as the header says"),
        (start + packets[0].len() + packets[1].len(), 2, "as the header says"),
        (start + packets[0].len() + 3, 2, "stream and size of a packet"),
        (end - 1, 2, "then the end"),
    ] {
        let message = plain("a.aedat4", &whole[..length]).unwrap_err().to_string();
        assert!(message.contains(says), "{length}: {message}");
        let (events, outside, cut) = left("a.aedat4", &whole[..length], ReadOptions::default());
        assert_eq!((events.len(), outside, cut), (left_over, 0, 1), "{length}");
    }
    // A recording that was not closed has no table: it ends where its packets do.
    for none in [-1, 0] {
        let open = of(none, &packets.concat()[..packets.concat().len() - packets[2].len()]);
        assert_eq!(plain("a.aedat4", &open).unwrap().len(), 2);
    }
    // Events outside the sensor, and a packet that cannot be unpacked.
    let two = packet(&[(5, 16, 0, true), (6, 1, 1, true)]);
    let other = [1_i32.to_le_bytes().to_vec(), sized(&two)].concat();
    let bad = [1_i32.to_le_bytes().to_vec(), sized(b"no table")].concat();
    let bytes = of(-1, &[&other[..], &bad, &packets[0]].concat());
    let (events, outside, cut) = left("a.aedat4", &bytes, ReadOptions::default());
    assert_eq!((events.len(), events[0].t, outside, cut), (3, 6, 1, 1));
}

/// A file of `fixtures/golden/events`.
fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/events").join(name)
}

/// A pipe gives its bytes once.
#[cfg(unix)]
#[test]
fn a_pipe_is_looked_into_as_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["dvs128.aedat", "n-mnist.bin", "events.npz", "made-evt3.raw"] {
        let file = golden(name);
        let pipe = folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let bytes = std::fs::read(&file).unwrap();
        let (length, into) = (bytes.len() as u64, pipe.clone());
        let writer = std::thread::spawn(move || std::fs::write(into, bytes));
        let of = |path: &Path| {
            let size = Some(SensorSize { width: 1280, height: 720 });
            FileInfo::read(path, ReadOptions { size, ..ReadOptions::default() }).unwrap()
        };
        let (from_pipe, from_file) = (of(&pipe), of(&file));
        writer.join().unwrap().unwrap();
        assert_eq!((from_pipe.bytes, from_pipe.content), (length, from_file.content), "{name}");
    }
}

fn aedat3(lines: &str, capacity: u32, count: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = format!("#!AER-DAT3.1\r\n{lines}#!END-HEADER\r\n").into_bytes();
    bytes.extend([1, 0, 1, 0]);
    for word in [8, 4, 0, capacity, count, count] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(content);
    bytes
}

#[test]
fn aedat3_lines_that_change_the_meaning_are_read_or_refused() {
    let event = [(200_u32 << 17 | 100 << 2 | 1).to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for format in ["Serial-TS", "Compressed", "PNG"] {
        let bytes = aedat3(&format!("#Format: {format}\r\n"), 1, 1, &event);
        refused("g.aedat", &bytes, &["header, #Format", "RAW", &format!("`{format}`")]);
    }
    // The camera says the size of the sensor; without a word an error says how to give it.
    for (lines, width) in [
        ("#Format: RAW\r\n#Source 1: DAVIS240C\r\n", 240),
        ("#Format: RAW\r\n#Source 1: DAVIS346\r\n#Start-Time: 2019-01-01 10:00:00\r\n", 346),
    ] {
        assert_eq!(plain("g.aedat", &aedat3(lines, 1, 1, &event)).unwrap().size().width, width);
    }
    refused("g.aedat", &aedat3("", 1, 1, &event), &["128x128", "--size", "frames.sensor"]);
    let named = aedat3("#Format: RAW\r\n#Source 1: DVS128\r\n", 1, 1, &event);
    let message = plain("g.aedat", &named).unwrap_err().to_string();
    assert!(message.contains("(200, 100)") && !message.contains("--size"), "{message}");
    refused("g.aedat", b"#!AER-DAT3.0\r\n#Format: RAW\r\n\x01\x00", &["AEDAT 3.0"]);
}

#[test]
fn formats_are_named_known_by_their_headers_or_given() {
    refused("old.aedat", b"#!AER-DAT1.0\r\n# six bytes\r\n\x7b\xf8", &["AEDAT 1.0", "jAER"]);
    refused("old.aedat", b"\x7b\xf8\0\0\0\x01", &["AEDAT 1.0", "--format"]);
    let dat =
        b"% Data file containing Event2D events.\n% Version 2\n% Height 9\n% Width 8\n\x00\x08\
                \x0a\0\0\0\x01\x80\0\x10";
    for name in ["recording", "recording.raw", "recording.dat"] {
        let mut reader = reader(name, dat, ReadOptions::default()).unwrap();
        assert_eq!(reader.format(), EventFormat::Dat);
        let events: Vec<_> = reader.read_all().unwrap().iter().collect();
        assert_eq!(events, [Event { t: 10, x: 1, y: 2, polarity: true }]);
    }
    // A header says more than the extension.
    let evt3 = reader("x.dat", b"% evt 3.0\n% geometry 8x8\n", ReadOptions::default()).unwrap();
    assert_eq!(evt3.format(), EventFormat::Evt3);
    refused("x.raw", b"% evt 4.0\n% geometry 8x8\n\0", &["`% evt 4.0`", "--format"]);
    refused("x.raw", b"% format HISTO3D;height=8;width=8\n\0", &["`% format HISTO3D`"]);
    // No header says that these are N-MNIST's.
    refused("gesture", &[1, 2, 0x80, 0, 5], &["--format"]);
    let format = Some(EventFormat::NMnist);
    let named = ReadOptions { format, ..ReadOptions::default() };
    assert_eq!(read("gesture", &[1, 2, 0x80, 0, 5], named).unwrap().len(), 1);
    // N-Caltech101 is larger than N-MNIST: the error says what to do.
    refused("image_0001.bin", &[180, 90, 0, 0, 0], &["34x34", "`--size`", "frames.sensor"]);
}

/// A word that says time 0.
const TIME: u64 = 8 << 60;

/// EVT 2.1 of a sensor of 8x8, or as `format` says.
fn evt21(format: &str, words: &[u64], order: impl Fn(u64) -> u64) -> Vec<u8> {
    let format = if format.is_empty() { "EVT21;height=8;width=8" } else { format };
    let words = words.iter().flat_map(|&word| order(word).to_le_bytes());
    format!("% evt 2.1\n% format {format}\n% end\n").into_bytes().into_iter().chain(words).collect()
}

#[test]
fn evt21_is_read_in_both_orders_of_its_words() {
    // Columns 64 and 66 of row 7, ON, 5 µs after a time of 3 · 64 µs; then OFF, a trigger, and
    // words of other makers.
    let words = [
        (1 << 28 | 1 << 22 | 1 << 11 | 1) << 32 | 3, // before the first time: two events
        TIME | 3 << 32,
        (1 << 28 | 5 << 22 | 0x40 << 11 | 7) << 32 | 0b101,
        6 << 54 | 0x4FF << 43 | 0x2CF << 32 | 1,
        0xA << 60,
        0xE << 60 | 0x4D,
        0xF << 60,
    ];
    let expected = [
        Event { t: 197, x: 64, y: 7, polarity: true },
        Event { t: 197, x: 66, y: 7, polarity: true },
        Event { t: 198, x: 1279, y: 719, polarity: false },
    ];
    let straight = |word: u64| word;
    let halves = |word: u64| word.rotate_left(32);
    for (endianness, order) in [
        ("", straight as fn(u64) -> u64),
        (";endianness=little", straight),
        (";endianness=legacy", halves),
    ] {
        let format = format!("EVT21{endianness};height=720;width=1280");
        let bytes = evt21(&format, &words, order);
        let mut reader = reader("x.raw", &bytes, ReadOptions::default()).unwrap();
        assert_eq!(reader.format(), EventFormat::Evt21);
        let events: Vec<_> = reader.read_all().unwrap().iter().collect();
        assert_eq!((events.as_slice(), reader.skipped()), (&expected[..], 5), "{endianness}");
        for cut in 1..8 {
            refused("x.raw", &bytes[..bytes.len() - cut], &["word", "8 bytes"]);
        }
    }
    // Words that a header describes wrongly: their own order fits alone.
    for (endianness, order) in [("legacy", straight as fn(u64) -> u64), ("little", halves)] {
        let format = format!("EVT21;endianness={endianness};height=720;width=1280");
        let events = plain("x.raw", &evt21(&format, &words[1..], order)).unwrap();
        assert_eq!(events.iter().collect::<Vec<_>>(), expected, "{endianness}");
    }
    refused("x.raw", &evt21("", &[TIME, 1 << 60 | 9 << 43 | 1], straight), &["8x8", "(9, 0)"]);
    // The last column of the widest sensor, and bits that reach beyond any.
    let wide = "EVT21;height=2048;width=2048";
    let beyond = evt21(wide, &[TIME, 1 << 60 | 2047 << 43 | 1 << 31], straight);
    refused("x.raw", &beyond, &["(2078, 0)"]);
}
