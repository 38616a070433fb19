//! Augmentation of recordings: against tonic with its draws given
//! (`fixtures/golden/make_event_augment.py`), by its properties, and from files to batches.

use ndarray::{Array4, Array5, Axis};
use serde_json::Value;
use snn_data::recordings::augment::{EventAugment, EventOperation, Nda, drop_events, jitter_times};
use snn_data::recordings::events::{Event, Events, SensorSize};
use snn_data::recordings::frames::{Framing, Slicing};
use snn_data::recordings::{RecordingSource, Recordings};
use snn_data::{Batch, DatasetName, EventMix, LoaderConfig, SampleRng, Samples, Targets};
use std::path::Path;
use std::sync::Arc;

fn fixture() -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/event_augment.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn small(value: &Value) -> u16 {
    u16::try_from(value.as_u64().unwrap()).unwrap()
}

fn events(value: &Value, size: SensorSize) -> Events {
    let column = |name: &str| value[name].as_array().unwrap();
    let places = ["x", "y"].map(|name| column(name).iter().map(small).collect());
    let t = column("t").iter().map(|t| t.as_i64().unwrap()).collect();
    Events::from_columns(
        size,
        t,
        places,
        column("p").iter().map(|p| p.as_u64() == Some(1)).collect(),
    )
    .unwrap()
}

#[test]
fn operations_are_those_of_tonic() {
    let fixture = fixture();
    let size = SensorSize { width: small(&fixture["width"]), height: small(&fixture["height"]) };
    let before = events(&fixture["events"], size);
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let real = |name: &str| case[name].as_f64().unwrap();
        let after = match case["name"].as_str().unwrap() {
            "flip-columns" => EventOperation::FlipColumns.apply(&before),
            "flip-rows" => EventOperation::FlipRows.apply(&before),
            "drop-time" => {
                EventOperation::DropTime { from: real("from"), to: real("to") }.apply(&before)
            }
            "drop-box" => {
                let [left, top, width, height] =
                    ["left", "top", "width", "height"].map(|name| small(&case[name]));
                EventOperation::DropBox { left, top, width, height }.apply(&before)
            }
            "drop-events" => {
                let mut dropped = vec![false; before.len()];
                case["dropped"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|index| dropped[usize::from(small(index))] = true);
                drop_events(&before, &dropped)
            }
            "jitter-times" => {
                let shifts: Vec<f64> = case["shifts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|shift| shift.as_f64().unwrap())
                    .collect();
                jitter_times(&before, &shifts)
            }
            other => panic!("{other}"),
        };
        assert_eq!(after, events(&case["events"], size), "{}", case["name"]);
        assert_ne!(after, before);
    }
}

/// Random events on a sensor.
fn random(count: u32, size: SensorSize, seed: u64) -> Events {
    let (mut rng, mut events) = (SampleRng::for_sample(seed, 0, 0), Events::new(size));
    for t in 0..count {
        let mut below = |side: u16| u16::try_from(rng.below(u32::from(side))).unwrap();
        let event = Event {
            t: i64::from(t) * 10,
            x: below(size.width),
            y: below(size.height),
            polarity: below(2) == 1,
        };
        events.push(event).unwrap();
    }
    events
}

const SIZE: SensorSize = SensorSize { width: 48, height: 32 };

#[test]
fn geometry_moves_events_where_it_says() {
    let one = |x, y| {
        let mut events = Events::new(SIZE);
        events.push(Event { t: 3, x, y, polarity: true }).unwrap();
        events
    };
    let place = |events: &Events| events.iter().map(|event| (event.x, event.y)).collect::<Vec<_>>();
    let roll = EventOperation::Roll { right: -3, down: 30 };
    assert_eq!(place(&roll.apply(&one(1, 5))), [(46, 3)]);
    let back = EventOperation::Roll { right: 3, down: -30 };
    let events = random(500, SIZE, 1);
    assert_eq!(back.apply(&roll.apply(&events)), events);
    // Half a turn is both flips; a quarter against the clock brings what is right of the middle
    // above it.
    let turned = EventOperation::Rotate { degrees: 180.0 }.apply(&events);
    assert_eq!(turned, EventOperation::FlipRows.apply(&EventOperation::FlipColumns.apply(&events)));
    let square = SensorSize { width: 9, height: 9 };
    let mut right = Events::new(square);
    right.push(Event { t: 0, x: 7, y: 4, polarity: true }).unwrap();
    assert_eq!(place(&EventOperation::Rotate { degrees: 90.0 }.apply(&right)), [(4, 1)]);
    // Rows move by their distance from the middle; what leaves the sensor is gone.
    let shear = EventOperation::Shear { factor: 0.5 };
    assert_eq!(place(&shear.apply(&one(10, 31))), [(18, 31)]);
    assert_eq!(place(&shear.apply(&one(10, 0))), [(2, 0)]);
    assert_eq!(place(&shear.apply(&one(2, 0))), []);
}

