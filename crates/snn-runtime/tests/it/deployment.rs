//! Deployments against the naive evaluator: equal bits with every instruction set and number of
//! threads, whatever the graph and the codes; off the grid where sums are exact in f32.

use crate::draw::{Numbers, model, pixels, recoded};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::Naive;
use snn_ir::weights::{integer, real};
use snn_ir::{
    Code, Evaluate, Evaluation, Form, Input, Leak, Lif, Logits, Model, Preprocessing, QuantRelu,
    Record, Reset, Share, Signature, Site, Threshold, Weights,
};
use snn_ir::{Conv, Graph, Op, PoolKind};
use snn_ir::{GridLif, GridReset};
use snn_runtime::deploy::{Confidence, Deployment, Kernels, Options, Trajectories};
use snn_runtime::{InstructionSet, Scores, Sums};

/// At least this many models of each kind; `SNN_CASES` raises it.
const CASES: u32 = 256;

fn config() -> ProptestConfig {
    let cases = std::env::var("SNN_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Every instruction set of this machine, by one thread and by three, in every form.
fn options() -> impl Iterator<Item = Options> {
    let levels = InstructionSet::available();
    let ways = [
        (1, Kernels::Auto),
        (1, Kernels::Dense),
        (1, Kernels::StepTree),
        (3, Kernels::Tiles),
        (3, Kernels::Events),
        (3, Kernels::Dense),
        (3, Kernels::StepTree),
    ];
    levels.flat_map(move |level| {
        ways.map(|(threads, kernels)| Options {
            instruction_set: Some(level),
            threads,
            images_at_once: Some(threads),
            kernels,
            ..Options::default()
        })
    })
}

/// Sums of the head of one sample, as the logits have them.
fn sums(logits: &Logits, sample: usize, model: &Model) -> Vec<f64> {
    // Off the grid what the head holds, before a mean is divided.
    let divisor = model.graph().readout().divisor(model.time_steps() as u64) as f64;
    match logits {
        Logits::Integer(sums) => sums.row(sample).iter().map(|&sum| sum as f64).collect(),
        Logits::Real(means) => means.row(sample).iter().map(|mean| mean * divisor).collect(),
    }
}

fn as_reals(scores: Scores<'_>) -> Vec<f64> {
    match scores.sums() {
        Sums::Integer(sums) => sums.iter().map(|&sum| sum as f64).collect(),
        Sums::Real(sums) => sums.to_vec(),
    }
}

/// Levels of all sites and logits; ties, which deployments do not count, aside.
fn agree(found: &Evaluation, expected: &Evaluation, what: &str) {
    for (found, expected) in found.sites.iter().zip(&expected.sites) {
        assert_eq!(found.site, expected.site, "{what}");
        assert_eq!(found.output, expected.output, "{what}: site {}", found.site);
    }
    assert_eq!(found.sites.len(), expected.sites.len(), "{what}");
    assert_eq!(found.logits, expected.logits, "{what}");
}

fn check(model: &Model, seed: u64) {
    let (batch, steps) = (2, model.time_steps());
    let (images, frames) = (pixels(model, &[batch], seed), pixels(model, &[steps, batch], seed));
    for input in [Input::Static(images.view()), Input::Frames(frames.view())] {
        let expected = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
        let mut codes = vec![("as drawn", model.clone())];
        codes.extend(
            [Code::Unary, Code::BitPlane, Code::Graded]
                .map(|code| (code.label(), recoded(model, code))),
        );
        for (code, model) in codes {
            for options in options() {
                let what = format!("{code}, frames {}, {options:?}", input.varies());
                let deployment = Deployment::new(&model, &options).unwrap();
                let found = deployment.run(&input, Record::Sites).unwrap();
                agree(&found, &expected, &what);
                // Images that share what is loaded.
                let together = deployment.run(&input, Record::Logits).unwrap();
                assert_eq!(together.logits, expected.logits, "{what}: together");
                // A session, on its threads.
                let mut session = deployment.session();
                for sample in 0..batch {
                    let found = if input.varies() {
                        let frames: Vec<u8> =
                            frames.index_axis(Axis(1), sample).iter().copied().collect();
                        session.run_frames(&frames)
                    } else {
                        session.run(images.index_axis(Axis(0), sample).as_slice().unwrap())
                    };
                    assert_eq!(
                        as_reals(found.unwrap()),
                        sums(&expected.logits, sample, &model),
                        "{what}"
                    );
                }
            }
        }
    }
}

/// One convolution with its neurons behind sites that emit the pixels, with large weights, so that
/// 16-bit sums must be widened.
fn layer(
    conv: Conv,
    [inputs, height, width]: [usize; 3],
    (levels, code): (u8, Code),
    seed: u64,
) -> Model {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![inputs, height, width] }, &[]);
    graph.push("stem", Op::Scale, &["image"]);
    graph.push(
        "act",
        Op::Activation { site: Site::GridQuantRelu { levels }, code: Some(code) },
        &["stem"],
    );
    let (channels, kernel, groups) = (conv.channels, conv.kernel.clone(), conv.groups);
    graph.push("conv", Op::Conv(conv), &["act"]);
    let site = Site::GridLif(GridLif::new(1, 1, 3, GridReset::Soft));
    graph.push("layer", Op::Activation { site, code: Some(Code::Binary) }, &["conv"]);
    graph.push("pool", Op::GlobalPool { pool: PoolKind::Sum }, &["layer"]);
    graph.push("scores", Op::Scale, &["pool"]);
    graph.push("mean", Op::TimeMean, &["scores"]);
    let mut weights = Weights::new();
    weights.insert("stem.weight".into(), Array1::<i32>::ones(inputs).into());
    weights.insert("scores.weight".into(), Array1::<i32>::ones(channels).into());
    let thresholds = Array2::from_shape_fn((usize::from(levels), inputs), |(d, _)| {
        i32::try_from(d + 1).unwrap()
    });
    weights.insert("act.thresholds".into(), thresholds.into());
    let shape = [&[channels, inputs / groups], kernel.as_slice()].concat();
    // Some channels lean to one side, and a few are dead.
    let lean: Vec<i8> = (0..channels).map(|_| random.random_range(-100..=100)).collect();
    let weight = ArrayD::from_shape_fn(IxDyn(&shape), |at| match at[0] % 7 {
        0 => 0,
        1 | 2 => lean[at[0]] + random.random_range(-27..=27),
        _ => random.random_range(-127..=127),
    });
    weights.insert("conv.weight".into(), weight.into());
    weights.insert(
        "conv.multiplier".into(),
        Array1::from_shape_simple_fn(channels, || random.random_range(1..=3_i32)).into(),
    );
    let threshold = || random.random_range(1..=4000_i32);
    weights
        .insert("layer.threshold".into(), Array1::from_shape_simple_fn(channels, threshold).into());
    Model::new(
        Signature::new(
            Form::Grid { logit_unit: 1.0 },
            graph,
            random.random_range(1..=6),
            Preprocessing::new(vec![0; inputs], vec![1.0; inputs]),
        ),
        weights,
    )
}

