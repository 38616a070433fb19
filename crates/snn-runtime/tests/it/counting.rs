//! Exact counts of networks small enough to count by hand.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of tests are small"
)]

use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use snn_ir::{Code, GridLif, GridReset, Site, Spike};
use snn_ir::{Conv, Graph, Op, PoolKind, Window};
use snn_ir::{Form, Model, Preprocessing, Signature};
use snn_ir::{Tensor, Weights};
use snn_runtime::Counting;
use snn_runtime::counting::{Counts, Tally};

/// A grid model built node by node, with weights that are all `weight`, multipliers 1 and biases 0
/// unless replaced.
struct Net {
    graph: Graph,
    weights: Weights,
    last: String,
}

impl Net {
    fn new(shape: &[usize]) -> Self {
        let mut graph = Graph::default();
        let last = graph.push("image", Op::Input { shape: shape.to_vec() }, &[]);
        Self { graph, weights: Weights::new(), last }
    }

    fn push(mut self, name: &str, op: Op) -> Self {
        self.last = self.graph.push(name, op, &[&self.last]);
        self
    }

    fn weight(mut self, name: &str, tensor: impl Into<Tensor>) -> Self {
        self.weights.insert(name.into(), tensor.into());
        self
    }

    fn conv(self, name: &str, conv: Conv, inputs: usize, weight: i8) -> Self {
        let mut shape = vec![conv.channels, inputs / conv.groups];
        shape.extend(&conv.kernel);
        let channels = conv.channels;
        self.push(name, Op::Conv(conv))
            .weight(&format!("{name}.weight"), ArrayD::from_elem(IxDyn(&shape), weight))
            .weight(&format!("{name}.multiplier"), Array1::<i32>::ones(channels))
    }

    fn levels(self, name: &str, levels: u8, channels: usize, code: Code) -> Self {
        let thresholds =
            Array2::from_shape_fn((usize::from(levels), channels), |(d, _)| d as i32 + 1);
        self.push(name, Op::Activation { site: Site::GridQuantRelu { levels }, code: Some(code) })
            .weight(&format!("{name}.thresholds"), thresholds)
    }

    /// LIF neurons of one threshold.
    fn lif(self, name: &str, lif: GridLif, channels: usize, threshold: i32, code: Code) -> Self {
        self.push(name, Op::Activation { site: Site::GridLif(lif), code: Some(code) })
            .weight(&format!("{name}.threshold"), Array1::<i32>::from_elem(channels, threshold))
    }

    fn linear(self, name: &str, inputs: usize, features: usize) -> Self {
        self.push(name, Op::Linear { features, bias: true })
            .weight(&format!("{name}.weight"), Array2::<i8>::ones((features, inputs)))
            .weight(&format!("{name}.bias"), Array1::<i32>::ones(features))
            .weight(&format!("{name}.multiplier"), Array1::<i32>::from_elem(features, 2))
    }

    fn model(self, channels: usize, time_steps: usize) -> Model {
        let Self { mut graph, weights, last } = self;
        graph.push("head", Op::TimeMean, &[&last]);
        Model::new(
            Signature::new(
                Form::Grid { logit_unit: 1.0 },
                graph,
                time_steps,
                Preprocessing::new(vec![0; channels], vec![1.0; channels]),
            ),
            weights,
        )
    }
}

/// Runs one image and returns the sums of the head and the counts.
fn run(model: &Model, image: &ArrayD<u8>) -> (Vec<f64>, Counts) {
    let runtime = Counting::new(model).unwrap();
    let logits = runtime.logits_batch(image.view().insert_axis(Axis(0))).unwrap();
    (logits.iter().map(|l| l * model.time_steps() as f64).collect(), runtime.counts())
}

/// A 1×1 identity stem and site, so that levels are the pixels; a 3×3 convolution to 5 channels
/// with padding 1; what follows.
fn padded(code: Code) -> Net {
    Net::new(&[1, 4, 4])
        .conv("stem", Conv::square(1, 1, 1), 1, 1)
        .levels("act", 7, 1, code)
        .conv("conv", Conv::square(5, 3, 1), 1, 1)
        .push("pool", Op::GlobalPool { pool: PoolKind::Sum })
}