#[test]
fn augmentation_is_a_function_of_seed_epoch_and_index_and_keeps_events_on_the_sensor() {
    let every = [
        EventAugment::FlipColumns,
        EventAugment::FlipRows,
        EventAugment::Roll { pixels: 5 },
        EventAugment::Rotate { degrees: 30.0 },
        EventAugment::Shear { factor: 0.3 },
        EventAugment::DropEvents { share: [0.1, 0.5] },
        EventAugment::DropTime { share: [0.1, 0.5] },
        EventAugment::DropArea { share: [0.3, 0.5] },
        EventAugment::JitterTimes { micros: 30.0 },
        EventAugment::Nda(Nda { magnitude: 3, operations: 4 }),
    ];
    let events = random(2000, SIZE, 2);
    for augment in every {
        let made =
            |epoch| augment.apply(events.clone(), &mut SampleRng::for_sample(3, epoch, 5)).unwrap();
        let all: Vec<Events> = (0..20).map(made).collect();
        assert_eq!(made(7), all[7], "{augment:?}");
        assert!(
            all.iter().any(|made| *made != events) && all.iter().any(|made| *made != all[0]),
            "{augment:?}"
        );
        for made in &all {
            assert!(
                made.len() <= events.len() && made.len() > events.len() / 8,
                "{augment:?}: {}",
                made.len()
            );
            assert!(made.iter().all(|event| SIZE.holds(event.x, event.y)));
            assert!(made.is_sorted(), "{augment:?}");
        }
        let nothing = Events::new(SIZE);
        assert_eq!(
            augment.apply(nothing.clone(), &mut SampleRng::for_sample(0, 0, 0)).unwrap(),
            nothing
        );
        let text = toml::to_string(&std::collections::BTreeMap::from([("step", augment)])).unwrap();
        let read: std::collections::BTreeMap<String, EventAugment> = toml::from_str(&text).unwrap();
        assert_eq!(read["step"], augment);
    }
    // As many as the share says.
    let half = EventAugment::DropEvents { share: [0.25, 0.25] };
    assert_eq!(
        half.apply(events.clone(), &mut SampleRng::for_sample(0, 0, 0)).unwrap().len(),
        1500
    );
    // Timestamps jitter by the requested deviation.
    let shaken = EventAugment::JitterTimes { micros: 30.0 };
    let far = Events::from_columns(
        SIZE,
        (0..2000).map(|t| t * 1000).collect(),
        [vec![0; 2000], vec![0; 2000]],
        vec![true; 2000],
    );
    let made = shaken.apply(far.unwrap(), &mut SampleRng::for_sample(0, 0, 0)).unwrap();
    let square: f64 =
        (0..2000_i64).zip(made.t()).map(|(index, t)| ((t - index * 1000) as f64).powi(2)).sum();
    assert!(((square / 2000.0).sqrt() - 30.0).abs() < 2.0, "{}", (square / 2000.0).sqrt());
    for wrong in [
        EventAugment::Roll { pixels: 5000 },
        EventAugment::Rotate { degrees: f64::NAN },
        EventAugment::Shear { factor: 2.0 },
        EventAugment::DropEvents { share: [0.5, 0.1] },
        EventAugment::DropArea { share: [0.0, 1.0] },
        EventAugment::JitterTimes { micros: -1.0 },
        EventAugment::Nda(Nda { magnitude: 4, operations: 1 }),
    ] {
        assert!(
            wrong.apply(events.clone(), &mut SampleRng::for_sample(0, 0, 0)).is_err(),
            "{wrong:?}"
        );
    }
}

#[test]
fn event_mix_takes_each_place_from_one_of_two() {
    let frames = Array5::from_shape_fn((4, 6, 2, 12, 10), |(_, sample, ..)| {
        u8::try_from(sample + 1).unwrap()
    });
    let batch = Batch {
        samples: Samples::Frames(frames),
        targets: Targets::new((0..6).collect()),
        indices: (0..6).collect(),
    };
    let mix = EventMix { chance: 1.0 };
    let mut shares = Vec::new();
    for step in 0..20 {
        let mut mixed = batch.clone();
        mix.apply(&mut mixed, &mut SampleRng::for_batch(1, 0, step)).unwrap();
        let mixture = mixed.targets.mixture.clone().unwrap();
        let samples = mixed.samples.frames();
        let labels = mixed.targets.labels.iter().zip(&mixture.others);
        for (image, (&own, &other)) in samples.axis_iter(Axis(1)).zip(labels) {
            let stays = image.iter().filter(|&&value| i64::from(value) == own + 1).count();
            assert!(image.iter().all(|&value| [own + 1, other + 1].contains(&i64::from(value))));
            if own != other {
                assert!((stays as f64 / image.len() as f64 - mixture.share).abs() < 1e-9);
            }
            // Both polarities of a time are from the same recording.
            assert_eq!(image.index_axis(Axis(1), 0), image.index_axis(Axis(1), 1));
        }
        let mut again = batch.clone();
        mix.apply(&mut again, &mut SampleRng::for_batch(1, 0, step)).unwrap();
        assert_eq!(again, mixed);
        shares.push(mixture.share);
    }
    assert!(
        shares.iter().any(|&share| share < 0.3) && shares.iter().any(|&share| share > 0.7),
        "{shares:?}"
    );
    let mut rest = batch.clone();
    EventMix { chance: 0.0 }.apply(&mut rest, &mut SampleRng::for_batch(1, 0, 0)).unwrap();
    assert!(rest == batch && rest.targets.mixture.is_none());
    let mut odd = Batch { samples: Samples::Static(Array4::zeros((6, 2, 4, 4))), ..batch };
    assert!(
        mix.apply(&mut odd, &mut SampleRng::for_batch(1, 0, 0))
            .unwrap_err()
            .to_string()
            .contains("two polarities")
    );
}

