//! The real CIFAR files, if `SNN_DATA` names a data root that has them.

use snn_data::inventory::check;
use snn_data::{Dataset, DatasetName, ROOT_VARIABLE};
use std::path::PathBuf;

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn root() -> Option<PathBuf> {
    let root = std::env::var_os(ROOT_VARIABLE).map(PathBuf::from);
    if root.is_none() {
        eprintln!("skipped: {ROOT_VARIABLE} is not set, so there are no real CIFAR files to read");
    }
    root
}

fn opens(name: DatasetName, first_labels: [u16; 5]) {
    let Some(root) = root() else { return };
    let report = check(&root, Some(name)).unwrap();
    assert!(report.is_ok(), "{report}");
    let data = Dataset::open_named(name, Some(&root)).unwrap();
    assert_eq!(data.train.pixels().dim(), (50_000, 3, 32, 32));
    assert_eq!(data.test.pixels().dim(), (10_000, 3, 32, 32));
    assert_eq!(data.train.labels()[..5], first_labels);
    let statistics = data.train.channel_statistics();
    assert_eq!(statistics.mean_u8(), data.channel_mean_u8);
    for (computed, constant) in statistics.std.iter().zip(&data.channel_std) {
        assert!((computed - constant).abs() < 1e-5, "{computed} is not {constant}");
    }
}

#[test]
fn cifar_10_is_complete() {
    opens(DatasetName::Cifar10, [6, 9, 9, 4, 1]);
}

#[test]
fn cifar_100_is_complete() {
    opens(DatasetName::Cifar100, [19, 29, 0, 11, 1]);
}
