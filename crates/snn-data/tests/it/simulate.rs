//! Simulated recordings: the pixel against cases that can be computed and a plain twin, and sets of
//! recordings on disk.

use snn_data::pictures::Picture;
use snn_data::recordings::events::{Event, Events, SensorSize};
use snn_data::recordings::simulate::{
    Camera, Motion, PixelArray, SIMULATED, SimulatedParts, SimulatedSet, Simulation, is_simulated,
};
use snn_data::{Dataset, DatasetName, Error, SampleRng, SourceConfig, open};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A pixel without anything random and without reset.
fn ideal(threshold: f64) -> Camera {
    Camera {
        threshold_on: threshold,
        threshold_off: threshold,
        threshold_spread: 0.0,
        refractory_us: 0.0,
        leak_hz: 0.0,
        noise_hz: 0.0,
        ..Camera::default()
    }
}

const ONE: SensorSize = SensorSize { width: 1, height: 1 };

/// The events of one pixel whose level goes through these (time, level).
fn of_one(camera: &Camera, levels: &[(i64, f64)]) -> Events {
    let mut pixel = PixelArray::new(camera, ONE, 0).unwrap();
    let mut events = Events::new(ONE);
    for (at, &(time, level)) in levels.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "a level")]
        let level = [level as f32];
        if at == 0 {
            pixel.start(&level, time).unwrap();
        } else {
            pixel.advance(&level, time, &mut events).unwrap();
        }
    }
    events
}

#[test]
fn a_step_of_contrast_c_gives_as_many_events_as_thresholds_fit_into_its_logarithm() {
    for threshold in [0.1, 0.17, 0.3] {
        for contrast in [0.07_f64, 0.4, 0.95, 1.02, 1.5, 3.0, 20.0] {
            let level = contrast.ln();
            let events = of_one(&ideal(threshold), &[(0, 0.0), (1_000, level)]);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let expected = (level.abs() / threshold).floor() as usize;
            assert_eq!(events.len(), expected, "contrast {contrast}, threshold {threshold}");
            assert!(events.polarity().iter().all(|&on| on == (contrast > 1.0)));
            // The times are those at which the straight line reaches the thresholds.
            for (number, &t) in (1_u32..).zip(events.t()) {
                let time = 1_000.0 * f64::from(number) * threshold / level.abs();
                assert!((t as f64 - time.floor()).abs() <= 1.0, "{t} for {time}");
            }
        }
    }
    // There and back: as many OFF events as ON events.
    let events = of_one(&ideal(0.2), &[(0, 0.0), (500, 1.1), (900, 0.0)]);
    assert_eq!(events.polarity(), [[true; 5], [false; 5]].concat());
}

#[test]
fn on_a_slope_events_are_a_threshold_and_a_refractory_period_apart() {
    let (slope, threshold, refractory) = (1e-4, 0.25, 700.0);
    let camera = Camera { refractory_us: refractory, ..ideal(threshold) };
    // In steps that are shorter than the refractory period and in long ones.
    for step in [130, 5_000] {
        let levels: Vec<_> =
            (0..=100_000 / step).map(|at| (at * step, slope * (at * step) as f64)).collect();
        let events = of_one(&camera, &levels);
        let period = threshold / slope + refractory;
        assert!(events.len() > 25, "{}", events.len());
        for (number, &t) in (0_u32..).zip(events.t()) {
            let time = threshold / slope + f64::from(number) * period;
            assert!((t as f64 - time).abs() < 3.0, "{t} for {time}, steps of {step}");
        }
    }
}

#[test]
fn a_pixel_in_constant_light_leaks_at_its_rate() {
    let camera = Camera { leak_hz: 4.0, ..ideal(0.2) };
    let levels: Vec<_> = (0..=2_500).map(|at| (at * 1_000, -1.0)).collect();
    let events = of_one(&camera, &levels);
    assert_eq!(events.len(), 10, "2.5 s at 4 Hz");
    for (number, &t) in (1_i64..).zip(events.t()) {
        assert!((t - number * 250_000).abs() < 600, "{t}");
    }
    assert!(events.polarity().iter().all(|&on| on));
}

