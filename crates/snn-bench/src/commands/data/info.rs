//! `data info`: what is in one file.

use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use snn_data::inventory::{Content, FileInfo, RecordingInfo};
use snn_data::recordings::events::ReadOptions;
use std::path::Path;

pub(super) fn run(path: &Path, options: ReadOptions, json: bool) -> Result<Outcome> {
    let info = FileInfo::read(path, options)?;
    let damaged = matches!(&info.content, Content::Picture(picture) if picture.damage.is_some());
    if json {
        print_json(&info)?;
    } else {
        output::line(format_args!("{}: {} bytes", info.path.display(), info.bytes))?;
        for (key, value) in lines(&info.content) {
            output::line(format_args!("  {key:<12}{value}"))?;
        }
    }
    Ok(if damaged { Outcome::Failed } else { Outcome::Holds })
}

/// The same for people, one property a line.
fn lines(content: &Content) -> Vec<(String, String)> {
    let line = |key: &str, value: String| (key.to_owned(), value);
    match content {
        Content::Recording(recording) => recording_lines(recording),
        Content::Picture(picture) => vec![
            line("kind", format!("{} picture", picture.format)),
            line("size", format!("{}x{}", picture.width, picture.height)),
            line("colour", picture.colour.clone()),
            line("orientation", orientation(picture.orientation).to_owned()),
            line(
                "decodes",
                picture.damage.as_ref().map_or("yes".into(), |damage| format!("no: {damage}")),
            ),
        ],
        Content::Npz { arrays } => {
            let array = |array: &snn_data::recordings::events::NpzArray| {
                line("array", format!("{} {:?} of {}", array.name, array.shape, array.element))
            };
            let kind = line("kind", format!("NPZ of {} arrays", arrays.len()));
            std::iter::once(kind).chain(arrays.iter().map(array)).collect()
        }
        Content::Idx { shape } => {
            vec![line("kind", "IDX of unsigned bytes".into()), line("shape", format!("{shape:?}"))]
        }
        Content::Cifar { dataset, records } => {
            vec![
                line("kind", format!("{dataset}, binary version")),
                line("records", records.to_string()),
            ]
        }
        Content::Pickle { entries } => {
            let kind = line("kind", "pickled dictionary".into());
            let entries = entries.iter().map(|(key, value)| line("key", format!("{key}: {value}")));
            std::iter::once(kind).chain(entries).collect()
        }
        Content::Tar { files, unpacked_bytes, first } => vec![
            line("kind", "tar archive".into()),
            line("files", files.to_string()),
            line("unpacked", format!("{unpacked_bytes} bytes")),
            line("first", first.clone().unwrap_or_else(|| "–".into())),
        ],
        Content::Cache { title, samples, shape } => vec![
            line("kind", "cache of samples".into()),
            line("holds", title.clone()),
            line("samples", format!("{samples} of {shape:?}")),
        ],
    }
}

fn recording_lines(recording: &RecordingInfo) -> Vec<(String, String)> {
    let RecordingInfo { format, sensor, events, on, off, span, sorted, skipped, damage } =
        recording;
    let span = span.map_or("–".into(), |(first, last)| {
        let seconds = last.abs_diff(first) as f64 / 1e6;
        let rate = if seconds > 0.0 { *events as f64 / seconds } else { 0.0 };
        format!("{first} to {last} µs: {seconds:.3} s, {rate:.0} events/s")
    });
    let lines = [
        ("kind", format!("recording of an event camera, {format}")),
        ("sensor", sensor.to_string()),
        ("events", events.to_string()),
        ("polarity", format!("{on} ON, {off} OFF")),
        ("time", span),
        ("order", if *sorted { "sorted by time" } else { "some events are late" }.to_owned()),
        ("left out", format!("{skipped} records that are no events")),
    ];
    let damaged = (!damage.is_none()).then(|| ("damaged", damage.to_string()));
    lines.into_iter().chain(damaged).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Meaning of EXIF's orientation numbers.
fn orientation(number: u8) -> &'static str {
    match number {
        2 => "2: mirrored",
        3 => "3: upside down",
        4 => "4: upside down, mirrored",
        5 => "5: to be turned and mirrored",
        6 => "6: to be turned clockwise",
        7 => "7: to be turned and mirrored",
        8 => "8: to be turned anticlockwise",
        _ => "1: upright",
    }
}
