//! The smaller readers of snn-data: NPZ frames, split files, lists of labels and of gestures,
//! archives of pictures and of recordings, headers of caches, pictures.

use snn_data::cache::read_header;
use snn_data::pictures::Pictures;
use snn_data::pictures::{DecodeOptions, Exif, decode_with};
use snn_data::recordings::events::read_npz_frames;
use snn_data::recordings::{Recordings, SplitFile};
use snn_data::{DatasetName, Error, Split};
use std::cell::OnceCell;
use std::path::Path;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The first byte chooses the reader; the rest is a file.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    match choice {
        b'z' => with_file("frames.npz", content, |path| {
            if let Err(error) = read_npz_frames(path) {
                assert!(error.to_string().contains("frames.npz"), "{error}");
            }
        }),
        b's' => with_file("split.txt", content, |path| match SplitFile::read(path) {
            Ok(split) => {
                assert_eq!(
                    split.to_string().parse::<SplitFile>().expect("what was written"),
                    split
                );
            }
            Err(error) => assert!(error.to_string().contains("split.txt"), "{error}"),
        }),
        b'l' => with_file("val.txt", content, |path| {
            let root = path.with_file_name("");
            for file in ["train/n1/a.JPEG", "val/a.JPEG"] {
                std::fs::create_dir_all(root.join(file).parent().expect("a folder"))
                    .expect("a folder");
                std::fs::write(root.join(file), "").expect("a file");
            }
            match Pictures::imagenet(&root, Split::Test) {
                Ok(pictures) => assert_eq!(pictures.labels(), [0]),
                // Of a picture that the list lacks the picture is named.
                Err(error) => assert!(error.to_string().contains("/val"), "{error}"),
            }
        }),
        b'g' => with_file("user01_labels.csv", content, |path| {
            for (name, text) in [
                ("user01.aedat", ""),
                ("trials_to_train.txt", "user01.aedat"),
                ("trials_to_test.txt", ""),
            ] {
                std::fs::write(path.with_file_name(name), text).expect("a file");
            }
            gestures(&path.with_file_name(""), "user01_labels.csv");
        }),
        b'i' => with_file("trials_to_test.txt", content, |path| {
            for (name, text) in [
                ("user01.aedat", ""),
                ("user01_labels.csv", "class\n1,0,1\n"),
                ("trials_to_train.txt", "user01.aedat"),
            ] {
                std::fs::write(path.with_file_name(name), text).expect("a file");
            }
            gestures(&path.with_file_name(""), "");
        }),
        b'r' => with_file("bird.zip", content, |path| {
            match Recordings::open(DatasetName::Cifar10Dvs, &path.with_file_name("")) {
                Ok(set) => {
                    for index in 0..set.len() {
                        if let Err(error) = set.read(index) {
                            assert!(error.to_string().contains("bird.zip"), "{error}");
                        }
                    }
                }
                Err(error) => assert!(
                    error.to_string().contains("bird.zip")
                        || matches!(error, Error::NoRecordings { .. }),
                    "{error}"
                ),
            }
        }),
        b't' => with_file("ILSVRC2012_img_train.tar", content, |path| {
            let root = path.parent().expect("a folder");
            match Pictures::imagenet(root, Split::Train) {
                Ok(pictures) => assert_eq!(pictures.len(), pictures.labels().len()),
                Err(error) => {
                    assert!(error.to_string().contains("ILSVRC2012_img_train.tar"), "{error}");
                }
            }
        }),
        b'c' => {
            let _ = read_header(content, content.len() as u64, Path::new("file"));
        }
        _ => match decode_with(content, Path::new("file"), DecodeOptions { exif: Exif::Apply }) {
            Ok(picture) => {
                assert_eq!(picture.pixels().len(), 3 * picture.width() * picture.height());
            }
            Err(error) => assert!(error.to_string().starts_with("`file`: "), "{error}"),
        },
    }
}

/// The lists of DVS128 Gesture; an error names a file, of which one is `name`.
fn gestures(root: &Path, name: &str) {
    match Recordings::open(DatasetName::Dvs128Gesture, root) {
        Ok(set) => assert!((0..set.len()).all(|index| {
            set.label(index).is_some_and(|label| usize::from(label) < set.classes().len())
        })),
        Err(error) => {
            let found = error.to_string();
            assert!(
                found.contains(name) && found.contains('`')
                    || matches!(error, Error::NoRecordings { .. }),
                "{error}"
            );
        }
    }
}

/// Each file has a folder of its own, as readers look at what is beside it.
fn with_file(name: &str, content: &[u8], check: impl Fn(&Path)) {
    FOLDER.with(|folder| {
        let root = folder
            .get_or_init(|| TempDir::new().expect("a temporary folder"))
            .path()
            .join(format!("of {name}"));
        std::fs::create_dir_all(&root).expect("a folder");
        let path = root.join(name);
        std::fs::write(&path, content).expect("a file");
        check(&path);
    });
}
