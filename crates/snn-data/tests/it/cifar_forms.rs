//! CIFAR in its other forms: pickles, archives read in place, folders of pictures. The pickles are
//! Python's (`fixtures/golden/make_cifar.py`).

use flate2::Compression;
use flate2::write::GzEncoder;
use snn_data::{
    CIFAR10, CIFAR100, CifarForm, CifarLayout, CifarStored, Dataset, Error, Images, Pickle, Split,
};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// CIFAR-100's layout with 4 + 4 records.
const SMALL100: CifarLayout = CifarLayout { train_records: 4, test_records: 4, ..CIFAR100 };
/// CIFAR-10's layout with 5·3 + 3 records.
const SMALL10: CifarLayout = CifarLayout { train_records: 3, test_records: 3, ..CIFAR10 };

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/cifar").join(name))
        .unwrap()
}

fn pixel(record: usize, position: usize) -> u8 {
    u8::try_from((record * 31 + position * 7 + position / 1024) % 256).unwrap()
}

fn has_pixels(images: &Images, records: usize) {
    for index in 0..images.len() {
        let expected: Vec<u8> =
            (0..3072).map(|position| pixel(index % records, position)).collect();
        assert_eq!(images.image(index).unwrap(), expected, "image {index}");
    }
}

/// The files of the Python form.
fn python_files(layout: &CifarLayout) -> Vec<(&'static str, Vec<u8>)> {
    let CifarStored { train_files, test_files, names_file, .. } = layout.python;
    let (data, names) = if layout.dataset == "cifar-10" {
        ("data_batch", "batches.meta")
    } else {
        ("train", "meta")
    };
    let batches = train_files.iter().chain(test_files).map(|name| (*name, fixture(data)));
    batches.chain([(names_file, fixture(names))]).collect()
}

fn folder(stored: &CifarStored, files: &[(&str, Vec<u8>)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(stored.folder)).unwrap();
    for (name, bytes) in files {
        fs::write(root.path().join(stored.folder).join(name), bytes).unwrap();
    }
    root
}

fn packed(folder: &str, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut entry = |name: String, kind: tar::EntryType, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_entry_type(kind);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    entry(format!("{folder}/"), tar::EntryType::Directory, b"");
    // The official archives have their files in no order.
    for (name, bytes) in files.iter().rev() {
        entry(format!("{folder}/{name}"), tar::EntryType::Regular, bytes);
    }
    entry(format!("{folder}/readme.html"), tar::EntryType::Regular, b"<html>");
    builder.into_inner().unwrap().finish().unwrap()
}

fn same(ours: &Images, others: &Images) {
    assert_eq!((ours.labels(), ours.classes()), (others.labels(), others.classes()));
    assert_eq!(ours.pixels(), others.pixels());
}

#[test]
fn pickles_are_read_from_folders_and_archives() {
    for (layout, labels, last) in
        [(SMALL10, vec![6, 9, 4], "truck"), (SMALL100, vec![5, 15, 25, 35], "class_99")]
    {
        let files = python_files(&layout);
        let root = folder(&layout.python, &files);
        let found = layout.locate(root.path()).unwrap();
        assert_eq!(found.form(), CifarForm::Python);
        let (train, test, names) = found.read_all().unwrap();
        assert_eq!(train.labels(), labels.repeat(layout.python.train_files.len()));
        assert_eq!((test.labels(), names.last().unwrap().as_str()), (labels.as_slice(), last));
        has_pixels(&train, labels.len());
        // The folder itself.
        assert_eq!(
            layout.locate(found.path()).unwrap(),
            layout.files(CifarForm::Python, found.path().into())
        );

        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(layout.python.archive), packed(layout.python.folder, &files))
            .unwrap();
        let archive = layout.locate(root.path()).unwrap();
        assert_eq!(archive.form(), CifarForm::PythonArchive);
        let from_archive = archive.read_all().unwrap();
        same(&from_archive.0, &train);
        same(&from_archive.1, &test);
        assert_eq!(from_archive.2, names);
        same(&archive.read(Split::Train).unwrap(), &train);
        same(&archive.read(Split::Test).unwrap(), &test);
        assert_eq!(archive.read_names().unwrap(), names);
    }
}

