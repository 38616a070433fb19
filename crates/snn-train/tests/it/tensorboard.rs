//! The event file of `TensorBoard`, read back byte by byte by a reader of its own.

use snn_train::{Options, RunConfig, RunFolder, Start, train};
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG: &str = "
epochs = 2
batch = 16
time_steps = 1
checkpoint_every = 4
threads = 1
network = { kind = 'small', width = 2 }
policy = 'outer'
[data]
dataset = 'shapes10'
held_out = 7832 # of 8,000: leaves 168, ten batches of 16
crop_padding = 0
";
const FILE: &str = "events.out.tfevents.snn";

fn go(folder: &Path, start: Start, step_limit: Option<usize>) {
    let config = RunConfig::from_toml(CONFIG).unwrap();
    train(&config, folder, &Options { start, step_limit, ..Options::default() }, &mut |_| {})
        .unwrap();
}

/// CRC-32C bit by bit, masked as in the format.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a message: number and content, numbers as their bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    fields
}

/// Every value of a file: tag and value of each step, in the order of the file.
fn scalars(folder: &Path) -> Vec<(u64, String, f32)> {
    let bytes = std::fs::read(folder.join(FILE)).unwrap();
    let mut rest = bytes.as_slice();
    let mut scalars = Vec::new();
    let mut first = true;
    while !rest.is_empty() {
        let length = usize::try_from(u64::from_le_bytes(rest[..8].try_into().unwrap())).unwrap();
        assert_eq!(u32::from_le_bytes(rest[8..12].try_into().unwrap()), crc(&rest[..8]));
        let event = &rest[12..12 + length];
        assert_eq!(
            u32::from_le_bytes(rest[12 + length..16 + length].try_into().unwrap()),
            crc(event)
        );
        rest = &rest[16 + length..];
        let event = fields(event);
        assert!(
            f64::from_le_bytes(event[0].1.as_slice().try_into().unwrap()) > 1.7e9,
            "seconds since 1970"
        );
        let step = u64::from_le_bytes(event[1].1.as_slice().try_into().unwrap());
        if first {
            assert_eq!(event[2], (3, b"brain.Event:2".to_vec()));
            first = false;
            continue;
        }
        assert_eq!(event[2].0, 5);
        for (field, value) in fields(&event[2].1) {
            let value = fields(&value);
            assert_eq!((field, value[0].0, value[1].0), (1, 1, 2));
            let tag = String::from_utf8(value[0].1.clone()).unwrap();
            scalars.push((
                step,
                tag,
                f32::from_le_bytes(value[1].1.as_slice().try_into().unwrap()),
            ));
        }
    }
    scalars
}

fn without_speed(folder: &Path) -> Vec<(u64, String, f32)> {
    scalars(folder).into_iter().filter(|(_, tag, _)| !tag.ends_with("per_second")).collect()
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "the format has single precision")]
fn the_file_has_every_step_once_and_says_what_the_metrics_say() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&folder, Start::New, None);
    let mut curves: BTreeMap<String, Vec<(u64, f32)>> = BTreeMap::new();
    for (step, tag, value) in scalars(&folder) {
        curves.entry(tag).or_default().push((step, value));
    }
    let every: Vec<u64> = (1..=20).collect();
    for tag in ["train/loss", "train/accuracy", "train/learning_rate", "train/images_per_second"] {
        assert_eq!(curves[tag].iter().map(|(step, _)| *step).collect::<Vec<_>>(), every, "{tag}");
    }
    let metrics = RunFolder::open(&folder).unwrap().metrics().unwrap();
    let over_epochs = |value: &dyn Fn(&snn_train::EpochMetrics) -> f64| {
        metrics.iter().map(|m| (10 * m.epoch as u64, value(m) as f32)).collect::<Vec<_>>()
    };
    assert_eq!(curves["epoch/train_loss"], over_epochs(&|m| m.train_loss));
    assert_eq!(
        curves["epoch/validation_accuracy"],
        over_epochs(&|m| m.validation_accuracy.unwrap())
    );
    assert_eq!(curves["firing_rate/stem.act"], over_epochs(&|m| m.firing_rates["stem.act"]));
    let mean =
        curves["train/loss"][..10].iter().map(|(_, loss)| f64::from(*loss)).sum::<f64>() / 10.0;
    assert!((mean - metrics[0].train_loss).abs() < 1e-6);
    assert_eq!(curves.keys().filter(|tag| tag.starts_with("firing_rate/")).count(), 5);
}

#[test]
fn a_resumed_run_has_the_curves_of_one_that_was_not_stopped() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, folder) = (parent.path().join("whole"), parent.path().join("run"));
    go(&whole, Start::New, None);
    for (number, stop) in [0, 3, 6, 2, 7].into_iter().enumerate() {
        go(&folder, if number == 0 { Start::New } else { Start::Resume }, Some(stop));
    }
    go(&folder, Start::Resume, None);
    assert_eq!(without_speed(&folder), without_speed(&whole));

    // Resuming a finished run adds nothing.
    let before = std::fs::read(folder.join(FILE)).unwrap();
    go(&folder, Start::Resume, None);
    assert_eq!(std::fs::read(folder.join(FILE)).unwrap(), before);
}

#[test]
fn a_damaged_or_lost_file_goes_on_after_its_last_whole_record() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&folder, Start::New, Some(STEP));
    let bytes = std::fs::read(folder.join(FILE)).unwrap();
    let mut flipped = bytes.clone();
    flipped[400] ^= 1;
    for (damaged, least) in
        [(&bytes[..300], 1), (&flipped[..], 1), (&b"junk"[..], 0), (&b""[..], 0)]
    {
        let copy = parent.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        std::fs::write(copy.join(FILE), damaged).unwrap();
        go(&copy, Start::Resume, None);
        let steps: Vec<u64> = scalars(&copy)
            .into_iter()
            .filter(|(_, tag, _)| tag == "train/loss")
            .map(|(step, ..)| step)
            .collect();
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{steps:?}");
        assert!(steps.len() >= 20 - STEP + least && steps.ends_with(&[18, 19, 20]), "{steps:?}");
    }
}
/// A checkpoint was written at this one.
const STEP: usize = 8;
