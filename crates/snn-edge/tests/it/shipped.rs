//! The shipped networks: scores of the deployment, and what they need of a device.

use snn_edge::{Engine, Mode, Program, compile};
use snn_ir::Model;
use snn_runtime::Deployment;
use snn_test_support::{Random, workspace};

/// A shipped network, bytes of flash, and bytes of memory in each mode, as the README says.
const NETWORKS: [(&str, usize, [usize; 3]); 3] = [
    ("fixtures/resnet20-cifar100-int8.safetensors", 296_708, [37_664, 37_664, 364_096]),
    ("models/cifar10-hybrid/model.safetensors", 1_994_872, [22_828, 41_560, 190_076]),
    ("models/cifar100-hybrid/model.safetensors", 2_018_632, [22_828, 41_560, 190_796]),
];

#[test]
fn shipped_networks_give_the_scores_of_the_deployment() {
    let mut random = Random::new(7);
    for (path, flash, memory) in NETWORKS {
        let path = workspace().join(path);
        let program = compile(&Model::load(&path).unwrap()).unwrap();
        let program = Program::new(&program).unwrap();
        let needed = Mode::ALL.map(|mode| 4 * program.memory(mode));
        assert_eq!((program.flash(), needed), (flash, memory), "{}", path.display());
        let deployment = Deployment::load(&path).unwrap();
        let mut session = deployment.session();
        let mut buffer = vec![-1; program.memory(Mode::Image)];
        let mut engine = Engine::new(program, Mode::Image, &mut buffer).unwrap();
        for _ in 0..4 {
            let mut image = random.bytes(program.input_size());
            // Patches, since images are smooth.
            image.chunks_exact_mut(32).for_each(|row| {
                let first = row[0];
                row[8..].fill(first);
            });
            let scores = engine.run(&image).unwrap();
            let expected = session.run(&image).unwrap();
            assert_eq!(scores.iter().collect::<Vec<_>>(), expected.integers().unwrap());
            assert_eq!(scores.class(), expected.argmax());
        }
        // A stream of frames, and again after a reset.
        let frames: Vec<Vec<u8>> = (0..3).map(|_| random.bytes(program.input_size())).collect();
        let mut buffer = vec![-1; program.memory(Mode::Stream)];
        let mut engine = Engine::new(program, Mode::Stream, &mut buffer).unwrap();
        for _ in 0..2 {
            let mut state = session.rest();
            for frame in &frames {
                let scores: Vec<i64> = engine.step(frame).unwrap().iter().collect();
                let expected = session.push(&mut state, frame).unwrap();
                assert_eq!(scores, expected.integers().unwrap());
            }
            engine.reset().unwrap();
        }
    }
}