/// Frames `[T, 1, …]`, as a batch and in a session on its threads.
fn check_frames(model: &Model, frames: &ArrayD<u8>, what: &str) {
    let input = Input::Frames(frames.view());
    let expected = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
    for options in options() {
        let deployment = Deployment::new(model, &options).unwrap();
        agree(
            &deployment.run(&input, Record::Sites).unwrap(),
            &expected,
            &format!("{options:?}, {what}"),
        );
        let mut session = deployment.session();
        let found = session.run_frames(frames.as_slice().unwrap()).unwrap();
        assert_eq!(as_reals(found), sums(&expected.logits, 0, model), "{options:?}, {what}");
    }
}

/// The same layer off the grid, with neurons that do not leak: every number that can occur is whole
/// and below 2²⁴, and every sum in f32 exact.
fn off_grid(mut model: Model) -> Model {
    for (node, part) in
        [("stem", "weight"), ("scores", "weight"), ("conv", "weight"), ("layer", "threshold")]
    {
        let weight = integer(model.weights(), node, part).unwrap().mapv(|weight| weight as f64);
        model.weights_mut().insert(format!("{node}.{part}"), weight.into());
    }
    model.weights_mut().remove("conv.multiplier");
    model.weights_mut().remove("act.thresholds");
    model.weights_mut().insert("act.step".into(), Array1::<f64>::ones(1).into());
    for node in &mut model.graph_mut().nodes {
        let Op::Activation { site, .. } = &mut node.op else { continue };
        *site = match site {
            Site::GridQuantRelu { levels } => {
                Site::QuantRelu(QuantRelu { levels: *levels, step: 1.0, share: Share::Layer })
            }
            _ => Site::Lif(Lif {
                leak: Leak::Factor { factor: 1.0 },
                threshold: Threshold::Learned { initial: 1.0, share: Share::Channel },
                reset: Reset::Soft,
                ..Lif::default()
            }),
        };
    }
    model.signature_mut().form = Form::Events;
    model
}

