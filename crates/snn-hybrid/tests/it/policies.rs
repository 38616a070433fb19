//! Behaviour of the policies on the networks of this project.

use crate::data::{Config, policy, read};
use snn_hybrid::{Decision, End, Error, Placement, Policy, Replacement, Spread, apply};
use snn_ir::networks::{ResNet, SmallNet};
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
    let negative = Replacement::from(QuantRelu { step: -1.0, ..QuantRelu::default() });
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
policy sites stem.act, block2.act2: 2 of 5 sites are ReLU; \
37.5 % of 16384 neurons ReLU, 62.5 % LIF";
    let strip = |text: &str| {
        text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(strip(&placement.to_string()), strip(expected));
    let json = serde_json::to_string(&placement).unwrap();
    assert_eq!(serde_json::from_str::<Placement>(&json).unwrap(), placement);
}

// === As data ===

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// One policy of each kind with the text that makes it.
fn every_kind() -> Vec<(&'static str, Policy)> {
    let spread = Spread::Random { seed: 3 };
    vec![
        ("'none'", Policy::None),
        ("'all'", Policy::All),
        ("'inner'", Policy::Inner),
        ("'outer'", Policy::Outer),
        ("'alternate'", Policy::Alternate),
        ("'stem'", Policy::Stem),
        ("{ kind = 'head' }", Policy::Head),
        ("{ kind = 'first_k', k = 4 }", Policy::FirstK { k: 4 }),
        ("{ kind = 'last_k', k = 1 }", Policy::LastK { k: 1 }),
        (
            "{ kind = 'stage', stages = ['layer1', 'stem'] }",
            Policy::Stage { stages: names(&["layer1", "stem"]) },
        ),
        (
            "{ kind = 'sites', include = ['a.*'] }",
            Policy::Sites { include: names(&["a.*"]), exclude: vec![] },
        ),
        (
            "{ kind = 'sites', include = ['*'], exclude = ['b'] }",
            Policy::Sites { include: names(&["*"]), exclude: names(&["b"]) },
        ),
        ("{ kind = 'ratio', share = 1 }", Policy::Ratio { share: 1.0, spread: Spread::Uniform }),
        (
            "{ kind = 'ratio', share = 0.3, spread = 'early' }",
            Policy::Ratio { share: 0.3, spread: Spread::Early },
        ),
        (
            "{ kind = 'ratio', share = 0.3, spread = 'late' }",
            Policy::Ratio { share: 0.3, spread: Spread::Late },
        ),
        (
            "{ kind = 'ratio', share = 0.3, spread = { kind = 'random', seed = 3 } }",
            Policy::Ratio { share: 0.3, spread },
        ),
        (
            "{ kind = 'union', policies = ['stem', { kind = 'last_k', k = 2 }] }",
            Policy::Union { policies: vec![Policy::Stem, Policy::LastK { k: 2 }] },
        ),
        (
            "{ kind = 'intersection', policies = ['outer'] }",
            Policy::Intersection { policies: vec![Policy::Outer] },
        ),
        (
            "{ kind = 'difference', policy = 'outer', without = \
             { kind = 'union', policies = ['stem', 'head'] } }",
            Policy::Difference {
                policy: Policy::Outer.into(),
                without: Policy::Union { policies: vec![Policy::Stem, Policy::Head] }.into(),
            },
        ),
        (
            "{ kind = 'crossover', policy = 'outer', stage = 1, of = 3 }",
            Policy::Crossover { policy: Policy::Outer.into(), stage: 1, of: 3, from: End::Output },
        ),
    ]
}

#[test]
fn every_kind_is_read_written_named_and_explained() {
    for (text, expected) in every_kind() {
        let config = Config { policy: policy(text), replacement: Replacement::Relu };
        assert_eq!(config.policy, expected, "{text}");
        assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config, "{text}");
        let json = serde_json::to_value(&expected).unwrap();
        assert_eq!(json["kind"], expected.label());
        assert_eq!(serde_json::from_value::<Policy>(json).unwrap(), expected);
        assert!(text.contains(expected.label()) && !expected.explanation().is_empty());
        assert!(expected.to_string().starts_with(expected.label()));
    }
}
