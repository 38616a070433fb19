//! Neither a program nor an engine allocates, whatever the network.

#[path = "../../snn-runtime/tests/it/draw/mod.rs"]
mod draw;

use draw::{Numbers, model, pixels};
use snn_edge::{Engine, Mode, Program, compile};
use snn_test_support::CountingAllocator;
use snn_test_support::allocator::thread_allocations;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn nothing_is_allocated() {
    let before = thread_allocations();
    drop(vec![0_u8; 10]);
    assert!(thread_allocations() > before, "the count works");
    for seed in 0..100 {
        let model = model(seed, 10, Numbers::Integer);
        let bytes = compile(&model).unwrap();
        let frames = pixels(&model, &[model.time_steps()], seed).into_raw_vec_and_offset().0;
        let mut buffer = vec![0; 1 << 16];
        let mut total = 0;
        let before = thread_allocations();
        let program = Program::new(&bytes).unwrap();
        for mode in Mode::ALL {
            let mut engine = Engine::new(program, mode, &mut buffer).unwrap();
            let frame = &frames[..program.input_size()];
            let scores = match mode {
                Mode::Image => engine.run(frame),
                Mode::Frames => engine.run(&frames),
                Mode::Stream => engine.step(frame),
            };
            total += scores.unwrap().iter().sum::<i64>();
        }
        let allocated = thread_allocations() - before;
        assert_eq!(allocated, 0, "seed {seed}: scores add up to {total}");
    }
}