/// Layers whose events are sorted by steps, those of many outputs without being told to, with
/// weights so large that sums must be widened in the middle of a list, and between lists.
#[test]
fn wide_layers_give_the_same_bits_however_their_steps_overlap() {
    // The weights of the last are more than a cache keeps: they take two and one vertical taps at a
    // time, in blocks of which one has no weights.
    let small = [16, 32, 64, 144].map(|outputs| (outputs, [80, 7, 6]));
    let sizes = small.into_iter().chain([(128, [200, 4, 3]), (256, [300, 4, 3])]);
    for (case, (outputs, shape)) in sizes.enumerate() {
        let stride = 1 + case % 2;
        let conv = Conv::square(outputs, 3, stride);
        let mut model = layer(conv, shape, (1, Code::Graded), 0);
        model.signature_mut().time_steps = 6;
        let sign = |at: &IxDyn| match at[0] {
            128.. if outputs == 256 => 0,
            output if (output + at[1] / 50).is_multiple_of(3) => -127,
            _ => 127_i8,
        };
        let weight = ArrayD::from_shape_fn(IxDyn(&[outputs, shape[0], 3, 3]), |at| sign(&at));
        model.weights_mut().insert("conv.weight".into(), weight.into());
        let real = off_grid(model.clone());
        for (percent, overlap) in [(30, 50), (60, 100), (60, 40), (100, 50), (100, 100)] {
            let mut random = ChaCha8Rng::seed_from_u64(percent.into());
            let mut frames = ArrayD::<u8>::zeros(IxDyn(&[&[6, 1], shape.as_slice()].concat()));
            for mut steps in frames.lanes_mut(Axis(0)) {
                let active = random.random_ratio(percent, 100);
                steps.iter_mut().for_each(|pixel| {
                    *pixel = u8::from(active && random.random_ratio(overlap, 100));
                });
            }
            let what = format!("{outputs} outputs, {percent} % active at {overlap} % of the steps");
            check_frames(&model, &frames, &what);
            check_frames(&real, &frames, &format!("{what}, off the grid"));
        }
    }
}

/// A convolution of a random shape over a random image, with as many levels as its sites have.
fn shapes() -> impl Strategy<Value = (Conv, [usize; 3])> {
    let axis = || (1..=3_usize, 1..=2_usize, 0..=2_usize, 1..=2_usize, 0..=2_usize);
    (1..=3_usize, 1..=40_usize, 1..=70_usize, axis(), axis(), 5..=9_usize, 5..=9_usize).prop_map(
        |(groups, inputs, outputs, y, x, height, width)| {
            let groups = if groups == 3 { 4 } else { 1 };
            let (inputs, outputs) =
                (inputs.next_multiple_of(groups), outputs.next_multiple_of(groups));
            let conv = Conv {
                channels: outputs,
                kernel: vec![y.0, x.0],
                stride: vec![y.1, x.1],
                padding: vec![y.2, x.2, y.4, x.4],
                dilation: vec![y.3, x.3],
                groups,
                bias: false,
            };
            (conv, [inputs, height, width])
        },
    )
}

/// Frames of one sample in which `percent` of the pixels are not zero.
fn active_frames(model: &Model, percent: u32, most: u8, random: &mut ChaCha8Rng) -> ArrayD<u8> {
    let Op::Input { shape } = &model.graph().nodes[0].op else { panic!("an input") };
    let shape = [&[model.time_steps(), 1], shape.as_slice()].concat();
    ArrayD::from_shape_simple_fn(IxDyn(&shape), || {
        if random.random_ratio(percent, 100) { random.random_range(1..=most) } else { 0 }
    })
}

