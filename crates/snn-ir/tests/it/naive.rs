//! The naive evaluator against values computed by hand and against other formulations of the same
//! equations.

use crate::tiny::{
    byte, chain, coded, grid, int, levels, logits, real, run, run_frames, site, sums, trained,
};
use ndarray::ArrayD;
use rand::{RngExt, SeedableRng};
use snn_ir::GridReset;
use snn_ir::testing::Numbers;
use snn_ir::{
    Code, Conv, Evaluate, Graph, GridLif, Input, Leak, Lif, Logits, Model, Norm, Op, PoolKind,
    QuantRelu, Readout, Record, Reset, Share, Site, SiteOutput, Tensor, Window,
};
use snn_ir::{MEMBRANE_LIMIT, Naive, logistic};

/// The values of one operation on pixels minus 128, flattened.
fn of_op<const N: usize>(
    shape: &[usize],
    op: Op,
    weights: [(&str, Tensor); N],
    pixels: &[u8],
) -> Vec<f64> {
    let mut model = trained(chain(shape, vec![("op", op), ("flat", Op::Flatten)]), 1, weights);
    model.signature_mut().preprocessing.mean.fill(128);
    logits(&run(&model, pixels))
}

// === Eq. 1 ===

#[test]
fn pixels_enter_minus_mean_over_deviation() {
    let mut model = trained(chain(&[2, 1, 2], vec![("flat", Op::Flatten)]), 1, []);
    model.signature_mut().preprocessing.mean = vec![100, 200];
    model.signature_mut().preprocessing.std = vec![2.0, 4.0];
    assert_eq!(logits(&run(&model, &[0, 255, 0, 255])), [-50.0, 77.5, -50.0, 13.75]);
}

// === Eq. 7 ===

/// The three heads over frames, and over an image, whose scores do not vary.
#[test]
fn heads_read_the_mean_the_last_and_the_largest_scores() {
    let model = |readout: Readout, steps| {
        let mut model = trained(chain(&[2], vec![]), steps, []);
        let last = model.graph().nodes.len() - 1;
        model.graph_mut().nodes[last].op = readout.op();
        model.signature_mut().preprocessing.mean.fill(128);
        model
    };
    let frames = [130, 120, 134, 125, 129, 121];
    let found = |readout| logits(&run_frames(&model(readout, 3), &frames));
    assert_eq!(found(Readout::Mean), [3.0, -6.0]);
    assert_eq!(found(Readout::Last), [1.0, -7.0]);
    assert_eq!(found(Readout::Max), [6.0, -3.0], "of each class, below 0 too");
    for readout in [Readout::Mean, Readout::Last, Readout::Max] {
        assert_eq!(logits(&run(&model(readout, 4), &[131, 126])), [3.0, -2.0]);
    }
}

/// On the grid a mean is a sum until `logits` divides it; the others have the unit of a step.
#[test]
fn integers_of_heads_have_their_own_scale() {
    for (readout, expected) in [(Readout::Mean, 0.125), (Readout::Last, 0.5), (Readout::Max, 0.5)] {
        let mut model = crate::tiny::grid_model().with_time_steps(4);
        let last = model.graph().nodes.len() - 1;
        model.graph_mut().nodes[last].op = readout.op();
        model.signature_mut().form = snn_ir::Form::Grid { logit_unit: 0.5 };
        assert_eq!(model.logit_scale(4).unwrap().to_bits(), f64::to_bits(expected));
        let logits = model.logits(&ndarray::arr2(&[[8_i64, -2]])).unwrap();
        assert_eq!(logits, ndarray::arr2(&[[8.0 * expected, -2.0 * expected]]));
    }
}

// === Eq. 2 ===

#[test]
fn a_convolution_with_stride_padding_and_bias() {
    // Rows 1 2 3 / 4 5 6 / 7 8 9, kernel 1 2 / 3 4, stride 2, padding 1: windows begin at −1 and 1.
    let conv = Conv {
        channels: 1,
        kernel: vec![2, 2],
        stride: vec![2, 2],
        padding: vec![1, 1],
        dilation: vec![1, 1],
        groups: 1,
        bias: true,
    };
    let weights = [
        ("op.weight", real(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])),
        ("op.bias", real(&[1], &[0.5])),
    ];
    let pixels: Vec<u8> = (1..=9).map(|p| 128 + p).collect();
    let expected = [
        4.0 * 1.0,             // only the last tap lies inside
        3.0 * 2.0 + 4.0 * 3.0, // row 0
        2.0 * 4.0 + 4.0 * 7.0, // column 0
        5.0 + 2.0 * 6.0 + 3.0 * 8.0 + 4.0 * 9.0,
    ];
    assert_eq!(of_op(&[1, 3, 3], Op::Conv(conv), weights, &pixels), expected.map(|y| y + 0.5));
}

