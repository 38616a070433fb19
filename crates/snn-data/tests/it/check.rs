//! The check of a data root against the compiled-in manifest.

use snn_data::inventory::{FileStatus, Presence, check, list};
use snn_data::{CIFAR10, DatasetName};
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

const NAMES: &str = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

#[test]
fn every_state_of_a_file_is_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(CIFAR10.binary.folder);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("batches.meta.txt"), NAMES).unwrap();
    for name in ["data_batch_1.bin", "test_batch.bin"] {
        // The right size and nothing but zeros; takes no space on disk.
        File::create(folder.join(name)).unwrap().set_len(30_730_000).unwrap();
    }
    fs::write(folder.join("data_batch_2.bin"), "short").unwrap();
    fs::create_dir(folder.join("data_batch_3.bin")).unwrap();

    let report = check(root.path(), Some(DatasetName::Cifar10)).unwrap();
    assert!(!report.is_ok());
    let status =
        |name: &str| &report.files.iter().find(|file| file.path.ends_with(name)).unwrap().status;
    assert_eq!(report.files.len(), 7);
    assert_eq!(status("batches.meta.txt"), &FileStatus::Ok);
    assert_eq!(status("test_batch.bin"), &FileStatus::OkSizeOnly);
    assert_eq!(
        status("data_batch_2.bin"),
        &FileStatus::WrongSize { expected: 30_730_000, found: 5 }
    );
    assert_eq!(status("data_batch_5.bin"), &FileStatus::Missing);
    assert!(matches!(
        status("data_batch_1.bin"),
        FileStatus::WrongChecksum { expected, .. } if expected.starts_with("cee91656")
    ));
    assert!(matches!(status("data_batch_3.bin"), FileStatus::Unreadable { .. }));

    let text = report.to_string();
    assert!(
        text.contains("data_batch_2.bin  wrong size: expected 30730000 bytes, found 5"),
        "{text}"
    );
    // Same folder, named directly.
    let direct = check(&folder, Some(DatasetName::Cifar10)).unwrap();
    assert_eq!(direct.files, report.files);
}

#[test]
fn an_empty_root_misses_everything_and_a_computed_set_nothing() {
    let root = tempfile::tempdir().unwrap();
    let all = check(root.path(), None).unwrap();
    assert_eq!(all.files.len(), 19);
    assert!(all.files.iter().all(|file| file.status == FileStatus::Missing));
    let computed = check(root.path(), Some(DatasetName::Shapes10)).unwrap();
    assert!(computed.is_ok() && computed.files.is_empty());
}

#[test]
fn an_unpacked_file_stands_for_its_archive() {
    let root = tempfile::tempdir().unwrap();
    for (name, unpacked) in [(DatasetName::Mnist, true), (DatasetName::FashionMnist, false)] {
        let folder = root.path().join(name.as_str());
        fs::create_dir(&folder).unwrap();
        let of =
            |file: &str, bytes| File::create(folder.join(file)).unwrap().set_len(bytes).unwrap();
        of("t10k-labels-idx1-ubyte", 10_008);
        of("t10k-labels-idx1-ubyte.gz", 7);
        of("train-labels-idx1-ubyte.gz", 7);
        let report = check(root.path(), Some(name)).unwrap();
        let status = |file: &str| {
            &report.files.iter().find(|found| found.path.ends_with(file)).unwrap().status
        };
        assert!(matches!(
            status("train-labels-idx1-ubyte.gz"),
            FileStatus::WrongSize { found: 7, .. }
        ));
        assert_eq!(status("train-images-idx3-ubyte.gz"), &FileStatus::Missing);
        let plain = status("t10k-labels-idx1-ubyte");
        if unpacked {
            assert!(matches!(
                plain,
                FileStatus::WrongChecksum { expected, .. } if expected.starts_with("ff7bcfd4")
            ));
        } else {
            assert_eq!(plain, &FileStatus::OkSizeOnly);
        }
    }
}

#[test]
fn a_report_is_plain_data() {
    let report = check(Path::new("nowhere"), None).unwrap();
    let text = toml::to_string(&report).unwrap();
    assert!(
        text.contains("dataset = \"cifar-100\"") && text.contains("status = \"missing\""),
        "{text}"
    );
    assert_eq!(toml::from_str::<snn_data::inventory::Report>(&text).unwrap(), report);
}

/// What `list` says of a set.
fn listing(root: &Path, set: DatasetName) -> snn_data::inventory::Listing {
    list(root).unwrap().into_iter().find(|listing| listing.dataset == set).unwrap()
}

#[test]
fn a_pickled_set_that_is_cut_is_not_complete() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-10-batches-py");
    fs::create_dir(&folder).unwrap();
    // Holes that take no space on disk, and the last instruction of a pickle.
    let whole = |name: &str| {
        let mut file = File::create(folder.join(name)).unwrap();
        file.set_len(31_035_000).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b".").unwrap();
    };
    (1..=5).for_each(|number| whole(&format!("data_batch_{number}")));
    whole("test_batch");
    fs::write(folder.join("batches.meta"), vec![b'.'; 158]).unwrap();
    assert_eq!(listing(root.path(), DatasetName::Cifar10).presence, Presence::Complete);
    for (bytes, why) in [(31_034_999, "not its end"), (20_000_000, "too short"), (0, "empty")] {
        let file = File::options().write(true).open(folder.join("data_batch_3")).unwrap();
        file.set_len(bytes).unwrap();
        let listed = listing(root.path(), DatasetName::Cifar10);
        assert_eq!(listed.presence, Presence::Incomplete, "{why}");
        let message = listed.parts[0].message.as_deref().unwrap_or_default();
        assert!(message.contains("`data_batch_3` is cut or damaged"), "{why}: {message}");
        assert!(message.contains(&bytes.to_string()), "{why}: {message}");
        assert_eq!((listed.parts[0].found, listed.parts[1].found), (40_000, 10_000), "{why}");
    }
}

#[test]
fn a_damaged_archive_is_not_a_missing_set() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar10-dvs");
    fs::create_dir(&folder).unwrap();
    let missing = listing(root.path(), DatasetName::Cifar10Dvs);
    assert_eq!(missing.presence, Presence::Missing);
    fs::write(folder.join("bird.zip"), b"PK\x03\x04 and nothing more").unwrap();
    let damaged = listing(root.path(), DatasetName::Cifar10Dvs);
    assert_eq!(damaged.presence, Presence::Incomplete);
    let part = &damaged.parts[0];
    let message = part.message.as_deref().unwrap_or_default();
    assert!(part.damaged && message.contains("bird.zip"), "{message}");
}
