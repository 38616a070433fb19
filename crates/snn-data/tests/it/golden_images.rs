//! Decoding and resizing against PIL (`fixtures/golden/make_images.py`).

use snn_data::SampleRng;
use snn_data::pictures::{
    DecodeOptions, Exif, Filter, Picture, RandomResizedCrop, Window, decode, decode_with, resize,
    resize_window,
};
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
    // Where colour is stored with fewer samples, decoders differ in how they fill in; elsewhere in
    // the rounding of the transform only.
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
    for wrong in [
        Window { left: 22, ..window },
        Window { top: usize::MAX, ..window },
        Window { width: 0, ..window },
    ] {
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

/// `RandomResizedCrop.get_params` of torchvision 0.26, line by line: top, left, height and width.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers up to the sides of a picture"
)]
fn torchvision_window(width: u32, height: u32, rng: &mut SampleRng) -> [u32; 4] {
    let (scale, ratio) = ([0.08, 1.0], [3.0 / 4.0, 4.0 / 3.0_f64]);
    let [wide, high] = [f64::from(width), f64::from(height)];
    for _ in 0..10 {
        let target = high * wide * rng.uniform(scale[0], scale[1]);
        let aspect = rng.uniform(ratio[0].ln(), ratio[1].ln()).exp();
        let [w, h] = [
            (target * aspect).sqrt().round_ties_even(),
            (target / aspect).sqrt().round_ties_even(),
        ];
        if 0.0 < w && w <= wide && 0.0 < h && h <= high {
            let [w, h] = [w as u32, h as u32];
            return [rng.below(height - h + 1), rng.below(width - w + 1), h, w];
        }
    }
    let natural = wide / high;
    let [w, h] = if natural < ratio[0] {
        [width, (wide / ratio[0]).round_ties_even() as u32]
    } else if natural > ratio[1] {
        [(high * ratio[1]).round_ties_even() as u32, height]
    } else {
        [width, height]
    };
    [(height - h) / 2, (width - w) / 2, h, w]
}

/// The greatest distance between the shares of two samples that lie below a value (Kolmogorov and
/// Smirnov).
fn distance(mut ours: Vec<u32>, mut theirs: Vec<u32>) -> f64 {
    ours.sort_unstable();
    theirs.sort_unstable();
    let below = |sample: &[u32], value: u32| {
        sample.partition_point(|&other| other <= value) as f64 / sample.len() as f64
    };
    ours.iter()
        .chain(&theirs)
        .map(|&value| (below(&ours, value) - below(&theirs, value)).abs())
        .fold(0.0, f64::max)
}

#[test]
fn random_windows_are_distributed_as_those_of_torchvision() {
    const DRAWS: usize = 20_000;
    // Upright and lying as photographs are, and so narrow that the middle is often taken.
    for (width, height) in [(500_u32, 375_u32), (375, 500), (64, 64), (1000, 60), (30, 700)] {
        let picture =
            Picture::new(width as usize, height as usize, vec![0; 3 * (width * height) as usize])
                .unwrap();
        let (mut ours, mut theirs) = ([const { Vec::new() }; 4], [const { Vec::new() }; 4]);
        for index in 0..DRAWS {
            let Window { top, left, height: h, width: w } = RandomResizedCrop::default()
                .window(&picture, &mut SampleRng::for_sample(1, 0, index));
            for (values, value) in ours.iter_mut().zip([top, left, h, w]) {
                values.push(u32::try_from(value).unwrap());
            }
            let twin = torchvision_window(width, height, &mut SampleRng::for_sample(2, 0, index));
            theirs.iter_mut().zip(twin).for_each(|(values, value)| values.push(value));
        }
        // Equal distributions are further apart once in ten thousand times.
        let most = 2.23 * (2.0 / DRAWS as f64).sqrt();
        for (name, (ours, theirs)) in
            ["top", "left", "height", "width"].iter().zip(ours.into_iter().zip(theirs))
        {
            let found = distance(ours, theirs);
            assert!(found < most, "{width}x{height}, {name}: {found} is not below {most}");
        }
    }
}

/// EXIF 2.32, table 6: which side of what is seen the first row and the first column are.
#[test]
fn every_orientation_is_turned_upright() {
    let lying = std::fs::read(file("exif6.JPEG")).unwrap();
    let entry = lying
        .windows(4)
        .position(|bytes| bytes == [0x01, 0x12, 0x00, 0x03] || bytes == [0x12, 0x01, 0x03, 0x00]);
    let at = (entry.unwrap() + 8..lying.len()).find(|&at| lying[at] == 6).unwrap();
    let stored = read("exif6.JPEG").planes();
    let chunk = |orientation: u8| {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], &[0; 6]]
            .concat()
    };
    for orientation in 0..=9_u8 {
        let mut jpeg = lying.clone();
        jpeg[at] = orientation;
        let mut png = Vec::new();
        let (_, height, width) = stored.dim();
        let [wide, high] = [width, height].map(|side| u32::try_from(side).unwrap());
        let mut encoder = png::Encoder::new(&mut png, wide, high);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::ChunkType(*b"eXIf"), &chunk(orientation)).unwrap();
        writer.write_image_data(read("exif6.JPEG").pixels()).unwrap();
        writer.finish().unwrap();
        for bytes in [&jpeg, &png] {
            let upright = decode_with(bytes, Path::new("x"), DecodeOptions { exif: Exif::Apply })
                .unwrap()
                .planes();
            let turned = upright.dim() != stored.dim();
            assert_eq!(turned, (5..=8).contains(&orientation), "{orientation}");
            for ((channel, y, x), &value) in upright.indexed_iter() {
                let (row, column) = match orientation {
                    2 => (y, width - 1 - x),
                    3 => (height - 1 - y, width - 1 - x),
                    4 => (height - 1 - y, x),
                    5 => (x, y),
                    6 => (height - 1 - x, y),
                    7 => (height - 1 - x, width - 1 - y),
                    8 => (x, width - 1 - y),
                    _ => (y, x),
                };
                assert_eq!(value, stored[[channel, row, column]], "{orientation}: {y}, {x}");
            }
            let ignored =
                decode_with(bytes, Path::new("x"), DecodeOptions::default()).unwrap().planes();
            assert_eq!(ignored, stored, "{orientation}");
        }
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
