//! A warm session allocates nothing, whatever the image.

#[path = "it/draw/mod.rs"]
mod draw;

use draw::{Numbers, model, pixels};
use ndarray::Axis;
use snn_runtime::Counting;
use snn_runtime::deploy::{Confidence, Deployment, Options, Scale};
use snn_test_support::CountingAllocator;
use snn_test_support::allocator::{thread_allocations, thread_held};

/// Memory of a session beside the buffers that it counts: places of nodes, handles of locks.
const BESIDE: usize = 4096;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_session_does_not_allocate() {
    let before = thread_allocations();
    drop(vec![0_u8; 10]);
    assert!(thread_allocations() > before, "the count works");
    for seed in 0..100 {
        for numbers in [Numbers::Integer, Numbers::Dyadic, Numbers::Coarse] {
            let model = model(seed, 10, numbers);
            let runtime = Counting::new(&model).unwrap();
            let images = pixels(&model, &[4], seed);
            let frames = pixels(&model, &[model.time_steps()], seed);
            let mut session = runtime.session();
            for image in images.axis_iter(Axis(0)) {
                let before = thread_allocations();
                session.run(image.view()).unwrap();
                session.run_frames(frames.view()).unwrap();
                assert_eq!(thread_allocations() - before, 0, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_deployed_session_does_not_allocate() {
    for (seed, numbers) in
        (0..100).flat_map(|seed| [(seed, Numbers::Integer), (seed, Numbers::Coarse)])
    {
        let model = model(seed, 10, numbers);
        let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
        let images = pixels(&model, &[4], seed);
        let frames = pixels(&model, &[model.time_steps()], seed);
        let frames = frames.as_slice().unwrap();
        let mut state = session.rest();
        for image in images.axis_iter(Axis(0)) {
            let image = image.as_slice().unwrap();
            let before = thread_allocations();
            session.run(image).unwrap();
            session.run_frames(frames).unwrap();
            session.push(&mut state, image).unwrap();
            assert_eq!(thread_allocations() - before, 0, "seed {seed}, {numbers:?}");
        }
    }
}

#[test]
fn a_deployed_session_says_what_it_takes() {
    for (seed, numbers) in
        (0..100).flat_map(|seed| [(seed, Numbers::Integer), (seed, Numbers::Coarse)])
    {
        let model = model(seed, 10, numbers);
        for threads in [1, 3] {
            let deployment =
                Deployment::new(&model, &Options { threads, ..Options::default() }).unwrap();
            let before = thread_held();
            let mut session = deployment.session();
            let (taken, said) = ((thread_held() - before).unsigned_abs(), session.bytes());
            assert!(
                said <= taken && taken <= said + BESIDE,
                "seed {seed}: takes {taken}, says {said}"
            );
            // What comes with the first use of other inputs and of early exits is counted, too.
            let image = pixels(&model, &[], seed);
            let real: Vec<f32> = image.iter().map(|&pixel| f32::from(pixel)).collect();
            let before = thread_held();
            session.run_real(&real, Scale::Pixel).unwrap();
            if numbers == Numbers::Integer {
                session.run_until(image.as_slice().unwrap(), Confidence::NEVER).unwrap();
            }
            let (more, said_more) =
                ((thread_held() - before).unsigned_abs(), session.bytes() - said);
            assert!(
                said_more <= more && more <= said_more + BESIDE,
                "seed {seed}: takes {more}, says {said_more}"
            );
        }
    }
}
