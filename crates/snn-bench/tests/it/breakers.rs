//! The proof can fail: each known way to break a conversion is injected, off the grid and on it,
//! and the proof of `verify` finds it. The control without a fault holds.

use ndarray::{ArrayD, Axis, IxDyn, Slice, concatenate};
use snn_core::Libtorch;
use snn_ir::Naive;
use snn_ir::QuantRelu;
use snn_ir::testing::pixels;
use snn_ir::{
    Code, Conv, Evaluate, Evaluation, Form, Graph, Input, Lif, Model, Norm, Op, PoolKind,
    Preprocessing, Signature,
};
use snn_ir::{Record, Site, SiteOutput, Tensor, Window};
use snn_reparam::proof::{Batch, Demands, Engine, EngineError, Engines, Proof, Tuning, difference};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_runtime::Counting;
use std::cell::RefCell;
use tch::Device;

const LEVELS: u8 = 3;
const SAMPLES: usize = 16;
const EPS: f64 = 1e-5;

/// conv, norm, QuantRelu `a`, max pooling, conv, LIF `b`, linear: the least network in which every
/// fault can happen. Channel 0 of `a` sees pixel 0 alone and has its thresholds at 20, 60 and 100
/// above the mean, so that pixels meet them exactly.
fn trained() -> Model {
    let site = |site| Op::Activation { site, code: None };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 6, 6] }, &[]);
    graph.push("conv1", Op::Conv(Conv { bias: true, ..Conv::square(4, 3, 1) }), &["image"]);
    graph.push("norm", Op::BatchNorm(Norm::with_eps(EPS)), &["conv1"]);
    graph.push(
        "a",
        site(Site::QuantRelu(QuantRelu {
            levels: LEVELS,
            step: 40.0 / 64.0,
            ..QuantRelu::default()
        })),
        &["norm"],
    );
    graph.push("pool", Op::Pool { pool: PoolKind::Max, window: Window::square(2) }, &["a"]);
    graph.push("conv2", Op::Conv(Conv { bias: true, ..Conv::square(5, 3, 1) }), &["pool"]);
    graph.push("b", site(Site::Lif(Lif::default())), &["conv2"]);
    graph.push("flatten", Op::Flatten, &["b"]);
    graph.push("fc", Op::Linear { features: 3, bias: true }, &["flatten"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = graph.initial_weights(4).unwrap();
    for (name, values) in [
        ("norm.running_mean", [0.0, -0.2, 0.1, -0.4]),
        ("norm.running_var", [1.0 - EPS, 1.0, 1.0, 1.0]),
        ("norm.weight", [1.0, -0.9, 0.8, 1.1]),
        ("norm.bias", [0.0, 0.3, 0.1, 0.4]),
    ] {
        weights.insert(name.into(), Tensor::F64(ndarray::arr1(&values).into_dyn()));
    }
    let mut kernel = weights["conv1.weight"].to_f64();
    kernel.index_axis_mut(Axis(0), 0).fill(0.0);
    kernel[[0, 0, 1, 1]] = 1.0;
    let mut bias = weights["conv1.bias"].to_f64();
    bias[[0]] = 0.0;
    weights.insert("conv1.weight".into(), Tensor::F64(kernel));
    weights.insert("conv1.bias".into(), Tensor::F64(bias));
    weights
        .insert("conv2.bias".into(), Tensor::from(ndarray::arr1(&[0.3_f32, 0.2, 0.4, -0.2, 0.1])));
    let preprocessing = Preprocessing::new(vec![120, 60], vec![64.0, 64.0]);
    Model::new(Signature::new(Form::Trained, graph, 3, preprocessing), weights)
}

fn naive(model: &Model, input: &Input<'_>) -> Evaluation {
    Naive::new(model).unwrap().evaluate(input, Record::Sites).unwrap()
}

fn grid(trained: &Model) -> Model {
    to_grid(&events(trained), GridOptions::default()).unwrap().model
}

/// An interpreter that answers one batch.
struct Answer(Evaluation);

impl Evaluate for Answer {
    fn name(&self) -> &'static str {
        "answer"
    }

    fn evaluate(&mut self, _: &Input<'_>, _: Record) -> snn_ir::Result<Evaluation> {
        Ok(self.0.clone())
    }
}

/// The engines of `verify` with these two in the place of the event runtime off the grid and on it.
struct Swapped {
    off_grid: RefCell<Option<Engine>>,
    on_grid: RefCell<Option<Engine>>,
}

impl Engines for Swapped {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Libtorch::new(model, Device::Cpu)?))
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        let cell = if model.form() == Form::Events { &self.off_grid } else { &self.on_grid };
        Ok(cell.take().expect("asked for once"))
    }
}

