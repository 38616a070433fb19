//! Files in files: pickles, archives of CIFAR and ImageNet, and the look into any file.

use flate2::Compression;
use flate2::write::GzEncoder;
use snn_data::inventory::FileInfo;
use snn_data::pictures::Pictures;
use snn_data::recordings::events::ReadOptions;
use snn_data::{CIFAR10, CIFAR100, CifarForm, CifarLayout, CifarStored, Pickle, Split};
use std::cell::OnceCell;
use std::io::Write as _;
use std::path::Path;
use tempfile::TempDir;

/// Names that `info` tells formats apart by, where the first bytes say nothing.
const NAMES: [&str; 4] = ["file", "file.bin", "train.bin", "file.dat"];

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The first byte chooses the reader; the rest is a file.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    match choice {
        b'p' => match Pickle::read(content, Path::new("file")) {
            Ok(pickle) => assert!(pickle.entries().len() <= content.len()),
            Err(error) => assert!(error.to_string().starts_with("`file`: byte "), "{error}"),
        },
        // Packed here, so that what is inside can be changed without its checksum.
        b'c' => cifar(&CIFAR10, &packed(content)),
        b'C' => cifar(&CIFAR100, &packed(content)),
        b'g' => cifar(&CIFAR10, content),
        b'm' => with_file("meta.mat", content, |path| {
            let root = path.parent().expect("a folder");
            std::fs::create_dir_all(root.join("val")).expect("a folder");
            std::fs::write(root.join("ILSVRC2012_validation_ground_truth.txt"), "1\n")
                .expect("a file");
            std::fs::write(root.join("val/ILSVRC2012_val_00000001.JPEG"), "").expect("a file");
            match Pictures::imagenet(root, Split::Test) {
                Ok(pictures) => {
                    assert!(usize::from(pictures.labels()[0]) < pictures.classes().len());
                }
                Err(error) => assert!(error.to_string().starts_with('`'), "{error}"),
            }
        }),
        _ => {
            let name = NAMES[usize::from(choice) % NAMES.len()];
            with_file(name, content, |path| {
                if let Err(error) = FileInfo::read(path, ReadOptions::default()) {
                    assert!(error.to_string().contains(name), "{error}");
                }
            });
        }
    }
}

/// Reads an archive as the Python form of a set of two records a file.
fn cifar(layout: &CifarLayout, bytes: &[u8]) {
    let python = CifarStored {
        train_files: &["train"],
        test_files: &["test"],
        names_file: "meta",
        ..layout.python
    };
    let layout = CifarLayout { python, train_records: 2, test_records: 2, ..*layout };
    with_file("archive.tar.gz", bytes, |path| {
        match layout.files(CifarForm::PythonArchive, path.to_owned()).read_all() {
            Ok((train, test, names)) => {
                assert_eq!((train.len(), test.len(), names.len()), (2, 2, layout.classes()));
                assert!(train.labels().iter().all(|&label| usize::from(label) < train.classes()));
            }
            Err(error) => assert!(error.to_string().contains("archive.tar.gz"), "{error}"),
        }
    });
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(content).expect("memory");
    gzip.finish().expect("memory")
}

fn with_file(name: &str, content: &[u8], check: impl Fn(&Path)) {
    FOLDER.with(|folder| {
        let path =
            folder.get_or_init(|| TempDir::new().expect("a temporary folder")).path().join(name);
        std::fs::write(&path, content).expect("a file");
        check(&path);
    });
}
