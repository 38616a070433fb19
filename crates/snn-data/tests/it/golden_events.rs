//! Events and frames against other libraries (`fixtures/golden/make_events.py`): on small made
//! recordings, and on real ones where the folder that `SNN_RECORDINGS` names has them.

use ndarray::{Array3, Axis};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use snn_data::recordings::events::{EventReader, Events, ReadOptions, SensorSize, read_npz_frames};
use snn_data::recordings::frames::{Framing, Slicing, TimeSurface};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden")
}

fn fixture() -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden().join("events.json")).unwrap()).unwrap()
}

fn sha256(bytes: impl Iterator<Item = u8>) -> String {
    let digest = Sha256::digest(bytes.collect::<Vec<_>>());
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn columns(events: &Events) -> String {
    let t = events.t().iter().flat_map(|t| t.to_le_bytes());
    let places = events.x().iter().chain(events.y()).flat_map(|place| place.to_le_bytes());
    sha256(t.chain(places).chain(events.polarity().iter().map(|&on| u8::from(on))))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn agrees(row: &Value, folder: &Path) {
    let name = row["file"].as_str().unwrap();
    let side = |index: usize| u16::try_from(number(&row["size"][index])).unwrap();
    let size = SensorSize { width: side(0), height: side(1) };
    // Headers written by other tools may lack the size.
    let mut events =
        Events::read(&folder.join(name), ReadOptions { size: Some(size), ..Default::default() })
            .unwrap();
    if row["transposed"].as_bool() == Some(true) {
        events = events.transposed();
    }
    assert_eq!((events.len() as u64, events.size()), (number(&row["events"]), size), "{name}");
    assert_eq!(columns(&events), row["sha256"].as_str().unwrap(), "{name}");
    let frames = &row["frames"];
    for (key, slicing) in [
        ("time", Slicing::Time { slices: 10 }),
        ("number", Slicing::Number { slices: 10 }),
        ("duration", Slicing::Duration { micros: number(&frames["duration"]["micros"]) }),
        (
            "count",
            Slicing::Count { events: usize::try_from(number(&frames["count"]["events"])).unwrap() },
        ),
    ] {
        let framed = Framing { slicing, size: None }.frames(&events).unwrap();
        let found = sha256(framed.iter().flat_map(|count| count.to_le_bytes()));
        assert_eq!(found, frames[key]["sha256"].as_str().unwrap(), "{name}, {key}");
    }
    let surface = &frames["surface"];
    let settings = TimeSurface {
        micros: number(&surface["micros"]),
        tau_micros: surface["tau"].as_f64().unwrap(),
        size: None,
    };
    let surfaces = settings.surfaces(&events).unwrap();
    let sums = surface["sums"].as_array().unwrap();
    assert_eq!(surfaces.dim().0, sums.len(), "{name}");
    for (ours, theirs) in surfaces.outer_iter().zip(sums) {
        let (ours, theirs) =
            (ours.iter().map(|&value| f64::from(value)).sum::<f64>(), theirs.as_f64().unwrap());
        assert!((ours - theirs).abs() <= 1e-6 * theirs.max(1.0), "{name}: {ours} is not {theirs}");
    }
}

#[test]
fn made_recordings_are_read_and_framed_as_others_do() {
    for row in fixture()["made"].as_array().unwrap() {
        agrees(row, &golden().join("events"));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn real_recordings_are_read_and_framed_as_others_do() {
    let Some(folder) = std::env::var_os("SNN_RECORDINGS").map(PathBuf::from) else {
        eprintln!("skipped: SNN_RECORDINGS is not set, so there are no real recordings to read");
        return;
    };
    let fixture = fixture();
    let rows = fixture["real"].as_array().unwrap();
    for row in rows {
        agrees(row, &folder);
    }
    let counts: Vec<_> = rows.iter().map(|row| number(&row["events"])).collect();
    for known in [489_834, 18_342, 219_596] {
        assert!(counts.contains(&known), "{known} events");
    }
}

#[test]
fn frames_of_another_library_are_read() {
    let expected = &fixture()["npz_frames"];
    let frames = read_npz_frames(&golden().join("events/frames.npz")).unwrap();
    assert_eq!(frames.dim(), (4, 2, 8, 8));
    assert_eq!(
        frames.iter().map(|&value| u64::from(value)).collect::<Vec<_>>(),
        expected["values"].as_array().unwrap().iter().map(number).collect::<Vec<_>>()
    );
}

#[test]
fn frames_while_reading_are_frames_of_all_events() {
    let large = Some(SensorSize { width: 1280, height: 720 });
    for (name, size) in [
        ("dvs128.aedat", None),
        ("made.dat", large),
        ("made-evt3.raw", large),
        ("n-mnist.bin", None),
        ("events.npz", None),
    ] {
        let options = ReadOptions { size, ..ReadOptions::default() };
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/events").join(name);
        let events = Events::read(&path, options.clone()).unwrap();
        let ways = [
            Slicing::Number { slices: 7 },
            Slicing::Count { events: 50 },
            Slicing::Time { slices: 5 },
            Slicing::Duration { micros: 20_000 },
        ];
        let smaller =
            SensorSize { width: events.size().width / 2, height: events.size().height / 3 };
        for (slicing, size) in
            ways.into_iter().flat_map(|slicing| [(slicing, None), (slicing, Some(smaller))])
        {
            let framing = Framing { slicing, size };
            let read =
                framing.read(&mut EventReader::open(&path, options.clone()).unwrap()).unwrap();
            assert_eq!(read, framing.frames(&events).unwrap(), "{name}, {framing:?}");
            // A plain count of all events where their pixels lie in smaller frames.
            let (_, _, height, width) = read.dim();
            let mut plain = Array3::<u32>::zeros((2, height, width));
            for event in events.iter() {
                let y = usize::from(event.y) * height / usize::from(events.size().height);
                let x = usize::from(event.x) * width / usize::from(events.size().width);
                plain[[usize::from(event.polarity), y, x]] += 1;
            }
            assert_eq!(read.mapv(u32::from).sum_axis(Axis(0)), plain, "{name}, {framing:?}");
        }
        let framing = Framing { slicing: ways[0], size: None };
        let few = EventReader::open(&path, ReadOptions { max_events: 3, ..options.clone() });
        let error = few.and_then(|mut reader| framing.read(&mut reader)).unwrap_err().to_string();
        assert!(error.contains("at most 3 "), "{error}");
        // Memory that was used before.
        let mut again = Events::new(SensorSize { width: 1, height: 1 });
        again
            .push(snn_data::recordings::events::Event { t: 9, x: 0, y: 0, polarity: true })
            .unwrap();
        EventReader::open(&path, options.clone()).unwrap().read_into(&mut again).unwrap();
        assert_eq!(again, events);
    }
}
