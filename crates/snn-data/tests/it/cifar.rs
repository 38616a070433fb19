//! CIFAR's binary form, on small folders of the same make.

use snn_data::{CIFAR10, CIFAR100, CifarForm, CifarLayout, Dataset, Error, Split};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// CIFAR-100's layout with 4 + 2 records.
const SMALL: CifarLayout = CifarLayout { train_records: 4, test_records: 2, ..CIFAR100 };
/// CIFAR-10's layout with 5·3 + 2 records.
const SMALL10: CifarLayout = CifarLayout { train_records: 3, test_records: 2, ..CIFAR10 };

/// Pixels of record `record`: a function that gives every byte of the record its own value.
fn pixel(record: usize, position: usize) -> u8 {
    u8::try_from((record * 31 + position * 7 + position / 1024) % 256).unwrap()
}

fn records(count: usize, labels: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..count)
        .flat_map(|record| {
            labels(record).into_iter().chain((0..3072).map(move |position| pixel(record, position)))
        })
        .collect()
}

/// A folder of the form of CIFAR-100: labels (coarse, fine) are (record, 10 · record + 5).
fn small_folder() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(SMALL.binary.folder);
    fs::create_dir(&folder).unwrap();
    let labels =
        |record: usize| vec![u8::try_from(record).unwrap(), u8::try_from(10 * record + 5).unwrap()];
    fs::write(folder.join("train.bin"), records(4, labels)).unwrap();
    fs::write(folder.join("test.bin"), records(2, labels)).unwrap();
    fs::write(folder.join("fine_label_names.txt"), names(100)).unwrap();
    root
}

fn names(count: usize) -> String {
    (0..count).map(|class| format!("class_{class}")).collect::<Vec<_>>().join("\n")
}

fn train_error(change: impl FnOnce(&Path)) -> Error {
    let root = small_folder();
    let files = SMALL.locate(root.path()).unwrap();
    change(files.path());
    files.read(Split::Train).unwrap_err()
}

#[test]
fn records_become_images() {
    let root = small_folder();
    let files = SMALL.locate(root.path()).unwrap();
    let train = files.read(Split::Train).unwrap();
    assert_eq!(train.pixels().dim(), (4, 3, 32, 32));
    assert_eq!(train.labels(), [5, 15, 25, 35]);
    assert_eq!(train.classes(), 100);
    // Planes R, G, B; rows from the top.
    assert_eq!(train.pixels()[[2, 1, 3, 4]], pixel(2, 1024 + 3 * 32 + 4));
    assert_eq!(files.read(Split::Test).unwrap().labels(), [5, 15]);
    assert_eq!(files.read_names().unwrap()[99], "class_99");
}

#[test]
fn training_files_are_joined_in_order() {
    let root = tempfile::tempdir().unwrap();
    for (number, file) in SMALL10.binary.train_files.iter().enumerate() {
        let label = u8::try_from(number).unwrap();
        fs::write(root.path().join(file), records(3, |_| vec![label])).unwrap();
    }
    let train = SMALL10.locate(root.path()).unwrap().read(Split::Train).unwrap();
    assert_eq!(train.labels(), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
}

#[test]
fn the_root_may_be_the_folder_itself() {
    let root = small_folder();
    let folder = root.path().join(SMALL.binary.folder);
    assert_eq!(SMALL.locate(root.path()).unwrap(), SMALL.files(CifarForm::Binary, folder.clone()));
    assert_eq!(SMALL.locate(&folder).unwrap().path(), folder);
}

#[test]
fn a_missing_folder_is_named() {
    let root = tempfile::tempdir().unwrap();
    let error = Dataset::open("cifar-100", Some(root.path())).unwrap_err();
    assert!(matches!(error, Error::MissingFolder { .. }));
    let message = error.to_string();
    assert!(message.contains("cifar-100-binary") && message.contains("train.bin"), "{message}");
}

#[test]
fn a_missing_file_is_named() {
    let error = train_error(|folder| fs::remove_file(folder.join("train.bin")).unwrap());
    assert!(
        matches!(&error, Error::MissingFile { path, .. } if path.ends_with("train.bin")),
        "{error}"
    );
}

#[test]
fn a_truncated_file_is_refused() {
    let error = train_error(|folder| {
        let bytes = fs::read(folder.join("train.bin")).unwrap();
        fs::write(folder.join("train.bin"), &bytes[..bytes.len() - 1]).unwrap();
    });
    let message = error.to_string();
    assert!(
        message.ends_with(
            "expected 12296 bytes, found 12295 (not a whole number of records of 3074 bytes)"
        ),
        "{message}"
    );
}

#[test]
fn a_wrong_number_of_records_is_refused() {
    let error =
        train_error(|folder| fs::write(folder.join("train.bin"), vec![0; 5 * 3074]).unwrap());
    assert!(error.to_string().ends_with("(5 records of 3074 bytes instead of 4)"), "{error}");
    let error = train_error(|folder| fs::write(folder.join("train.bin"), []).unwrap());
    assert!(
        error.to_string().ends_with("found 0 (0 records of 3074 bytes instead of 4)"),
        "{error}"
    );
}

#[test]
fn labels_are_checked() {
    for (labels, kind, expected) in [
        ([20, 0], "coarse label", "below 20, found 20"),
        ([0, 100], "fine label", "below 100, found 100"),
    ] {
        let error = train_error(|folder| {
            let mut bytes = fs::read(folder.join("train.bin")).unwrap();
            bytes[2 * 3074..2 * 3074 + 2].copy_from_slice(&labels);
            fs::write(folder.join("train.bin"), bytes).unwrap();
        });
        let message = error.to_string();
        assert!(
            message.contains("train.bin`: record 2: expected a ") && message.contains(kind),
            "{message}"
        );
        assert!(message.ends_with(expected), "{message}");
    }
}

#[test]
fn class_names_are_counted_and_bounded() {
    let root = small_folder();
    let files = SMALL.locate(root.path()).unwrap();
    let path = files.path().join(SMALL.binary.names_file);
    for content in [names(99).into_bytes(), vec![b'a'; 1 << 20], vec![0xff; 10]] {
        fs::write(&path, content).unwrap();
        let error = files.read_names().unwrap_err();
        assert!(
            error.to_string().contains("expected 100 class names, one a line, found"),
            "{error}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(files.read_names().unwrap_err(), Error::MissingFile { .. }));
}

#[test]
fn a_folder_in_the_place_of_a_file_is_no_file() {
    let error = train_error(|folder| {
        fs::remove_file(folder.join("train.bin")).unwrap();
        fs::create_dir(folder.join("train.bin")).unwrap();
    });
    assert!(matches!(error, Error::MissingFile { .. }), "{error}");
}
