//! Stateless operations (eqs. 2 to 6).

use super::of_op;
use crate::tiny::{logits, real, run, trained};
use rand::{RngExt, SeedableRng};
use snn_ir::{Conv, Graph, Norm, Op, PoolKind, Window};

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
    // What is no window is refused with the graph, and not here.
    for size in [0, usize::MAX] {
        let wrong = Conv { dilation: vec![size; 2], ..Conv::square(1, size, size) };
        let _ = wrong.with_same_padding(&[3, 8, 8]);
        let _ = Window::square(size).with_same_padding(&[3, 8, 8]);
    }
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
