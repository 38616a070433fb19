//! Models that load and are converted: the event runtime and deployments against the naive
//! evaluator.

#[path = "metadata.rs"]
mod metadata;

use ndarray::{ArrayD, IxDyn};
use snn_ir::Naive;
use snn_ir::Op;
use snn_ir::{Evaluate, Evaluation, Form, Input, Logits, Model, Record};
use snn_runtime::deploy::{Confidence, Deployment, Kernels, Options};
use snn_runtime::{Counting, InstructionSet, Sums};

/// Networks that would take longer than a fuzzer waits are not run.
const MAX_WORK: usize = 1 << 18;

/// Bytes as a file, and as the metadata of one.
pub(crate) fn check(data: &[u8]) {
    run(data);
    if let Some(file) = metadata::packed(data) {
        run(&file);
    }
}

fn run(file: &[u8]) {
    let Ok(model) = Model::from_bytes(file) else { return };
    let Some(shape) = affordable(&model) else { return };
    let runtime = Counting::new(&model);
    if model.form() == Form::Trained {
        assert!(runtime.is_err(), "a trained model runs as events");
        assert!(
            Deployment::new(&model, &Options::default()).is_err(),
            "a trained model is deployed"
        );
        return;
    }
    let runtime = runtime.expect("what is valid compiles");
    let shape = [&[2], shape.as_slice()].concat();
    let pixels = (0..=255_u8)
        .map(|value| value.wrapping_mul(37))
        .cycle()
        .take(shape.iter().product())
        .collect();
    let pixels =
        ArrayD::from_shape_vec(IxDyn(&shape), pixels).expect("as many pixels as the shape has");
    let input = Input::Static(pixels.view());
    let found = runtime.run(&input, Record::Sites).expect("the input fits");
    let expected = Naive::new(&model)
        .and_then(|mut naive| naive.evaluate(&input, Record::Sites))
        .expect("as above");
    // Off the grid sums may be rounded in another order, or be infinite.
    if let Form::Grid { .. } = model.form() {
        assert_eq!(found, expected);
        deploy(&model, &input, &expected);
    } else {
        assert_eq!(found.sites.len(), expected.sites.len());
        deploy_reals(&model, &input);
    }
}

/// The same levels with no instructions beyond the machine's least and with its best.
fn deploy_reals(model: &Model, input: &Input<'_>) {
    let sites = |level| {
        let options = Options { instruction_set: Some(level), ..Options::default() };
        let found = Deployment::new(model, &options)?.run(input, Record::Sites)?;
        Ok::<_, snn_ir::Error>(found.sites)
    };
    match (sites(InstructionSet::Scalar), sites(InstructionSet::best())) {
        (Ok(scalar), Ok(best)) => assert_eq!(scalar, best),
        // Sites without levels, and weights beyond f32.
        (Err(scalar), Err(best)) => assert_eq!(scalar.to_string(), best.to_string()),
        (scalar, best) => panic!("{scalar:?}, but {best:?}"),
    }
}

/// Batches, single images and streams, with no instructions beyond the machine's least and with its
/// best.
fn deploy(model: &Model, input: &Input<'_>, expected: &Evaluation) {
    let Logits::Integer(sums) = &expected.logits else {
        panic!("a model on the grid has sums that are no integers")
    };
    let ways = [InstructionSet::Scalar, InstructionSet::best()].into_iter().flat_map(|level| {
        [Kernels::Auto, Kernels::Dense, Kernels::StepTree, Kernels::Tiles]
            .map(|kernels| (level, kernels))
    });
    for (level, kernels) in ways {
        let deployment = Deployment::new(
            model,
            &Options { instruction_set: Some(level), kernels, ..Options::default() },
        );
        let deployment = deployment.expect("what is valid and on the grid is deployed");
        let found = deployment.run(input, Record::Sites).expect("the input fits");
        assert!(found == *expected, "{level:?}");
        let mut session = deployment.session();
        for (image, sums) in input.pixels().outer_iter().zip(sums.outer_iter()) {
            let (image, sums): (Vec<u8>, Vec<i64>) =
                (image.iter().copied().collect(), sums.to_vec());
            assert_eq!(
                session.run(&image).expect("the image fits").sums(),
                Sums::Integer(&sums),
                "{level:?}"
            );
            let exit = session.run_until(&image, Confidence::NEVER).expect("as above");
            assert_eq!(
                (exit.scores.sums(), exit.steps),
                (Sums::Integer(&sums), model.time_steps()),
                "{level:?}"
            );
            let mut state = session.rest();
            for _ in 0..model.time_steps() {
                session.push(&mut state, &image).expect("as above");
            }
            assert_eq!(state.scores().sums(), Sums::Integer(&sums), "{level:?}");
        }
    }
}

/// The shape of the input of a model that runs in no time.
fn affordable(model: &Model) -> Option<Vec<usize>> {
    let resolved = model.validate().expect("what loads is valid").resolved();
    let mut work = 0_usize;
    for (node, info) in model.graph().nodes.iter().zip(&resolved.nodes) {
        let outputs: usize = info.shape.iter().product();
        let each = match &node.op {
            Op::Conv(conv) => conv
                .kernel
                .iter()
                .product::<usize>()
                .saturating_mul(resolved.nodes[info.inputs[0]].shape[0]),
            Op::Linear { .. } => resolved.nodes[info.inputs[0]].shape[0],
            Op::Pool { window, .. } => window.size(),
            Op::GlobalPool { .. } => resolved.nodes[info.inputs[0]].shape.iter().product(),
            _ => info.inputs.len().max(1),
        };
        work = work.saturating_add(outputs.saturating_mul(each));
    }
    // A unary code has up to 255 micro-steps.
    (work.saturating_mul(model.time_steps()).saturating_mul(16) <= MAX_WORK)
        .then(|| resolved.nodes[0].shape.clone())
}
