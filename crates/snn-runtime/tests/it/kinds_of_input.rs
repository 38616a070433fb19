//! Real values and events become pixels by a rule that is said, and are refused where there is
//! none.

use crate::draw::{Numbers, model, pixels};
use proptest::prelude::*;
use snn_ir::{Code, Form, Model, Preprocessing, Signature, Site, Weights};
use snn_ir::{Graph, Op};
use snn_runtime::Sums;
use snn_runtime::deploy::{Deployment, Event, Options, Scale, count_events, windows};

const PLANES: [usize; 3] = [2, 3, 4];

/// Sums what it sees, each pixel by another weight.
fn counter(time_steps: usize) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: PLANES.to_vec() }, &[]);
    graph.push("flat", Op::Flatten, &["image"]);
    graph.push("fc", Op::Linear { features: 3, bias: false }, &["flat"]);
    let site = Site::GridLif(snn_ir::GridLif::new(1, 1, 0, snn_ir::GridReset::Soft));
    graph.push("act", Op::Activation { site, code: Some(Code::Binary) }, &["fc"]);
    graph.push("out", Op::Linear { features: 2, bias: false }, &["act"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let mut weights = Weights::new();
    let weight = ndarray::Array2::from_shape_fn((3, 24), |(o, i)| {
        i8::try_from((i * 7 + o * 5) % 11).unwrap() - 3
    });
    weights.insert("fc.weight".into(), weight.into());
    weights.insert("fc.multiplier".into(), ndarray::Array1::<i32>::ones(3).into());
    weights.insert("act.threshold".into(), ndarray::Array1::from_elem(3, 2_i32).into());
    let weight =
        ndarray::Array2::from_shape_fn((2, 3), |(o, i)| i8::try_from(1 + o * 3 + i).unwrap());
    weights.insert("out.weight".into(), weight.into());
    weights.insert("out.multiplier".into(), ndarray::Array1::<i32>::ones(2).into());
    let preprocessing = Preprocessing::new(vec![0; 2], vec![1.0; 2]);
    Model::new(
        Signature::new(Form::Grid { logit_unit: 1.0 }, graph, time_steps, preprocessing),
        weights,
    )
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..40_i64, 0..4_u16, 0..3_u16, any::<bool>());
    prop::collection::vec(event, 0..60).prop_map(|all| {
        all.into_iter().map(|(t, x, y, polarity)| Event { t, x, y, polarity }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pictures_made_from_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut pixels = vec![0; bytes.len()];
        for (scale, divisor) in [(Scale::Unit, 255.0_f32), (Scale::Pixel, 1.0)] {
            let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / divisor).collect();
            scale.quantise(&values, &mut pixels).unwrap();
            prop_assert_eq!(&pixels, &bytes);
        }
    }

    #[test]
    fn values_go_to_the_nearest_pixel(value in 0.0_f32..=1.0) {
        let mut pixel = [0];
        Scale::Unit.quantise(&[value], &mut pixel).unwrap();
        let exact = f64::from(value) * 255.0;
        prop_assert!((f64::from(pixel[0]) - exact).abs() <= 0.5);
        Scale::Pixel.quantise(&[value * 255.0], &mut pixel).unwrap();
        prop_assert!((f64::from(pixel[0]) - f64::from(value * 255.0)).abs() <= 0.5);
    }

    #[test]
    fn real_values_run_as_their_pixels(seed in any::<u64>()) {
        let model = model(seed, 6, Numbers::Integer);
        let image = pixels(&model, &[], seed);
        let image = image.as_slice().unwrap();
        let values: Vec<f32> = image.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
        let expected = format!("{:?}", session.run(image).unwrap());
        prop_assert_eq!(format!("{:?}", session.run_real(&values, Scale::Unit).unwrap()), expected);
        let (mut pushed, mut real) = (session.rest(), session.rest());
        session.push(&mut pushed, image).unwrap();
        session.push_real(&mut real, &values, Scale::Unit).unwrap();
        prop_assert_eq!(pushed, real);
    }

    #[test]
    fn events_are_counted_and_lost_nowhere(events in events(), micros in 1..30_u64) {
        let mut events = events;
        let window_of = |t: i64| (t - events[0].t).unsigned_abs() / micros;
        let out_of_order = |pair: &[Event]| pair[1].t < pair[0].t;
        let first_late = (1..events.len()).find(|&index| {
            let latest = events[..index].iter().map(|event| event.t).max().unwrap();
            let (t, first) = (events[index].t, events[0].t);
            t < first || window_of(t) < window_of(latest)
        });
        // Refused at the first event of an earlier window, and only then.
        let found = windows(&events, micros.try_into().unwrap()).map(drop);
        match (found, first_late) {
            (Ok(()), None) => {}
            (Err(snn_ir::Error::InputValue { index, .. }), Some(late)) => {
                prop_assert_eq!(index, late);
                prop_assert!(events.windows(2).any(out_of_order));
                events.sort_by_key(|event| event.t);
            }
            (found, late) => prop_assert!(false, "{found:?}, {late:?}"),
        }
        let slices: Vec<&[Event]> = windows(&events, micros.try_into().unwrap()).unwrap().collect();
        let joined: Vec<Event> = slices.concat();
        prop_assert_eq!(&joined, &events);
        if let Some(first) = events.first() {
            for (window, slice) in slices.iter().enumerate() {
                let end = first.t + i64::try_from((window as u64 + 1) * micros).unwrap();
                prop_assert!(slice.iter().all(|event| event.t < end));
                let begin = end - i64::try_from(micros).unwrap();
                prop_assert!(slice.first().is_none_or(|event| window == 0 || event.t >= begin));
            }
        }
        // A run over all slices, a stream of them, and frames counted by hand.
        if slices.is_empty() {
            return Ok(());
        }
        let model = counter(slices.len());
        let mut frames = vec![0_u8; 24 * slices.len()];
        for (frame, slice) in frames.chunks_mut(24).zip(&slices) {
            for event in *slice {
                let row = usize::from(event.polarity) * 3 + usize::from(event.y);
                frame[row * 4 + usize::from(event.x)] += 1;
            }
        }
        let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
        let expected = session.run_frames(&frames).unwrap().integers().unwrap().to_vec();
        prop_assert_eq!(session.run_events(&slices).unwrap().sums(), Sums::Integer(&expected));
        let mut state = session.rest();
        for slice in &slices {
            session.push_events(&mut state, slice).unwrap();
        }
        prop_assert_eq!(state.scores().sums(), Sums::Integer(&expected));
        state.clear();
        prop_assert_eq!(state, session.rest());
    }
}

#[test]
fn counts_saturate() {
    let event = Event { t: 0, x: 3, y: 1, polarity: true };
    let mut frame = [9; 24];
    count_events(&[event; 300], &PLANES, &mut frame).unwrap();
    assert_eq!(frame[12 + 4 + 3], 255);
    assert_eq!(frame.iter().map(|&count| usize::from(count)).sum::<usize>(), 255);
}

#[test]
fn values_that_have_no_pixel_are_refused_by_place() {
    let model = counter(2);
    let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
    let mut state = session.rest();
    for (scale, value) in [
        (Scale::Unit, f32::NAN),
        (Scale::Unit, -0.001),
        (Scale::Unit, 1.001),
        (Scale::Unit, f32::INFINITY),
        (Scale::Pixel, 255.01),
        (Scale::Pixel, f32::NEG_INFINITY),
    ] {
        let mut values = [0.5; 24];
        values[17] = value;
        for error in [
            session.run_real(&values, scale).unwrap_err(),
            session.push_real(&mut state, &values, scale).map(|_| ()).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(
                error.contains("value 17: expected 0 to") && error.contains(&value.to_string()),
                "{error}"
            );
        }
    }
    assert_eq!(state, session.rest());
    let error = session.run_real(&[0.0; 23], Scale::Unit).unwrap_err().to_string();
    assert!(error.contains("24 values") && error.contains("23"), "{error}");
}

#[test]
fn events_off_the_sensor_and_networks_without_polarities_are_refused() {
    let mut session = Deployment::new(&counter(2), &Options::default()).unwrap().session();
    let mut state = session.rest();
    let inside = Event { t: 0, x: 3, y: 2, polarity: false };
    for (event, what) in [(Event { x: 4, ..inside }, "x 4"), (Event { y: 3, ..inside }, "y 3")] {
        let error = session.push_events(&mut state, &[inside, event]).unwrap_err().to_string();
        assert!(error.contains("value 1") && error.contains(what), "{error}");
    }
    assert_eq!(state, session.rest());
    let error = session.run_events(&[&[inside]]).unwrap_err().to_string();
    assert!(error.contains("2 slices of events"), "{error}");
    let flat = (0..1_000).map(|seed| model(seed, 3, Numbers::Integer)).find(|model| {
        let Op::Input { shape } = &model.graph().nodes[0].op else { return false };
        shape.len() != 3 || shape[0] != 2
    });
    let mut session = Deployment::new(&flat.unwrap(), &Options::default()).unwrap().session();
    let mut state = session.rest();
    let error = session.push_events(&mut state, &[inside]).unwrap_err().to_string();
    assert!(error.contains("[2, height, width]"), "{error}");
}

#[test]
fn a_model_whose_macro_steps_no_memory_holds_is_refused_before_any_is_asked_for() {
    let model = |steps| {
        let mut model = counter(steps);
        model.graph_mut().nodes[0].op = Op::Input { shape: vec![2, 1 << 10, 1 << 11] };
        // The flat image has one class a pixel, each with its own weight.
        model.graph_mut().nodes[2].op = Op::Scale;
        model.graph_mut().nodes.retain(|node| !matches!(node.name.as_str(), "act" | "out"));
        model.graph_mut().nodes[3].inputs = vec!["fc".into()];
        *model.weights_mut() = Weights::new();
        model
            .weights_mut()
            .insert("fc.weight".into(), ndarray::Array1::<i32>::ones(1 << 22).into());
        model
    };
    Deployment::new(&model(2), &Options::default()).unwrap();
    let error = Deployment::new(&model(1 << 16), &Options::default()).unwrap_err().to_string();
    assert!(
        error.contains("for 65536 macro-steps and 1 threads, expected at most 4294967296"),
        "{error}"
    );
    // Each thread works in memory of its own.
    let many = Options { threads: 1 << 16, ..Options::default() };
    let error = Deployment::new(&model(2), &many).unwrap_err().to_string();
    assert!(
        error.contains("for 2 macro-steps and 65536 threads, expected at most 4294967296"),
        "{error}"
    );
    // More than this machine can make use of.
    let processors = std::thread::available_parallelism().unwrap().get();
    let threads = 16.max(4 * processors) + 1;
    let many = Options { threads, ..Options::default() };
    let error = Deployment::new(&model(2), &many).unwrap_err().to_string();
    for part in ["threads: expected at most ", "processors", &format!("found {threads}")] {
        assert!(error.contains(part), "{error}");
    }
    Deployment::new(&model(2), &Options { threads: 16, ..Options::default() }).unwrap();
}

#[test]
fn windows_of_far_times_do_not_overflow() {
    let at = |t| Event { t, x: 0, y: 0, polarity: true };
    let events = [at(i64::MIN), at(i64::MAX)];
    let windows_of = |events, micros: u64| windows(events, micros.try_into().unwrap());
    let slices: Vec<_> = windows_of(&events, u64::MAX).unwrap().map(<[_]>::len).collect();
    assert_eq!(slices, [1, 1]);
    assert_eq!(windows_of(&[], 1).unwrap().count(), 0);
    let events = [at(i64::MAX), at(i64::MIN)];
    let error = windows_of(&events, 1).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("value 1") && error.contains("sort events by time"), "{error}");
}
