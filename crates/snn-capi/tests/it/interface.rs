//! The functions as C calls them: the results of the Rust interface, and a code for everything that
//! is wrong.

use crate::*;
use snn_runtime::deploy::{Deployment, Event, Options, Session};
use snn_runtime::ndarray::{Array1, Array2, ArrayViewD};
use snn_runtime::snn_ir::{Code, Encoder, Form, Lif, Preprocessing, Site, Weights};
use snn_runtime::snn_ir::{Graph, Op};
use snn_runtime::snn_ir::{GridLif, GridReset};
use snn_runtime::{Input, InstructionSet, Model, Scores, Signature, Sums};
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

const SIZE: usize = 2 * 3 * 4;
const CLASSES: usize = 3;
const STEPS: usize = 3;

/// A network of events, `[2, 3, 4]` to three classes, whose neurons remember.
/// A model whose sums are no integers.
fn off_grid() -> Model {
    let (mut signature, mut weights) = model().into_parts();
    signature.form = Form::Events;
    for node in &mut signature.graph.nodes {
        if let Op::Activation { site, .. } = &mut node.op {
            *site = Site::Lif(Lif::default());
        }
    }
    for (node, inputs, outputs) in [("fc", SIZE, 5), ("out", 5, CLASSES)] {
        weights.remove(&format!("{node}.multiplier"));
        weights
            .insert(format!("{node}.weight"), Array2::from_elem((outputs, inputs), 0.125).into());
    }
    weights.remove("act.threshold");
    Model::new(signature, weights)
}

pub(crate) fn model() -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 3, 4] }, &[]);
    graph.push("flat", Op::Flatten, &["image"]);
    graph.push("fc", Op::Linear { features: 5, bias: false }, &["flat"]);
    let site = Site::GridLif(GridLif::new(1, 1, 3, GridReset::Soft));
    graph.push("act", Op::Activation { site, code: Some(Code::Binary) }, &["fc"]);
    graph.push("out", Op::Linear { features: CLASSES, bias: false }, &["act"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let byte = |o: usize, i: usize| i8::try_from((i * 7 + o * 5) % 11).unwrap() - 4;
    let mut weights = Weights::new();
    weights
        .insert("fc.weight".into(), Array2::from_shape_fn((5, SIZE), |(o, i)| byte(o, i)).into());
    weights.insert("fc.multiplier".into(), Array1::<i32>::ones(5).into());
    weights.insert("act.threshold".into(), Array1::from_elem(5, 40_i32).into());
    weights.insert(
        "out.weight".into(),
        Array2::from_shape_fn((CLASSES, 5), |(o, i)| byte(o, i)).into(),
    );
    weights.insert("out.multiplier".into(), Array1::<i32>::ones(CLASSES).into());
    Model::new(
        Signature::new(
            Form::Grid { logit_unit: 0.25 },
            graph,
            STEPS,
            Preprocessing::new(vec![0, 1], vec![1.0; 2]),
        )
        .with_classes(["left", "right", "none"].map(String::from).to_vec()),
        weights,
    )
}

fn image(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|i| u8::try_from((i * 37 + seed * 101) % 256).unwrap()).collect()
}

fn text<'a>(pointer: *const c_char) -> &'a str {
    assert!(!pointer.is_null());
    // SAFETY: texts of the library end with a zero byte.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
}

fn last() -> &'static str {
    text(snn_last_error())
}

/// Handles that are freed at the end.
struct Handles {
    model: *mut SnnModel,
    session: *mut SnnSession,
    state: *mut SnnState,
}

impl Handles {
    fn new() -> Self {
        let bytes = model().to_bytes().unwrap();
        let mut handles = Self { model: null_mut(), session: null_mut(), state: null_mut() };
        let options = SnnOptions { threads: 2, instruction_set: 0 };
        // SAFETY: all pointers are good.
        unsafe {
            assert_eq!(
                snn_model_from_bytes(
                    bytes.as_ptr(),
                    bytes.len(),
                    &raw const options,
                    &raw mut handles.model
                ),
                Status::Ok
            );
            assert_eq!(snn_session_new(handles.model, &raw mut handles.session), Status::Ok);
            assert_eq!(snn_state_new(handles.session, &raw mut handles.state), Status::Ok);
        }
        handles
    }