/// A stride that leaves one column is none, however large it is.
#[test]
fn a_stride_beyond_the_image_takes_no_memory() {
    let mut conv = Conv::square(4, 1, 1);
    conv.stride = vec![1, 1 << 28];
    conv.padding = vec![0, 0];
    let model = layer(conv, [3, 8, 8], (1, Code::Unary), 1);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let frames = active_frames(&model, 50, 1, &mut random);
    check_frames(&model, &frames, "a stride of 2^28");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn layers_give_the_same_bits_at_every_density(
        (conv, shape) in shapes(),
        percent in 0..=100_u32,
        levels in 0..4_usize,
        code in 0..3_usize,
        seed in any::<u64>(),
    ) {
        let levels = [1, 1, 4, 200][levels];
        let code = [Code::Unary, Code::BitPlane, Code::Graded][code];
        let model = layer(conv, shape, (levels, code), seed);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let frames = active_frames(&model, percent, levels, &mut random);
        check_frames(&model, &frames, &format!("{percent} % active"));
    }

    #[test]
    fn depth_wise_layers_give_the_same_bits_at_every_density(
        channels in 1..=70_usize,
        kernel in [1..=5_usize, 1..=5_usize],
        stride in [1..=3_usize, 1..=3_usize],
        padding in [0..=3_usize, 0..=3_usize],
        dilation in [1..=2_usize, 1..=2_usize],
        size in [9..=14_usize, 9..=14_usize],
        levels in prop::sample::select(vec![1_u8, 4, 255]),
        code in prop::sample::select(vec![Code::BitPlane, Code::Graded]),
        percent in 0..=100_u32,
        seed in any::<u64>(),
    ) {
        let mut conv = Conv::square(channels, 1, 1);
        conv.groups = channels;
        (conv.kernel, conv.stride) = (kernel.to_vec(), stride.to_vec());
        (conv.padding, conv.dilation) = (padding.to_vec(), dilation.to_vec());
        let model = layer(conv, [channels, size[0], size[1]], (levels, code), seed);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let frames = active_frames(&model, percent, levels, &mut random);
        check_frames(&model, &frames, &format!("{percent} % active"));
    }

    #[test]
    fn layers_off_the_grid_give_the_same_levels_at_every_density(
        (conv, shape) in shapes(),
        percent in 0..=100_u32,
        levels in 0..3_usize,
        code in 0..3_usize,
        seed in any::<u64>(),
    ) {
        let levels = [1, 4, 50][levels];
        let code = [Code::Unary, Code::BitPlane, Code::Graded][code];
        let model = layer(conv, shape, (levels, code), seed);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let frames = active_frames(&model, percent, levels, &mut random);
        check_frames(&off_grid(model), &frames, &format!("{percent} % active"));
    }

    #[test]
    fn deployments_off_the_grid_give_the_same_levels(seed in any::<u64>(), size in 0_usize..8) {
        check(&model(seed, size, Numbers::Coarse), seed);
    }

    /// Where sums are rounded, instruction sets and threads still give the same bits.
    #[test]
    fn sums_in_f32_are_the_same_bits_everywhere(
        (conv, shape) in shapes(),
        levels in prop::sample::select(vec![1_u8, 4]),
        percent in 0..=100_u32,
        seed in any::<u64>(),
    ) {
        let mut model = off_grid(layer(conv, shape, (levels, Code::Graded), seed));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let weight = real(model.weights(), "conv", "weight").unwrap();
        let weight = weight.mapv(|weight| weight * random.random_range(0.5..1.5));
        model.weights_mut().insert("conv.weight".into(), weight.into());
        let frames = active_frames(&model, percent, levels, &mut random);
        // Without neurons the head sums currents as they are.
        let mut bare = model.clone();
        bare.graph_mut().nodes.retain(|node| !["layer", "scores"].contains(&node.name.as_str()));
        for node in &mut bare.graph_mut().nodes {
            match node.name.as_str() {
                "pool" => node.inputs = vec!["conv".into()],
                "mean" => node.inputs = vec!["pool".into()],
                _ => {}
            }
        }
        bare.weights_mut().remove("layer.threshold");
        bare.weights_mut().remove("scores.weight");
        for model in [model, bare] {
            let found: Vec<_> = options()
                .map(|options| {
                    let deployment = Deployment::new(&model, &options).unwrap();
                    let input = Input::Frames(frames.view());
                    (options.kernels, deployment.run(&input, Record::Sites).unwrap())
                })
                .collect();
            // Each way to compute has an order of sums of its own.
            for (kernels, evaluation) in &found {
                let first = found.iter().find(|(other, _)| other == kernels);
                assert!(first.is_some_and(|(_, first)| first == evaluation), "{kernels:?}");
            }
        }
    }

    #[test]
    fn deployments_give_the_same_bits(seed in any::<u64>(), size in 0_usize..14) {
        check(&model(seed, size, Numbers::Integer), seed);
    }

    #[test]
    fn a_stream_gives_what_its_frames_give_at_once(
        seed in any::<u64>(),
        size in 0_usize..8,
        grid in any::<bool>(),
        kernels in prop::sample::select(vec![Kernels::Auto, Kernels::StepTree]),
    ) {
        let model = model(seed, size, if grid { Numbers::Integer } else { Numbers::Coarse });
        let frames = pixels(&model, &[model.time_steps()], seed);
        let frames = frames.as_slice().unwrap();
        let options = Options { kernels, ..Options::default() };
        let deployment = Deployment::new(&model, &options).unwrap();
        let mut session = deployment.session();
        let expected = session.run_frames(frames).unwrap().argmax();
        let sums = as_reals(session.run_frames(frames).unwrap());
        let mut state = session.rest();
        let mut half = None;
        for (step, frame) in frames.chunks(frames.len() / model.time_steps()).enumerate() {
            if step == model.time_steps() / 2 {
                half = Some(state.clone());
            }
            session.push(&mut state, frame).unwrap();
        }
        assert_eq!(as_reals(state.scores()), sums);
        assert_eq!(state.scores().argmax(), expected);
        assert_eq!(state.steps(), model.time_steps() as u64);
        // A state is a value: going back to one and on from there changes nothing.
        let mut state = half.unwrap();
        for frame in frames.chunks(frames.len() / model.time_steps()).skip(model.time_steps() / 2) {
            session.push(&mut state, frame).unwrap();
        }
        assert_eq!(as_reals(state.scores()), sums);
        // All steps at once, after one at a time.
        assert_eq!(as_reals(session.run_frames(frames).unwrap()), sums);
    }
}