#[test]
fn thresholds_have_their_mean_and_spread_and_belong_to_the_seed() {
    let camera = Camera { threshold_on: 0.2, threshold_off: 0.4, ..Camera::default() };
    let size = SensorSize { width: 128, height: 128 };
    let pixels = PixelArray::new(&camera, size, 3).unwrap();
    for (thresholds, mean) in pixels.thresholds().into_iter().zip([0.2, 0.4]) {
        let shares: Vec<f64> = thresholds.iter().map(|&at| f64::from(at) / mean).collect();
        let average = shares.iter().sum::<f64>() / shares.len() as f64;
        let deviation = (shares.iter().map(|at| (at - average).powi(2)).sum::<f64>()
            / shares.len() as f64)
            .sqrt();
        assert!((average - 1.0).abs() < 0.002, "{average}");
        assert!((deviation - 0.03).abs() < 0.001, "{deviation}");
    }
    let of = |seed| PixelArray::new(&camera, size, seed).unwrap().thresholds().map(<[f32]>::to_vec);
    assert_eq!(of(3), pixels.thresholds());
    assert_ne!(of(4), of(3));
}

/// The pixel model once more, one pixel after the other and as plainly as it can be said.
fn plain(pixels: &PixelArray, camera: &Camera, times: &[i64], levels: &[Vec<f32>]) -> Vec<Event> {
    let [on, off] = pixels.thresholds();
    #[expect(clippy::cast_possible_truncation, reason = "as the camera has it")]
    let (refractory, leak_us) =
        (camera.refractory_us as f32, camera.threshold_on * camera.leak_hz / 1e6);
    let mut all = Vec::new();
    for pixel in 0..on.len() {
        let mut remembered = levels[0][pixel];
        // Time left in reset.
        let mut reset: Option<f32> = None;
        for at in 1..times.len() {
            #[expect(clippy::cast_precision_loss, reason = "microseconds of a step")]
            let step = (times[at] - times[at - 1]) as f32;
            #[expect(clippy::cast_possible_truncation, reason = "as the camera has it")]
            let leak = (leak_us * f64::from(step)) as f32;
            let (from, to) = (levels[at - 1][pixel], levels[at][pixel] + leak);
            let level = |share: f32| from + share * (to - from);
            let mut share = 0.0;
            if let Some(left) = reset {
                if left >= step {
                    reset = Some(left - step);
                    continue;
                }
                share = left / step;
                remembered = level(share);
                reset = None;
            }
            while reset.is_none() {
                let goals = [(true, remembered + on[pixel]), (false, remembered - off[pixel])];
                let reached = goals.into_iter().find(|&(up, goal)| {
                    if up { to > from && to >= goal } else { to < from && to <= goal }
                });
                let Some((polarity, goal)) = reached else { break };
                share = ((goal - from) / (to - from)).clamp(share, 1.0);
                #[expect(clippy::cast_possible_truncation, reason = "microseconds of a step")]
                let t = times[at - 1] + (share * step) as i64;
                all.push(Event { t, x: u16::try_from(pixel).unwrap(), y: 0, polarity });
                if refractory == 0.0 {
                    remembered = goal;
                    continue;
                }
                share += refractory / step;
                if share < 1.0 {
                    remembered = level(share);
                } else {
                    reset = Some((share - 1.0) * step);
                }
            }
            remembered -= leak;
        }
    }
    all.sort_by_key(|event| (event.t, event.x, event.polarity));
    all
}

