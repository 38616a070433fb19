//! Trained networks with exact numbers, and the check that their conversion is the same function.
#![allow(dead_code, reason = "every test file uses another part")]

use ndarray::{ArrayD, IxDyn};
use snn_ir::Naive;
use snn_ir::weight_specs;
use snn_ir::{
    Code, Conv, Evaluate, Evaluation, Form, Graph, Input, Lif, Logits, Model, Op, PoolKind,
    Preprocessing, QuantRelu, Record, Share, Signature, Site, SiteOutput, Tensor, Weights, Window,
};
use snn_reparam::{Conversion, Effect, Error, GridOptions, Plan, convert, to_grid};

pub(crate) fn act(site: Site) -> Op {
    Op::Activation { site, code: None }
}

pub(crate) fn lif() -> Op {
    act(Site::Lif(Lif::default()))
}

/// A site with a step for each channel; [`network`] draws them apart.
pub(crate) fn quant(levels: u8) -> Op {
    act(Site::QuantRelu(QuantRelu { levels, step: 0.5, share: Share::Channel }))
}

pub(crate) fn conv(channels: usize, kernel: usize) -> Op {
    Op::Conv(Conv { bias: true, ..Conv::square(channels, kernel, 1) })
}

pub(crate) fn linear(features: usize) -> Op {
    Op::Linear { features, bias: true }
}

pub(crate) fn pool(pool: PoolKind, kernel: usize, stride: usize, padding: usize) -> Op {
    Op::Pool {
        pool,
        window: Window {
            kernel: vec![kernel; 2],
            stride: vec![stride; 2],
            padding: vec![padding; 2],
        },
    }
}

/// Pseudo-random eighths between −1 and 1.
fn eighth(seed: usize) -> f64 {
    let mut state =
        (seed as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 29;
    state = state.wrapping_mul(0x94d0_49bb_1331_11eb);
    f64::from(u32::try_from((state >> 40) % 17).unwrap()) / 8.0 - 1.0
}

/// `image [2, 4, 4] → body → head` with T = 3; the body names the nodes. Every weight is a multiple
/// of a power of two, so that all f64 sums are exact.
pub(crate) fn network(body: impl FnOnce(&mut Graph)) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 4, 4] }, &[]);
    body(&mut graph);
    let last = graph.nodes[graph.nodes.len() - 1].name.clone();
    graph.push("head", Op::TimeMean, &[&last]);
    let resolved = graph.resolve().unwrap();
    let mut weights = Weights::new();
    let mut count = 0;
    for spec in weight_specs(&graph, &resolved, Form::Trained).unwrap() {
        let part = spec.name.rsplit_once('.').unwrap().1;
        let values = ArrayD::from_shape_simple_fn(IxDyn(&spec.part.shape), || {
            count += 1;
            match part {
                "step" => [0.25, 0.5, 1.0, 2.0][count % 4],
                "running_var" => 0.75,
                _ => eighth(count),
            }
        });
        weights.insert(spec.name, Tensor::F64(values));
    }
    let preprocessing = Preprocessing::new(vec![100, 130], vec![32.0, 64.0]);
    Model::new(Signature::new(Form::Trained, graph, 3, preprocessing), weights)
}

/// What the naive evaluator returns for eight images.
pub(crate) fn evaluate(model: &Model) -> Evaluation {
    let pixels = snn_ir::testing::pixels(model, 8, 1);
    Naive::new(model).unwrap().evaluate(&Input::Static(pixels.view()), Record::Sites).unwrap()
}

pub(crate) fn real(model: &Model, logits: &Logits) -> Vec<f64> {
    logits.to_real(model.signature()).unwrap().into_raw_vec_and_offset().0
}

fn levels(output: &SiteOutput) -> &ArrayD<i16> {
    match output {
        SiteOutput::Levels(levels) => levels,
        SiteOutput::Values(_) => panic!("values"),
    }
}

/// Converts with every code and demands the same levels and the same logits to the last bit; then
/// on the grid nearly so.
pub(crate) fn exact(model: &Model) -> Conversion {
    let before = evaluate(model);
    let mut last = None;
    for code in [Code::Graded, Code::BitPlane, Code::Unary] {
        let events = convert(model, &code.into()).unwrap_or_else(|e| panic!("{e}"));
        let after = evaluate(&events.model);
        assert_eq!(before.sites.len(), after.sites.len());
        for trace in &before.sites {
            let other = after.sites.iter().find(|other| other.site == trace.site).unwrap();
            assert!(trace.output.active() > 0, "site {} is silent", trace.site);
            assert_eq!(trace.output, other.output, "site {}\n{}", trace.site, events.plan);
        }
        assert_eq!(
            real(model, &before.logits),
            real(&events.model, &after.logits),
            "{}",
            events.plan
        );
        last = Some(events);
    }
    let events = last.unwrap();
    let grid = to_grid(&events.model, GridOptions::default())
        .unwrap_or_else(|e| panic!("{e}\n{}", events.plan));
    let after = evaluate(&grid.model);
    let (mut equal, mut total) = (0, 0);
    for trace in &before.sites {
        let other = after.sites.iter().find(|other| other.site == trace.site).unwrap();
        let (a, b) = (levels(&trace.output), levels(&other.output));
        total += a.len();
        equal += a.iter().zip(b).filter(|(a, b)| a == b).count();
    }
    assert!(
        equal as f64 >= 0.95 * total as f64,
        "{equal} of {total} levels on the grid\n{}",
        grid.plan
    );
    let (a, b) = (real(model, &before.logits), real(&grid.model, &after.logits));
    let largest = a.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
    let rms = (a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt();
    assert!(rms <= 0.2 * largest, "logits {a:?} on the grid {b:?}\n{}", grid.plan);
    events
}

/// The refusals of a model's conversion as `node: reason`.
pub(crate) fn refused(model: &Model) -> Vec<String> {
    match convert(model, &Code::Unary.into()) {
        Err(Error::Refused(plan)) => lines(&plan, Effect::Refused),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

pub(crate) fn lines(plan: &Plan, effect: Effect) -> Vec<String> {
    let entries = plan.entries.iter().filter(|entry| entry.action.effect() == effect);
    entries.map(|entry| format!("{}: {}", entry.node, entry.action)).collect()
}

pub(crate) fn values(model: &Model, name: &str) -> Vec<f64> {
    model
        .weights()
        .get(name)
        .unwrap_or_else(|| panic!("no weight {name}"))
        .to_f64()
        .iter()
        .copied()
        .collect()
}