#[test]
fn the_binary_archive_is_read_in_place() {
    let files: Vec<(&str, Vec<u8>)> = SMALL10
        .binary
        .train_files
        .iter()
        .chain(SMALL10.binary.test_files)
        .enumerate()
        .map(|(number, name)| {
            let record = |record| {
                let label = u8::try_from((number + record) % 10).unwrap();
                std::iter::once(label).chain((0..3072).map(move |position| pixel(record, position)))
            };
            (*name, (0..3).flat_map(record).collect())
        })
        .chain([("batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".to_vec())])
        .collect();
    let root = folder(&SMALL10.binary, &files);
    let (train, test, names) = SMALL10.locate(root.path()).unwrap().read_all().unwrap();
    assert_eq!(train.labels(), [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6]);
    has_pixels(&train, 3);
    let packed_root = tempfile::tempdir().unwrap();
    fs::write(
        packed_root.path().join(SMALL10.binary.archive),
        packed(SMALL10.binary.folder, &files),
    )
    .unwrap();
    let archive = SMALL10.locate(packed_root.path()).unwrap();
    assert_eq!(archive.form(), CifarForm::BinaryArchive);
    let (packed_train, packed_test, packed_names) = archive.read_all().unwrap();
    same(&packed_train, &train);
    same(&packed_test, &test);
    assert_eq!(packed_names, names);
    // Of several forms the folder of the binary one is read.
    fs::write(root.path().join(SMALL10.binary.archive), b"damaged").unwrap();
    assert_eq!(SMALL10.locate(root.path()).unwrap().form(), CifarForm::Binary);
}

/// What reading the archive says with these bytes in its place.
fn archive_error(layout: &CifarLayout, bytes: &[u8]) -> String {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(layout.python.archive), bytes).unwrap();
    let error = layout.locate(root.path()).unwrap().read_all().unwrap_err().to_string();
    assert!(error.contains(layout.python.archive), "{error}");
    error
}

#[test]
fn damaged_archives_are_refused_with_file_and_place() {
    let files = python_files(&SMALL100);
    let whole = packed(SMALL100.python.folder, &files);
    for cut in [0, 5, 30, whole.len() / 2, whole.len() - 9] {
        let error = archive_error(&SMALL100, &whole[..cut]);
        assert!(error.contains("byte ") || cut == 0 && error.contains("missing"), "{cut}: {error}");
    }
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 16].fill(0xA5);
    assert!(archive_error(&SMALL100, &flipped).contains("byte "));
    assert!(archive_error(&SMALL100, b"not a gzip").contains("unpacked"));
    let error = archive_error(&SMALL100, &packed("x", &files[1..]));
    assert!(error.ends_with("train` is missing"), "{error}");
    let twice: Vec<_> = files.iter().chain(&files).cloned().collect();
    assert!(archive_error(&SMALL100, &packed("x", &twice)).contains("each file once"));
    let mut other = files.clone();
    other[0].1 = fixture("meta");
    let error = archive_error(&SMALL100, &packed("x", &other));
    assert!(error.contains("train") && error.contains("`data`"), "{error}");
    // A plain tar is not a gzip, and a gzip of something else no tar.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&[7; 2000]).unwrap();
    assert!(archive_error(&SMALL100, &gzip.finish().unwrap()).contains("checksum of a header"));
}

#[test]
fn an_archive_that_unpacks_without_end_is_stopped() {
    // A file of 8 GiB of zeros as far as its header says: refused before it is unpacked.
    let mut header = tar::Header::new_ustar();
    header.set_path("cifar-100-python/huge").unwrap();
    header.set_size((1 << 33) - 512);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).unwrap();
    gzip.write_all(&vec![0; 1 << 20]).unwrap();
    let error = archive_error(&SMALL100, &gzip.finish().unwrap());
    assert!(error.contains("at most 1073741824 bytes"), "{error}");
}

