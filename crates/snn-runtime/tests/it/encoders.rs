//! Networks on encoded frames: the runtime and the naive evaluator agree on every bit, and the
//! frames make a difference.

use crate::draw::{Numbers, model};
use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::Naive;
use snn_ir::Op;
use snn_ir::{Encoder, Evaluate, Input, Model, Preprocessing, Record};
use snn_runtime::deploy::Confidence;
use snn_runtime::{Counting, Deployment, Options};

/// Images a batch.
const BATCH: usize = 3;

/// A random batch for an encoder whose frames have the shape of the model's input: one image a
/// sample, or frames for delta. `None` where the channels of the input cannot be ON and OFF.
fn batch(encoder: Encoder, model: &Model, seed: u64) -> Option<ArrayD<u8>> {
    let Some(Op::Input { shape }) = model.graph().nodes.first().map(|node| &node.op) else {
        return None;
    };
    let mut image = shape.clone();
    let mut leading = vec![BATCH];
    if let Encoder::Delta { .. } = encoder {
        if !image[0].is_multiple_of(2) {
            return None;
        }
        image[0] /= 2;
        leading.insert(0, model.time_steps());
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    Some(ArrayD::from_shape_simple_fn(IxDyn(&[leading, image].concat()), || random.random()))
}

fn agree(of: impl Fn(usize) -> Encoder) {
    let (mut models, mut active, mut changes) = (0, 0, 0);
    for seed in 0..200 {
        for numbers in [Numbers::Integer, Numbers::Dyadic] {
            let mut model = model(seed, 6, numbers);
            let encoder = of(model.time_steps());
            let Some(pixels) = batch(encoder, &model, seed) else { continue };
            // A converted model has its deviations in the weights, so 1 here; its weights are
            // random anyway.
            let channels = model.preprocessing().mean.len();
            model.signature_mut().preprocessing =
                Preprocessing::new(vec![0; channels], vec![1.0; channels]);
            let input = if let Encoder::Delta { .. } = encoder {
                Input::Frames(pixels.view())
            } else {
                Input::Static(pixels.view())
            };
            let frames = encoder.encode(&input, model.time_steps(), seed).unwrap();
            let frames = Input::Frames(frames.view());
            let Ok(mut naive) = Naive::new(&model) else { continue };
            let expected = naive.evaluate(&frames, Record::Sites).unwrap();
            let found = Counting::new(&model).unwrap().evaluate(&frames, Record::Sites).unwrap();
            assert_eq!(found.logits, expected.logits, "{encoder:?}, seed {seed}");
            for (found, expected) in found.sites.iter().zip(&expected.sites) {
                assert_eq!(
                    found.output, expected.output,
                    "{encoder:?}, seed {seed}, site {}",
                    found.site
                );
            }
            models += 1;
            active += u64::from(expected.sites.iter().any(|site| site.output.active() > 0));
            let blank = ArrayD::zeros(frames.pixels().raw_dim());
            let blank = naive.evaluate(&Input::Frames(blank.view()), Record::Logits).unwrap();
            changes += u64::from(blank.logits != expected.logits);
        }
    }
    assert!(models >= 50, "only {models} models were run");
    assert!(
        active * 2 > models && changes * 2 > models,
        "of {models} models {active} were active, {changes} saw the input"
    );
}

#[test]
fn direct() {
    agree(|_| Encoder::Direct);
}

#[test]
fn poisson() {
    agree(|_| Encoder::Poisson { seed: 5, rate: 0.8 });
}

#[test]
fn latency() {
    agree(|_| Encoder::Latency);
}

#[test]
fn phase() {
    // A period of all macro-steps, as far as there are bits.
    agree(|steps| Encoder::Phase {
        bits: (1..=8).rev().find(|&bits| steps.is_multiple_of(usize::from(bits))).unwrap(),
    });
}

#[test]
fn delta() {
    agree(|_| Encoder::Delta { threshold: 20 });
}

/// Direct encoding is the static image.
#[test]
fn direct_frames_are_the_static_image() {
    for seed in 0..50 {
        let model = model(seed, 6, Numbers::Integer);
        let images = batch(Encoder::Direct, &model, seed).unwrap();
        let images = Input::Static(images.view());
        let frames = Encoder::Direct.encode(&images, model.time_steps(), 0).unwrap();
        let runtime = Counting::new(&model).unwrap();
        let of = |input: &Input<'_>| runtime.run(input, Record::Logits).unwrap().logits;
        assert_eq!(of(&Input::Frames(frames.view())), of(&images));
    }
}

/// An image given to a network that reads encoded frames is encoded, alone or in any batch; frames
/// stay as they are.
#[test]
fn images_become_the_frames_of_the_models_encoder() {
    let mut differ = 0;
    for seed in 0..60 {
        let model = model(seed, 6, Numbers::Integer);
        let steps = model.time_steps();
        let bits = (1..=8).rev().find(|&bits| steps.is_multiple_of(usize::from(bits))).unwrap();
        let encoder = match seed % 3 {
            0 => Encoder::Poisson { seed, rate: 0.9 },
            1 => Encoder::Latency,
            _ => Encoder::Phase { bits },
        };
        let model = model.with_encoder(encoder);
        let images = batch(encoder, &model, seed).unwrap();
        let shown = Input::Static(images.view());
        let counting = Counting::new(&model).unwrap();
        let deployment = Deployment::new(&model, &Options::default()).unwrap();
        let mut session = deployment.session();
        let found = counting.run(&shown, Record::Sites).unwrap();
        assert_eq!(found, deployment.run(&shown, Record::Sites).unwrap(), "seed {seed}");
        let naive = Naive::new(&model).unwrap().evaluate(&shown, Record::Sites).unwrap();
        assert_eq!(found.logits, naive.logits, "seed {seed}");
        for (sample, image) in images.outer_iter().enumerate() {
            let alone = image.to_owned().insert_axis(ndarray::Axis(0));
            let frames = encoder.encode(&Input::Static(alone.view()), steps, 0).unwrap();
            let of = deployment.run(&Input::Frames(frames.view()), Record::Logits).unwrap().logits;
            let expected = deployment.to_logits(of);
            let expected: Vec<f64> = expected.row(0).to_vec();
            let batch = deployment.to_logits(found.logits.clone());
            assert_eq!(batch.row(sample).to_vec(), expected, "{encoder:?}, seed {seed}");
            assert_eq!(deployment.logits(&image).unwrap(), expected);
            assert_eq!(counting.logits(&image).unwrap(), expected);
            assert_eq!(session.run(&image).unwrap().logits(), expected);
            let exit = session.run_until(&image, Confidence::NEVER).unwrap();
            assert_eq!((exit.steps, exit.scores.logits()), (steps, expected.clone()));
            let sample = frames.index_axis(ndarray::Axis(1), 0);
            assert_eq!(session.run_frames(&sample).unwrap().logits(), expected);
            let direct = model.clone().with_encoder(Encoder::Direct);
            let direct = Deployment::new(&direct, &Options::default()).unwrap();
            differ += usize::from(direct.logits(&image).unwrap() != expected);
        }
    }
    assert!(differ > 60, "the encoder makes a difference: {differ} of 180");
}

/// Delta encodes what changes between frames: an image is refused, with what to do.
#[test]
fn an_image_is_refused_where_the_encoder_reads_frames() {
    let model = (0..).map(|seed| model(seed, 6, Numbers::Integer));
    let model = model.map(|model| model.with_encoder(Encoder::Delta { threshold: 9 }));
    let model = model.into_iter().find(|model| model.validate().is_ok()).unwrap();
    let pixels = vec![0; model.validate().unwrap().input_shape().iter().product()];
    let deployment = Deployment::new(&model, &Options::default()).unwrap();
    let counting = Counting::new(&model).unwrap();
    for error in
        [deployment.classify(&pixels).unwrap_err(), counting.classify(&pixels).unwrap_err()]
    {
        let error = error.to_string();
        assert!(error.contains("frames, one a macro-step, as delta encodes"), "{error}");
        assert!(error.contains("run_frames"), "{error}");
    }
}
