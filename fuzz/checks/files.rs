//! The smaller readers of snn-data: NPZ frames, split files, lists and archives of pictures, headers of caches, pictures.

use snn_data::Split;
use snn_data::cache::read_header;
use snn_data::events::read_npz_frames;
use snn_data::image::{DecodeOptions, Exif, decode_with};
use snn_data::recordings::SplitFile;
use snn_data::vision::Pictures;
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
        b's' => {
            let Ok(text) = std::str::from_utf8(content) else { return };
            if let Ok(split) = text.parse::<SplitFile>() {
                assert_eq!(split.to_string().parse::<SplitFile>().expect("what was written"), split);
            }
        }
        b't' => with_file("ILSVRC2012_img_train.tar", content, |path| {
            let root = path.parent().expect("a folder");
            match Pictures::imagenet(root, Split::Train) {
                Ok(pictures) => assert_eq!(pictures.len(), pictures.labels().len()),
                Err(error) => assert!(error.to_string().contains("ILSVRC2012_img_train.tar"), "{error}"),
            }
        }),
        b'c' => {
            let _ = read_header(content, content.len() as u64, Path::new("file"));
        }
        _ => match decode_with(content, Path::new("file"), DecodeOptions { exif: Exif::Apply }) {
            Ok(picture) => assert_eq!(picture.pixels().len(), 3 * picture.width() * picture.height()),
            Err(error) => assert!(error.to_string().starts_with("`file`: "), "{error}"),
        },
    }
}

fn with_file(name: &str, content: &[u8], check: impl Fn(&Path)) {
    FOLDER.with(|folder| {
        let path = folder.get_or_init(|| TempDir::new().expect("a temporary folder")).path().join(name);
        std::fs::write(&path, content).expect("a file");
        check(&path);
    });
}