#[test]
fn groups_read_their_own_channels() {
    let conv = Conv { groups: 2, ..Conv::square(4, 1, 1) };
    let weights = [("op.weight", real(&[4, 1, 1, 1], &[1.0, 10.0, 100.0, 1000.0]))];
    assert_eq!(of_op(&[2, 1, 1], Op::Conv(conv), weights, &[129, 130]), [1.0, 10.0, 200.0, 2000.0]);
}

#[test]
fn a_dilated_convolution_over_one_axis() {
    let conv = Conv {
        channels: 1,
        kernel: vec![2],
        stride: vec![1],
        padding: vec![1],
        dilation: vec![3],
        groups: 1,
        bias: false,
    };
    // y[j] = x[j − 1] + 10·x[j + 2], x = 1 2 3 4 5.
    let weights = [("op.weight", real(&[1, 1, 2], &[1.0, 10.0]))];
    assert_eq!(
        of_op(&[1, 5], Op::Conv(conv), weights, &[129, 130, 131, 132, 133]),
        [30.0, 41.0, 52.0, 3.0]
    );
}

#[test]
fn a_linear_layer() {
    let weights = [
        ("op.weight", real(&[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.0, 0.5])),
        ("op.bias", real(&[2], &[10.0, 20.0])),
    ];
    let op = Op::Linear { features: 2, bias: true };
    assert_eq!(
        of_op(&[3], op, weights, &[129, 130, 132]),
        [1.0 + 4.0 + 12.0 + 10.0, -1.0 + 2.0 + 20.0]
    );
}

/// Eq. 2 the other way round: every input value is scattered to the outputs it reaches.
#[test]
fn convolutions_equal_their_scatter_formulation() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    for _ in 0..200 {
        let mut draw = |range: std::ops::RangeInclusive<usize>| random.random_range(range);
        let groups = draw(1..=3);
        let (inputs, outputs) = (groups * draw(1..=2), groups * draw(1..=3));
        let kernel = [draw(1..=3), draw(1..=3)];
        let (stride, padding, dilation) =
            ([draw(1..=3), draw(1..=3)], [draw(0..=2), draw(0..=2)], [draw(1..=2), draw(1..=2)]);
        let size = [draw(5..=7), draw(5..=7)];
        let conv = Conv {
            channels: outputs,
            kernel: kernel.to_vec(),
            stride: stride.to_vec(),
            padding: padding.to_vec(),
            dilation: dilation.to_vec(),
            groups,
            bias: false,
        };
        let per_group = inputs / groups;
        let whole = |n: usize, random: &mut rand_chacha::ChaCha8Rng| -> Vec<f64> {
            (0..n).map(|_| f64::from(random.random_range(-8_i32..=8))).collect()
        };
        let weight = whole(outputs * per_group * kernel[0] * kernel[1], &mut random);
        let pixels: Vec<u8> =
            (0..inputs * size[0] * size[1]).map(|_| random.random_range(120..=136)).collect();
        let shape = [outputs, per_group, kernel[0], kernel[1]];
        let found = of_op(
            &[inputs, size[0], size[1]],
            Op::Conv(conv),
            [("op.weight", real(&shape, &weight))],
            &pixels,
        );

        let out = [0, 1].map(|i| {
            (size[i] + 2 * padding[i] - (kernel[i] - 1) * dilation[i] - 1) / stride[i] + 1
        });
        let mut expected = vec![0.0; outputs * out[0] * out[1]];
        // Where an input coordinate lands for a tap, if anywhere.
        let target = |at: usize, tap: usize, axis: usize| {
            let shifted = (at + padding[axis]).checked_sub(tap * dilation[axis])?;
            (shifted % stride[axis] == 0 && shifted / stride[axis] < out[axis])
                .then_some(shifted / stride[axis])
        };
        for (position, pixel) in pixels.iter().enumerate() {
            let (c, i, j) =
                (position / (size[0] * size[1]), position / size[1] % size[0], position % size[1]);
            for o in (0..outputs).filter(|o| o / (outputs / groups) == c / per_group) {
                for tap in 0..kernel[0] * kernel[1] {
                    let (a, b) = (tap / kernel[1], tap % kernel[1]);
                    if let (Some(row), Some(column)) = (target(i, a, 0), target(j, b, 1)) {
                        let w = weight
                            [((o * per_group + c % per_group) * kernel[0] + a) * kernel[1] + b];
                        expected[(o * out[0] + row) * out[1] + column] +=
                            w * (f64::from(*pixel) - 128.0);
                    }
                }
            }
        }
        assert_eq!(found, expected);
    }
}

// === Eqs. 3 to 6 ===

#[test]
fn a_scale_is_one_factor_a_channel() {
    let weights = [("op.weight", real(&[2], &[0.5, -2.0]))];
    assert_eq!(
        of_op(&[2, 1, 2], Op::Scale, weights, &[129, 130, 131, 132]),
        [0.5, 1.0, -6.0, -8.0]
    );
}

