//! Models become NIR graphs that compute the same, or are refused by the name of a node.

use snn_ir::testing::{self, Numbers, Sites};
use snn_ir::{
    Conv, Evaluate, FirstMembrane, GraphBuilder, Input, Leak, Lif, Logits, Model, Naive, PoolKind,
    QuantRelu, Record, Reset, Site, SiteOutput, Spike, Synapse,
};
use snn_nir::{Error, ExportOptions, Exported, Gain, NirGraph, Op, Options};

fn export(model: &Model) -> Exported {
    NirGraph::from_model(model, &ExportOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The model that a file of an exported graph becomes.
fn again(exported: &Exported) -> Model {
    let file = NirGraph::from_bytes(exported.graph.to_bytes().unwrap()).unwrap();
    assert_eq!(file, exported.graph);
    file.to_model(&Options::default()).unwrap_or_else(|e| panic!("{e}")).model
}

/// Runs both on the same pixels; scores and what sites of one name emit must be the same.
fn compare(model: &Model, other: &Model, seed: u64) {
    assert_eq!(model.preprocessing(), other.preprocessing());
    assert_eq!(model.time_steps(), other.time_steps());
    let pixels = testing::pixels(model, 3, seed);
    let run = |model: &Model| {
        let input = Input::Static(pixels.view());
        Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap()
    };
    let (first, second) = (run(model), run(other));
    let (Logits::Real(a), Logits::Real(b)) = (&first.logits, &second.logits) else { panic!() };
    let scale = a.iter().fold(1.0_f64, |most, value| most.max(value.abs()));
    let apart = (a - b).iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(apart <= 1e-6 * scale, "seed {seed}: scores are {apart} apart of {scale}");
    for site in &first.sites {
        let twin = second.sites.iter().find(|twin| twin.site == site.site);
        if let Some(twin) = twin
            && let (SiteOutput::Levels(a), SiteOutput::Levels(b)) = (&site.output, &twin.output)
        {
            // What does not vary is recorded for one step alone.
            if a.shape() == b.shape() {
                assert_eq!(a, b, "seed {seed}: site {}", site.site);
            }
        }
    }
}

#[test]
fn random_models_come_back_the_same_or_are_refused_by_name() {
    let (mut same, mut reasons) = (0, std::collections::BTreeMap::<String, usize>::new());
    for seed in 0..300 {
        let sites = if seed % 2 == 0 { Sites::Basic } else { Sites::All };
        let model = testing::trained_with(seed, Numbers::Dyadic, sites);
        match NirGraph::from_model(&model, &ExportOptions::default()) {
            Ok(exported) => {
                compare(&model, &again(&exported), seed);
                same += 1;
            }
            Err(Error::Refused { node, reason }) => {
                assert!(model.graph().node(&node).is_some(), "{node}");
                *reasons.entry(reason.chars().take(40).collect()).or_default() += 1;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(same >= 40, "{same} of 300 were exported: {reasons:#?}");
}

/// A network of vectors whose one site is this, with weights of a seed.
fn vector(site: Site, seed: u64) -> Model {
    let mut net = GraphBuilder::new([6]);
    net.linear("fc1", 8).site_of("act", site).linear("fc2", 3);
    model(&mut net, seed)
}

fn model(net: &mut GraphBuilder, seed: u64) -> Model {
    let graph = net.build().unwrap();
    let weights = graph.initial_weights(seed).unwrap();
    let channels = graph.resolve().unwrap().nodes[0].shape[0];
    let pre = snn_ir::Preprocessing::new(vec![7; channels], vec![50.0; channels]);
    Model::new(snn_ir::Signature::new(snn_ir::Form::Trained, graph, 6, pre), weights)
}

fn op<'g>(exported: &'g Exported, name: &str) -> &'g Op {
    &exported.graph.nodes[name].op
}

#[test]
fn neurons_of_nir_are_themselves_and_come_back() {
    let half = Lif { leak: Leak::Factor { factor: 0.5 }, ..Lif::default() };
    let neurons = [
        (half.clone(), "LIF"),
        (Lif { leak: Leak::Factor { factor: 1.0 }, ..half.clone() }, "IF"),
        (Lif { leak: Leak::Factor { factor: 0.9 }, ..half.clone() }, "LIF"),
        (Lif { synapse: Synapse::Current { alpha: 0.75 }, ..half.clone() }, "CubaLIF"),
    ];
    for (lif, label) in neurons {
        let model = vector(Site::Lif(lif.clone()), 3);
        let exported = export(&model);
        assert_eq!(op(&exported, "act").label(), label);
        assert!(exported.report.notes.is_empty(), "{:?}", exported.report.notes);
        let again = again(&exported);
        // Weights, leak and threshold are those of the model, bit for bit.
        assert_eq!(again.weights(), model.weights());
        assert_eq!(
            again.graph().node("act").unwrap().op,
            snn_ir::Op::Activation { site: Site::Lif(lif), code: None }
        );
        compare(&model, &again, 5);
    }
}

#[test]
fn soft_reset_and_none_are_an_integrator_and_a_threshold_and_come_back() {
    for reset in [Reset::Soft, Reset::None] {
        for factor in [1.0, 0.5, 0.9] {
            let leak = Leak::Factor { factor };
            let lif = Lif { leak, reset, ..Lif::default() };
            let model = vector(Site::Lif(lif.clone()), 4);
            let exported = export(&model);
            assert_eq!(op(&exported, "act").label(), "Threshold");
            let again = again(&exported);
            assert_eq!(
                again.graph().node("act").unwrap().op,
                snn_ir::Op::Activation { site: Site::Lif(lif), code: None }
            );
            compare(&model, &again, 6);
        }
    }
    // QCFS begins at half the threshold.
    let lif = Lif {
        leak: Leak::Factor { factor: 1.0 },
        reset: Reset::Soft,
        initial: FirstMembrane::Threshold { share: 0.5 },
        ..Lif::default()
    };
    let model = vector(Site::Lif(lif), 4);
    compare(&model, &again(&export(&model)), 6);
}

#[test]
fn a_first_membrane_without_a_leak_is_a_lower_threshold() {
    let lif = Lif {
        leak: Leak::Factor { factor: 1.0 },
        reset: Reset::Hard { potential: 0.25 },
        initial: FirstMembrane::Potential(0.5),
        ..Lif::default()
    };
    let model = vector(Site::Lif(lif), 4);
    compare(&model, &again(&export(&model)), 7);
}

#[test]
fn levels_are_a_threshold_each() {
    let integer = Lif { spike: Spike::Integer { levels: 3 }, reset: Reset::Soft, ..Lif::default() };
    let relu = QuantRelu { levels: 3, step: 0.5, ..QuantRelu::default() };
    for site in [Site::QuantRelu(relu), Site::Lif(integer)] {
        let model = vector(site, 4);
        let exported = export(&model);
        for level in ["act.1", "act.2", "act.3"] {
            assert_eq!(op(&exported, level).label(), "Threshold");
        }
        compare(&model, &again(&exported), 8);
    }
}

/// Two convolutions, one with a padding of its own on each side, max and average pooling.
fn picture() -> Model {
    let mut net = GraphBuilder::new([2, 9, 9]);
    let lopsided = Conv { padding: vec![2, 0, 0, 1], bias: true, ..Conv::square(4, 3, 2) };
    net.conv("conv1", lopsided).site("act1");
    net.pool("max", PoolKind::Max, 2);
    net.conv_norm("second", Conv::square(4, 3, 1));
    net.site_of("act2", Site::QuantRelu(QuantRelu { step: 0.25, ..QuantRelu::default() }));
    net.global_pool("top", PoolKind::Max).linear("fc", 3);
    model(&mut net, 9)
}

#[test]
fn lopsided_padding_and_max_pooling_are_expressed_exactly() {
    let model = picture();
    let exported = export(&model);
    let Op::Conv2d(conv) = op(&exported, "conv1") else { panic!() };
    assert_eq!(conv.weight.shape(), [4, 2, 5, 4]);
    assert_eq!(op(&exported, "max").label(), "Threshold");
    compare(&model, &again(&exported), 10);
}

#[test]
fn the_unit_form_is_the_same_neuron() {
    let model = vector(Site::Lif(Lif::default()), 3);
    let options = ExportOptions { gain: Gain::Unit, ..ExportOptions::default() };
    let exported = NirGraph::from_model(&model, &options).unwrap();
    let Op::Lif { r, v_threshold, .. } = op(&exported, "act") else { panic!() };
    assert_eq!(r.to_f64()[[0]], 1.0);
    assert_eq!(v_threshold.to_f64()[[0]], f64::from(0.5_f32.next_down()));
    compare(&model, &again(&exported), 11);
}

#[test]
fn what_nir_cannot_say_is_refused_by_name() {
    let refused = |model: &Model| {
        NirGraph::from_model(model, &ExportOptions::default()).unwrap_err().to_string()
    };
    let begins = |error: &str, with: &str| assert!(error.starts_with(with), "{error}");
    let of = |site| refused(&vector(site, 1));
    begins(&of(Site::RELU), "node `act` cannot be translated: NIR has no ReLU");
    let ternary = Lif { spike: Spike::Ternary, ..Lif::default() };
    begins(&of(Site::Lif(ternary)), "node `act` cannot be translated: NIR has no neuron of spikes");
    let first = Lif { initial: FirstMembrane::Potential(0.5), ..Lif::default() };
    begins(&of(Site::Lif(first)), "node `act` cannot be translated: NIR has no first membrane");
    let mut net = GraphBuilder::new([2, 4, 4]);
    net.pool("max", PoolKind::Max, 2).flatten("flat").linear("fc", 2);
    begins(
        &refused(&model(&mut net, 1)),
        "node `max` cannot be translated: NIR has no max pooling",
    );
    let mut net = GraphBuilder::new([4]);
    net.linear("a", 2).site("x").at("image").linear("b", 2).site("y");
    net.concat("both", &["x", "y"]).linear("fc", 2);
    begins(&refused(&model(&mut net, 1)), "node `both` cannot be translated: NIR has no node that");
}