fn read(bytes: &[u8]) -> Result<Pickle<'_>, Error> {
    Pickle::read(bytes, Path::new("file"))
}

#[test]
fn pickles_of_every_protocol_give_the_same() {
    let [old, new] = ["data_batch", "data_batch.protocol4"].map(fixture);
    let [old, new] = [read(&old).unwrap(), read(&new).unwrap()];
    let entries = [
        ("batch_label", "training batch 1 of 5"),
        ("labels", "list of 3"),
        ("data", "array [3, 3072] of u1"),
        ("filenames", "list of 3"),
    ];
    assert_eq!(old.entries(), entries.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(new.entries(), old.entries());
    assert_eq!(old.bytes_of("data", [3, 3072]).unwrap(), new.bytes_of("data", [3, 3072]).unwrap());
    assert_eq!(new.numbers_of("labels", 3).unwrap(), [6, 9, 4]);
    assert_eq!(new.texts_of("filenames").unwrap()[2], "picture_s_000002.png");
    let meta = fixture("batches.meta");
    assert_eq!(read(&meta).unwrap().texts_of("label_names").unwrap()[9], "truck");
}

#[test]
fn pickles_that_are_not_what_was_asked_for_are_refused() {
    let bytes = fixture("data_batch");
    let pickle = read(&bytes).unwrap();
    for error in [
        pickle.bytes_of("data", [4, 3072]).unwrap_err(),
        pickle.bytes_of("labels", [3, 3072]).unwrap_err(),
        pickle.numbers_of("labels", 4).unwrap_err(),
        pickle.numbers_of("filenames", 3).unwrap_err(),
        pickle.texts_of("labels").unwrap_err(),
        pickle.texts_of("nothing").unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Field { path, .. } if path == Path::new("file")),
            "{error}"
        );
    }
    let fortran = fixture("data_batch.fortran");
    let error = read(&fortran).unwrap().bytes_of("data", [3, 3072]).unwrap_err().to_string();
    assert!(error.contains("Fortran order"), "{error}");
    // Every cut is an error with a place, and none panics.
    for cut in (0..300).chain(bytes.len() - 200..bytes.len()) {
        let error = read(&bytes[..cut]).unwrap_err().to_string();
        assert!(error.starts_with("`file`: byte "), "{cut}: {error}");
    }
}