#[test]
fn a_batch_norm() {
    let weights = [
        ("op.weight", real(&[2], &[2.0, -3.0])),
        ("op.bias", real(&[2], &[-1.0, 0.0])),
        ("op.running_mean", real(&[2], &[3.0, 0.0])),
        ("op.running_var", real(&[2], &[3.75, 0.0])),
    ];
    // √(3.75 + 0.25) = 2, √(0 + 0.25) = ½.
    let found =
        of_op(&[2, 1, 2], Op::BatchNorm(Norm::with_eps(0.25)), weights, &[131, 133, 129, 127]);
    assert_eq!(found, [-1.0, 1.0, -6.0, 6.0]);
    let weights = [
        ("op.bias", real(&[2], &[-1.0, 0.0])),
        ("op.running_mean", real(&[2], &[3.0, 0.0])),
        ("op.running_var", real(&[2], &[3.75, 0.0])),
    ];
    let norm = Norm { scale: false, ..Norm::with_eps(0.25) };
    let found = of_op(&[2, 1, 2], Op::BatchNorm(norm), weights, &[131, 133, 129, 127]);
    assert_eq!(found, [-1.0, 0.0, 2.0, -2.0], "γ is 1 where there is none");
}

/// `−1 −2 −3 / −4 −5 −6 / −7 −8 −9`: zeros of the padding would win a maximum.
const NEGATIVE: [u8; 9] = [127, 126, 125, 124, 123, 122, 121, 120, 119];

fn pool(pool: PoolKind, window: Window) -> Vec<f64> {
    of_op(&[1, 3, 3], Op::Pool { pool, window }, [], &NEGATIVE)
}

#[test]
fn pools_with_padding() {
    let window = || Window { kernel: vec![2, 2], stride: vec![2, 2], padding: vec![1, 1] };
    assert_eq!(pool(PoolKind::Sum, window()), [-1.0, -5.0, -11.0, -28.0]);
    assert_eq!(pool(PoolKind::Average, window()), [-0.25, -1.25, -2.75, -7.0]);
    assert_eq!(pool(PoolKind::Max, window()), [-1.0, -2.0, -4.0, -5.0]);
}

/// Padding of one side only: the window of an output stands as far to the left and above as there
/// is padding before, and sides that are swapped give other values.
#[test]
fn padding_of_each_side() {
    let window = |padding: [usize; 4]| Window {
        kernel: vec![2, 2],
        stride: vec![2, 2],
        padding: padding.to_vec(),
    };
    // Above and left; behind.
    assert_eq!(pool(PoolKind::Sum, window([1, 1, 0, 0])), [-1.0, -5.0, -11.0, -28.0]);
    assert_eq!(pool(PoolKind::Sum, window([0, 0, 1, 1])), [-12.0, -9.0, -15.0, -9.0]);
    assert_eq!(pool(PoolKind::Average, window([0, 0, 1, 1])), [-3.0, -2.25, -3.75, -2.25]);
    assert_eq!(pool(PoolKind::Max, window([0, 0, 1, 1])), [-1.0, -3.0, -7.0, -9.0]);
    // Above and right.
    assert_eq!(pool(PoolKind::Sum, window([1, 0, 0, 1])), [-3.0, -3.0, -24.0, -15.0]);
    // The same entries of both sides are what one entry an axis says.
    assert_eq!(
        pool(PoolKind::Sum, window([1, 1, 1, 1])),
        pool(PoolKind::Sum, Window { padding: vec![1, 1], ..window([0; 4]) })
    );

    let conv = |padding: Vec<usize>| Conv {
        kernel: vec![1, 3],
        padding,
        stride: vec![1, 1],
        ..Conv::square(1, 1, 1)
    };
    let found = |padding| {
        let weights = [("op.weight", real(&[1, 1, 1, 3], &[1.0, 10.0, 100.0]))];
        of_op(&[1, 1, 3], Op::Conv(conv(padding)), weights, &[127, 126, 125])
    };
    assert_eq!(found(vec![0, 2, 0, 0]), [-100.0, -210.0, -321.0]);
    assert_eq!(found(vec![0, 0, 0, 2]), [-321.0, -32.0, -3.0]);
    assert_eq!(found(vec![0, 1, 0, 1]), found(vec![0, 1]));
}

/// What TensorFlow's "same" gives: output sizes, and the odd zero behind.
#[test]
fn same_padding_is_that_of_tensorflow() {
    let conv = |kernel, stride, dilation, size: usize| {
        let conv = Conv { dilation: vec![dilation; 2], ..Conv::square(1, kernel, stride) };
        let conv = conv.with_same_padding(&[3, size, size]);
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![3, size, size] }, &[]);
        graph.push("conv", Op::Conv(conv.clone()), &["image"]);
        (conv.padding, graph.shapes().unwrap()[1][1])
    };
    assert_eq!(conv(3, 1, 1, 8), (vec![1, 1], 8));
    assert_eq!(conv(3, 2, 1, 8), (vec![0, 0, 1, 1], 4));
    assert_eq!(conv(3, 2, 1, 7), (vec![1, 1], 4));
    assert_eq!(conv(2, 1, 1, 5), (vec![0, 0, 1, 1], 5));
    assert_eq!(conv(7, 2, 1, 224), (vec![2, 2, 3, 3], 112));
    assert_eq!(conv(3, 2, 2, 8), (vec![1, 1, 2, 2], 4));
    assert_eq!(conv(1, 2, 1, 8), (vec![0, 0], 4));
    let window = Window { stride: vec![2, 2], ..Window::square(3) };
    assert_eq!(window.with_same_padding(&[3, 8, 7]).padding, [0, 1, 1, 1]);
}

