//! Policies that choose by place: counts from either end, stages, stem and head.

use snn_hybrid::{Decision, Error, Policy, Replacement, apply};
use snn_ir::networks::{BuiltIn, ResNet, SmallNet};
use snn_ir::{Conv, Graph, GraphBuilder, Lif, Op, PoolKind, Site, Window};

/// Names of the sites that a policy makes `ReLU`.
fn relu(graph: &Graph, policy: &Policy) -> Vec<String> {
    let (_, placement) = apply(graph, policy, &Replacement::default()).unwrap();
    placement.sites.into_iter().filter(|site| !site.spiking).map(|site| site.site).collect()
}

fn refused(graph: &Graph, policy: &Policy) -> String {
    apply(graph, policy, &Replacement::default()).unwrap_err().to_string()
}

fn stage(stages: &[&str]) -> Policy {
    Policy::Stage { stages: stages.iter().map(ToString::to_string).collect() }
}

/// Two branches from the image with sites of their own, joined by a concatenation. Names say
/// nothing of the place.
fn two_branches() -> Graph {
    let lif = || Op::Activation { site: Site::Lif(Lif::default()), code: None };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1, 4, 4] }, &[]);
    graph.push("p.conv", Op::Conv(Conv::square(2, 3, 1)), &["image"]);
    graph.push("p.first", lif(), &["p.conv"]);
    graph.push("p.conv2", Op::Conv(Conv::square(2, 3, 1)), &["p.first"]);
    graph.push("p.last", lif(), &["p.conv2"]);
    graph.push(
        "q.pool",
        Op::Pool { pool: PoolKind::Average, window: Window::square(1) },
        &["image"],
    );
    graph.push("q.conv", Op::Conv(Conv::square(2, 3, 1)), &["q.pool"]);
    graph.push("q.only", lif(), &["q.conv"]);
    graph.push("both", Op::Concat, &["p.last", "q.only"]);
    graph.push("gap", Op::GlobalPool { pool: PoolKind::Average }, &["both"]);
    graph.push("classifier", Op::Linear { features: 2, bias: true }, &["gap"]);
    graph.push("end", Op::TimeMean, &["classifier"]);
    graph
}

#[test]
fn counts_from_either_end() {
    let graph = SmallNet::default().build();
    assert_eq!(relu(&graph, &Policy::FirstK { k: 2 }), ["stem.act", "block1.act1"]);
    assert_eq!(relu(&graph, &Policy::LastK { k: 2 }), ["block2.act1", "block2.act2"]);
    for policy in [Policy::FirstK { k: 0 }, Policy::LastK { k: 0 }] {
        assert_eq!(relu(&graph, &policy), Vec::<String>::new());
    }
    for policy in [Policy::FirstK { k: 5 }, Policy::LastK { k: 5 }] {
        assert_eq!(relu(&graph, &policy), relu(&graph, &Policy::All));
    }
    for policy in [Policy::FirstK { k: 6 }, Policy::LastK { k: usize::MAX }] {
        let error = refused(&graph, &policy);
        assert!(error.contains(policy.label()) && error.contains("k must be 0 to 5"), "{error}");
    }
}

#[test]
fn stages_are_path_prefixes() {
    let graph = ResNet::default().build();
    assert_eq!(relu(&graph, &stage(&["stem"])), ["stem.act"]);
    let layer1: Vec<String> = (0..3)
        .flat_map(|block| ["act1", "act2"].map(|act| format!("layer1.{block}.{act}")))
        .collect();
    assert_eq!(relu(&graph, &stage(&["layer1"])), layer1);
    assert_eq!(relu(&graph, &stage(&["layer1.2"])), layer1[4..]);
    assert_eq!(relu(&graph, &stage(&["layer1.2.act2"])), layer1[5..]);
    assert_eq!(relu(&graph, &stage(&["layer2", "stem"])).len(), 7);
    // A prefix of the text is no prefix of the path.
    for (name, nearest) in
        [("layer", "layer1"), ("layer4", "layer1"), ("layer1.2.act", "layer1.2.act1")]
    {
        let error = refused(&graph, &stage(&["stem", name]));
        assert!(
            error.contains(&format!("stage `{name}` has no site; did you mean `{nearest}`?")),
            "{error}"
        );
        assert!(error.contains("The stages are: stem, layer1, layer2, layer3"), "{error}");
    }
    assert!(matches!(
        apply(&graph, &stage(&[]), &Replacement::default()),
        Err(Error::Empty { policy: "stage", key: "stages" })
    ));
}