#[test]
fn nothing_is_executed_and_memory_is_bounded() {
    let refused = |bytes: &[u8], part: &str| {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(b"\x80\x02cos\nsystem\n(U\x02lsq\x01tR.", "`os.system`");
    refused(b"cbuiltins\neval\n.", "nothing is executed");
    refused(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "`builtins.eval`");
    // Instructions that call: INST, OBJ, NEWOBJ, and those that ask outside: PERSID, EXT1.
    for code in *b"io\x81\x92PQ\x82" {
        refused(&[0x80, 2, b'(', b'(', code], "instruction");
    }
    refused(b"\x80\x02cnumpy\nndarray\n)R.", "the making of an array");
    refused(b"\x80\x01}.", "2 to 5");
    refused(b"K\x01.", "a dictionary");
    refused(b"", "1 bytes");
    refused(b"T\xFF\xFF\xFF\xFFabc", "4294967295 bytes");
    refused(b"\x8e\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFabc", "then the end");
    refused(b"h\x05.", "one that was filled");
    refused(b"t", "a mark");
    refused(b"}(K\x01u.", "pairs");
    refused(b"K\x01K\x02a.", "a list to append to");
    refused(b"K\x01Nb.", "an array or a type of elements before it");
    // A list in itself, and lists of lists of lists: positions, not copies.
    let mut deep = b"}U\x01a]q\x01".to_vec();
    for _ in 0..200_000 {
        deep.extend(b"h\x01a");
    }
    deep.extend(b"s.");
    assert_eq!(read(&deep).unwrap().entries()[0].1, "list of 200000");
    let nested =
        [b"}U\x01a".to_vec(), vec![b']'; 300_000], vec![b'a'; 299_999], b"s.".to_vec()].concat();
    assert_eq!(read(&nested).unwrap().entries()[0].1, "list of 1");
    refused(&vec![b'N'; 3_000_000], "at most 2097152 instructions");
}

#[test]
fn labels_of_pickles_are_checked() {
    let layout = CifarLayout { labels: &[("label", 9)], ..SMALL10 };
    let root = folder(&layout.python, &python_files(&layout));
    let error = layout.locate(root.path()).unwrap().read(Split::Train).unwrap_err();
    assert!(
        matches!(error, Error::LabelOutOfRange { record: 1, label: 9, classes: 9, .. }),
        "{error}"
    );
    let names = layout.locate(root.path()).unwrap().read_names().unwrap_err();
    assert!(matches!(names, Error::ClassNames { expected: 9, .. }), "{names}");
    let short = CifarLayout { train_records: 2, ..SMALL10 };
    let error = short.locate(root.path()).unwrap().read(Split::Train).unwrap_err().to_string();
    assert!(error.contains("data_batch_1") && error.contains("[2, 3072]"), "{error}");
}

/// One picture of 32x32 a class and split, in folders; its first pixel tells its class.
fn pictures(classes: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for split in ["train", "test"] {
        for (number, (outer, class)) in classes.iter().enumerate() {
            let folder: PathBuf = root.path().join(split).join(outer).join(class);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("0001.png"), png(32, u8::try_from(number).unwrap())).unwrap();
        }
    }
    root
}

fn png(side: u32, value: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = [value, value + 50, value + 100].repeat((side * side) as usize);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

#[test]
fn folders_of_pictures_are_read_as_cifar() {
    const NAMES: [&str; 10] =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    let stored = |files| CifarStored { train_files: files, test_files: files, ..CIFAR10.binary };
    let layout =
        CifarLayout { train_records: 10, test_records: 10, binary: stored(&["x"]), ..CIFAR10 };
    // One folder a class, or one a coarse class with one a class.
    for outer in ["", "animals and others"] {
        let root = pictures(&NAMES.map(|name| (outer, name)));
        let found = layout.locate(root.path()).unwrap();
        assert_eq!(found.form(), CifarForm::Pictures);
        let (train, test, names) = found.read_all().unwrap();
        assert_eq!(
            (names.as_slice(), train.labels()),
            (NAMES.map(str::to_owned).as_slice(), test.labels())
        );
        assert_eq!(train.labels(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(train.pixels()[[7, 2, 31, 31]], 107);
        assert_eq!(found.read_names().unwrap(), names);
    }
    let root = pictures(&NAMES.map(|name| ("", name)));
    let named = root.path().join("named");
    fs::create_dir(&named).unwrap();
    fs::rename(root.path().join("train"), named.join("train")).unwrap();
    fs::rename(root.path().join("test"), named.join("val")).unwrap();
    fs::rename(&named, root.path().join("cifar10")).unwrap();
    let found = layout.locate(root.path()).unwrap();
    assert_eq!(found.read(Split::Test).unwrap().len(), 10);
    // What is wrong is said.
    let error = Dataset::open("cifar-10", Some(root.path())).unwrap_err().to_string();
    assert!(error.contains("pictures: expected 50000") && error.contains("found 10"), "{error}");
    fs::write(found.path().join("train/cat/0001.png"), png(31, 1)).unwrap();
    let error = found.read(Split::Train).unwrap_err().to_string();
    assert!(
        error.contains("cat") && error.contains("expected 32x32 pixels, found 31x31"),
        "{error}"
    );
    fs::remove_dir_all(found.path().join("train/airplane")).unwrap();
    let error = found.read(Split::Train).unwrap_err().to_string();
    assert!(
        error.contains("from `airplane` on") && error.contains("found 9, from `automobile` on"),
        "{error}"
    );
}
