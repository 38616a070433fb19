//! Warm deployments ask for no memory, whatever the number of threads. One test, since it counts
//! for the whole process.

#[path = "it/draw/mod.rs"]
mod draw;

use draw::{Numbers, model, pixels};
use ndarray::{Axis, Slice};
use snn_ir::{Input, Record};
use snn_runtime::deploy::{Confidence, Deployment, Options, Scale};
use snn_test_support::CountingAllocator;
use snn_test_support::allocator::{process_allocations, process_held};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A queue of rayon's asks for a block of memory once for this many pieces of work that come from
/// outside its pool: a session of several threads hands in one a run.
const QUEUE_BLOCK: usize = 63;
/// Runs of each kind in an attempt.
const ROUNDS: usize = 20;
/// Memory that a pool of threads may take once for its queues.
const POOL: usize = 64 << 10;

#[test]
fn no_sample_asks_for_memory() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for seed in 0..40 {
        let model = model(seed, 10, Numbers::Integer);
        let images = pixels(&model, &[48], seed);
        let frames = pixels(&model, &[model.time_steps()], seed);
        let frames = frames.as_slice().unwrap();
        for threads in [1, 2, 3] {
            let deployment =
                Deployment::new(&model, &Options { threads, ..Options::default() }).unwrap();
            let mut session = deployment.session();
            let image = images.index_axis(Axis(0), 0).to_owned();
            let (image, mut state) = (image.as_slice().unwrap(), session.rest());
            let real: Vec<f32> = image.iter().map(|&pixel| f32::from(pixel)).collect();
            let mut round = |session: &mut snn_runtime::deploy::Session| {
                session.run(image).unwrap();
                session.run_frames(frames).unwrap();
                session.push(&mut state, image).unwrap();
                session.run_real(&real, Scale::Pixel).unwrap();
                session.run_until(image, Confidence { margin: 2 }).unwrap();
            };
            // Warm up: queues, and buffers that come with their first use.
            round(&mut session);
            let (said, before) = (session.bytes(), process_held());
            // A round has four runs and at most T macro-steps of one more. Threads of a pool warm
            // up when they first find work, which may be late, and those of the test itself: one
            // attempt must be clean.
            let queued =
                if threads == 1 { 0 } else { ROUNDS * (4 + model.time_steps()) / QUEUE_BLOCK + 1 };
            let mut attempt = || {
                let asked = process_allocations();
                (0..ROUNDS).for_each(|_| round(&mut session));
                process_allocations() - asked
            };
            let least = (0..20).map(|_| attempt()).find(|&asked| asked <= queued);
            assert!(
                least.is_some(),
                "seed {seed}: {threads} threads ask for more than {queued} in {ROUNDS} rounds"
            );
            assert_eq!(session.bytes(), said);
            assert!(
                process_held() <= before + POOL,
                "seed {seed}, {threads} threads: {before} bytes became {}",
                process_held()
            );
            drop(session);
        }

        // A batch asks for its results, however many samples it has: not once a sample.
        let deployment = Deployment::new(&model, &Options::default()).unwrap();
        let batch = |count: usize| {
            let asked = process_allocations();
            let images = images.slice_axis(Axis(0), Slice::from(0..count));
            let found = pool
                .install(|| deployment.run(&Input::Static(images.view()), Record::Logits))
                .unwrap();
            let asked = process_allocations() - asked;
            drop(found);
            asked
        };
        // A thread that joins in for the first time makes its session then.
        let least = |count: usize| (0..20).map(|_| batch(count)).min().unwrap();
        let (few, many) = (least(4), least(48));
        assert!(many <= few + 4, "seed {seed}: {few} allocations for 4 samples, {many} for 48");
    }
}
