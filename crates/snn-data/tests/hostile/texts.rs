//! Lists and tables of text.

use super::{
    MIB, Reader, aedat2, attempt, cache, corpus, events, frames, golden, imagenet_tar, npy,
    recordings, refused, split, tar, zip,
};
use snn_data::pictures::Pictures;
use snn_data::{DatasetName, Result, Split};
use std::fs;
use std::path::Path;

/// DVS128 Gesture with this list of trials.
pub(super) fn gestures(path: &Path) -> Result<()> {
    fs::write(path.with_file_name("trials_to_test.txt"), "").unwrap();
    fs::write(path.with_file_name("user01.aedat"), corpus("events/aedat3")).unwrap();
    let list = path.with_file_name("user01_labels.csv");
    if !list.exists() {
        fs::write(list, "class,start,end\n1,0,9\n").unwrap();
    }
    recordings(DatasetName::Dvs128Gesture, path)
}

/// The list of the gestures of one recording.
fn gesture_list(path: &Path) -> Result<()> {
    fs::write(path.with_file_name("trials_to_train.txt"), "user01.aedat\n").unwrap();
    gestures(&path.with_file_name("trials_to_train.txt"))
}

/// A list of the labels of validation pictures.
fn labels(path: &Path) -> Result<()> {
    let root = path.parent().unwrap();
    fs::create_dir_all(root.join("val")).unwrap();
    fs::create_dir_all(root.join("train/n1")).unwrap();
    fs::write(root.join("val/a.JPEG"), golden("images/grey.JPEG")).unwrap();
    Pictures::imagenet(root, Split::Test).map(drop)
}

/// Names of classes, beside a list of labels.
fn class_names(path: &Path) -> Result<()> {
    let root = path.parent().unwrap();
    fs::create_dir_all(root.join("val")).unwrap();
    fs::write(root.join("val/a.JPEG"), golden("images/grey.JPEG")).unwrap();
    fs::write(root.join("val.txt"), "a n1\n").unwrap();
    Pictures::imagenet(root, Split::Test).map(drop)
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    for (name, read, text, at) in [
        ("split.txt", split as Reader, "dataset n-mnist\nrule official\n# ", 32),
        ("trials_to_train.txt", gestures, "user01.aedat\n", 13),
        ("user01_labels.csv", gesture_list, "class,start,end\n1,2,3\n", 22),
        ("val.txt", labels, "a.JPEG n1\n", 10),
        ("classes.txt", class_names, "n1\n", 3),
    ] {
        let (result, _) = attempt(name, text.as_bytes(), read);
        assert!(result.is_ok(), "{name}: {result:?}");
        let bytes = [text.as_bytes(), b"\xff\xfe"].concat();
        refused(
            name,
            &bytes,
            read,
            MIB,
            &[&format!("byte {at}: text: expected UTF-8, found the byte ff")],
        );
        refused(name, &vec![b' '; 65 * MIB], read, MIB, &["text: expected at most"]);
    }
    // Numbers that no machine has.
    for line in ["-9223372036854775808,1,2", "0,1,2", "12,1,2", "99999999999999999999,1,2", "1,2"] {
        let text = format!("class,start,end\n{line}\n");
        refused(
            "user01_labels.csv",
            text.as_bytes(),
            gesture_list,
            MIB,
            &["a class from 1 to 11", "in line 2"],
        );
    }
    refused(
        "ILSVRC2012_img_train.tar",
        &tar(&[(b"\xff.tar", b"")]),
        imagenet_tar,
        MIB,
        &["byte 0", "UTF-8"],
    );
    let mut header = corpus("events/aedat4");
    let xml = header.windows(3).position(|window| window == b"<dv").unwrap();
    header[xml + 3] = 0xFF;
    refused("x.aedat4", &header, events, MIB, &["byte 18: header: expected XML in UTF-8"]);
    let mut title = corpus("files/cache");
    title[40] = 0xFF;
    refused("x.cache", &title, cache, MIB, &["byte 36: title"]);
    let mut array = npy("<i8", "1,", &[0; 8]);
    array[12..18].fill(0xFF);
    let bytes = zip(&[("frames.npy", &array)], zip::CompressionMethod::Stored);
    refused("frames.npz", &bytes, frames, MIB, &["entries `descr`"]);
    // Headers of recordings are comments in the letters of the program that wrote them.
    let comment = [b"#!AER-DAT2.0\r\n# \xe9\xff\r\n".as_slice(), &aedat2()[14..]].concat();
    assert!(attempt("x.aedat", &comment, events).0.is_ok());
}
