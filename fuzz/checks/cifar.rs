//! CIFAR's binary form.

use snn_data::{CIFAR10, CIFAR100, CifarForm, CifarLayout, CifarStored, Split};
use std::cell::OnceCell;
use tempfile::TempDir;

/// Bytes of the pixels of a record.
const PIXELS: usize = 3072;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The first byte chooses the set and whether the rest is cut to whole records; the rest is both a
/// file of records and one of class names.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    let layout = if choice & 1 == 0 { CIFAR10 } else { CIFAR100 };
    let binary = CifarStored { train_files: &["train.bin"], ..layout.binary };
    let layout = CifarLayout { binary, train_records: 2, ..layout };
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| TempDir::new().expect("a temporary folder")).path();
        let mut content = content.to_vec();
        std::fs::write(folder.join(binary.names_file), &content).expect("a file");
        if choice & 2 == 0 {
            content.resize(layout.train_records * (layout.labels.len() + PIXELS), 0);
        }
        std::fs::write(folder.join("train.bin"), &content).expect("a file");
        let files = layout.files(CifarForm::Binary, folder.to_owned());
        match files.read(Split::Train) {
            Ok(images) => {
                assert_eq!(images.len(), layout.train_records);
                assert!(images.labels().iter().all(|&label| usize::from(label) < images.classes()));
            }
            Err(error) => assert!(error.to_string().contains("train.bin"), "{error}"),
        }
        match files.read_names() {
            Ok(names) => assert!(names.iter().all(|name| !name.is_empty())),
            Err(error) => assert!(error.to_string().contains(binary.names_file), "{error}"),
        }
    });
}