#[test]
fn pools_with_overlap() {
    let window = || Window { kernel: vec![2, 2], stride: vec![1, 1], padding: vec![0, 0] };
    assert_eq!(pool(PoolKind::Sum, window()), [-12.0, -16.0, -24.0, -28.0]);
    assert_eq!(pool(PoolKind::Average, window()), [-3.0, -4.0, -6.0, -7.0]);
    assert_eq!(pool(PoolKind::Max, window()), [-1.0, -2.0, -4.0, -5.0]);
}

#[test]
fn pools_of_unequal_axes_and_of_one_axis() {
    let window = || Window { kernel: vec![1, 3], stride: vec![2, 1], padding: vec![0, 1] };
    assert_eq!(pool(PoolKind::Sum, window()), [-3.0, -6.0, -5.0, -15.0, -24.0, -17.0]);
    assert_eq!(pool(PoolKind::Max, window()), [-1.0, -1.0, -2.0, -7.0, -7.0, -8.0]);
    let window = Window { kernel: vec![3], stride: vec![2], padding: vec![1] };
    let op = Op::Pool { pool: PoolKind::Average, window };
    assert_eq!(of_op(&[1, 4], op, [], &[131, 134, 137, 140]), [3.0, 9.0]);
}

#[test]
fn global_pools() {
    let of = |pool| of_op(&[2, 1, 2], Op::GlobalPool { pool }, [], &[127, 126, 120, 118]);
    assert_eq!(of(PoolKind::Sum), [-3.0, -18.0]);
    assert_eq!(of(PoolKind::Average), [-1.5, -9.0]);
    assert_eq!(of(PoolKind::Max), [-1.0, -8.0]);
    assert_eq!(
        of_op(&[2], Op::GlobalPool { pool: PoolKind::Average }, [], &[127, 126]),
        [-1.0, -2.0]
    );
}

#[test]
fn sums_and_concatenations() {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 1, 2] }, &[]);
    graph.push("double", Op::Scale, &["image"]);
    graph.push("sum", Op::Add, &["image", "double", "image"]);
    graph.push("both", Op::Concat, &["sum", "image"]);
    graph.push("flat", Op::Flatten, &["both"]);
    graph.push("head", Op::TimeMean, &["flat"]);
    let model = trained(graph, 1, [("double.weight", real(&[2], &[2.0, 3.0]))]);
    assert_eq!(logits(&run(&model, &[1, 2, 3, 4])), [4.0, 8.0, 15.0, 20.0, 1.0, 2.0, 3.0, 4.0]);
}

// === Eq. 7 ===

#[test]
fn the_head_is_the_mean_over_macro_steps() {
    let model = trained(chain(&[2], vec![("flat", Op::Flatten)]), 4, []);
    assert_eq!(logits(&run_frames(&model, &[1, 10, 2, 20, 3, 30, 6, 0])), [3.0, 15.0]);
    assert_eq!(logits(&run(&model, &[5, 7])), [5.0, 7.0]);
}

#[test]
fn the_head_on_the_grid_is_an_integer_sum() {
    let graph = chain(&[1], vec![("fc", Op::Linear { features: 2, bias: true })]);
    let weights = [
        ("fc.weight", byte(&[2, 1], &[3, -2])),
        ("fc.bias", int(&[2], &[1, -4])),
        ("fc.multiplier", int(&[2], &[10, 1])),
    ];
    let model = grid(graph, 4, weights);
    let result = run_frames(&model, &[1, 2, 3, 4]);
    assert_eq!(sums(&result), [30 * 10 + 4, -2 * 10 - 16]);
    let Logits::Integer(integers) = &result.logits else { panic!("real") };
    assert_eq!(
        model.logits(integers).unwrap().into_raw_vec_and_offset().0,
        [38.0, -4.5],
        "unit ½, T = 4"
    );
    assert!(crate::tiny::events_model().logits(integers).is_err());
}

#[test]
fn the_class_is_the_first_of_the_largest() {
    let row = |values: [f64; 3]| Logits::Real(ndarray::arr2(&[values])).argmax()[0];
    assert_eq!(row([1.0, 3.0, 3.0]), 1);
    assert_eq!(row([-1.0, -3.0, -2.0]), 0);
    assert_eq!(Logits::Integer(ndarray::arr2(&[[1, 2, 2], [5, 5, 4]])).argmax(), [1, 0]);
}

// === Eq. 8 ===

