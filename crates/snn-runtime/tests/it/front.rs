//! The calls that both engines have, on the shipped network: the same results, whatever the form of
//! the image.

use ndarray::{ArrayD, ArrayView, Axis, IxDyn};
use snn_runtime::deploy::{Scale, Session, State};
use snn_runtime::{Counting, Deployment, Error, Model, Options};
use std::path::{Path, PathBuf};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/resnet20-cifar100-int8.safetensors")
}

fn image(seed: usize) -> Vec<u8> {
    (0..3 * 32 * 32).map(|i| u8::try_from((i * 37 + seed * 101) % 256).unwrap()).collect()
}

#[test]
fn both_engines_have_the_same_calls_and_results() {
    let (fast, counting) =
        (Deployment::load(shipped()).unwrap(), Counting::load(shipped()).unwrap());
    assert_eq!(fast.classes(), counting.classes());
    assert_eq!((fast.class_count(), counting.class_count()), (100, 100));
    assert_eq!(fast.input_shape(), counting.input_shape());
    assert_eq!(fast.time_steps(), counting.time_steps());
    let (mut one, mut other) = (fast.session(), counting.session());
    for seed in 0..2 {
        let image = image(seed);
        let scores = one.run(&image).unwrap();
        assert_eq!(scores, other.run(&image).unwrap());
        let best = scores.best(5);
        assert_eq!(best[0], fast.classify(&image).unwrap());
        assert_eq!(best[0], counting.classify(&image).unwrap());
        assert_eq!(best[0].name.as_ref(), Some(&fast.classes()[best[0].class]));
        assert!(best.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
        assert_eq!(scores.logits(), fast.logits(&image).unwrap());
        assert_eq!(scores.logits(), counting.logits(&image).unwrap());
    }
}

#[test]
fn bytes_arrays_and_batches_are_the_same_image() {
    let fast = Deployment::load(shipped()).unwrap();
    let bytes = image(3);
    let expected = fast.logits(&bytes).unwrap();
    let array = ArrayView::from_shape((3, 32, 32), &bytes).unwrap();
    assert_eq!(fast.logits(array).unwrap(), expected);
    assert_eq!(fast.logits(bytes.as_slice()).unwrap(), expected);
    // The same pixels in another order in memory.
    let transposed = array.reversed_axes().as_standard_layout().into_owned();
    assert_eq!(fast.logits(transposed.reversed_axes()).unwrap(), expected);
    let batch = array.insert_axis(Axis(0));
    assert_eq!(fast.logits_batch(batch).unwrap().row(0).to_vec(), expected);
    assert_eq!(fast.classify_batch(batch).unwrap(), [fast.classify(&bytes).unwrap().class]);
    let frames = [bytes.clone(), bytes.clone()].concat();
    assert_eq!(fast.session().run_frames(&frames).unwrap().logits(), expected);
    let mut session = fast.session();
    let mut state = session.rest();
    assert_eq!(state.scores().steps(), 0);
    for _ in 0..fast.time_steps() {
        session.push(&mut state, array).unwrap();
    }
    assert_eq!(state.scores().logits(), expected);
}

/// A call that a session must refuse.
type Refused = fn(&mut Session, &mut State, Scale) -> bool;

/// A caller that overlooks an error does not find the scores of the image before.
#[test]
fn a_refused_image_leaves_no_scores() {
    let (fast, counting) =
        (Deployment::load(shipped()).unwrap(), Counting::load(shipped()).unwrap());
    let (image, wrong) = (image(0), [0_u8; 7]);
    let (mut fast, mut counting) = (fast.session(), counting.session());
    for frames in [false, true] {
        assert!(fast.run(&image).unwrap().steps() > 0 && counting.run(&image).unwrap().steps() > 0);
        let refused = if frames {
            [fast.run_frames(wrong).err(), counting.run_frames(wrong).err()]
        } else {
            [fast.run(wrong).err(), counting.run(wrong).err()]
        };
        assert!(refused.iter().all(Option::is_some));
        assert_eq!((fast.scores().steps(), counting.scores().steps()), (0, 0));
    }
    let mut state = fast.rest();
    let scale = Scale::Unit;
    let refusals: [Refused; 5] = [
        |session, state, _| session.push(state, [0_u8; 7]).is_err(),
        |session, _, scale| session.run_real(&[0.5; 7], scale).is_err(),
        |session, state, scale| session.push_real(state, &[0.5; 7], scale).is_err(),
        |session, _, _| session.run_events(&[]).is_err(),
        |session, state, _| session.push_events(state, &[]).is_err(),
    ];
    for refused in refusals {
        assert!(fast.run(&image).unwrap().steps() > 0);
        assert!(refused(&mut fast, &mut state, scale));
        assert_eq!(fast.scores().steps(), 0);
    }
}

#[test]
fn wrong_images_are_errors_that_say_what_was_expected() {
    let fast = Deployment::load(shipped()).unwrap();
    let error = fast.classify([0_u8; 7]).unwrap_err();
    assert!(matches!(error, Error::Input { .. }));
    assert!(error.to_string().contains("3072 pixels ([3, 32, 32])"), "{error}");
    // As many pixels in another shape, channels last.
    let wrong = ArrayD::<u8>::zeros(IxDyn(&[32, 32, 3]));
    let error = fast.classify(&wrong).unwrap_err().to_string();
    assert!(error.contains("[3, 32, 32]") && error.contains("[32, 32, 3]"), "{error}");
}

#[test]
fn a_set_that_is_not_available_is_an_error_with_the_best() {
    let best = snn_runtime::InstructionSet::best();
    let model = Model::load(shipped()).unwrap();
    for set in snn_runtime::InstructionSet::ALL {
        let options = Options { instruction_set: Some(set), ..Options::default() };
        match Deployment::new(&model, &options) {
            Ok(deployment) => assert_eq!(deployment.instruction_set(), set),
            Err(error) => {
                assert!(!set.is_available());
                assert!(error.to_string().contains(best.label()), "{error}");
            }
        }
    }
}
