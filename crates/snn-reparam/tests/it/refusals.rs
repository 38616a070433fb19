//! What has no exact event form is refused by name, all of it at once.

use ndarray::ArrayD;
use snn_ir::Naive;
use snn_ir::QuantRelu;
use snn_ir::{
    Code, Conv, Custom, Evaluate, Form, Graph, Input, Lif, Model, Neuron, NeuronKind, Neurons,
    Norm, Op, PoolKind, Preprocessing, Record, Signature, Site, Spike, Window,
};
use snn_reparam::{CodeChoice, ConvertOptions, Effect, Error, GridOptions, convert, to_grid};
use std::collections::BTreeMap;

fn act(site: Site) -> Op {
    Op::Activation { site, code: None }
}

fn model(graph: Graph) -> Model {
    let weights = graph.initial_weights(1).unwrap();
    let preprocessing = Preprocessing::new(vec![128; 2], vec![64.0; 2]);
    Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights)
}

/// `image → conv → (body) → global average → linear → head`; the body gets the name of the
/// convolution and returns that of its output.
fn network(body: impl FnOnce(&mut Graph, &str) -> String) -> Model {
    let mut graph = Graph::default();
    let image = graph.push("image", Op::Input { shape: vec![2, 6, 6] }, &[]);
    let conv = graph.push("conv", Op::Conv(Conv::square(3, 3, 1)), &[&image]);
    let end = body(&mut graph, &conv);
    let pool = graph.push("pool", Op::GlobalPool { pool: PoolKind::Average }, &[&end]);
    let scores = graph.push("fc", Op::Linear { features: 4, bias: true }, &[&pool]);
    graph.push("head", Op::TimeMean, &[&scores]);
    model(graph)
}

