//! The shipped network must load, and give the same bits, in every later version.

use ndarray::{ArrayD, IxDyn};
use snn_ir::Naive;
use snn_ir::{Evaluate, Form, Input, Logits, Model, Record};
use snn_runtime::deploy::{Deployment, Options};
use snn_runtime::{Counting, InstructionSet};
use std::path::Path;

/// A picture that any program can make.
fn picture() -> ArrayD<u8> {
    ArrayD::from_shape_fn(IxDyn(&[1, 3, 32, 32]), |at| {
        u8::try_from((at[1] * 85 + at[2] * 8 + at[3] * 3) % 256).unwrap()
    })
}

/// `Σ_t J[t]` of the first classes for the picture, and the largest's position, as the version that
/// shipped the file computed them.
const SUMS: [i64; 8] = [756_422, 876_698, 464_700, -584_298, -554_489, 766_894, -299_334, -686_844];
const CLASS: usize = 91;

#[test]
fn the_shipped_network_gives_the_bits_it_was_shipped_with() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/resnet20-cifar100-int8.safetensors");
    let model = Model::load(&file).unwrap();
    assert!(matches!(model.form(), Form::Grid { .. }));
    assert_eq!(
        (model.time_steps(), model.classes().len(), model.classes()[99].as_str()),
        (2, 100, "worm")
    );
    let picture = picture();
    let input = Input::Static(picture.view());
    let events = Counting::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
    let naive = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
    assert!(events == naive, "the event runtime and the naive evaluator differ");
    for level in InstructionSet::available() {
        let options = Options { instruction_set: Some(level), ..Options::default() };
        let deployed =
            Deployment::new(&model, &options).unwrap().run(&input, Record::Sites).unwrap();
        assert!(
            deployed == naive,
            "the deployment with {} and the naive evaluator differ",
            level.label()
        );
    }
    let Logits::Integer(sums) = &events.logits else { panic!("integers") };
    assert_eq!(
        (sums.row(0).iter().take(8).copied().collect::<Vec<_>>(), events.logits.argmax()),
        (SUMS.to_vec(), vec![CLASS])
    );
}
