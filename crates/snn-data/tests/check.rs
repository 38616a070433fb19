//! The check of a data root against the compiled-in manifest.

use snn_data::{CIFAR10, DatasetName, FileStatus, check};
use std::fs::{self, File};

const NAMES: &str = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

#[test]
fn every_state_of_a_file_is_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(CIFAR10.folder);
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
    let status = |name: &str| &report.files.iter().find(|file| file.path.ends_with(name)).unwrap().status;
    assert_eq!(report.files.len(), 7);
    assert_eq!(status("batches.meta.txt"), &FileStatus::Ok);
    assert_eq!(status("test_batch.bin"), &FileStatus::OkSizeOnly);
    assert_eq!(status("data_batch_2.bin"), &FileStatus::WrongSize { expected: 30_730_000, found: 5 });
    assert_eq!(status("data_batch_5.bin"), &FileStatus::Missing);
    assert!(
        matches!(status("data_batch_1.bin"), FileStatus::WrongChecksum { expected, .. } if expected.starts_with("cee91656"))
    );
    assert!(matches!(status("data_batch_3.bin"), FileStatus::Unreadable { .. }));

    let text = report.to_string();
    assert!(text.contains("data_batch_2.bin  wrong size: expected 30730000 bytes, found 5"), "{text}");
    // Same folder, named directly.
    let direct = check(&folder, Some(DatasetName::Cifar10)).unwrap();
    assert_eq!(direct.files, report.files);
}

#[test]
fn an_empty_root_misses_everything_and_a_computed_set_nothing() {
    let root = tempfile::tempdir().unwrap();
    let all = check(root.path(), None).unwrap();
    assert_eq!(all.files.len(), 11);
    assert!(all.files.iter().all(|file| file.status == FileStatus::Missing));
    let computed = check(root.path(), Some(DatasetName::Shapes10)).unwrap();
    assert!(computed.is_ok() && computed.files.is_empty());
}

#[test]
fn a_report_is_plain_data() {
    let report = check(std::path::Path::new("nowhere"), None).unwrap();
    let text = toml::to_string(&report).unwrap();
    assert!(text.contains("dataset = \"cifar-100\"") && text.contains("status = \"missing\""), "{text}");
    assert_eq!(toml::from_str::<snn_data::Report>(&text).unwrap(), report);
}