/// Spikes of one neuron whose current at macro-step t is `(pixel − 128)/64`, and the ties.
fn spikes(neuron: Lif, pixels: &[u8]) -> (Vec<i16>, u64) {
    let mut model =
        trained(chain(&[1], vec![("neuron", site(Site::Lif(neuron)))]), pixels.len(), []);
    model.signature_mut().preprocessing.mean = vec![128];
    model.signature_mut().preprocessing.std = vec![64.0];
    let result = run_frames(&model, pixels);
    (levels(&result, "neuron"), result.sites[0].ties)
}

#[test]
fn lif_with_hard_reset_to_a_potential() {
    let neuron = Lif { reset: Reset::Hard { potential: -0.5 }, ..Lif::default() };
    // I = 1, 1, 1.5, −1, 1.75 (λ = ½, θ = 1): u = ½, 1 (fires), 1 (fires), −1½, −½ − ½ + 1.75 = ¾.
    assert_eq!(spikes(neuron, &[192, 192, 224, 64, 240]), (vec![0, 1, 1, 0, 0], 2));
}

#[test]
fn lif_with_hard_reset_to_zero_forgets_what_was_left() {
    // u = 1.75 fires, then ¾, then 3/8 + ½ = 7/8.
    assert_eq!(spikes(Lif::default(), &[240, 176, 160]).0, [1, 0, 0]);
}

#[test]
fn lif_with_soft_reset_keeps_what_was_left() {
    let neuron = Lif { reset: Reset::Soft, ..Lif::default() };
    // u = 1.75 fires, leaves ¾; 3/8 + ¾ = 9/8 fires, leaves 1/8; 1/16 + 15/16 = 1 fires, leaves 0;
    // 0.
    assert_eq!(spikes(neuron, &[240, 176, 188, 128]), (vec![1, 1, 1, 0], 1));
}

#[test]
fn if_neurons_do_not_leak() {
    let neuron = |reset| Lif { leak: Leak::Factor { factor: 1.0 }, reset, ..Lif::default() };
    // I = ¾ each: soft ¾, 1½, 1¼, 1, ¾; hard ¾, 1½, ¾, 1½, ¾.
    assert_eq!(spikes(neuron(Reset::Soft), &[176; 5]), (vec![0, 1, 1, 1, 0], 1));
    assert_eq!(spikes(neuron(Reset::Hard { potential: 0.0 }), &[176; 5]).0, [0, 1, 0, 1, 0]);
}

#[test]
fn plif_has_the_leak_of_its_weight() {
    let spikes = |weight: f64| {
        let neuron = Lif { leak: Leak::Learned { initial: 0.9 }, ..Lif::default() };
        let graph = chain(&[1], vec![("neuron", site(Site::Lif(neuron)))]);
        let mut model = trained(graph, 6, [("neuron.leak", real(&[1], &[weight]))]);
        model.signature_mut().preprocessing.std = vec![64.0];
        levels(&run_frames(&model, &[40; 6]), "neuron")
    };
    assert_eq!(logistic(0.0).to_bits(), 0.5_f64.to_bits());
    // I = 5/8: λ = ½ yields 0.625, 0.9375, 1.09 (fires); λ ≈ 1 yields 0.625, 1.25 (fires); λ ≈ 0
    // never reaches 1.
    assert_eq!(spikes(0.0), [0, 0, 1, 0, 0, 1]);
    assert_eq!(spikes(30.0), [0, 1, 0, 1, 0, 1]);
    assert_eq!(spikes(-30.0), [0; 6]);
    assert!((logistic(1.2) - 0.768_524_783_499_017_7).abs() < 1e-15);
}

/// Eq. 8 unrolled: the membrane is the sum of all currents since the last reset, each decayed, less
/// the thresholds spent (soft).
#[test]
fn lif_equals_its_unrolled_sum() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    for _ in 0..300 {
        let steps = random.random_range(1..=12);
        let pixels: Vec<u8> = (0..steps).map(|_| 16 * random.random_range(4..=15)).collect();
        let soft = random.random_bool(0.5);
        let potential = if soft { 0.0 } else { [0.0, -0.5, 0.25][random.random_range(0..3)] };
        let reset = if soft { Reset::Soft } else { Reset::Hard { potential } };
        let factor: f64 = [0.5, 0.25, 1.0, 0.0][random.random_range(0..4)];
        let neuron =
            Lif { leak: Leak::Factor { factor }, reset, threshold: 1.0.into(), ..Lif::default() };
        let (found, _) = spikes(neuron, &pixels);

        let mut expected: Vec<i16> = Vec::new();
        for t in 0..steps {
            let first = if soft {
                0
            } else {
                expected.iter().rposition(|&o| o == 1).map_or(0, |last| last + 1)
            };
            let decayed =
                |value: f64, at: usize| value * factor.powi(i32::try_from(t - at).unwrap());
            let charge: f64 =
                (first..=t).map(|k| decayed((f64::from(pixels[k]) - 128.0) / 64.0, k)).sum();
            let spent: f64 =
                if soft { (0..t).map(|k| decayed(f64::from(expected[k]), k)).sum() } else { 0.0 };
            expected.push(i16::from(potential + charge - spent >= 1.0));
        }
        assert_eq!(found, expected, "{pixels:?} {reset:?} {factor}");
    }
}

