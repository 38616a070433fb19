//! Decoding and resizing against PIL (`fixtures/golden/make_images.py`).

use snn_data::image::{DecodeOptions, Exif, Filter, Picture, Window, decode, decode_with, resize, resize_window};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/images").join(name)
}

fn read(name: &str) -> Picture {
    decode(&file(name), DecodeOptions::default()).unwrap()
}

/// Largest and mean absolute difference.
fn difference(ours: &Picture, theirs: &Picture) -> (u8, f64) {
    assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()));
    let all = ours.pixels().iter().zip(theirs.pixels()).map(|(a, b)| a.abs_diff(*b));
    let total: f64 = all.clone().map(f64::from).sum();
    (all.max().unwrap(), total / ours.pixels().len() as f64)
}

#[test]
fn every_form_is_decoded_as_pil_does() {
    // Where colour is stored with fewer samples, decoders differ in how they fill in; elsewhere in the rounding of the transform only.
    for (name, largest, mean) in [
        ("444.JPEG", 3, 0.4),
        ("420.JPEG", 6, 0.5),
        ("422.JPEG", 6, 0.5),
        ("progressive.JPEG", 6, 0.5),
        ("grey.JPEG", 1, 0.1),
        ("cmyk.JPEG", 3, 0.5),
        ("ycck.JPEG", 5, 0.6),
        ("exif6.JPEG", 3, 0.4),
        ("png.JPEG", 0, 0.0),
        ("palette.png", 0, 0.0),
        ("grey-alpha.png", 0, 0.0),
    ] {
        let expected = format!("{}.expected.png", name.split('.').next().unwrap());
        let found = difference(&read(name), &read(&expected));
        assert!(found.0 <= largest && found.1 <= mean, "{name}: {found:?}");
    }
}

#[test]
fn resizing_is_that_of_pil_to_the_bit() {
    let picture = read("png.JPEG");
    for (width, height) in [(20, 15), (31, 90), (100, 47), (61, 30), (7, 120), (130, 110)] {
        for (filter, name) in [(Filter::Bilinear, "bilinear"), (Filter::Bicubic, "bicubic")] {
            let ours = resize(&picture, width, height, filter).unwrap();
            let theirs = read(&format!("resize-{width}x{height}-{name}.expected.png"));
            assert!(ours == theirs, "{width}x{height}, {name}: {:?}", difference(&ours, &theirs));
        }
    }
}

#[test]
fn a_window_is_a_crop_and_then_a_resize() {
    let picture = read("png.JPEG");
    let window = Window { left: 5, top: 9, width: 40, height: 21 };
    let twice = resize(&picture.crop(window).unwrap(), 24, 24, Filter::Bicubic).unwrap();
    assert_eq!(resize_window(&picture, window, 24, 24, Filter::Bicubic).unwrap(), twice);
    for wrong in [Window { left: 22, ..window }, Window { top: usize::MAX, ..window }, Window { width: 0, ..window }] {
        assert!(picture.crop(wrong).is_err());
    }
    assert!(resize(&picture, 0, 1, Filter::Bilinear).is_err());
}

#[test]
fn orientation_is_applied_when_asked() {
    let lying = read("exif6.JPEG");
    let upright = decode(&file("exif6.JPEG"), DecodeOptions { exif: Exif::Apply }).unwrap();
    assert_eq!((upright.width(), upright.height()), (lying.height(), lying.width()));
    // Orientation 6: the first row is the right column.
    let planes = (lying.planes(), upright.planes());
    for x in 0..lying.width() {
        assert_eq!(planes.0[[0, 3, x]], planes.1[[0, x, lying.height() - 1 - 3]]);
    }
}

#[test]
fn truncated_and_foreign_files_are_named() {
    let refused = |bytes: &[u8], part: &str| {
        let message = decode_with(bytes, Path::new("n01/x.JPEG"), DecodeOptions::default());
        let message = message.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("`n01/x.JPEG`") && message.contains(part), "{message}");
    };
    for name in ["420.JPEG", "progressive.JPEG", "grey.JPEG"] {
        let bytes = std::fs::read(file(name)).unwrap();
        for cut in [2, 3, 100, bytes.len() / 2, bytes.len() - 3] {
            refused(&bytes[..bytes.len() - cut], "truncated");
        }
    }
    let bytes = std::fs::read(file("png.JPEG")).unwrap();
    for cut in [13, 100, bytes.len() - 9] {
        refused(&bytes[..bytes.len() - cut], "");
    }
    refused(b"", "no bytes");
    refused(b"GIF89a", "found 47 49 46 38");
    let mut huge = bytes;
    huge[16..24].fill(0x7F);
    refused(&huge, "");
}