/// Everything that `verify` compares, with these two as event runtimes; returns why the proof
/// fails.
fn prove(off_grid: impl Evaluate + 'static, on_grid: impl Evaluate + 'static) -> Vec<String> {
    let (trained, file) = (trained(), grid(&trained()));
    let pixels = pixels(&trained, SAMPLES, 1);
    let classes = naive(&trained, &Input::Static(pixels.view())).logits.argmax();
    let labels: Vec<i64> = classes.into_iter().map(|class| i64::try_from(class).unwrap()).collect();
    let engines = Swapped {
        off_grid: RefCell::new(Some(Box::new(off_grid))),
        on_grid: RefCell::new(Some(Box::new(on_grid))),
    };
    let demands =
        Demands { max_drop: 100.0, naive_samples: SAMPLES, frame_samples: 0, ..Demands::default() };
    let mut proof = Proof::new(&trained, &file, &engines, demands).unwrap();
    proof.add(&Batch { input: Input::Static(pixels.view()), labels: &labels }).unwrap();
    proof.finish().failures
}

fn off_grid(model: &Model) -> Counting {
    Counting::new(model).unwrap()
}

fn on_grid(model: &Model) -> Counting {
    Counting::new(model).unwrap()
}

/// The same fault in a model off the grid and in its twin on the grid is found in the spikes of
/// either, and in the file.
fn assert_found(fault: impl Fn(&mut Model)) {
    let right = (events(&trained()), grid(&trained()));
    let mut wrong = right.clone();
    fault(&mut wrong.0);
    fault(&mut wrong.1);
    let failures = prove(off_grid(&wrong.0), on_grid(&right.1));
    assert!(failures.iter().any(|f| f.contains("trained") && f.contains("differ")), "{failures:?}");
    let failures = prove(off_grid(&right.0), on_grid(&wrong.1));
    assert!(
        failures.iter().any(|f| f.contains("libtorch (grid)") && f.contains("differ")),
        "{failures:?}"
    );
    assert!(!difference(&right.0, &wrong.0, Tuning::None).is_none());
    assert!(!difference(&right.1, &wrong.1, Tuning::None).is_none());
}

fn events(trained: &Model) -> Model {
    convert(trained, &Code::Unary.into()).unwrap().model
}

/// Changes a weight, whatever its type.
fn change(model: &mut Model, weight: &str, change: impl FnOnce(&mut ArrayD<f64>)) {
    let old = &model.weights()[weight];
    let mut values = old.to_f64();
    change(&mut values);
    #[expect(clippy::cast_possible_truncation, reason = "small integers")]
    let new = match old {
        Tensor::I32(_) => Tensor::I32(values.mapv(|v| v as i32)),
        _ => Tensor::F64(values),
    };
    model.weights_mut().insert(weight.into(), new);
}

#[test]
fn the_control_holds() {
    let (events, grid) = (events(&trained()), grid(&trained()));
    assert_eq!(prove(off_grid(&events), on_grid(&grid)), Vec::<String>::new());
    assert!(difference(&grid, &grid, Tuning::None).is_none());
}

#[test]
fn a_wrong_fold_of_batch_norm_is_found() {
    let mut wrong = trained();
    wrong
        .weights_mut()
        .insert("norm.running_mean".into(), Tensor::from(ndarray::arr1(&[0.5_f32, 0.0, 0.0, 0.0])));
    assert_found(|model| {
        *model = if model.form() == Form::Events { events(&wrong) } else { grid(&wrong) };
    });
}

#[test]
fn a_bias_added_at_every_micro_step_is_found() {
    assert_found(|model| change(model, "conv2.bias", |bias| *bias *= f64::from(LEVELS)));
}

#[test]
fn an_affine_shift_with_zero_padding_is_found() {
    // Pixels without their mean, the mean folded into the bias: right inside the image, wrong where
    // the padding is zero.
    assert_found(|model| {
        let weight = model.weights()["conv1.weight"].to_f64();
        let multiplier = model.weights().get("conv1.multiplier").map(Tensor::to_f64);
        let mean = std::mem::replace(&mut model.signature_mut().preprocessing.mean, vec![0, 0]);
        change(model, "conv1.bias", |bias| {
            for (o, row) in weight.axis_iter(Axis(0)).enumerate() {
                let taps = row.axis_iter(Axis(0)).zip(&mean);
                let shift = taps.map(|(taps, mean)| taps.sum() * f64::from(*mean)).sum::<f64>();
                bias[[o]] -= multiplier.as_ref().map_or(1.0, |m| m[[o]]) * shift;
            }
        });
    });
}

#[test]
fn rounding_ties_to_even_is_found() {
    // Half to even does not reach an even level plus a half by meeting it: of the thresholds ½, 1½,
    // 2½ the first and the third must be passed.
    let (right, events) = (grid(&trained()), events(&trained()));
    let mut even = right.clone();
    change(&mut even, "a.thresholds", |thresholds| {
        for (level, mut row) in thresholds.axis_iter_mut(Axis(0)).enumerate() {
            row += if level % 2 == 0 { 1.0 } else { 0.0 };
        }
    });
    let failures = prove(off_grid(&events), on_grid(&even));
    assert!(
        failures.iter().any(|f| f.contains("libtorch (grid)") && f.contains("decisions differ")),
        "{failures:?}"
    );
}