#[test]
fn an_event_in_the_corner_of_a_padded_convolution_has_four_taps() {
    for (at, taps) in
        [([0, 0, 0], 4), ([0, 0, 1], 6), ([0, 2, 0], 6), ([0, 1, 2], 9), ([0, 3, 3], 4)]
    {
        let model = padded(Code::Unary).model(1, 1);
        let mut image = ArrayD::zeros(IxDyn(&[1, 4, 4]));
        image[IxDyn(&at)] = 1;
        let (sums, counts) = run(&model, &image);
        let conv = counts.node("conv").unwrap().tally;
        assert_eq!(conv, Tally { additions: taps * 5, ..Tally::default() }, "{at:?}");
        assert_eq!(sums, vec![taps as f64; 5], "{at:?}");
        // The stem is one pixel times one weight; pixels equal to the mean are not sent.
        assert_eq!(
            counts.node("stem").unwrap().tally,
            Tally { multiplications: 1, ..Tally::default() }
        );
        let site = counts.node("act").unwrap();
        let expected = Tally {
            events: 1,
            comparisons: 16 * 7,
            neuron_updates: 16,
            micro_steps: 7,
            ..Tally::default()
        };
        assert_eq!((site.tally, site.neurons), (expected, 16));
        assert_eq!(site.firing_rate(), Some(1.0 / 16.0));
        // A global sum of 16 currents in 5 channels.
        assert_eq!(counts.node("pool").unwrap().tally, Tally { sums: 15 * 5, ..Tally::default() });
    }
}

#[test]
fn a_level_costs_what_its_code_sends() {
    let mut image = ArrayD::zeros(IxDyn(&[1, 4, 4]));
    image[[0, 1, 1]] = 5;
    for (code, events, additions, multiplications, micro_steps) in [
        (Code::Unary, 5, 5 * 45, 0, 7),
        (Code::BitPlane, 2, 2 * 45, 0, 3),
        (Code::Graded, 1, 0, 45, 1),
    ] {
        let (sums, counts) = run(&padded(code).model(1, 1), &image);
        assert_eq!(sums, vec![45.0; 5], "{code:?}");
        let (site, conv) = (counts.node("act").unwrap().tally, counts.node("conv").unwrap().tally);
        assert_eq!((site.events, site.micro_steps), (events, micro_steps), "{code:?}");
        assert_eq!(
            (conv.additions, conv.multiplications),
            (additions, multiplications),
            "{code:?}"
        );
    }
}

#[test]
fn strides_dilation_and_groups_change_the_fan_out() {
    // Stride 2 on a row of 5, kernel 3, no padding: outputs read 0–2 and 2–4.
    let row = |at: usize, stride: usize, dilation: usize| {
        let conv = Conv {
            channels: 4,
            kernel: vec![3],
            stride: vec![stride],
            padding: vec![0],
            dilation: vec![dilation],
            groups: 2,
            bias: false,
        };
        let identity = Conv {
            channels: 2,
            kernel: vec![1],
            stride: vec![1],
            padding: vec![0],
            dilation: vec![1],
            groups: 2,
            bias: false,
        };
        let model = Net::new(&[2, 5])
            .conv("stem", identity, 2, 1)
            .levels("act", 1, 2, Code::Unary)
            .conv("conv", conv, 2, 1)
            .push("pool", Op::GlobalPool { pool: PoolKind::Sum })
            .model(2, 1);
        let mut image = ArrayD::zeros(IxDyn(&[2, 5]));
        image[[0, at]] = 1;
        run(&model, &image).1.node("conv").unwrap().tally.additions
    };
    // Two outputs of its own group each time.
    assert_eq!([0, 1, 2, 3, 4].map(|at| row(at, 2, 1)), [2, 2, 4, 2, 2]);
    assert_eq!([0, 1, 2, 3, 4].map(|at| row(at, 1, 2)), [2, 0, 2, 0, 2]);
}

#[test]
fn sum_pooled_planes_hold_counts_and_each_is_an_addition() {
    let mut image = ArrayD::zeros(IxDyn(&[1, 4, 4]));
    (image[[0, 0, 0]], image[[0, 0, 1]], image[[0, 3, 3]]) = (3, 5, 7);
    for (code, additions, multiplications) in
        [(Code::Unary, 3 + 5 + 7, 0), (Code::BitPlane, 2 + 2 + 3, 0), (Code::Graded, 0, 2)]
    {
        let model = Net::new(&[1, 4, 4])
            .conv("stem", Conv::square(1, 1, 1), 1, 1)
            .levels("act", 7, 1, code)
            .push("sum", Op::Pool { pool: PoolKind::Sum, window: Window::square(2) })
            .push("flat", Op::Flatten)
            .linear("fc", 4, 3)
            .model(1, 1);
        let (sums, counts) = run(&model, &image);
        assert_eq!(sums, vec![2.0 * 15.0 + 1.0; 3], "{code:?}");
        let expected = Tally {
            additions: additions * 3,
            multiplications: multiplications * 3,
            rescalings: 3,
            sums: 3,
            ..Tally::default()
        };
        assert_eq!(counts.node("fc").unwrap().tally, expected, "{code:?}");
        assert_eq!(counts.node("sum").unwrap().tally, Tally::default());
    }
}

