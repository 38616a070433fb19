//! ReLUs made quantised ReLUs by what they yield.

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::{
    Conv, Evaluate, Form, Graph, Input, Model, Naive, Norm, Op, PoolKind, Preprocessing, Record,
    Signature, Site, Tensor, weights,
};
use snn_reparam::{Action, Conversion, Levels, QuantiseOptions, SiteValues, StepRule, quantise};

fn relu(limit: Option<f64>) -> Op {
    Op::Activation { site: Site::Relu { limit }, code: None }
}

/// A residual network of ReLUs with norms of random statistics.
pub(crate) fn network(limit: Option<f64>) -> Model {
    let mut graph = Graph::default();
    let image = graph.push("image", Op::Input { shape: vec![3, 8, 8] }, &[]);
    let stem = graph.push("stem", Op::Conv(Conv::square(6, 3, 1)), &[&image]);
    let norm = graph.push("norm", Op::BatchNorm(Norm::default()), &[&stem]);
    let first = graph.push("first", relu(limit), &[&norm]);
    let conv = graph.push("conv", Op::Conv(Conv::square(6, 3, 1)), &[&first]);
    let sum = graph.push("sum", Op::Add, &[&conv, &first]);
    let second = graph.push("second", relu(limit), &[&sum]);
    let pool = graph.push("pool", Op::GlobalPool { pool: PoolKind::Average }, &[&second]);
    let scores = graph.push("fc", Op::Linear { features: 5, bias: true }, &[&pool]);
    graph.push("head", Op::TimeMean, &[&scores]);
    let mut weights = graph.initial_weights(3).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for part in ["running_mean", "bias"] {
        let values = ArrayD::from_shape_fn(IxDyn(&[6]), |_| random.random_range(-0.5..0.5_f32));
        weights.insert(format!("norm.{part}"), Tensor::F32(values));
    }
    let preprocessing = Preprocessing::new(vec![120, 128, 110], vec![60.0; 3]);
    Model::new(Signature::new(Form::Trained, graph, 1, preprocessing), weights)
}

pub(crate) fn images(seed: u64) -> ArrayD<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    ArrayD::from_shape_fn(IxDyn(&[16, 3, 8, 8]), |_| random.random())
}

pub(crate) fn values(model: &Model) -> SiteValues {
    let mut values = SiteValues::default();
    for seed in 0..4 {
        let images = images(seed);
        let input = Input::Static(images.view());
        let evaluation = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
        values.add(&evaluation).unwrap();
    }
    values
}

fn logits(model: &Model) -> Vec<f64> {
    let images = images(77);
    let input = Input::Static(images.view());
    let evaluation = Naive::new(model).unwrap().evaluate(&input, Record::Logits).unwrap();
    let logits = evaluation.logits.to_real(model.signature()).unwrap();
    logits.into_iter().collect()
}

/// How far the logits of a model are from those of another one, of the size of the latter's.
fn distance(model: &Model, from: &Model) -> f64 {
    let (a, b) = (logits(model), logits(from));
    let size = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    size(&difference) / size(&b)
}

fn site_errors(conversion: &Conversion) -> Vec<f64> {
    let entries = conversion.plan.entries.iter();
    let errors = entries.filter_map(|entry| match entry.action {
        Action::Quantised { error, .. } => Some(error),
        _ => None,
    });
    errors.collect()
}

#[test]
fn more_levels_come_closer_to_the_network() {
    for limit in [None, Some(1.0)] {
        let model = network(limit);
        let values = values(&model);
        let mut before = f64::INFINITY;
        for levels in [3, 15, 63, 255] {
            let options = QuantiseOptions::new(Levels::Of(levels));
            let conversion = quantise(&model, &values, &options).unwrap();
            let found = distance(&conversion.model, &model);
            assert!(found < 0.5 * before, "{levels} levels: {found}, before {before}");
            assert!(site_errors(&conversion).iter().all(|error| *error < 2.0 / f64::from(levels)));
            before = found;
        }
        assert!(before < 0.003, "{before}");
    }
}

#[test]
fn the_least_error_is_below_that_of_the_other_rules() {
    let model = network(None);
    let values = values(&model);
    let error = |rule| {
        let options = QuantiseOptions { rule, ..QuantiseOptions::new(Levels::Of(3)) };
        site_errors(&quantise(&model, &values, &options).unwrap()).iter().sum::<f64>()
    };
    let least = error(StepRule::LeastError);
    assert!(least < 0.95 * error(StepRule::Largest));
    assert!(least < error(StepRule::Percentile(0.999)));
}

