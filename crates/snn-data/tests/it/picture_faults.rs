//! JPEG files that other readers show and decoders fill up: filler between segments, damaged data,
//! missing ends.

use snn_data::SampleRng;
use snn_data::pictures::{DecodeOptions, Picture, decode_with};
use std::path::Path;

const NAMES: [&str; 8] = [
    "420.JPEG",
    "422.JPEG",
    "444.JPEG",
    "progressive.JPEG",
    "grey.JPEG",
    "cmyk.JPEG",
    "ycck.JPEG",
    "exif6.JPEG",
];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/images");
    std::fs::read(folder.join(name)).unwrap()
}

fn decoded(bytes: &[u8]) -> Result<Picture, String> {
    decode_with(bytes, Path::new("x.jpg"), DecodeOptions::default())
        .map_err(|error| error.to_string())
}

/// Where segments begin, up to the first scan, and where the data of that begin.
fn segments(bytes: &[u8]) -> (Vec<usize>, usize) {
    let (mut starts, mut at) = (Vec::new(), 2);
    loop {
        starts.push(at);
        let [0xFF, marker, high, low] = bytes[at..at + 4] else { panic!("a segment at {at}") };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xDA {
            return (starts, at);
        }
    }
}

#[test]
fn bytes_between_segments_are_passed_over() {
    for name in NAMES {
        let bytes = file(name);
        let expected = decoded(&bytes).unwrap();
        for start in segments(&bytes).0 {
            for junk in [&[0; 5][..], &[0xFF; 3], &[0x00, 0xFF, 0x00, 0x41], b"none of a segment"] {
                let filled = [&bytes[..start], junk, &bytes[start..]].concat();
                assert_eq!(decoded(&filled).unwrap(), expected, "{name}: {junk:?} at {start}");
            }
        }
        // Filler before the end marker, and anything behind it.
        let end = bytes.len() - 2;
        for junk in [&[0xFF, 0xFF][..], &[0; 7]] {
            let filled = [&bytes[..end], junk, &bytes[end..], b"more"].concat();
            assert_eq!(decoded(&filled).unwrap(), expected, "{name}: {junk:?} before the end");
        }
    }
}

#[test]
fn damaged_data_are_reported_with_their_place() {
    let mut rng = SampleRng::for_sample(0, 0, 0);
    for name in NAMES {
        let bytes = file(name);
        let (_, start) = segments(&bytes);
        let (mut reported, tries) = (0, 60);
        for _ in 0..tries {
            // Bytes of the data, none of which is a marker.
            let mut damaged = bytes.clone();
            let room = u32::try_from(bytes.len() - 2 - start - 40).unwrap();
            let at = start + rng.below(room) as usize;
            for byte in &mut damaged[at..at + 40] {
                *byte = u8::try_from(rng.below(255)).unwrap();
            }
            if let Err(message) = decoded(&damaged) {
                assert!(message.starts_with("`x.jpg`: byte "), "{message}");
                reported += 1;
            }
        }
        // Codes fall into step again, so what is changed can be a picture that any encoder might
        // have made: these few cannot be told.
        assert!(reported * 10 >= tries * 7, "{name}: {reported} of {tries} damaged files reported");
    }
}

#[test]
fn pictures_that_would_turn_grey_are_reported() {
    for name in NAMES {
        let bytes = file(name);
        let (_, start) = segments(&bytes);
        let data = bytes.len() - 2 - start;
        for share in [1, 4, 8, 15] {
            let kept = start + data * share / 16;
            // Cut, with an end marker or without one.
            let message = decoded(&bytes[..kept]).unwrap_err();
            assert!(message.contains("truncated"), "{name}, {share}/16: {message}");
            let message = decoded(&[&bytes[..kept], b"\xFF\xD9"].concat()).unwrap_err();
            assert!(message.starts_with("`x.jpg`: byte "), "{name}, {share}/16: {message}");
        }
        // A piece is missing in the middle.
        let (before, after) = (start + data / 3, start + data / 2);
        let pieces = [&bytes[..before], &bytes[after..]].concat();
        assert!(decoded(&pieces).is_err(), "{name}");
    }
}