#[test]
fn max_pooling_precedes_planes_and_counts_comparisons() {
    let mut image = ArrayD::zeros(IxDyn(&[1, 4, 4]));
    (image[[0, 0, 0]], image[[0, 0, 1]]) = (3, 5);
    let model = Net::new(&[1, 4, 4])
        .conv("stem", Conv::square(1, 1, 1), 1, 1)
        .levels("act", 7, 1, Code::Unary)
        .push("max", Op::Pool { pool: PoolKind::Max, window: Window::square(2) })
        .push("flat", Op::Flatten)
        .linear("fc", 4, 3)
        .model(1, 1);
    let (_, counts) = run(&model, &image);
    assert_eq!(counts.node("act").unwrap().tally.events, 8);
    assert_eq!(counts.node("max").unwrap().tally, Tally { comparisons: 4 * 3, ..Tally::default() });
    assert_eq!(counts.node("fc").unwrap().tally.additions, 5 * 3);
}

#[test]
fn the_time_invariant_prefix_counts_once_and_neurons_count_every_macro_step() {
    let lif = GridLif::new(1, 0, 0, GridReset::Soft);
    let model = Net::new(&[2])
        .linear("stem", 2, 3)
        .levels("once", 2, 3, Code::Unary)
        .linear("inner", 3, 4)
        .push("each", Op::Activation { site: Site::GridLif(lif), code: Some(Code::Binary) })
        .weight("each.threshold", Array1::<i32>::from_elem(4, 26))
        .linear("fc", 4, 2)
        .model(2, 5);
    let image = ArrayD::from_elem(IxDyn(&[2]), 1);
    // stem 2·2 + 1 = 5 → level 2; inner 2·6 + 1 = 13 at every step: fires at every second one.
    let (sums, counts) = run(&model, &image);
    let tally = |node: &str| counts.node(node).unwrap().tally;
    assert_eq!(
        (tally("stem").multiplications, tally("once").neuron_updates, tally("once").events),
        (6, 3, 6)
    );
    assert_eq!((tally("inner").additions, tally("inner").sums), (6 * 4, 4));
    assert_eq!(
        (tally("each").neuron_updates, tally("each").events, tally("each").comparisons),
        (20, 8, 20)
    );
    assert_eq!((tally("fc").additions, tally("fc").sums, tally("fc").rescalings), (8 * 2, 10, 10));
    assert_eq!(sums, vec![2.0 * 8.0 + 5.0; 2]);
    assert_eq!(counts.node("each").unwrap().firing_rate(), Some(0.4));
    let mut total = Tally::default();
    counts.nodes.iter().for_each(|node| total += node.tally);
    assert_eq!(counts.total(), total);
}

/// Ternary neurons without memory that fire at two pixel values above and below 100.
fn ternary(lif: GridLif) -> Net {
    let lif = GridLif { spike: Spike::Ternary, ..lif };
    Net::new(&[1, 4, 4]).conv("stem", Conv::square(1, 1, 1), 1, 1).lif(
        "act",
        lif,
        1,
        2,
        Code::Ternary,
    )
}

/// 100 but for some pixels.
fn image(pixels: &[([usize; 3], u8)]) -> ArrayD<u8> {
    let mut image = ArrayD::from_elem(IxDyn(&[1, 4, 4]), 100);
    for (at, pixel) in pixels {
        image[IxDyn(at)] = *pixel;
    }
    image
}

/// Neurons without memory.
fn forgetful() -> GridLif {
    GridLif::new(0, 0, 0, GridReset::Hard)
}

#[test]
fn a_ternary_spike_of_either_sign_is_one_event_and_one_addition_a_weight() {
    let mut model = ternary(forgetful())
        .conv("conv", Conv::square(5, 3, 1), 1, 1)
        .push("pool", Op::GlobalPool { pool: PoolKind::Sum })
        .model(1, 2);
    model.signature_mut().preprocessing.mean = vec![100];
    // +1 in a corner, −1 inside, and a current that is too weak.
    let (sums, counts) =
        run(&model, &image(&[([0, 0, 0], 102), ([0, 1, 1], 97), ([0, 2, 2], 101)]));
    assert_eq!(sums, vec![2.0 * (4.0 - 9.0); 5]);
    let expected = Tally {
        events: 4,
        comparisons: 2 * 16 * 2,
        neuron_updates: 2 * 16,
        micro_steps: 4,
        ..Tally::default()
    };
    assert_eq!(counts.node("act").unwrap().tally, expected);
    assert_eq!(
        counts.node("conv").unwrap().tally,
        Tally { additions: 2 * (4 + 9) * 5, ..Tally::default() }
    );
}

