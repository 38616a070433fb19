//! Behaviour of the policies on the networks of this project.

use snn_hybrid::{Decision, Error, Placement, Policy, Replacement, apply};
use snn_ir::models::{ResNet, SmallNet};
use snn_ir::{Code, Conv, Graph, Lif, Op, PoolKind, QuantRelu, Site};

fn place(graph: &Graph, policy: &Policy) -> (Graph, Placement) {
    apply(graph, policy, &Replacement::default()).unwrap()
}

fn sites(include: &[&str], exclude: &[&str]) -> Policy {
    let own = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
    Policy::Sites { include: own(include), exclude: own(exclude) }
}

fn chain() -> Graph {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1, 4, 4] }, &[]);
    graph.push("conv", Op::Conv(Conv::square(2, 3, 1)), &["image"]);
    graph.push("act", Op::Activation { site: Site::Lif(Lif::default()), code: None }, &["conv"]);
    graph.push("pool", Op::GlobalPool { pool: PoolKind::Average }, &["act"]);
    graph.push("fc", Op::Linear { features: 2, bias: true }, &["pool"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    graph
}

#[test]
fn resnet20_has_nine_inner_and_ten_outer_sites() {
    let graph = ResNet::default().build();
    // Neurons of a site: 16·32·32, 32·16·16, 64·8·8; stem and three outer and three inner of the
    // first stage, and so on.
    let stage = [16_384, 8_192, 4_096];
    let inner: usize = 3 * stage.iter().sum::<usize>();
    let total = 2 * inner + stage[0];
    for (policy, relu_sites, relu_neurons) in [
        (Policy::None, 0, 0),
        (Policy::Inner, 9, inner),
        (Policy::Outer, 10, inner + stage[0]),
        (Policy::Alternate, 10, inner + stage[0]),
        (Policy::All, 19, total),
    ] {
        let (_, placement) = place(&graph, &policy);
        assert_eq!(placement.sites.len(), 19);
        assert_eq!(placement.relu_sites(), relu_sites, "{policy}");
        assert_eq!(placement.neurons(), total);
        assert_eq!(placement.neurons() - placement.lif_neurons(), relu_neurons, "{policy}");
        assert!((placement.relu_share() + placement.lif_share() - 1.0).abs() < 1e-12);
    }
    let (_, outer) = place(&graph, &Policy::Outer);
    assert!((outer.relu_share() - 102_400.0 / 188_416.0).abs() < 1e-12);
}

#[test]
fn nothing_but_kinds_of_chosen_sites_changes() {
    let graph = ResNet::default().build();
    for policy in [Policy::None, Policy::All, Policy::Inner, Policy::Outer, Policy::Alternate] {
        let (hybrid, placement) = place(&graph, &policy);
        for (before, after) in graph.nodes.iter().zip(&hybrid.nodes) {
            let placed = placement.sites.iter().find(|site| site.site == before.name);
            if placed.is_some_and(|site| site.decision == Decision::Changed) {
                let site = Site::QuantRelu(QuantRelu::default());
                assert_eq!(after.op, Op::Activation { site, code: None });
                assert_eq!((&after.name, &after.inputs), (&before.name, &before.inputs));
            } else {
                assert_eq!(before, after);
            }
        }
        hybrid.resolve().unwrap();
    }
}

#[test]
fn inner_and_outer_are_complements() {
    let graph = SmallNet::default().build();
    let relu = |policy| {
        place(&graph, &policy).1.sites.iter().map(|site| !site.spiking).collect::<Vec<_>>()
    };
    let (inner, outer) = (relu(Policy::Inner), relu(Policy::Outer));
    assert!(inner.iter().zip(&outer).all(|(a, b)| a != b));
    assert_eq!(outer, [true, false, true, false, true]);
    assert_eq!(relu(Policy::Alternate), [true, false, true, false, true]);
}

#[test]
fn applying_twice_is_applying_once() {
    let graph = SmallNet::default().build();
    let (once, _) = place(&graph, &Policy::Outer);
    let (twice, placement) = apply(&once, &Policy::Outer, &Replacement::Relu).unwrap();
    assert_eq!(once, twice);
    assert_eq!(placement.sites[0].decision, Decision::KeptAsReplaced);
    assert_eq!(placement.relu_sites(), 3);
}

#[test]
fn globs_choose_names() {
    let graph = SmallNet::default().build();
    let (hybrid, placement) = place(&graph, &sites(&["stem.act", "block*.act2"], &["block1.*"]));
    let relu: Vec<&str> = placement
        .sites
        .iter()
        .filter(|site| !site.spiking)
        .map(|site| site.site.as_str())
        .collect();
    assert_eq!(relu, ["stem.act", "block2.act2"]);
    assert!(matches!(
        hybrid.node("stem.act").unwrap().op,
        Op::Activation { site: Site::QuantRelu(_), .. }
    ));
}

#[test]
fn a_glob_that_matches_nothing_lists_the_sites() {
    let graph = SmallNet::default().build();
    for policy in [sites(&["stem.act", "layer9.*"], &[]), sites(&["*"], &["layer9.*"])] {
        let error = apply(&graph, &policy, &Replacement::default()).unwrap_err().to_string();
        assert!(
            error.contains("`layer9.*`") && error.contains("block1.act1, block1.act2"),
            "{error}"
        );
        assert!(error.contains("did you mean `"), "{error}");
    }
    let error = apply(&graph, &sites(&["a[b"], &[]), &Replacement::default()).unwrap_err();
    assert!(matches!(error, Error::Glob { .. }), "{error}");
    let error = apply(&graph, &sites(&["block1.act"], &[]), &Replacement::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `block1.act1`?"), "{error}");
}

#[test]
fn places_relative_to_additions_need_additions() {
    for policy in [Policy::Inner, Policy::Outer] {
        let error = apply(&chain(), &policy, &Replacement::default()).unwrap_err();
        assert!(error.to_string().contains(policy.label()), "{error}");
    }
    assert_eq!(place(&chain(), &Policy::Alternate).1.relu_sites(), 1);
}

#[test]
fn converted_graphs_and_bad_replacements_are_refused() {
    let mut graph = chain();
    graph.node_mut("act").unwrap().op =
        Op::Activation { site: Site::Lif(Lif::default()), code: Some(Code::Binary) };
    assert!(matches!(
        apply(&graph, &Policy::All, &Replacement::default()),
        Err(Error::Converted { .. })
    ));
    let negative = Replacement::QuantRelu(QuantRelu { step: -1.0, ..QuantRelu::default() });
    assert!(matches!(apply(&chain(), &Policy::All, &negative), Err(Error::Graph(_))));
    assert!(apply(&chain(), &Policy::None, &negative).is_ok());
}

#[test]
fn the_table_says_everything() {
    let (_, placement) =
        place(&SmallNet::default().build(), &sites(&["stem.act", "block2.act2"], &[]));
    let expected = "\
site         shape    neurons  before  after
stem.act     16×16×16    4096  lif     quant_relu  changed
block1.act1  16×16×16    4096  lif     lif         kept
block1.act2  16×16×16    4096  lif     lif         kept
block2.act1  32×8×8      2048  lif     lif         kept
block2.act2  32×8×8      2048  lif     quant_relu  changed
policy sites stem.act, block2.act2: 2 of 5 sites are ReLU; 37.5 % of 16384 neurons ReLU, 62.5 % LIF";
    let strip = |text: &str| {
        text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(strip(&placement.to_string()), strip(expected));
    let json = serde_json::to_string(&placement).unwrap();
    assert_eq!(serde_json::from_str::<Placement>(&json).unwrap(), placement);
}
