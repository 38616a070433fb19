//! Untrusted files, of every format: cut, empty, with another beginning, with a header that asks
//! for too much, packed so that they unpack without end, with names that lead elsewhere, with bytes
//! that are no text. Each is one error of one line that names the file and the place in it, and
//! none takes more memory than is said here.

mod archives;
mod texts;

use flate2::Compression;
use flate2::write::GzEncoder;
use snn_data::cache::read_header;
use snn_data::inventory::FileInfo;
use snn_data::pictures::{DecodeOptions, Pictures, decode};
use snn_data::recordings::events::{Events, ReadOptions, read_npz_frames};
use snn_data::recordings::{Recordings, SplitFile};
use snn_data::{CIFAR10, CifarForm, CifarLayout, DatasetName, Pickle, Result, Split, read_idx};
use snn_test_support::CountingAllocator;
use snn_test_support::allocator::peak_of;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use zip::write::SimpleFileOptions;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MIB: usize = 1 << 20;

/// How a file is read.
type Reader = fn(&Path) -> Result<()>;

/// A format: the name of a file of it, how it is read, a whole file, and the bytes of a record
/// where a file may end after any.
struct Format {
    name: &'static str,
    read: Reader,
    whole: Vec<u8>,
    record: Option<usize>,
    /// Bytes that tell the format at the beginning of a file.
    magic: usize,
}

fn options() -> ReadOptions {
    ReadOptions { max_events: 1 << 16, ..ReadOptions::default() }
}

/// CIFAR-10 of two records a file.
const SMALL: CifarLayout = CifarLayout { train_records: 2, test_records: 2, ..CIFAR10 };

fn events(path: &Path) -> Result<()> {
    Events::read(path, options()).map(drop)
}

fn frames(path: &Path) -> Result<()> {
    read_npz_frames(path).map(drop)
}

fn picture(path: &Path) -> Result<()> {
    decode(path, DecodeOptions::default()).map(drop)
}

fn pickle(path: &Path) -> Result<()> {
    let bytes = fs::read(path).unwrap();
    Pickle::read(&bytes, path).map(drop)
}

fn idx(path: &Path) -> Result<()> {
    read_idx(fs::File::open(path).unwrap(), path, &[3, 4]).map(drop)
}

fn idx_gzip(path: &Path) -> Result<()> {
    read_idx(flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap()), path, &[3, 4])
        .map(drop)
}

fn archive(path: &Path) -> Result<()> {
    SMALL.files(CifarForm::PythonArchive, path.to_owned()).read(Split::Train).map(drop)
}

fn cache(path: &Path) -> Result<()> {
    let bytes = fs::read(path).unwrap();
    read_header(&bytes, bytes.len() as u64, path).map(drop)
}

fn split(path: &Path) -> Result<()> {
    SplitFile::read(path).map(drop)
}

fn imagenet_tar(path: &Path) -> Result<()> {
    Pictures::imagenet(path.parent().unwrap(), Split::Train).map(drop)
}

/// All recordings of the set in whose folder the file lies.
fn recordings(name: DatasetName, path: &Path) -> Result<()> {
    let set = Recordings::open(name, path.parent().unwrap())?;
    (0..set.len()).try_for_each(|index| set.read(index).map(drop))
}

fn dvs_zip(path: &Path) -> Result<()> {
    recordings(DatasetName::Cifar10Dvs, path)
}

fn info(path: &Path) -> Result<()> {
    FileInfo::read(path, options()).map(drop)
}

/// What is read of a file with these bytes, and the most memory that took.
fn attempt(name: &str, bytes: &[u8], read: Reader) -> (Result<(), String>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let (result, peak) = peak_of(|| read(&path));
    let result = result.map_err(|error| {
        let message = error.to_string();
        let place = ["byte ", "line ", "record "].into_iter().any(|place| message.contains(place));
        assert!(message.contains(name) && place && !message.contains('\n'), "{message}");
        message
    });
    (result, peak)
}