#[test]
fn the_pixels_are_their_plain_twin() {
    let mut rng = SampleRng::for_sample(11, 0, 0);
    let mut total = 0;
    for case in 0..60 {
        let width = u16::try_from(1 + rng.below(70)).unwrap();
        let size = SensorSize { width, height: 1 };
        let camera = Camera {
            threshold_on: rng.uniform(0.05, 0.5),
            threshold_off: rng.uniform(0.05, 0.5),
            threshold_spread: rng.uniform(0.0, 0.2),
            refractory_us: if case % 3 == 0 { 0.0 } else { rng.uniform(0.0, 3_000.0) },
            leak_hz: rng.uniform(0.0, 30.0),
            ..Camera::default()
        };
        let mut times = vec![0];
        let mut levels: Vec<Vec<f32>> = Vec::new();
        #[expect(clippy::cast_possible_truncation, reason = "levels")]
        let mut frame = || (0..width).map(|_| rng.uniform(-1.5, 0.0) as f32).collect::<Vec<_>>();
        levels.push(frame());
        for _ in 0..20 {
            levels.push(frame());
        }
        for _ in 0..20 {
            times.push(times.last().unwrap() + 1 + i64::from(rng.below(2_000)));
        }
        let mut pixels = PixelArray::new(&camera, size, case).unwrap();
        let expected = plain(&pixels, &camera, &times, &levels);
        let mut events = Events::new(size);
        pixels.start(&levels[0], times[0]).unwrap();
        for (level, &time) in levels.iter().zip(&times).skip(1) {
            pixels.advance(level, time, &mut events).unwrap();
        }
        assert_eq!(events.iter().collect::<Vec<_>>(), expected, "case {case}");
        assert!(events.is_sorted());
        total += events.len();
    }
    assert!(total > 10_000, "{total}");
}

/// Dark to the left, bright to the right of column `edge` of 32.
fn edge(edge: usize) -> Picture {
    let row = (0..32).flat_map(|x| [if x < edge { 30 } else { 200 }; 3]);
    Picture::new(32, 32, row.collect::<Vec<_>>().repeat(32)).unwrap()
}