/// A converted network after its pooling, which then takes levels as pixels, one frame a
/// (micro-)step.
fn rest(mut model: Model, time_steps: usize) -> Model {
    model.graph_mut().nodes.retain(|node| !["conv1", "a", "pool"].contains(&node.name.as_str()));
    model.weights_mut().retain(|name, _| !name.starts_with("conv1.") && !name.starts_with("a."));
    model.graph_mut().nodes[0].op = Op::Input { shape: vec![4, 3, 3] };
    model.graph_mut().nodes[1].inputs = vec!["image".into()];
    model.signature_mut().preprocessing = Preprocessing::new(vec![0; 4], vec![1.0; 4]);
    model.signature_mut().time_steps = time_steps;
    model
}

/// Levels of site `a` of a converted network, `[B, 4, 6, 6]`, and what the whole network did.
fn levels(model: &Model) -> (ArrayD<u8>, Evaluation) {
    let pixels = pixels(model, SAMPLES, 1);
    let whole = naive(model, &Input::Static(pixels.view()));
    let SiteOutput::Levels(levels) = &whole.sites[0].output else { panic!("levels") };
    (levels.index_axis(Axis(0), 0).mapv(|q| u8::try_from(q).unwrap()), whole)
}

/// 2×2 max pooling.
fn pooled(values: &ArrayD<u8>) -> ArrayD<u8> {
    ArrayD::from_shape_fn(IxDyn(&[SAMPLES, 4, 3, 3]), |at| {
        let window = |i, j| values[[at[0], at[1], 2 * at[2] + i, 2 * at[3] + j]];
        window(0, 0).max(window(0, 1)).max(window(1, 0)).max(window(1, 1))
    })
}

/// The proof with an event runtime that has this fault off the grid, and on it. `fault` gets the
/// converted model, its levels and what it does when right.
fn assert_fault_found(fault: impl Fn(&Model, &ArrayD<u8>, &Evaluation) -> Evaluation) {
    let (events, grid) = (events(&trained()), grid(&trained()));
    let faulty = |model: &Model| {
        let (levels, whole) = levels(model);
        Answer(fault(model, &levels, &whole))
    };
    let failures = prove(faulty(&events), on_grid(&grid));
    assert!(
        failures.iter().any(|f| f.contains("trained") && f.contains("decisions differ")),
        "{failures:?}"
    );
    let failures = prove(off_grid(&events), faulty(&grid));
    assert!(
        failures.iter().any(|f| f.contains("libtorch (grid)") && f.contains("decisions differ")),
        "{failures:?}"
    );
}

/// Result of the network if `rest` gets these frames in place of the pooled levels.
fn with_rest(whole: &Evaluation, rest: Evaluation) -> Evaluation {
    let sites = whole.sites.iter().take(1).cloned().chain(rest.sites).collect();
    Evaluation { logits: rest.logits, sites }
}

#[test]
fn the_network_can_be_cut_at_its_pooling() {
    for model in [events(&trained()), grid(&trained())] {
        let (levels, whole) = levels(&model);
        let rest = naive(&rest(model, 3), &Input::Static(pooled(&levels).view()));
        assert_eq!(with_rest(&whole, rest), whole);
    }
}

#[test]
fn max_pooling_of_bit_planes_is_found() {
    assert_fault_found(|model, levels, whole| {
        let bit = |k: u8| pooled(&levels.mapv(|q| (q >> k) & 1)).mapv(|b| b << k);
        with_rest(whole, naive(&rest(model.clone(), 3), &Input::Static((bit(0) + bit(1)).view())))
    });
}

#[test]
fn firing_at_every_micro_step_is_found() {
    assert_fault_found(|model, levels, whole| {
        let planes: Vec<ArrayD<u8>> = (1..=LEVELS)
            .map(|k| pooled(&levels.mapv(|q| u8::from(q >= k))).insert_axis(Axis(0)))
            .collect();
        let views: Vec<_> = planes.iter().map(|a| a.view()).collect();
        let step = concatenate(Axis(0), &views).unwrap();
        let frames = concatenate(Axis(0), &[step.view(), step.view(), step.view()]).unwrap();
        let steps = usize::from(LEVELS);
        let mut micro = naive(&rest(model.clone(), 3 * steps), &Input::Frames(frames.view()));
        // Spikes of a macro-step are the sum of those of its micro-steps.
        let SiteOutput::Levels(spikes) = &micro.sites[0].output else { panic!("levels") };
        let macros: Vec<_> = (0..3)
            .map(|t| {
                let part = spikes.slice_axis(Axis(0), Slice::from(t * steps..(t + 1) * steps));
                part.sum_axis(Axis(0)).insert_axis(Axis(0))
            })
            .collect();
        let views: Vec<_> = macros.iter().map(|a| a.view()).collect();
        micro.sites[0].output = SiteOutput::Levels(concatenate(Axis(0), &views).unwrap());
        with_rest(whole, micro)
    });
}