/// The mean of the logits over other images: corrected biases bring it closer.
#[test]
fn corrected_biases_keep_the_mean() {
    let model = network(None);
    let values = values(&model);
    let options =
        QuantiseOptions { rule: StepRule::Percentile(0.8), ..QuantiseOptions::new(Levels::Of(3)) };
    let off = |correct_bias| {
        let options = QuantiseOptions { correct_bias, ..options };
        let conversion = quantise(&model, &values, &options).unwrap();
        let difference: Vec<f64> =
            logits(&conversion.model).iter().zip(logits(&model)).map(|(a, b)| a - b).collect();
        let of_class = |class: usize| difference.iter().skip(class).step_by(5).sum::<f64>().abs();
        (0..5).map(of_class).sum::<f64>()
    };
    let (corrected, plain) = (off(true), off(false));
    assert!(corrected < 0.5 * plain, "{corrected} against {plain}");
    let conversion = quantise(&model, &values, &options).unwrap();
    let text = conversion.plan.to_string();
    assert!(text.contains("bias"), "{text}");
}

/// A positive factor between the channels of two layers changes nothing but the step of the site
/// between them: what cross-layer equalisation would do is done.
#[test]
fn factors_between_layers_do_not_matter() {
    let model = network(None);
    let mut scaled = model.clone();
    let factors = [0.03125, 0.5, 1.0, 4.0, 64.0, 8.0];
    for (name, inverse) in [("norm.weight", false), ("norm.bias", false), ("conv.weight", true)] {
        let Tensor::F32(values) = scaled.weights_mut().get_mut(name).unwrap() else { panic!() };
        let axis = ndarray::Axis(usize::from(inverse));
        for (mut row, factor) in values.axis_iter_mut(axis).zip(factors) {
            row.mapv_inplace(|value| if inverse { value / factor } else { value * factor });
        }
    }
    // The shortcut has no weights to take the factors from, so it goes.
    let alone = |mut model: Model| {
        let (signature, weights) = model.parts_mut();
        signature.graph.nodes.retain(|node| node.name != "sum");
        for node in &mut signature.graph.nodes {
            for input in node.inputs.iter_mut().filter(|input| *input == "sum") {
                "conv".clone_into(input);
            }
        }
        let _ = weights;
        model
    };
    let (model, scaled) = (alone(model), alone(scaled));
    let options = QuantiseOptions::new(Levels::Of(7));
    let of = |model: &Model| quantise(model, &values(model), &options).unwrap();
    let (plain, other) = (of(&model), of(&scaled));
    assert_eq!(logits(&plain.model), logits(&other.model));
    let steps = |conversion: &Conversion| {
        weights::real(conversion.model.weights(), "first", "step").unwrap()
    };
    for ((plain, other), factor) in steps(&plain).iter().zip(&steps(&other)).zip(factors) {
        assert_eq!(other.to_bits(), (plain * f64::from(factor)).to_bits());
    }
}

#[test]
fn levels_follow_the_error_that_is_allowed() {
    let model = network(None);
    let values = values(&model);
    let levels = |most| {
        let options = QuantiseOptions::new(Levels::WithError(most));
        let conversion = quantise(&model, &values, &options).unwrap();
        assert!(site_errors(&conversion).iter().all(|error| *error <= most));
        let sites = conversion.model.graph().nodes.iter();
        sites
            .filter_map(|node| match &node.op {
                Op::Activation { site, .. } => site.levels(),
                _ => None,
            })
            .collect::<Vec<u8>>()
    };
    let (coarse, fine) = (levels(0.2), levels(0.01));
    assert!(coarse.iter().zip(&fine).all(|(a, b)| a < b), "{coarse:?} {fine:?}");
    assert!(fine.iter().all(|levels| [31, 63, 127].contains(levels)), "{fine:?}");
}

#[test]
fn what_cannot_be_quantised_is_refused_by_name() {
    let model = network(None);
    let options = QuantiseOptions::new(Levels::Of(7));
    let error = quantise(&model, &SiteValues::default(), &options).unwrap_err().to_string();
    assert!(error.contains("first (relu)") && error.contains("second (relu)"), "{error}");
    let refused = |options| quantise(&model, &values(&model), &options).unwrap_err().to_string();
    assert!(refused(QuantiseOptions::new(Levels::Of(0))).contains("1 to 255"));
    assert!(refused(QuantiseOptions::new(Levels::WithError(1.5))).contains("below 1"));
    let rule = StepRule::Percentile(f64::NAN);
    assert!(refused(QuantiseOptions { rule, ..options }).contains("percentile"));
}