// === Eqs. 9 to 11 ===

#[test]
fn relu_is_the_positive_part() {
    assert_eq!(of_op(&[3], site(Site::Relu), [], &[127, 128, 130]), [0.0, 0.0, 2.0]);
}

#[test]
fn quant_relu_rounds_ties_up_and_clips() {
    // I = p/64 − 2, s = ½, D = 3.
    let cases = [
        (0, 0),
        (96, 0),
        (112, 0),
        (128, 0),
        (143, 0),
        (144, 1),
        (175, 1),
        (176, 2),
        (207, 2),
        (208, 3),
        (255, 3),
    ];
    for code in [None, Some(Code::Unary)] {
        for (pixel, level) in cases {
            let quant = Site::QuantRelu(QuantRelu { levels: 3, ..QuantRelu::default() });
            let (form, op) = match code {
                None => (snn_ir::Form::Trained, site(quant)),
                Some(code) => (snn_ir::Form::Events, coded(quant, code)),
            };
            let graph = chain(&[1], vec![("in", Op::Scale), ("level", op), ("out", Op::Scale)]);
            let weights = [
                ("in.weight", real(&[1], &[1.0 / 64.0])),
                ("level.step", real(&[1], &[0.5])),
                ("out.weight", real(&[1], &[10.0])),
            ];
            let mut model = crate::tiny::model(form, graph, 1, weights);
            model.signature_mut().preprocessing.mean = vec![128];
            let result = run(&model, &[pixel]);
            assert_eq!(levels(&result, "level"), [level], "{pixel}");
            let value =
                if code.is_some() { 10.0 * f64::from(level) } else { 5.0 * f64::from(level) };
            assert_eq!(logits(&result), [value], "{pixel}");
        }
    }
}

#[test]
fn steps_of_channels() {
    let quant = Site::QuantRelu(QuantRelu { levels: 4, step: 1.0, share: Share::Channel });
    let weights = [("op.step", real(&[2], &[1.0, 4.0]))];
    assert_eq!(
        of_op(&[2, 1, 2], site(quant), weights, &[130, 133, 129, 134]),
        [2.0, 4.0, 0.0, 8.0]
    );
}

// === Eqs. 12 and 13 ===

/// Levels of one site on the grid whose current is `multiplier·(pixel − 128)`.
fn grid_site<const N: usize>(
    op: Site,
    code: Code,
    multiplier: i32,
    pixels: &[u8],
    weights: [(&str, Tensor); N],
) -> Vec<i16> {
    let synapse = Op::Linear { features: 1, bias: false };
    let graph =
        chain(&[1], vec![("in", synapse.clone()), ("site", coded(op, code)), ("out", synapse)]);
    let mut model = grid(graph, pixels.len(), weights);
    model.weights_mut().insert("in.weight".into(), byte(&[1, 1], &[1]));
    model.weights_mut().insert("in.multiplier".into(), int(&[1], &[multiplier]));
    model.weights_mut().insert("out.weight".into(), byte(&[1, 1], &[2]));
    model.weights_mut().insert("out.multiplier".into(), int(&[1], &[3]));
    model.signature_mut().preprocessing.mean = vec![128];
    let result = run_frames(&model, pixels);
    let found = levels(&result, "site");
    assert_eq!(sums(&result), [found.iter().map(|level| 6 * i64::from(*level)).sum::<i64>()]);
    found
}

#[test]
fn grid_quant_relu_counts_thresholds() {
    let found = grid_site(
        Site::GridQuantRelu { levels: 4 },
        Code::Unary,
        1,
        &[126, 127, 129, 130, 132, 133, 255],
        [("site.thresholds", int(&[4, 1], &[-1, 2, 2, 5]))],
    );
    assert_eq!(found, [0, 1, 1, 3, 3, 4, 4]);
}

fn grid_lif(
    leak: (u32, u8),
    guard_bits: u8,
    reset: GridReset,
    threshold: i32,
    multiplier: i32,
    pixels: &[u8],
) -> Vec<i16> {
    let lif = GridLif::new(leak.0, leak.1, guard_bits, reset);
    grid_site(
        Site::GridLif(lif),
        Code::Binary,
        multiplier,
        pixels,
        [("site.threshold", int(&[1], &[threshold]))],
    )
}

#[test]
fn the_leak_on_the_grid_is_a_floor_also_of_negative_membranes() {
    // J = −1, −1, −1, 4: without guard bits u = −1, ⌊−½⌋ − 1 = −2, −2, −1 + 4 = 3; towards zero it
    // would be −1, −1, −1, 4.
    let pixels = [127, 127, 127, 132];
    assert_eq!(grid_lif((1, 1), 0, GridReset::Hard, 3, 1, &pixels), [0, 0, 0, 1]);
    assert_eq!(grid_lif((1, 1), 0, GridReset::Hard, 4, 1, &pixels), [0, 0, 0, 0]);
}

