//! IDX files, on small folders of the same make.

use flate2::{Compression, write::GzEncoder};
use snn_data::{Dataset, Error, FASHION_MNIST, IdxLayout, MNIST, Split, read_idx};
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;
use tempfile::TempDir;

/// MNIST's layout with 5 + 3 images of 2×4.
const SMALL: IdxLayout = IdxLayout { train_images: 5, test_images: 3, size: [2, 4], ..MNIST };

fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let axes = u8::try_from(sizes.len()).unwrap();
    let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, axes].into_iter().chain(sizes).chain(values.iter().copied()).collect()
}

fn images(count: u8) -> Vec<u8> {
    idx(&[u32::from(count), 2, 4], &(0..count * 8).collect::<Vec<_>>())
}

fn labels(count: u8) -> Vec<u8> {
    idx(&[u32::from(count)], &(0..count).map(|index| 9 - index).collect::<Vec<_>>())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder of the form of MNIST: the training split plain, the test split as gzip.
fn small_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
    write("train-images-idx3-ubyte", images(5));
    write("train-labels-idx1-ubyte", labels(5));
    write("t10k-images-idx3-ubyte.gz", gzip(&images(3)));
    write("t10k-labels-idx1-ubyte.gz", gzip(&labels(3)));
    folder
}

fn refused(name: &str, bytes: &[u8], split: Split, expected: &[&str]) {
    let folder = small_folder();
    fs::write(folder.path().join(name), bytes).unwrap();
    let message = SMALL.read(folder.path(), split).unwrap_err().to_string();
    for part in expected.iter().chain([&name]) {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn plain_and_compressed_files_become_images() {
    let folder = small_folder();
    assert_eq!(SMALL.locate(folder.path()).unwrap(), folder.path());
    let train = SMALL.read(folder.path(), Split::Train).unwrap();
    assert_eq!(train.pixels().dim(), (5, 1, 2, 4));
    assert_eq!(train.labels(), [9, 8, 7, 6, 5]);
    assert_eq!(train.pixels()[[4, 0, 1, 2]], 4 * 8 + 4 + 2, "rows from the top");
    let test = SMALL.read(folder.path(), Split::Test).unwrap();
    assert_eq!((test.len(), test.labels()), (3, [9, 8, 7].as_slice()));
    assert_eq!(test.image(2).unwrap(), (16..24).collect::<Vec<u8>>());
}

#[test]
fn folders_have_one_of_two_names() {
    let root = tempfile::tempdir().unwrap();
    for (layout, name) in [
        (MNIST, "MNIST/raw"),
        (MNIST, "mnist"),
        (FASHION_MNIST, "FashionMNIST/raw"),
        (FASHION_MNIST, "fashion-mnist"),
    ] {
        fs::create_dir_all(root.path().join(name)).unwrap();
        assert_eq!(layout.locate(root.path()).unwrap(), root.path().join(name));
    }
    let root = tempfile::tempdir().unwrap();
    let message = Dataset::open("mnist", Some(root.path())).unwrap_err().to_string();
    assert!(message.contains("train-images-idx3-ubyte") && message.contains("mnist"), "{message}");
    fs::create_dir(root.path().join("fashion-mnist")).unwrap();
    let error = Dataset::open("fashion-mnist", Some(root.path())).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::MissingFile { path, .. } if path.ends_with("train-labels-idx1-ubyte")
        ),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_is_named_with_its_field() {
    let (train, test) = (Split::Train, Split::Test);
    let name = "train-images-idx3-ubyte";
    let whole = images(5);
    for length in 0..whole.len() {
        let field = if length < 16 { "header" } else { "values" };
        refused(name, &whole[..length], train, &[field, "then the end"]);
    }
    refused(name, &[whole.clone(), vec![0]].concat(), train, &["values", "found more bytes"]);
    refused(name, &images(4), train, &["size of an axis", "expected 5, found 4"]);
    refused(name, &idx(&[5, 4, 2], &[0; 40]), train, &["size of an axis", "expected 2, found 4"]);
    refused(name, &idx(&[u32::MAX, 2, 4], &[]), train, &["size of an axis", "found 4294967295"]);
    refused(name, &labels(5), train, &["magic number", "found 0, 0, 8, 1"]);
    refused(
        name,
        &[b"\x00\x00\x0d\x03", &whole[4..]].concat(),
        train,
        &["magic number", "found 0, 0, 13, 3"],
    );
    refused(name, &gzip(&whole), train, &["magic number", "found 31, 139"]);

    let name = "train-labels-idx1-ubyte";
    refused(
        name,
        &idx(&[5], &[0, 1, 2, 10, 4]),
        train,
        &["record 3", "a label below 10, found 10"],
    );
    refused(name, &idx(&[6], &[0; 6]), train, &["size of an axis", "expected 5, found 6"]);

    let name = "t10k-images-idx3-ubyte.gz";
    let packed = gzip(&images(3));
    for length in 0..packed.len() {
        refused(name, &packed[..length], test, &["expected"]);
    }
    refused(
        name,
        &images(3),
        test,
        &["bytes: expected a file that can be read and unpacked", "gzip"],
    );
    let mut wrong_sum = packed.clone();
    let sum = packed.len() - 5;
    wrong_sum[sum] ^= 1;
    refused(name, &wrong_sum, test, &["unpacked"]);
    refused(name, &[packed, vec![1, 2, 3]].concat(), test, &["expected"]);
    // A few kilobytes that unpack to megabytes: only what is expected is unpacked.
    refused(name, &gzip(&[images(3), vec![0; 1 << 24]].concat()), test, &["found more bytes"]);
}

#[test]
fn a_missing_file_is_named() {
    for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        let folder = small_folder();
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = SMALL.read(folder.path(), Split::Train).unwrap_err();
        assert!(
            matches!(&error, Error::MissingFile { path, .. } if path.ends_with(name)),
            "{error}"
        );
    }
}

/// Gives a byte at a time, after being interrupted; then fails.
struct Slow<'b>(&'b [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Some((first, rest)) = self.0.split_first() else {
            return Err(io::Error::other("the disk is gone"));
        };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn readers_may_be_slow_and_may_fail() {
    let whole = images(5);
    let message =
        read_idx(Slow(&whole, false), Path::new("x"), &[5, 2, 4]).unwrap_err().to_string();
    assert!(message.contains("the disk is gone"), "{message}");
    let values =
        read_idx(Read::chain(Slow(&whole[..20], false), io::empty()), Path::new("x"), &[5, 2, 4]);
    assert!(values.unwrap_err().to_string().contains("the disk is gone"));
    assert_eq!(
        read_idx(whole.as_slice(), Path::new("x"), &[5, 2, 4]).unwrap(),
        (0..40).collect::<Vec<u8>>()
    );
}