#[test]
fn ternary_spikes_that_cancel_in_a_window_cost_both() {
    let window = |pool| Op::Pool { pool, window: Window::square(2) };
    let mut model = ternary(forgetful())
        .push("sum", window(PoolKind::Sum))
        .push("flat", Op::Flatten)
        .linear("fc", 4, 3)
        .model(1, 1);
    model.signature_mut().preprocessing.mean = vec![100];
    let (sums, counts) =
        run(&model, &image(&[([0, 0, 0], 102), ([0, 0, 1], 98), ([0, 3, 3], 103)]));
    assert_eq!(sums, vec![2.0 * 1.0 + 1.0; 3]);
    let expected = Tally { additions: 3 * 3, rescalings: 3, sums: 3, ..Tally::default() };
    assert_eq!(counts.node("fc").unwrap().tally, expected);

    // The largest of four window sums is sent anew, as counts on the plane of its sign.
    let mut model = ternary(forgetful())
        .push("sum", window(PoolKind::Sum))
        .push("max", window(PoolKind::Max))
        .push("flat", Op::Flatten)
        .linear("fc", 1, 3)
        .model(1, 1);
    model.signature_mut().preprocessing.mean = vec![100];
    let corners = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 2], [0, 2, 0], [0, 2, 2]];
    // Sums 3, 1, 1, 1, then −3, −1, −1, −1, then −3, 0, −1, −1.
    for (pixels, largest) in [
        (corners.map(|at| (at, 102)).to_vec(), 3),
        (corners.map(|at| (at, 98)).to_vec(), -1),
        (corners.iter().filter(|at| **at != [0, 0, 2]).map(|at| (*at, 98)).collect(), 0),
    ] {
        let (sums, counts) = run(&model, &image(&pixels));
        assert_eq!(sums, vec![f64::from(2 * largest + 1); 3]);
        assert_eq!(counts.node("max").unwrap().tally, Tally { comparisons: 3, ..Tally::default() });
        assert_eq!(
            counts.node("fc").unwrap().tally.additions,
            3 * u64::from(i32::unsigned_abs(largest))
        );
    }
}

#[test]
fn an_integer_neuron_counts_as_levels_do() {
    let lif =
        GridLif { spike: Spike::Integer { levels: 5 }, ..GridLif::new(1, 0, 0, GridReset::Soft) };
    // A current of 5 and θ = 2: levels 3 (a tie, rounded up; −1 stays) and 2.
    for (code, events, additions, multiplications, micro_steps) in [
        (Code::Unary, 3 + 2, (3 + 2) * 45, 0, 5),
        (Code::BitPlane, 2 + 1, (2 + 1) * 45, 0, 3),
        (Code::Graded, 2, 0, 2 * 45, 1),
    ] {
        let mut model = Net::new(&[1, 4, 4])
            .conv("stem", Conv::square(1, 1, 1), 1, 1)
            .lif("act", lif, 1, 2, code)
            .conv("conv", Conv::square(5, 3, 1), 1, 1)
            .push("pool", Op::GlobalPool { pool: PoolKind::Sum })
            .model(1, 2);
        model.signature_mut().preprocessing.mean = vec![100];
        let (sums, counts) = run(&model, &image(&[([0, 1, 1], 105)]));
        assert_eq!(sums, vec![45.0; 5], "{code:?}");
        let expected = Tally {
            events,
            comparisons: 2 * 16 * 5,
            neuron_updates: 2 * 16,
            micro_steps: 2 * micro_steps,
            ..Tally::default()
        };
        assert_eq!(counts.node("act").unwrap().tally, expected, "{code:?}");
        let conv = counts.node("conv").unwrap().tally;
        assert_eq!(
            (conv.additions, conv.multiplications),
            (additions, multiplications),
            "{code:?}"
        );
    }
}

#[test]
fn counts_add_up_over_samples_reset_and_serialise() {
    let model = padded(Code::BitPlane).model(1, 1);
    let image = ArrayD::from_elem(IxDyn(&[1, 4, 4]), 3);
    let runtime = Counting::new(&model).unwrap();
    runtime.classify(image.view()).unwrap();
    let once = runtime.counts();
    runtime.classify_batch(ndarray::stack![Axis(0), image, image].view()).unwrap();
    let thrice = runtime.counts();
    assert_eq!((once.samples, thrice.samples), (1, 3));
    assert_eq!(thrice.total().additions, 3 * once.total().additions);
    let json = serde_json::to_string(&thrice).unwrap();
    assert_eq!(serde_json::from_str::<Counts>(&json).unwrap(), thrice);
    runtime.reset_counts();
    assert_eq!((runtime.counts().samples, runtime.counts().total()), (0, Tally::default()));
    let mut session = runtime.session();
    session.run(image.view()).unwrap();
    drop(session);
    assert_eq!(runtime.counts(), once);
}