#[test]
fn what_a_deployment_off_the_grid_cannot_do_is_said() {
    let model = off_grid(layer(Conv::square(3, 3, 1), [2, 5, 5], (4, Code::Graded), 0));
    let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
    let image = vec![1; 50];
    let refused =
        |found: String| assert!(found.contains("convert the model to the grid"), "{found}");
    refused(session.run_until(&image, Confidence::NEVER).unwrap_err().to_string());
    refused(Trajectories::record(&mut session, &image, &[0]).unwrap_err().to_string());
    // A state of the other kind is another network's.
    let grid = layer(Conv::square(3, 3, 1), [2, 5, 5], (4, Code::Graded), 0);
    let mut state = Deployment::new(&grid, &Options::default()).unwrap().session().rest();
    let found = session.push(&mut state, &image).unwrap_err().to_string();
    assert!(found.contains("the state belongs to another network"), "{found}");
    // Values that are no levels.
    let mut relu = model.clone();
    for node in &mut relu.graph_mut().nodes {
        if node.name == "act" {
            node.op = Op::Activation { site: Site::RELU, code: Some(Code::Graded) };
        }
    }
    relu.weights_mut().remove("act.step");
    let found = Deployment::new(&relu, &Options::default()).unwrap_err().to_string();
    assert!(found.contains("`act`") && found.contains("real numbers"), "{found}");
    relu.signature_mut().form = Form::Trained;
    let found = Deployment::new(&relu, &Options::default()).unwrap_err().to_string();
    assert!(found.contains("form `trained`"), "{found}");
}