    fn sums(&self) -> Vec<i64> {
        let mut sums = vec![-1; CLASSES];
        // SAFETY: as above.
        assert_eq!(
            unsafe { snn_session_sums(self.session, sums.as_mut_ptr(), CLASSES) },
            Status::Ok,
            "{}",
            last()
        );
        sums
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        // SAFETY: freed once; the model first, which nothing needs any more.
        unsafe {
            snn_model_free(self.model);
            snn_session_free(self.session);
            snn_state_free(self.state);
        }
    }
}

fn rust() -> Session {
    Deployment::new(&model(), &Options::default()).unwrap().session()
}

fn integers(scores: Scores<'_>) -> Vec<i64> {
    let Sums::Integer(sums) = scores.sums() else { panic!("integers") };
    sums.to_vec()
}

#[test]
fn a_model_says_what_it_is() {
    let handles = Handles::new();
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(snn_model_input_size(handles.model), SIZE);
        let mut shape = [9; 4];
        assert_eq!(snn_model_input_shape(handles.model, shape.as_mut_ptr(), 4), 3);
        assert_eq!(shape, [2, 3, 4, 9]);
        let mut shape = [9; 4];
        assert_eq!(snn_model_input_shape(handles.model, shape.as_mut_ptr(), 2), 3);
        assert_eq!(shape, [2, 3, 9, 9]);
        assert_eq!(snn_model_input_shape(handles.model, null_mut(), 0), 3);
        assert_eq!(
            (snn_model_time_steps(handles.model), snn_model_classes(handles.model)),
            (STEPS, CLASSES)
        );
        assert_eq!(text(snn_model_class_name(handles.model, 1)), "right");
        assert!(snn_model_class_name(handles.model, 3).is_null());
        assert_eq!(text(snn_model_instruction_set(handles.model)), InstructionSet::best().label());
        assert!(text(snn_model_summary(handles.model)).contains("act ("));
        assert!(snn_session_bytes(handles.session) > 0);
    }
    assert_eq!(text(snn_version()), env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_way_to_run_gives_the_results_of_rust() {
    let (handles, mut rust) = (Handles::new(), rust());
    // SAFETY: all pointers are good.
    unsafe {
        for seed in 0..20 {
            let pixels = image(seed);
            let expected = integers(rust.run(&pixels).unwrap());
            assert_eq!(snn_session_run(handles.session, pixels.as_ptr(), SIZE), Status::Ok);
            assert_eq!(handles.sums(), expected);
            let (mut class, mut logits) = (99, [0.0; CLASSES]);
            assert_eq!(snn_session_class(handles.session, &raw mut class), Status::Ok);
            assert_eq!(class, Sums::Integer(&expected).argmax());
            assert_eq!(
                snn_session_logits(handles.session, logits.as_mut_ptr(), CLASSES),
                Status::Ok
            );
            let scale = 0.25 / STEPS as f64;
            assert!(
                logits
                    .iter()
                    .zip(&expected)
                    .all(|(logit, sum)| (logit - scale * *sum as f64).abs() < 1e-12)
            );

            let values: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
            assert_eq!(snn_session_run_real(handles.session, values.as_ptr(), SIZE, 0), Status::Ok);
            assert_eq!(handles.sums(), expected);

            let frames = [image(seed), image(seed + 1), image(seed + 2)].concat();
            let expected = integers(rust.run_frames(&frames).unwrap());
            assert_eq!(
                snn_session_run_frames(handles.session, frames.as_ptr(), STEPS * SIZE),
                Status::Ok
            );
            assert_eq!(handles.sums(), expected);
            assert_eq!(snn_state_reset(handles.state), Status::Ok);
            for frame in frames.chunks(SIZE) {
                assert_eq!(
                    snn_session_push(handles.session, handles.state, frame.as_ptr(), SIZE),
                    Status::Ok
                );
            }
            assert_eq!(handles.sums(), expected);
            assert_eq!(snn_state_steps(handles.state), STEPS as u64);

            let margin = 3;
            let exit = rust.run_until(&pixels, snn_runtime::deploy::Confidence { margin }).unwrap();
            let (steps, expected) = (exit.steps, integers(exit.scores));
            let mut ran = 0;
            assert_eq!(
                snn_session_run_until(handles.session, pixels.as_ptr(), SIZE, margin, &raw mut ran),
                Status::Ok
            );
            assert_eq!((ran, handles.sums()), (steps, expected));
            assert_eq!(
                snn_session_run_until(handles.session, pixels.as_ptr(), SIZE, margin, null_mut()),
                Status::Ok
            );
        }
    }
}

#[test]
fn a_batch_gives_the_results_of_its_images() {
    let (handles, mut rust) = (Handles::new(), rust());
    let images: Vec<u8> = (0..5).flat_map(image).collect();
    let expected: Vec<i64> =
        images.chunks(SIZE).flat_map(|image| integers(rust.run(image).unwrap())).collect();
    let (mut sums, mut logits) = (vec![0; 5 * CLASSES], vec![0.0; 5 * CLASSES]);
    // SAFETY: all pointers are good, and where they are null the function says so.
    unsafe {
        let run = |sums, logits, length, count, values| {
            snn_model_run_batch(handles.model, images.as_ptr(), length, count, sums, logits, values)
        };
        let (length, values) = (images.len(), 5 * CLASSES);
        assert_eq!(run(sums.as_mut_ptr(), null_mut(), length, 5, values), Status::Ok);
        assert_eq!(run(null_mut(), logits.as_mut_ptr(), length, 5, values), Status::Ok);
        assert_eq!(sums, expected);
        assert!(
            logits
                .iter()
                .zip(&sums)
                .all(|(logit, sum)| (logit - 0.25 / STEPS as f64 * *sum as f64).abs() < 1e-12)
        );
        assert_eq!(run(null_mut(), null_mut(), length, 5, values), Status::Pointer);
        assert_eq!(run(sums.as_mut_ptr(), null_mut(), length, 4, values), Status::Size);
        assert_eq!(run(sums.as_mut_ptr(), null_mut(), length, usize::MAX, values), Status::Size);
        assert_eq!(run(sums.as_mut_ptr(), null_mut(), length, 5, values - 1), Status::Size);
        assert!(last().contains("5 × 3 values, found 14"), "{}", last());
        assert_eq!(
            run(sums.as_mut_ptr(), null_mut(), 0, 0, 0),
            Status::Ok,
            "no images are no work"
        );
    }
}

/// A model with an encoder encodes the images that C gives it.
#[test]
fn an_image_is_encoded_as_the_file_says() {
    let model = model().with_encoder(Encoder::Latency);
    let (bytes, image) = (model.to_bytes().unwrap(), image(3));
    let view = ArrayViewD::from_shape(vec![1, 2, 3, 4], &image).unwrap();
    let frames = Encoder::Latency.encode(&Input::Static(view), STEPS, 0).unwrap();
    let mut session = rust();
    let expected = integers(session.run_frames(&frames.into_raw_vec_and_offset().0).unwrap());
    assert_ne!(expected, integers(session.run(&image).unwrap()), "encoding makes a difference");
    let (mut handle, mut sums) = (null_mut(), vec![0; CLASSES]);
    let mut best = SnnPrediction { class_index: 9, name: null(), probability: 0.0 };
    // SAFETY: all pointers are good.
    unsafe {
        let made = snn_model_from_bytes(bytes.as_ptr(), bytes.len(), null(), &raw mut handle);
        assert_eq!(made, Status::Ok, "{}", last());
        let (pixels, sums) = (image.as_ptr(), sums.as_mut_ptr());
        let run = snn_model_run_batch(handle, pixels, SIZE, 1, sums, null_mut(), CLASSES);
        assert_eq!(run, Status::Ok, "{}", last());
        assert_eq!(snn_model_classify(handle, pixels, SIZE, &raw mut best), Status::Ok);
        snn_model_free(handle);
    }
    assert_eq!(sums, expected);
    let largest = expected.iter().max().unwrap();
    assert_eq!(Some(best.class_index), expected.iter().position(|sum| sum == largest));
}

#[test]
fn events_are_the_frames_of_their_counts() {
    let (handles, mut rust) = (Handles::new(), rust());
    let event = |t: i64| {
        let of = |n: i64| u16::try_from(t * 7 % n).unwrap();
        (
            SnnEvent { t, x: of(4), y: of(3), polarity: u8::from(t % 3 == 0) * 200 },
            Event { t, x: of(4), y: of(3), polarity: t % 3 == 0 },
        )
    };
    let (events, own): (Vec<SnnEvent>, Vec<Event>) = (0..90).map(event).unzip();
    let ends = [10, 10, 90];
    let expected = integers(rust.run_events(&[&own[..10], &[], &own[10..]]).unwrap());
    assert!(expected.iter().any(|&sum| sum != 0));
    // SAFETY: all pointers are good.
    unsafe {
        let run = |count, ends: &[usize]| {
            snn_session_run_events(
                handles.session,
                events.as_ptr(),
                count,
                ends.as_ptr(),
                ends.len(),
            )
        };
        assert_eq!(run(90, &ends), Status::Ok, "{}", last());
        assert_eq!(handles.sums(), expected);
        let push = |events: &[SnnEvent]| {
            let pointer = if events.is_empty() { null() } else { events.as_ptr() };
            snn_session_push_events(handles.session, handles.state, pointer, events.len())
        };
        for slice in [&events[..10], &[], &events[10..]] {
            assert_eq!(push(slice), Status::Ok, "{}", last());
        }
        assert_eq!(handles.sums(), expected);
        for ends in [[10, 9, 90], [10, 20, 91], [0, 0, 89], [usize::MAX, 0, 90]] {
            assert_eq!(run(90, &ends), Status::Value, "{ends:?}");
        }
        assert_eq!(run(90, &[20, 90]), Status::Size, "{}", last());
        let off = SnnEvent { t: 0, x: 4, y: 0, polarity: 1 };
        assert_eq!(push(&[off]), Status::Value);
        assert_eq!(snn_state_steps(handles.state), 3, "a refused push changes nothing");
    }
}

#[test]
fn a_state_can_be_gone_back_to() {
    let handles = Handles::new();
    let mut copy = null_mut();
    // SAFETY: all pointers are good.
    unsafe {
        let push = |state, seed| {
            assert_eq!(
                snn_session_push(handles.session, state, image(seed).as_ptr(), SIZE),
                Status::Ok
            );
        };
        push(handles.state, 1);
        assert_eq!(snn_state_copy(handles.state, &raw mut copy), Status::Ok);
        push(handles.state, 2);
        let expected = handles.sums();
        push(handles.state, 3);
        push(copy, 2);
        assert_eq!(handles.sums(), expected);
        assert_eq!((snn_state_steps(handles.state), snn_state_steps(copy)), (3, 2));
        snn_state_free(copy);
    }
}

#[test]
fn threads_share_a_model() {
    struct Shared(*mut SnnModel);
    // SAFETY: the interface says that a model may be used by several threads at once.
    unsafe impl Sync for Shared {}
    let handles = Handles::new();
    let shared = Shared(handles.model);
    let shared = &shared;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut session = null_mut();
                let mut expected = rust();
                // SAFETY: all pointers are good; the session is this thread's.
                unsafe {
                    assert_eq!(snn_session_new(shared.0, &raw mut session), Status::Ok);
                    for seed in 0..50 {
                        let pixels = image(seed * 4 + thread);
                        assert_eq!(snn_session_run(session, pixels.as_ptr(), SIZE), Status::Ok);
                        let mut sums = [0; CLASSES];
                        assert_eq!(
                            snn_session_sums(session, sums.as_mut_ptr(), CLASSES),
                            Status::Ok
                        );
                        assert_eq!(sums.to_vec(), integers(expected.run(&pixels).unwrap()));
                    }
                    assert_eq!(last(), "");
                    assert_eq!(snn_session_run(session, null(), SIZE), Status::Pointer);
                    assert_eq!(last(), "pixels is null");
                    snn_session_free(session);
                }
            });
        }
    });
    assert_eq!(last(), "", "errors belong to their thread");
}