#[test]
fn guard_bits_keep_fractions() {
    // Leak ¾, J = 1 each, θ = 2: without guard bits u = 1, ⌊¾⌋ + 1 = 1, 1; with two, in quarters:
    // 4, 3 + 4 = 7, ⌊5¼⌋ + 4 = 9 ≥ 8.
    assert_eq!(grid_lif((3, 2), 0, GridReset::Hard, 2, 1, &[129, 129, 129]), [0, 0, 0]);
    assert_eq!(grid_lif((3, 2), 2, GridReset::Hard, 2, 1, &[129, 129, 129]), [0, 0, 1]);
}

#[test]
fn resets_on_the_grid() {
    // J = 5 each, no leak, θ = 3: hard 5, 5, 5; soft 5, 7, 9, … and, without current afterwards,
    // one spike for each 3 left.
    let pixels = [133, 133, 128, 128, 128];
    assert_eq!(grid_lif((1, 0), 3, GridReset::Hard, 3, 1, &pixels), [1, 1, 0, 0, 0]);
    assert_eq!(grid_lif((1, 0), 3, GridReset::Soft, 3, 1, &pixels), [1, 1, 1, 0, 0]);
    // A leak of 0 forgets everything.
    assert_eq!(grid_lif((0, 0), 3, GridReset::Soft, 3, 1, &[140, 128, 130, 131]), [1, 0, 0, 1]);
}

#[test]
fn membranes_saturate() {
    // J·2^f = 127·2^23·2^8 is far above 2³⁰; θ·2^f = 2²⁹ is then spent twice and no more.
    let (multiplier, threshold) = (1 << 23, 1 << 21);
    let found = grid_lif((1, 0), 8, GridReset::Soft, threshold, multiplier, &[255, 128, 128, 128]);
    assert_eq!(found, [1, 1, 0, 0]);
    // From −2³⁰ one step of 2³¹ leads to 2³⁰.
    let found = grid_lif((1, 0), 8, GridReset::Soft, threshold, multiplier, &[0, 129, 128, 128]);
    assert_eq!(found, [0, 1, 1, 0]);
    // A threshold beyond the limit is never met.
    assert_eq!(grid_lif((1, 0), 8, GridReset::Soft, 1 << 23, multiplier, &[255; 3]), [0; 3]);
    assert_eq!(MEMBRANE_LIMIT, 1 << 30);
}