/// The file is refused for a reason that has these parts, in at most `limit` bytes.
fn refused(name: &str, bytes: &[u8], read: Reader, limit: usize, parts: &[&str]) {
    let (result, peak) = attempt(name, bytes, read);
    let message = result.expect_err(name);
    assert!(peak <= limit, "{name}: {peak} bytes held, expected at most {limit}: {message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(name))
        .unwrap()
}

/// A corpus file without its first byte, which chooses the reader there.
fn corpus(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name)).unwrap()
        [1..]
        .to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar archive; names may be what no library would write.
fn tar(files: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn zip(files: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes(), values].concat()
}

fn idx_bytes() -> Vec<u8> {
    [[0, 0, 8, 2].as_slice(), &3_u32.to_be_bytes(), &4_u32.to_be_bytes(), &[7; 12]].concat()
}

/// A recording of a DVS128 with two events.
fn aedat2() -> Vec<u8> {
    [b"#!AER-DAT2.0\r\n".as_slice(), &[0, 0, 1, 2, 0, 0, 0, 9], &[0, 0, 3, 4, 0, 0, 0, 11]].concat()
}

fn formats() -> Vec<Format> {
    let format = |name, read, whole, record, magic| Format { name, read, whole, record, magic };
    let pictures = [(b"a.JPEG".as_slice(), golden("images/grey.JPEG"))];
    let inner = tar(&pictures.each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    vec![
        format("x.aedat", events as Reader, golden("events/dvs128.aedat"), Some(8), 12),
        format("davis.aedat", events, golden("events/davis346.aedat"), Some(8), 12),
        // Packets may end a file.
        format("x3.aedat", events, corpus("events/aedat3"), None, 10),
        format("x.aedat4", events, corpus("events/aedat4"), None, 12),
        format("x.bin", events, golden("events/n-mnist.bin"), Some(5), 0),
        format("x.dat", events, corpus("events/dat"), Some(8), 1),
        format("evt2.raw", events, golden("events/made-evt2.raw"), Some(4), 1),
        format("evt3.raw", events, golden("events/made-evt3.raw"), Some(2), 1),
        format("x.npz", events, golden("events/events.npz"), None, 4),
        format("frames.npz", frames, golden("events/frames.npz"), None, 4),
        format("colour.JPEG", picture, golden("images/420.JPEG"), None, 2),
        format("progressive.JPEG", picture, golden("images/progressive.JPEG"), None, 2),
        format("grey.png", picture, golden("images/grey-alpha.png"), None, 4),
        format("meta", pickle, golden("cifar/meta"), None, 2),
        format("labels", idx, idx_bytes(), None, 4),
        format("labels.gz", idx_gzip, gzip(&idx_bytes()), None, 2),
        format("any-labels", info, idx_bytes(), None, 4),
        format("any-labels.gz", info, gzip(&idx_bytes()), None, 2),
        format("cifar-10-python.tar.gz", archive, gzip(&cifar_tar()), None, 2),
        format("x.cache", cache, corpus("files/cache"), None, 8),
        format("ILSVRC2012_img_train.tar", imagenet_tar, tar(&[(b"n1.tar", &inner)]), None, 512),
        format(
            "airplane.zip",
            dvs_zip,
            zip(&[("a/x.aedat", &aedat2())], zip::CompressionMethod::Deflated),
            None,
            4,
        ),
    ]
}

fn cifar_tar() -> Vec<u8> {
    let layout = CIFAR10.python;
    let batch = batch();
    let files: Vec<_> =
        layout.train_files.iter().map(|name| (name.as_bytes(), batch.as_slice())).collect();
    tar(&files)
}

/// A pickle of two records.
fn batch() -> Vec<u8> {
    let mut bytes = b"\x80\x02}(U\x06labelsq\x01]q\x02(K\x01K\x02eU\x04dataq\x03".to_vec();
    bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85");
    bytes.extend(b"q\x06U\x01bq\x07\x87q\x08Rq\x09(K\x01K\x02M\x00\x0c\x86q\x0a");
    bytes.extend(b"cnumpy\ndtype\nq\x0bU\x02u1q\x0cK\x00K\x01\x87q\x0dRq\x0e(K\x03U\x01|q\x0f");
    bytes.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89T");
    bytes.extend(6144_u32.to_le_bytes());
    bytes.extend([5; 6144]);
    bytes.extend(b"q\x11tq\x12bu.");
    bytes
}

#[test]
fn whole_files_are_read() {
    for Format { name, read, whole, .. } in formats() {
        let (result, peak) = attempt(name, &whole, read);
        assert!(result.is_ok(), "{result:?}");
        // The buffers of readers, and pictures of some thousand pixels.
        assert!(peak <= 3 * MIB, "{name}: {peak} bytes");
    }
}

#[test]
fn a_file_cut_anywhere_is_one_error_or_ends_with_a_record() {
    for Format { name, read, whole, record, .. } in formats() {
        let (mut errors, mut shorter) = (0, 0);
        let lengths = (0..whole.len())
            .filter(|length| whole.len() - length < 64 || length % 13 == 0 || *length < 200);
        for length in lengths {
            let (result, peak) = attempt(name, &whole[..length], read);
            assert!(peak <= 3 * MIB, "{name}, {length} bytes: {peak} bytes held");
            if result.is_err() {
                errors += 1;
                continue;
            }
            // A line of the header, a record or a packet is the last one.
            let at_end = record.is_none_or(|record| {
                (whole.len() - length) % record == 0 || whole[length - 1] == b'\n'
            });
            assert!(at_end && length > 0, "{name}: {length} of {} bytes are read", whole.len());
            shorter += 1;
        }
        let packets = name == "x3.aedat" || name == "x.aedat4";
        // Behind the last file of a tar archive are zeros only: its padding, and two blocks.
        let zeros = if name == "ILSVRC2012_img_train.tar" { 3 * 512 } else { 0 };
        assert!(errors > 20, "{name}: {errors} errors");
        assert!(
            record.is_some() || packets || shorter <= zeros,
            "{name}: {shorter} shorter files are read"
        );
    }
    refused("n", b"", events, MIB, &["byte 0", "an empty file"]);
    refused("split.txt", b"", split, MIB, &["line 0", "dataset"]);
}

#[test]
fn another_beginning_is_refused_at_its_place() {
    for Format { name, read, mut whole, magic, .. } in formats() {
        whole[..magic].fill(0xAA);
        if magic > 0 {
            refused(name, &whole, read, 3 * MIB, &["expected"]);
        }
    }
    // A file of one format by the name of another.
    refused("x.aedat", &golden("images/420.JPEG"), events, MIB, &["byte 0", "ff d8 ff"]);
    refused("x.JPEG", b"GIF89a", picture, MIB, &["byte 0", "47 49 46 38"]);
    refused("x", b"nothing known", info, MIB, &["byte 0: format"]);
}

#[test]
fn headers_that_ask_for_too_much_are_refused_before_memory_is_made() {
    let lines = |first: &str, line: &str| {
        [first.as_bytes(), &line.as_bytes().repeat((5 * MIB) / line.len())].concat()
    };
    // Five megabytes of lines, of which four are taken.
    for (name, first, line) in [
        ("x.aedat", "#!AER-DAT2.0\r\n", "# more\r\n"),
        ("x3.aedat", "#!AER-DAT3.1\r\n", "#more\r\n"),
        ("x.dat", "% Height 8\n", "% more of it\n"),
        ("x.raw", "% evt 2.0\n", "% more of it\n"),
        ("x.raw", "% evt 3.0\n", "% more of it\n"),
    ] {
        refused(name, &lines(first, line), events, 64 * MIB, &["header", "at most 4194304 bytes"]);
    }
    refused(
        "x.aedat4",
        b"#!AER-DAT4.0\r\n\xff\xff\xff\x7f",
        events,
        MIB,
        &["byte 18", "found 2147483647"],
    );
    let mut packet = corpus("events/aedat3");
    let header = packet.windows(4).position(|window| window == b"ADER").unwrap() + 6;
    packet[header + 16..header + 24].fill(0xFF);
    refused("x3.aedat", &packet, events, 2 * MIB, &["packet", "more bytes, found the end"]);
    for (shape, part) in [("1099511627776,", "at most 65536 values"), ("65536,", "bytes of values")]
    {
        let arrays =
            ["t", "x", "y", "p"].map(|name| (format!("{name}.npy"), npy("<i8", shape, &[0; 8])));
        let files: Vec<_> =
            arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        refused("x.npz", &zip(&files, zip::CompressionMethod::Stored), events, MIB, &[part]);
    }
    let mut long = npy("<i8", "1,", &[0; 8]);
    long[6] = 2;
    long[8..12].fill(0x7F);
    let long = zip(&[("frames.npy", &long)], zip::CompressionMethod::Stored);
    refused("frames.npz", &long, frames, MIB, &["a header of at most 64 KiB"]);
    let mut sizes = idx_bytes();
    sizes[4..8].fill(0xFF);
    refused("labels", &sizes, idx, MIB, &["byte 4", "found 4294967295"]);
    let mut cut = corpus("files/cache");
    cut[12..36].fill(0x7F);
    refused("x.cache", &cut, cache, MIB, &["byte 12", "size of the file"]);
    refused("meta", b"\x80\x02T\xff\xff\xff\xffabc", pickle, MIB, &["4294967295 bytes"]);
    let mut huge = tar(&[(b"n1.tar", b"")]);
    huge[124..135].fill(b'7');
    let sum: u64 = huge[..512].iter().map(|&byte| u64::from(byte)).sum::<u64>()
        - huge[148..156].iter().map(|&byte| u64::from(byte)).sum::<u64>()
        + 8 * u64::from(b' ');
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    refused(
        "ILSVRC2012_img_train.tar",
        &huge,
        imagenet_tar,
        MIB,
        &["byte 0", "size of a file", "bytes that are left"],
    );
    refused("cifar-10-python.tar.gz", &gzip(&huge), archive, MIB, &["at most 1073741824 bytes"]);
    // 65,535 by 65,535 pixels.
    let mut jpeg = golden("images/420.JPEG");
    let frame = jpeg.windows(2).position(|window| window == b"\xFF\xC0").unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    refused("x.JPEG", &jpeg, picture, 2 * MIB, &["65535x65535"]);
    let mut png = golden("images/png.JPEG");
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let mut sum = flate2::Crc::new();
    sum.update(&png[12..29]);
    png[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    refused("x.png", &png, picture, 2 * MIB, &["65536x65536"]);
    let long = [b"dataset n-mnist\n".as_slice(), &vec![b'#'; 65 * MIB]].concat();
    refused("split.txt", &long, split, MIB, &["at most 67108864 bytes"]);
}

#[test]
fn damage_that_keeps_the_length_is_found_by_checksums() {
    // A bit of an array of an NPZ file, and of a recording in a zip archive, neither of them
    // packed.
    for (name, file, read) in
        [("x.npz", "t.npy", events as Reader), ("airplane.zip", "a/x.aedat", dvs_zip)]
    {
        let arrays =
            ["t", "x", "y", "p"].map(|array| (format!("{array}.npy"), npy("<i8", "2,", &[1; 16])));
        let recording = aedat2();
        let files: Vec<(&str, &[u8])> = match name {
            "x.npz" => {
                arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
            }
            _ => vec![("a/x.aedat", &recording)],
        };
        let whole = zip(&files, zip::CompressionMethod::Stored);
        let content = files.iter().find(|(name, _)| *name == file).unwrap().1;
        let at = whole.windows(content.len()).position(|window| window == content).unwrap();
        let mut damaged = whole.clone();
        damaged[at + content.len() - 1] ^= 2;
        refused(name, &damaged, read, MIB, &["hecksum"]);
    }
}