#[test]
fn null_is_refused_everywhere() {
    let handles = Handles::new();
    let (session, state, pixels, values) =
        (handles.session, handles.state, image(0), [0.5_f32; SIZE]);
    let pixels = pixels.as_ptr();
    let (mut class, mut sums, mut logits) = (0, [0; CLASSES], [0.0; CLASSES]);
    // SAFETY: every pointer is good or null.
    unsafe {
        let mut model = handles.model;
        assert_eq!(snn_model_load(null(), null(), &raw mut model), Status::Pointer);
        assert!(model.is_null(), "what is handed out is null");
        assert_eq!(snn_model_load(c"x".as_ptr(), null(), null_mut()), Status::Pointer);
        assert_eq!(snn_model_from_bytes(null(), 3, null(), &raw mut model), Status::Pointer);
        assert_eq!(snn_session_new(null(), &mut null_mut()), Status::Pointer);
        assert_eq!(snn_session_new(handles.model, null_mut()), Status::Pointer);
        assert_eq!(snn_session_run(null_mut(), pixels, SIZE), Status::Pointer);
        assert_eq!(snn_session_run(session, null(), SIZE), Status::Pointer);
        assert_eq!(snn_session_run(session, null(), 0), Status::Pointer);
        assert_eq!(snn_session_run_frames(null_mut(), pixels, SIZE), Status::Pointer);
        assert_eq!(snn_session_run_real(null_mut(), values.as_ptr(), SIZE, 0), Status::Pointer);
        assert_eq!(snn_session_run_real(session, null(), SIZE, 0), Status::Pointer);
        assert_eq!(snn_session_run_events(session, null(), 1, [1].as_ptr(), 1), Status::Pointer);
        assert_eq!(snn_session_run_events(session, null(), 0, null(), 1), Status::Pointer);
        assert_eq!(snn_session_run_until(null_mut(), pixels, SIZE, 0, null_mut()), Status::Pointer);
        assert_eq!(snn_session_push(session, null_mut(), pixels, SIZE), Status::Pointer);
        assert_eq!(snn_session_push(null_mut(), state, pixels, SIZE), Status::Pointer);
        assert_eq!(
            snn_session_push_real(session, null_mut(), values.as_ptr(), SIZE, 0),
            Status::Pointer
        );
        assert_eq!(snn_session_push_events(session, state, null(), 2), Status::Pointer);
        assert_eq!(snn_session_class(null(), &raw mut class), Status::Pointer);
        assert_eq!(snn_session_sums(null(), sums.as_mut_ptr(), CLASSES), Status::Pointer);
        assert_eq!(snn_session_logits(null(), logits.as_mut_ptr(), CLASSES), Status::Pointer);
        assert_eq!(
            snn_model_run_batch(null(), pixels, SIZE, 1, sums.as_mut_ptr(), null_mut(), CLASSES),
            Status::Pointer
        );
        assert_eq!(snn_state_new(null(), &mut null_mut()), Status::Pointer);
        assert_eq!(snn_state_copy(null(), &mut null_mut()), Status::Pointer);
        assert_eq!(snn_state_reset(null_mut()), Status::Pointer);
        assert_eq!((snn_state_steps(null()), snn_session_bytes(null())), (0, 0));
        assert_eq!(
            (snn_model_input_size(null()), snn_model_classes(null()), snn_model_time_steps(null())),
            (0, 0, 0)
        );
        assert_eq!(snn_model_input_shape(null(), null_mut(), 0), 0);
        assert_eq!(snn_model_input_shape(handles.model, null_mut(), 2), 0);
        assert!(snn_model_class_name(null(), 0).is_null());
        assert!(snn_model_instruction_set(null()).is_null() && snn_model_summary(null()).is_null());
        snn_model_free(null_mut());
        snn_session_free(null_mut());
        snn_state_free(null_mut());
        // A pointer between values.
        let misaligned = values.as_ptr().wrapping_byte_add(1);
        assert_eq!(snn_session_run_real(session, misaligned, SIZE, 0), Status::Pointer);
        assert!(last().contains("not aligned to 4"), "{}", last());
        assert_eq!(snn_session_run_real(session, values.as_ptr(), usize::MAX, 0), Status::Size);
    }
}