/// Eq. 13 in 128 bits with Euclid's division.
#[test]
fn grid_lif_equals_a_second_formulation() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for _ in 0..300 {
        let shift = random.random_range(0..=16_u8);
        let leak = (random.random_range(0..=1_u32 << shift), shift);
        let guard_bits = random.random_range(0..=16);
        let reset = [GridReset::Hard, GridReset::Soft, GridReset::None][random.random_range(0..3)];
        let multiplier = 1 << random.random_range(0..=23);
        let threshold = random.random_range(1..=100 * multiplier.min(1 << 20));
        let pixels: Vec<u8> = (0..random.random_range(1..=10)).map(|_| random.random()).collect();
        let found = grid_lif(leak, guard_bits, reset, threshold, multiplier, &pixels);

        let (one, limit) = (1_i128 << guard_bits, 1_i128 << 30);
        let mut u = 0_i128;
        let expected: Vec<i16> = pixels
            .iter()
            .map(|pixel| {
                let current = i128::from(multiplier) * (i128::from(*pixel) - 128);
                u = ((u * i128::from(leak.0)).div_euclid(1 << leak.1) + current * one)
                    .max(-limit)
                    .min(limit);
                let fires = u >= i128::from(threshold) * one;
                u = match (fires, reset) {
                    (false, _) | (true, GridReset::None) => u,
                    (true, GridReset::Hard) => 0,
                    (true, GridReset::Soft) => u - i128::from(threshold) * one,
                };
                i16::from(fires)
            })
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_convolution_on_the_grid_multiplies_its_sum_and_adds_its_bias_once() {
    let graph = chain(
        &[2, 1, 1],
        vec![
            ("conv", Op::Conv(Conv { bias: true, ..Conv::square(2, 1, 1) })),
            ("flat", Op::Flatten),
        ],
    );
    let weights = [
        ("conv.weight", byte(&[2, 2, 1, 1], &[1, -2, 127, -127])),
        ("conv.bias", int(&[2], &[-1, 1000])),
        ("conv.multiplier", int(&[2], &[7, 100])),
    ];
    let found = sums(&run(&grid(graph, 1, weights), &[10, 3]));
    assert_eq!(found, [7 * (10 - 6) - 1, 100 * 127 * 7 + 1000]);
}

// === Eq. 14 ===

fn shapes(model: &Model, frames: bool) -> Vec<Vec<usize>> {
    let Op::Input { shape } = &model.graph().nodes[0].op else { panic!("no input") };
    let batch = if frames { vec![model.time_steps(), 2] } else { vec![2] };
    let pixels = ArrayD::from_shape_fn([batch, shape.clone()].concat(), |i| {
        u8::try_from(i[0] * 50).unwrap()
    });
    let input = if frames { Input::Frames(pixels.view()) } else { Input::Static(pixels.view()) };
    let result = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
    let of = |output: &SiteOutput| match output {
        SiteOutput::Levels(levels) => levels.shape().to_vec(),
        SiteOutput::Values(values) => values.shape().to_vec(),
    };
    result.sites.iter().map(|trace| of(&trace.output)).collect()
}

#[test]
fn what_does_not_vary_is_traced_once() {
    let quant = || site(Site::QuantRelu(QuantRelu::default()));
    let graph = chain(
        &[3, 1, 2],
        vec![
            ("relu", site(Site::Relu)),
            ("before", quant()),
            ("neuron", site(Site::Lif(Lif::default()))),
            ("after", quant()),
            ("flat", Op::Flatten),
        ],
    );
    let model = trained(
        graph,
        4,
        [("before.step", real(&[1], &[1.0])), ("after.step", real(&[1], &[1.0]))],
    );
    let (once, each) = (vec![1, 2, 3, 1, 2], vec![4, 2, 3, 1, 2]);
    assert_eq!(shapes(&model, false), [once.clone(), once, each.clone(), each.clone()]);
    assert_eq!(shapes(&model, true), [each.clone(), each.clone(), each.clone(), each]);
}

/// The same frame at every macro-step is the same as an image: levels repeat where they were traced
/// once.
#[test]
fn frames_that_repeat_equal_an_image() {
    for seed in 0..60 {
        let model = snn_ir::testing::trained(seed, Numbers::Dyadic);
        let image = snn_ir::testing::pixels(&model, 2, seed);
        let frames =
            ndarray::stack(ndarray::Axis(0), &vec![image.view(); model.time_steps()]).unwrap();
        let mut naive = Naive::new(&model).unwrap();
        let a = naive.evaluate(&Input::Static(image.view()), Record::Sites).unwrap();
        let b = naive.evaluate(&Input::Frames(frames.view()), Record::Sites).unwrap();
        assert_eq!(a.logits, b.logits);
        for (a, b) in a.sites.iter().zip(&b.sites) {
            let (SiteOutput::Levels(a), SiteOutput::Levels(b)) = (&a.output, &b.output) else {
                panic!("values")
            };
            assert_eq!(a.broadcast(b.raw_dim()).unwrap(), b.view());
        }
    }
}

#[test]
fn samples_of_a_batch_do_not_mix() {
    for seed in 0..60 {
        let model = snn_ir::testing::trained(seed, Numbers::Real);
        let images = snn_ir::testing::pixels(&model, 3, seed);
        let mut naive = Naive::new(&model).unwrap();
        let all = naive.evaluate(&Input::Static(images.view()), Record::Sites).unwrap();
        for sample in 0..3 {
            let one = images.slice_axis(ndarray::Axis(0), (sample..=sample).into());
            let one = naive.evaluate(&Input::Static(one), Record::Sites).unwrap();
            let (Logits::Real(a), Logits::Real(b)) = (&all.logits, &one.logits) else {
                panic!("integers")
            };
            assert_eq!(a.row(sample), b.row(0));
            for (a, b) in all.sites.iter().zip(&one.sites) {
                let (SiteOutput::Levels(a), SiteOutput::Levels(b)) = (&a.output, &b.output) else {
                    panic!("values")
                };
                assert_eq!(
                    a.index_axis(ndarray::Axis(1), sample),
                    b.index_axis(ndarray::Axis(1), 0)
                );
            }
        }
    }
}

#[test]
fn inputs_of_the_wrong_shape_are_refused() {
    let model = crate::tiny::events_model();
    let mut naive = Naive::new(&model).unwrap();
    let mut refused = |shape: &[usize], frames: bool| {
        let pixels = ArrayD::<u8>::zeros(shape);
        let input =
            if frames { Input::Frames(pixels.view()) } else { Input::Static(pixels.view()) };
        let error = naive.evaluate(&input, Record::Logits).unwrap_err().to_string();
        assert!(
            error.starts_with("input: expected") && error.contains(&format!("{shape:?}")),
            "{error}"
        );
    };
    refused(&[1, 3, 3], false);
    refused(&[2, 1, 3, 4], false);
    refused(&[3, 1, 1, 3, 3], false);
    refused(&[2, 1, 1, 3, 3], true);
    refused(&[1, 1, 3, 3], true);
    refused(&[], false);
    refused(&[3], true);
    let nothing = ArrayD::<u8>::zeros(vec![0, 1, 3, 3]);
    let result = naive.evaluate(&Input::Static(nothing.view()), Record::Sites).unwrap();
    assert!(
        result.logits.argmax().is_empty()
            && result.sites.iter().all(|trace| trace.output.is_empty())
    );
}
