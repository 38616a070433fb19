//! A user's own neurons in the runtime: the naive evaluator's decisions, and errors that name them.

use ndarray::{Array1, Array2, Array3, ArrayD, IxDyn};
use snn_ir::Naive;
use snn_ir::Weights;
use snn_ir::{Code, LearnedParam, Share, Site, Spike};
use snn_ir::{Custom, Evaluate, Input, Neuron, NeuronKind, Neurons, Record};
use snn_ir::{Form, Model, Preprocessing, Signature};
use snn_ir::{Graph, Op};
use snn_runtime::Counting;
use std::collections::BTreeMap;

/// Sums currents and, when the sum is `threshold` away from 0, emits it in whole thresholds, at
/// most `most` and at least `least`, and subtracts those.
#[derive(Debug)]
struct Residue;

#[derive(Debug)]
struct Rest {
    threshold: f64,
    least: f64,
    most: f64,
}

impl NeuronKind for Residue {
    fn neuron(&self, parameters: &BTreeMap<String, f64>) -> Result<Box<dyn Neuron>, String> {
        let get = |name: &str| parameters.get(name).copied().ok_or(format!("it needs `{name}`"));
        Ok(Box::new(Rest {
            threshold: get("threshold")?,
            least: get("least")?,
            most: get("most")?,
        }))
    }
}

impl Neuron for Rest {
    /// The sum, and how often it fired.
    fn rest(&self) -> Vec<f64> {
        vec![0.0, 0.0]
    }

    fn step(&self, state: &mut [f64], current: f64) -> i16 {
        state[0] += current;
        let level = (state[0] / self.threshold).trunc().clamp(self.least, self.most);
        state[0] -= level * self.threshold;
        state[1] += level.abs();
        #[expect(clippy::cast_possible_truncation, reason = "within the limits of an i16")]
        {
            level as i16
        }
    }
}

/// `image [2, 3] → scale → neurons → flat → linear → head`, thresholds learned for each channel.
fn model(spike: Spike, code: Code, (least, most): (f64, f64)) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 3] }, &[]);
    graph.push("stem", Op::Scale, &["image"]);
    let custom = Custom {
        params: BTreeMap::from([("least".into(), least), ("most".into(), most)]),
        learned: BTreeMap::from([(
            "threshold".into(),
            LearnedParam { initial: 1.0, share: Share::Channel },
        )]),
        spike,
        ..Custom::new("residue")
    };
    graph.push("own", Op::Activation { site: Site::Custom(custom), code: Some(code) }, &["stem"]);
    graph.push("flat", Op::Flatten, &["own"]);
    graph.push("fc", Op::Linear { features: 2, bias: false }, &["flat"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = Weights::new();
    weights.insert("stem.weight".into(), ndarray::arr1(&[0.5, -0.25]).into());
    weights.insert("own.threshold".into(), ndarray::arr1(&[1.0, 2.0]).into());
    weights.insert(
        "fc.weight".into(),
        Array2::from_shape_fn((2, 6), |(o, i)| o as f64 * 0.5 + i as f64).into(),
    );
    Model::new(
        Signature::new(Form::Events, graph, 4, Preprocessing::new(vec![128; 2], vec![1.0; 2])),
        weights,
    )
}

fn images() -> ArrayD<u8> {
    Array3::from_shape_fn((3, 2, 3), |(b, c, i)| {
        [131, 120, 128, 129, 127, 140, 126][(7 * b + 3 * c + i) % 7]
    })
    .into_dyn()
}

#[test]
fn they_decide_as_in_the_naive_evaluator_in_every_code_and_precision() {
    let neurons = Neurons::default().with("residue", Residue);
    let levels = Spike::Integer { levels: 5 };
    for (spike, code, range) in [
        (Spike::Binary, Code::Binary, (0.0, 1.0)),
        (Spike::Ternary, Code::Ternary, (-1.0, 1.0)),
        (levels, Code::Unary, (0.0, 5.0)),
        (levels, Code::BitPlane, (0.0, 5.0)),
        (levels, Code::Graded, (0.0, 5.0)),
    ] {
        let (model, images) = (model(spike, code, range), images());
        let input = Input::Static(images.view());
        let expected =
            Naive::with_neurons(&model, &neurons).unwrap().evaluate(&input, Record::Sites).unwrap();
        assert!(expected.sites[0].output.active() > 0);
        {
            let runtime = Counting::with_neurons(&model, &neurons).unwrap();
            for _ in 0..2 {
                assert_eq!(runtime.run(&input, Record::Sites).unwrap(), expected, "{code:?}");
            }
        }
    }
}

#[test]
fn an_unknown_neuron_is_refused_by_name() {
    let model = model(Spike::Binary, Code::Binary, (0.0, 1.0));
    let error = Counting::new(&model).unwrap_err().to_string();
    assert!(error.contains("own") && error.contains("no neuron `residue`"), "{error}");
}

#[test]
fn a_level_that_the_graph_does_not_announce_is_an_error_of_the_run() {
    let neurons = Neurons::default().with("residue", Residue);
    let images = images();
    for (spike, code, range, found) in [
        (Spike::Binary, Code::Binary, (-1.0, 1.0), "levels of 0 to 1"),
        (Spike::Ternary, Code::Ternary, (-2.0, 2.0), "levels of -1 to 1"),
    ] {
        let runtime = Counting::with_neurons(&model(spike, code, range), &neurons).unwrap();
        let error = runtime.logits_batch(images.view()).unwrap_err().to_string();
        assert!(error.contains("own") && error.contains(found), "{error}");
        let error =
            runtime.session().run(images.index_axis(ndarray::Axis(0), 0)).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
        // The runtime is as good as new afterwards.
        let silent = ArrayD::from_elem(IxDyn(&[1, 2, 3]), 128);
        assert_eq!(
            runtime.logits_batch(silent.view()).unwrap(),
            Array1::<f64>::zeros(2).insert_axis(ndarray::Axis(0))
        );
    }
}