#[test]
fn stem_and_head_are_structure_and_not_names() {
    let resnet = ResNet::default().build();
    assert_eq!(relu(&resnet, &Policy::Stem), ["stem.act"]);
    assert_eq!(relu(&resnet, &Policy::Head), ["layer3.2.act2"]);
    let branches = two_branches();
    assert_eq!(relu(&branches, &Policy::Stem), ["p.first", "q.only"]);
    assert_eq!(relu(&branches, &Policy::Head), ["p.last", "q.only"]);
}

#[test]
fn head_is_every_last_site_of_a_stream_that_skips_it() {
    // The stem's value reaches the classifier around the block's site, but a site stands downstream
    // of it all the same.
    let lif = || Op::Activation { site: Site::Lif(Lif::default()), code: None };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2] }, &[]);
    graph.push("fc1", Op::Linear { features: 2, bias: true }, &["image"]);
    graph.push("a", lif(), &["fc1"]);
    graph.push("fc2", Op::Linear { features: 2, bias: true }, &["a"]);
    graph.push("b", lif(), &["fc2"]);
    graph.push("sum", Op::Add, &["a", "b"]);
    graph.push("classifier", Op::Linear { features: 2, bias: true }, &["sum"]);
    graph.push("end", Op::TimeMean, &["classifier"]);
    assert_eq!(relu(&graph, &Policy::Head), ["b"]);
    assert_eq!(relu(&graph, &Policy::Stem), ["a"]);
}

/// Spikes that mask another stream must stay binary, so their sites are no candidates, through max
/// pooling too; what is masked may become levels.
#[test]
fn a_site_that_makes_a_mask_stays() {
    let mut net = GraphBuilder::new([2, 8, 8]);
    net.conv_site("a", Conv::square(4, 3, 1)).pool("max", PoolKind::Max, 2);
    net.at("image").conv_site("x", Conv::square(4, 3, 2)).mask("gated", "max", "x.act");
    net.conv_site("b", Conv::square(2, 3, 1)).flatten("flat").linear("fc", 3);
    let graph = net.build().unwrap();
    let (hybrid, placement) = apply(&graph, &Policy::All, &Replacement::default()).unwrap();
    let decisions: Vec<_> =
        placement.sites.iter().map(|site| (site.site.as_str(), site.decision)).collect();
    let expected = [
        ("a.act", Decision::KeptAsMask),
        ("x.act", Decision::Changed),
        ("b.act", Decision::Changed),
    ];
    assert_eq!(decisions, expected);
    assert!(placement.to_string().contains("kept (a mask)"), "{placement}");
    let (again, _) = apply(&hybrid, &Policy::All, &Replacement::default()).unwrap();
    assert_eq!(hybrid, again);
}

/// Where no site reads a sum, the error says why, and what to use.
#[test]
fn inner_and_outer_say_which_networks_they_fit() {
    let graph = |kind: &str| BuiltIn::named(kind).unwrap().graph([3, 32, 32], 10, &Lif::default());
    let fits = |kind: &str| {
        let graph = graph(kind);
        let [inner, outer] = [Policy::Inner, Policy::Outer]
            .map(|policy| apply(&graph, &policy, &Replacement::default()));
        assert_eq!(inner.is_ok(), outer.is_ok(), "{kind}");
        outer.is_ok()
    };
    let unfit: Vec<&str> = BuiltIn::kinds().iter().copied().filter(|kind| !fits(kind)).collect();
    for kind in &unfit {
        let error = refused(&graph(kind), &Policy::Inner);
        let why = match *kind {
            "sew_resnet18" | "sew_resnet34" | "qkformer" => "adds behind its sites",
            _ => "this network adds nothing",
        };
        for part in ["`inner` is for networks whose sites read the sums", why, "`sites`"] {
            assert!(error.contains(part), "{kind}: {error}");
        }
    }
    // As docs/book/src/hybrid.md says.
    assert_eq!(
        unfit,
        [
            "sew_resnet18",
            "sew_resnet34",
            "vgg11",
            "vgg16",
            "vggsnn",
            "plif_net",
            "plif_net_mnist",
            "plif_net_dvs",
            "plif_net_gesture",
            "airbench94",
            "airbench95",
            "qkformer",
        ]
    );
    let inside = Policy::Sites { include: vec!["*.act1".into()], exclude: Vec::new() };
    assert_eq!(relu(&graph("sew_resnet18"), &inside).len(), 8);
}
