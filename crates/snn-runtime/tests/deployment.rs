//! Deployments against the naive evaluator: equal bits with every instruction set and number of threads, whatever the graph and the codes.

mod draw;

use draw::{Numbers, model, pixels, recoded};
use proptest::prelude::*;
use snn_ir::naive::Naive;
use snn_ir::{Code, Evaluate, Input, Model, Record};
use snn_runtime::deploy::{Deployment, Options};
use snn_runtime::{Level, Scores};

/// At least this many models of each kind; `SNN_CASES` raises it.
const CASES: u32 = 256;

fn config() -> ProptestConfig {
    let cases = std::env::var("SNN_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Every instruction set of this machine, by one thread and by three.
fn options() -> impl Iterator<Item = Options> {
    let levels = Level::ALL.into_iter().filter(|level| level.is_available());
    levels.flat_map(|level| [1, 3].map(|threads| Options { level: Some(level), threads, ..Options::default() }))
}

fn check(model: &Model, seed: u64) {
    let (batch, steps) = (2, model.time_steps);
    let (images, frames) = (pixels(model, &[batch], seed), pixels(model, &[steps, batch], seed));
    for input in [Input::Static(images.view()), Input::Frames(frames.view())] {
        let expected = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
        let mut codes = vec![("as drawn", model.clone())];
        codes.extend([Code::Unary, Code::BitPlane, Code::Graded].map(|code| (code.label(), recoded(model, code))));
        for (code, model) in codes {
            for options in options() {
                let what = format!("{code}, frames {}, {options:?}", input.varies());
                let deployment = Deployment::new(&model, &options).unwrap();
                let found = deployment.run(&input, Record::Sites).unwrap();
                for (found, expected) in found.sites.iter().zip(&expected.sites) {
                    assert_eq!(found, expected, "{what}: site {}", found.site);
                }
                assert_eq!(found, expected, "{what}");
                // A session, on its threads.
                let mut session = deployment.session();
                for sample in 0..batch {
                    let sums = if input.varies() {
                        let frames: Vec<u8> = frames.index_axis(ndarray::Axis(1), sample).iter().copied().collect();
                        session.run_frames(&frames)
                    } else {
                        session.run(images.index_axis(ndarray::Axis(0), sample).as_slice().unwrap())
                    };
                    let snn_ir::Logits::Integer(expected) = &expected.logits else { panic!("integers") };
                    assert_eq!(sums.unwrap(), Scores::Integer(expected.row(sample).as_slice().unwrap()), "{what}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn deployments_give_the_same_bits(seed in any::<u64>(), size in 0_usize..14) {
        check(&model(seed, size, Numbers::Integer), seed);
    }

    #[test]
    fn a_stream_gives_what_its_frames_give_at_once(seed in any::<u64>(), size in 0_usize..10) {
        let model = model(seed, size, Numbers::Integer);
        let frames = pixels(&model, &[model.time_steps], seed);
        let frames = frames.as_slice().unwrap();
        let deployment = Deployment::new(&model, &Options::default()).unwrap();
        let mut session = deployment.session();
        let expected = session.run_frames(frames).unwrap().argmax();
        let Scores::Integer(sums) = session.run_frames(frames).unwrap() else { panic!("integers") };
        let sums = sums.to_vec();
        let mut state = session.rest();
        let mut half = None;
        for (step, frame) in frames.chunks(frames.len() / model.time_steps).enumerate() {
            if step == model.time_steps / 2 {
                half = Some(state.clone());
            }
            session.push(&mut state, frame).unwrap();
        }
        assert_eq!(state.scores(), Scores::Integer(&sums));
        assert_eq!(state.scores().argmax(), expected);
        assert_eq!(state.steps(), model.time_steps as u64);
        // A state is a value: going back to one and on from there changes nothing.
        let mut state = half.unwrap();
        for frame in frames.chunks(frames.len() / model.time_steps).skip(model.time_steps / 2) {
            session.push(&mut state, frame).unwrap();
        }
        assert_eq!(state.scores(), Scores::Integer(&sums));
    }
}
