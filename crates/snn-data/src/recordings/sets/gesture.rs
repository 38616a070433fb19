//! DVS128 Gesture: long recordings, and a list for each of when which gesture was made.

use super::long::LongRecording;
use super::place::Place;
use super::sample::Sample;
use crate::files::enclosed::is_enclosed;
use crate::files::text;
use crate::{Error, Result, Split};
use std::path::Path;
use std::sync::Arc;

/// The classes, as `gesture_mapping.csv` numbers them from 1 on.
pub(super) const CLASSES: [&str; 11] = [
    "hand_clapping",
    "right_hand_wave",
    "left_hand_wave",
    "right_arm_clockwise",
    "right_arm_counter_clockwise",
    "left_arm_clockwise",
    "left_arm_counter_clockwise",
    "arm_roll",
    "air_drums",
    "air_guitar",
    "other_gestures",
];
/// Lists of this set are kilobytes; a file beyond this is something else.
const MAX_LIST: u64 = 1 << 20;

/// The gestures of the recordings that the publishers' lists of trials name.
pub(super) fn samples(folder: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (list, split) in
        [("trials_to_train.txt", Split::Train), ("trials_to_test.txt", Split::Test)]
    {
        let path = folder.join(list);
        if !path.is_file() {
            return Err(Error::MissingFile { dataset: "dvs128-gesture", path });
        }
        for (number, line) in text::read(&path, MAX_LIST)?.lines().enumerate() {
            let name = line.trim();
            if name.is_empty() {
                continue;
            }
            // A name from a file must not lead elsewhere.
            let Some(base) = name.strip_suffix(".aedat").filter(|_| is_enclosed(name)) else {
                let expected = "names of .aedat files in this folder".into();
                let found = format!("`{name}` in line {}", number + 1);
                return Err(Error::Field { path, field: "trial", expected, found });
            };
            gestures(folder, name, base, split, &mut samples)?;
        }
    }
    samples.sort_by_cached_key(|sample| (sample.label, super::natural::key(&sample.name)));
    Ok(samples)
}

/// The gestures of one recording: lines `class,start,end` after a line of titles, times in µs.
fn gestures(
    folder: &Path,
    name: &str,
    base: &str,
    split: Split,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let file = folder.join(name);
    let path = folder.join(format!("{base}_labels.csv"));
    if !file.is_file() {
        return Err(Error::MissingFile { dataset: "dvs128-gesture", path: file });
    }
    let (mut parts, mut found) = (Vec::new(), Vec::new());
    for (number, line) in text::read(&path, MAX_LIST)?
        .lines()
        .enumerate()
        .skip(1)
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let mut fields = line.split(',').map(|field| field.trim().parse::<i64>().ok());
        let (class, from, until) =
            (fields.next().flatten(), fields.next().flatten(), fields.next().flatten());
        let label = class.and_then(|class| u16::try_from(class.checked_sub(1)?).ok());
        let label = label.filter(|&label| usize::from(label) < CLASSES.len());
        let (Some(label), Some(from), Some(until)) = (label, from, until) else {
            let expected = format!("a class from 1 to {}, a start and an end in µs", CLASSES.len());
            return Err(Error::Field {
                path,
                field: "line",
                expected,
                found: format!("`{line}` in line {}", number + 1),
            });
        };
        parts.push((from, until));
        found.push((format!("{base}/{number}"), label));
    }
    let recording = Arc::new(LongRecording::new(file, parts));
    samples.extend(found.into_iter().enumerate().map(|(part, (name, label))| {
        let place = Place::Part { recording: Arc::clone(&recording), part };
        Sample { place, name, label, official: Some(split) }
    }));
    Ok(())
}