fn refused(model: &Model, code: Code) -> Vec<String> {
    match convert(model, &code.into()) {
        Err(Error::Refused(plan)) => plan
            .entries
            .iter()
            .filter(|e| e.action.effect() == Effect::Refused)
            .map(|e| format!("{}: {}", e.node, e.action))
            .collect(),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn a_plain_relu_has_no_finite_spike_code_and_no_place_on_the_grid() {
    let model = network(|graph, conv| graph.push("act", act(Site::RELU), &[conv]));
    let reasons = refused(&model, Code::Unary);
    assert!(
        reasons.len() == 1 && reasons[0].contains("act: ") && reasons[0].contains("graded"),
        "{reasons:?}"
    );
    let graded = convert(&model, &Code::Graded.into()).unwrap();
    let error = to_grid(&graded.model, GridOptions::default()).unwrap_err().to_string();
    assert!(error.contains("act (relu)") && error.contains("quant_relu"), "{error}");
}

#[test]
fn norms_fold_only_into_the_layer_before_them() {
    let model = network(|graph, conv| {
        let act = graph.push("act", act(Site::Lif(Lif::default())), &[conv]);
        let norm = graph.push("norm", Op::BatchNorm(Norm::default()), &[&act]);
        let conv = graph.push("conv2", Op::Conv(Conv::square(3, 3, 1)), &[&norm]);
        graph.push("act2", self::act(Site::Lif(Lif::default())), &[&conv])
    });
    let reasons = refused(&model, Code::Unary);
    assert!(reasons[0].starts_with("norm: its input `act`"), "{reasons:?}");
}

#[test]
fn a_norm_beside_another_reader_is_refused() {
    let model = network(|graph, conv| {
        let norm = graph.push("norm", Op::BatchNorm(Norm::default()), &[conv]);
        let sum = graph.push("sum", Op::Add, &[&norm, conv]);
        graph.push("act", act(Site::Lif(Lif::default())), &[&sum])
    });
    let reasons = refused(&model, Code::Unary);
    assert!(reasons[0].contains("2 readers"), "{reasons:?}");
}

#[test]
fn real_values_never_enter_a_convolution() {
    let model = network(|graph, conv| {
        let again = graph.push("conv2", Op::Conv(Conv::square(3, 3, 1)), &[conv]);
        graph.push("act", act(Site::Lif(Lif::default())), &[&again])
    });
    let reasons = refused(&model, Code::Unary);
    assert!(reasons[0].starts_with("conv2: it reads `conv`, a current"), "{reasons:?}");
}

#[test]
fn max_pooling_of_a_sum_of_streams_is_refused() {
    let model = network(|graph, conv| {
        let a = graph.push("a", act(Site::QuantRelu(QuantRelu::default())), &[conv]);
        let b = graph.push("b", act(Site::Lif(Lif::default())), &[conv]);
        let sum = graph.push("sum", Op::Add, &[&a, &b]);
        graph.push("max", Op::Pool { pool: PoolKind::Max, window: Window::square(2) }, &[&sum])
    });
    let reasons = refused(&model, Code::Unary);
    assert!(reasons.iter().any(|r| r.starts_with("max: ")), "{reasons:?}");
}

#[test]
fn codes_for_sites_that_do_not_exist_are_refused() {
    let model = network(|graph, conv| graph.push("act", act(Site::Lif(Lif::default())), &[conv]));
    let mut codes = CodeChoice::from(Code::Unary);
    codes.sites.insert("act".into(), Code::Graded);
    codes.sites.insert("nowhere".into(), Code::Graded);
    let Err(Error::Refused(plan)) = convert(&model, &codes.into()) else {
        panic!("expected a refusal")
    };
    assert_eq!(plan.entries.iter().filter(|e| e.action.effect() == Effect::Refused).count(), 2);
}

#[test]
fn levels_have_three_codes_and_spikes_one() {
    let integer = Site::Lif(Lif::integer(3));
    let model = network(|graph, conv| graph.push("act", act(integer), &[conv]));
    for code in [Code::Unary, Code::BitPlane, Code::Graded] {
        let events = convert(&model, &code.into()).unwrap().model;
        let Op::Activation { code: found, .. } = events.graph().node("act").unwrap().op else {
            panic!("an activation")
        };
        assert_eq!(found, Some(code));
    }
    for code in [Code::Binary, Code::Ternary] {
        let reasons = refused(&model, code);
        assert!(
            reasons[0].contains(code.label()) && reasons[0].contains("choose unary"),
            "{reasons:?}"
        );
        let model = network(|graph, conv| {
            graph.push("act", act(Site::QuantRelu(QuantRelu::default())), &[conv])
        });
        assert!(refused(&model, code)[0].contains("choose unary"));
    }
    let ternary = Site::Lif(Lif { spike: Spike::Ternary, ..Lif::default() });
    let model = network(|graph, conv| graph.push("act", act(ternary), &[conv]));
    let events = convert(&model, &Code::Unary.into()).unwrap().model;
    assert!(matches!(
        events.graph().node("act").unwrap().op,
        Op::Activation { code: Some(Code::Ternary), .. }
    ));
    let codes =
        CodeChoice { default: Code::Unary, sites: BTreeMap::from([("act".into(), Code::Ternary)]) };
    let error = convert(&model, &codes.into()).unwrap_err().to_string();
    assert!(error.contains("act") && error.contains("one code each"), "{error}");
}

/// Fires whenever its current is positive.
#[derive(Debug)]
struct Sign;

impl NeuronKind for Sign {
    fn neuron(&self, _: &BTreeMap<String, f64>) -> Result<Box<dyn Neuron>, String> {
        Ok(Box::new(Sign))
    }
}

impl Neuron for Sign {
    fn rest(&self) -> Vec<f64> {
        Vec::new()
    }

    fn step(&self, _: &mut [f64], current: f64) -> i16 {
        i16::from(current > 0.0)
    }
}

#[test]
fn a_neuron_of_a_users_own_converts_where_it_is_known_and_never_onto_the_grid() {
    let model =
        network(|graph, conv| graph.push("act", act(Site::Custom(Custom::new("sign"))), &[conv]));
    let reasons = refused(&model, Code::Unary);
    assert!(
        reasons[0].starts_with("act: ") && reasons[0].contains("no neuron `sign`"),
        "{reasons:?}"
    );
    let neurons = Neurons::default().with("sign", Sign);
    let options = ConvertOptions { neurons: neurons.clone(), ..Code::Unary.into() };
    let events = convert(&model, &options).unwrap();
    let pixels = snn_ir::testing::pixels(&model, 2, 1);
    let sites = |model| {
        let mut naive = Naive::with_neurons(model, &neurons).unwrap();
        naive.evaluate(&Input::Static(pixels.view()), Record::Sites).unwrap().sites
    };
    assert_eq!(sites(&model), sites(&events.model));
    assert!(sites(&model)[0].output.active() > 0);
    let error = to_grid(&events.model, GridOptions::default()).unwrap_err().to_string();
    assert!(error.contains("act (custom)") && error.contains("no integer counterpart"), "{error}");
}

#[test]
fn a_converted_model_is_not_converted_again() {
    let model = network(|graph, conv| graph.push("act", act(Site::Lif(Lif::default())), &[conv]));
    let events = convert(&model, &Code::Unary.into()).unwrap();
    assert!(matches!(
        convert(&events.model, &Code::Unary.into()),
        Err(Error::Form { expected: "trained", .. })
    ));
    let grid = to_grid(&events.model, GridOptions::default()).unwrap();
    assert!(matches!(
        to_grid(&grid.model, GridOptions::default()),
        Err(Error::Form { expected: "events", .. })
    ));
}

/// Every node of the converted graph is listed.
#[test]
fn the_plan_speaks_of_every_node() {
    let model = network(|graph, conv| {
        let a = graph.push("a", act(Site::QuantRelu(QuantRelu::default())), &[conv]);
        let next = graph.push("conv2", Op::Conv(Conv::square(3, 3, 1)), &[&a]);
        let norm = graph.push("norm", Op::BatchNorm(Norm::default()), &[&next]);
        let sum = graph.push("sum", Op::Add, &[&norm, &a]);
        graph.push("b", act(Site::Lif(Lif::default())), &[&sum])
    });
    let events = convert(&model, &Code::BitPlane.into()).unwrap();
    for node in events.model.graph().nodes.iter().chain(&model.graph().nodes) {
        assert!(
            events.plan.entries.iter().any(|entry| entry.node == node.name),
            "{} is missing:\n{}",
            node.name,
            events.plan
        );
    }
    let identity = events.model.weights()["sum.identity.weight"].to_f64();
    assert_eq!(
        identity,
        ArrayD::from_elem(vec![3], f64::from(0.8_f32)),
        "the step of the site, merged"
    );
}

#[test]
fn guard_bits_that_put_a_threshold_out_of_reach_are_refused() {
    // A dead channel (every weight zero) with a bias: its unit is the floor, its threshold 2^16
    // units.
    let mut model =
        network(|graph, conv| graph.push("act", act(Site::Lif(Lif::default())), &[conv]));
    model.weights_mut().insert("conv.weight".into(), ArrayD::<f32>::zeros(vec![3, 2, 3, 3]).into());
    let events = convert(&model, &Code::Unary.into()).unwrap();
    let grid =
        |guard_bits| to_grid(&events.model, GridOptions { guard_bits, ..GridOptions::default() });
    assert!(grid(14).is_ok());
    for guard_bits in [15, 16] {
        let error = grid(guard_bits).unwrap_err().to_string();
        assert!(error.contains("act") && error.contains("use at most 14"), "{error}");
    }
}

#[test]
fn names_that_conversion_gives_do_not_collide_with_those_of_the_network() {
    let model = network(|graph, conv| {
        let site = |site| act(site);
        let a = graph.push("sum.identity", site(Site::QuantRelu(QuantRelu::default())), &[conv]);
        let conv2 = graph.push("sum.identity2", Op::Conv(Conv::square(3, 3, 1)), &[&a]);
        let sum = graph.push("sum", Op::Add, &[&a, &conv2]);
        graph.push("act", site(Site::QuantRelu(QuantRelu::default())), &[&sum])
    });
    let converted = convert(&model, &Code::Unary.into()).unwrap();
    let names: Vec<_> =
        converted.model.graph().nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(names.contains(&"sum.identity") && names.contains(&"sum.identity'"), "{names:?}");
}