#[test]
fn a_recording_shows_the_edges_where_they_are() {
    for motion in [Motion::LOOPS, Motion::SACCADES.with_reach(4.0)] {
        let camera = Camera { leak_hz: 0.0, noise_hz: 0.0, ..Camera::default() };
        let recorder = Simulation { camera, motion, seed: 0 }.recorder().unwrap();
        let events = recorder.record(&edge(8), 0).unwrap();
        assert!(events.len() > 5_000, "{}", events.len());
        // The edge stands at column 32 of 128, and moves by 4 pixels and the width of the filter.
        assert!(events.x().iter().all(|&x| (22..=46).contains(&x)), "{:?}", events.x());
        let on = events.polarity().iter().filter(|&&on| on).count() as f64 / events.len() as f64;
        assert!((0.4..0.6).contains(&on), "{on} of the events are ON");
        assert!(events.span().unwrap().1 < recorder.duration_us());
    }
    // To the right first: the bright side moves away from the pixels, which become darker.
    let camera = Camera { leak_hz: 0.0, noise_hz: 0.0, ..Camera::default() };
    let simulation = Simulation { camera, motion: Motion::SACCADES, seed: 0 };
    let events = simulation.recorder().unwrap().record(&edge(16), 0).unwrap();
    let first = events.between(0, 100_000);
    assert!(!first.is_empty() && first.polarity().iter().all(|&on| !on));
    // Noise alone: a picture of one colour.
    let grey = Picture::new(4, 4, vec![90; 48]).unwrap();
    let camera = Camera { leak_hz: 0.0, noise_hz: 2.0, ..Camera::default() };
    let recorder = Simulation { camera, motion: Motion::LOOPS, seed: 0 }.recorder().unwrap();
    let [first, second] = [0, 1].map(|number| recorder.record(&grey, number).unwrap());
    let expected = 2.0 * 16_384.0 * 1.2;
    assert!((first.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{}", first.len());
    assert_ne!(first, second);
}

#[test]
fn settings_out_of_range_are_named() {
    for (camera, field) in [
        (Camera { threshold_on: 0.0, ..Camera::default() }, "threshold_on"),
        (Camera { threshold_off: f64::NAN, ..Camera::default() }, "threshold_off"),
        (Camera { threshold_spread: 0.5, ..Camera::default() }, "threshold_spread"),
        (Camera { refractory_us: -1.0, ..Camera::default() }, "refractory_us"),
        (Camera { leak_hz: 1e9, ..Camera::default() }, "leak_hz"),
        (Camera { noise_hz: f64::INFINITY, ..Camera::default() }, "noise_hz"),
    ] {
        let error = Simulation { camera, ..Simulation::default() }.recorder().unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
    }
    for motion in [Motion::LOOPS.with_reach(0.0), Motion::SACCADES.with_reach(1e3)] {
        assert!(Simulation { motion, ..Simulation::default() }.recorder().is_err());
    }
}

fn shapes(parts: SimulatedParts, per_class: Option<usize>, seed: u64) -> SimulatedSet {
    let motion = Motion::Saccades { saccade_us: 20_000, reach: 6.0 };
    let simulation = Simulation { motion, seed, ..Simulation::default() };
    SimulatedSet { dataset: DatasetName::Shapes10, parts, per_class, simulation }
}

/// All files below a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(file, b)| (format!("{name}/{file}"), b)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_set_is_the_same_on_any_number_of_threads_and_goes_on_where_it_ended() {
    let pictures = Dataset::open("shapes10", None).unwrap();
    let root = tempfile::tempdir().unwrap();
    let set = shapes(SimulatedParts::Both, Some(2), 5);
    let write = |name: &str, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| set.write(&pictures, &root.path().join(name), &|| ())).unwrap()
    };
    let first = write("one", 1);
    assert_eq!((first.recordings, first.made), (40, 40));
    write("three", 3);
    let (one, three) = (files(&root.path().join("one")), files(&root.path().join("three")));
    assert!(one == three && one.len() == 41, "{:?}", one.keys());
    assert!(is_simulated(&root.path().join("one")));
    let mark = String::from_utf8(one[SIMULATED].clone()).unwrap();
    assert!(mark.contains("\"simulated\": true") && mark.contains("\"seed\": 5"), "{mark}");

    // One to one with the pictures: the index is in the name, and the class is that of the picture.
    let disc = pictures.train.labels().iter().position(|&label| label == 0).unwrap();
    let bytes = &one[&format!("Train/disc/shapes10_disc_{disc}.aedat")];
    let header = String::from_utf8_lossy(&bytes[..500]);
    assert!(header.starts_with("#!AER-DAT2.0\r\n"), "{header}");
    assert!(header.contains(&format!("simulated, not recorded: picture {disc} of shapes10")));

    // A recording that is gone is made again, and one that is there stays.
    let gone = root.path().join("three/Test/disc");
    let name = fs::read_dir(&gone).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&name).unwrap();
    fs::write(gone.join(".partial-x.aedat"), b"half").unwrap();
    assert_eq!(write("three", 2).made, 1);
    fs::remove_file(gone.join(".partial-x.aedat")).unwrap();
    assert!(files(&root.path().join("three")) == one);
    // Other settings are not mixed into the folder, and neither are other files.
    let other = shapes(SimulatedParts::Both, Some(2), 6);
    let error = other.write(&pictures, &root.path().join("one"), &|| ()).unwrap_err();
    assert!(error.to_string().contains("name another folder"), "{error}");
    fs::create_dir(root.path().join("full")).unwrap();
    fs::write(root.path().join("full/x"), b"x").unwrap();
    let error = set.write(&pictures, &root.path().join("full"), &|| ()).unwrap_err();
    assert!(error.to_string().contains("found other files"), "{error}");
    let many = shapes(SimulatedParts::Test, Some(100_000), 0);
    let error = many.write(&pictures, &root.path().join("many"), &|| ()).unwrap_err();
    assert!(matches!(error, Error::InvalidConfig { field: "per_class", .. }), "{error}");

    // They are read as a set of recordings, and its parts are those of the pictures.
    let config: SourceConfig =
        toml::from_str("dataset = 'recording-folder'\npath = 'one'\nframes = { slices = 3 }")
            .unwrap();
    let data = open(&config, Some(root.path())).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.classes.len()), (20, 20, 10));
}