#[test]
fn wrong_sizes_and_values_are_refused_and_leave_no_result() {
    let handles = Handles::new();
    let (session, state, pixels) = (handles.session, handles.state, image(0));
    let (mut class, mut sums) = (77, [5_i64; CLASSES]);
    // SAFETY: every pointer is good, and lengths are those of the memory or less.
    unsafe {
        assert_eq!(snn_session_class(session, &raw mut class), Status::Order);
        assert_eq!(class, 77);
        assert_eq!(snn_session_run(session, pixels.as_ptr(), SIZE), Status::Ok);
        assert_eq!(snn_session_sums(session, sums.as_mut_ptr(), CLASSES - 1), Status::Size);
        assert_eq!(sums, [5; CLASSES]);
        assert_eq!(snn_session_run(session, pixels.as_ptr(), SIZE - 1), Status::Size);
        assert!(last().contains("24 pixels") && last().contains("23"), "{}", last());
        assert_eq!(snn_session_sums(session, sums.as_mut_ptr(), CLASSES), Status::Order);
        assert_eq!(snn_session_run_frames(session, pixels.as_ptr(), SIZE), Status::Size);
        assert_eq!(snn_session_push(session, state, pixels.as_ptr(), SIZE - 1), Status::Size);
        assert_eq!(snn_session_run_until(session, pixels.as_ptr(), 0, 0, null_mut()), Status::Size);
        let mut values = [0.5; SIZE];
        assert_eq!(snn_session_run_real(session, values.as_ptr(), SIZE, 2), Status::Value);
        values[3] = f32::NAN;
        assert_eq!(snn_session_push_real(session, state, values.as_ptr(), SIZE, 1), Status::Value);
        assert!(last().contains("value 3"), "{}", last());
        assert_eq!(snn_state_steps(state), 0);
        let mut model = null_mut();
        let bytes = self::model().to_bytes().unwrap();
        for (options, status) in [
            (SnnOptions { threads: 0, instruction_set: 1 }, Status::Ok),
            (SnnOptions { threads: 1, instruction_set: 6 }, Status::Value),
            (SnnOptions { threads: 1, instruction_set: -1 }, Status::Value),
        ] {
            assert_eq!(
                snn_model_from_bytes(
                    bytes.as_ptr(),
                    bytes.len(),
                    &raw const options,
                    &raw mut model
                ),
                status
            );
            assert_eq!(model.is_null(), status != Status::Ok);
            snn_model_free(model);
        }
        assert_eq!(
            snn_model_from_bytes(bytes.as_ptr(), bytes.len() - 1, null(), &raw mut model),
            Status::Model
        );
        let bytes_off_grid = off_grid().to_bytes().unwrap();
        let status = snn_model_from_bytes(
            bytes_off_grid.as_ptr(),
            bytes_off_grid.len(),
            null(),
            &raw mut model,
        );
        assert_eq!(status, Status::Model);
        assert!(
            last().contains("expected a model on the grid") && last().contains("`events`"),
            "{}",
            last()
        );
        assert_eq!(snn_model_load(c"no such file".as_ptr(), null(), &raw mut model), Status::Model);
        assert!(last().contains("no such file"), "{}", last());
        assert_eq!(snn_model_load(c"\xFF".as_ptr(), null(), &raw mut model), Status::Value);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        let path = CString::new(path.to_str().unwrap()).unwrap();
        assert_eq!(snn_model_load(path.as_ptr(), null(), &raw mut model), Status::Ok);
        // The state of another network.
        let mut other = self::model().with_time_steps(2);
        other.graph_mut().nodes[2].op = Op::Linear { features: 4, bias: false };
        let mut small = other.weights().clone();
        small.insert("fc.weight".into(), Array2::<i8>::ones((4, SIZE)).into());
        small.insert("fc.multiplier".into(), Array1::<i32>::ones(4).into());
        small.insert("act.threshold".into(), Array1::<i32>::ones(4).into());
        small.insert("out.weight".into(), Array2::<i8>::ones((CLASSES, 4)).into());
        *other.weights_mut() = small;
        let bytes = other.to_bytes().unwrap();
        let (mut foreign, mut foreign_session, mut foreign_state) =
            (null_mut(), null_mut(), null_mut());
        assert_eq!(
            snn_model_from_bytes(bytes.as_ptr(), bytes.len(), null(), &raw mut foreign),
            Status::Ok,
            "{}",
            last()
        );
        assert_eq!(snn_session_new(foreign, &raw mut foreign_session), Status::Ok);
        assert_eq!(snn_state_new(foreign_session, &raw mut foreign_state), Status::Ok);
        assert_eq!(snn_session_push(session, foreign_state, pixels.as_ptr(), SIZE), Status::Model);
        assert!(last().contains("another network"), "{}", last());
        snn_state_free(foreign_state);
        snn_session_free(foreign_session);
        snn_model_free(foreign);
        snn_model_free(model);
    }
}