#[test]
fn recordings_are_loaded_augmented_and_framed_by_any_number_of_threads() {
    let root = tempfile::tempdir().unwrap();
    for (part, digit) in [("Train", 0_u8), ("Train", 7), ("Test", 3)] {
        let folder = root.path().join(format!("n-mnist/{part}/{digit}"));
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..9_u8 {
            let records = (0..200_u8).flat_map(|index| {
                [(index + number) % 34, (index + digit) % 34, index & 0x80, 0, index]
            });
            std::fs::write(folder.join(format!("{number:05}.bin")), records.collect::<Vec<u8>>())
                .unwrap();
        }
    }
    let set = Arc::new(Recordings::open(DatasetName::NMnist, root.path()).unwrap());
    let framing = Framing { slicing: Slicing::Time { slices: 4 }, size: None };
    let indices: Vec<usize> = (0..18).collect();
    let augment =
        vec![EventAugment::Nda(Nda::default()), EventAugment::DropEvents { share: [0.1, 0.3] }];
    let epoch = |augment: &[EventAugment], threads, epoch| {
        let source =
            RecordingSource::new(set.clone(), indices.clone(), framing, augment.to_vec()).unwrap();
        let config = LoaderConfig { batch_size: 5, seed: 2, threads, ..LoaderConfig::default() };
        let loader = config.init_source(Arc::new(source), None).unwrap();
        loader.epoch(epoch).unwrap().collect::<Result<Vec<Batch>, _>>().unwrap()
    };
    for batch in epoch(&[], 2, 0) {
        for (at, &index) in batch.indices.iter().enumerate() {
            let frames = framing.frames(&set.read(index).unwrap()).unwrap();
            let expected = frames.mapv(|count| u8::try_from(count).unwrap_or(u8::MAX));
            assert_eq!(batch.samples.frames().index_axis(Axis(1), at), expected);
        }
        assert!(batch.targets.labels.iter().all(|label| [0, 7].contains(label)));
    }
    let first = epoch(&augment, 0, 0);
    assert_eq!(first.iter().map(Batch::len).sum::<usize>(), 18);
    assert_eq!(first, epoch(&augment, 3, 0));
    assert_ne!(first[0].samples, epoch(&[], 2, 0)[0].samples);
    assert_ne!(first, epoch(&augment, 0, 1));
    // A damaged recording is named.
    let damaged = root.path().join("n-mnist/Train/7/00004.bin");
    std::fs::write(damaged, [1, 2, 3]).unwrap();
    let source = RecordingSource::new(set.clone(), indices.clone(), framing, augment).unwrap();
    let loader = LoaderConfig { threads: 2, ..LoaderConfig::default() }
        .init_source(Arc::new(source), None)
        .unwrap();
    let error = loader.epoch(0).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("Train/7/00004.bin") && error.contains("sample 13"), "{error}");
    let open = Framing { slicing: Slicing::Count { events: 10 }, size: None };
    assert!(RecordingSource::new(set.clone(), indices, open, Vec::new()).is_err());
    assert!(RecordingSource::new(set, vec![99], framing, Vec::new()).is_err());
}

#[test]
fn nda_has_the_strengths_of_its_authors() {
    // Rolling in pixels of 48, rotation and shearing in degrees; most that are drawn.
    for (magnitude, pixels, degrees) in [(1, 3, 15.0_f64), (2, 5, 30.0), (3, 7, 45.0)] {
        let (mut rolled, mut rotated, mut sheared) = (0, 0.0_f64, 0.0_f64);
        for index in 0..2_000 {
            let nda = Nda { magnitude, operations: 4 };
            for operation in nda.draw([48, 48], &mut SampleRng::for_sample(0, 0, index)) {
                match operation {
                    EventOperation::Roll { right, down } => {
                        rolled = rolled.max(right.abs()).max(down.abs());
                    }
                    EventOperation::Rotate { degrees } => rotated = rotated.max(degrees.abs()),
                    EventOperation::Shear { factor } => {
                        sheared = sheared.max(factor.atan().to_degrees().abs());
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(rolled, pixels);
        for found in [rotated, sheared] {
            assert!(
                found <= degrees + 1e-9 && found > 0.99 * degrees,
                "{magnitude}: {found} of {degrees}"
            );
        }
    }
}
