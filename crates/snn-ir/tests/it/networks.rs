//! The built-in networks: sizes as published, keys as declared, narrow twins of the same structure.

use serde_json::{Map, Value, json};
use snn_ir::networks::{BuiltIn, KINDS, KeyError, NETWORKS, ResNet, Row};
use snn_ir::{Counts, Graph, InitialWeights, Lif, Op, PoolKind};

fn keys(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn with(kind: &str, value: &Value) -> BuiltIn {
    BuiltIn::with_keys(kind, keys(value)).unwrap()
}

fn graph(row: &Row) -> Graph {
    BuiltIn::of(row).graph(row.input, row.classes, &Lif::default())
}

fn narrow(row: &Row) -> Graph {
    let value = serde_json::from_str(row.narrow).unwrap();
    with(row.kind, &value).graph(row.small, 3, &Lif::default())
}

#[test]
fn learned_parameters_are_the_published_ones() {
    for row in NETWORKS {
        let counts = graph(row).counts().unwrap();
        if let Some(published) = row.published {
            assert_eq!(counts.parameters - counts.frozen, published, "{}", row.kind);
        }
    }
    let frozen = |kind: &str| {
        graph(NETWORKS.iter().find(|row| row.kind == kind).unwrap()).counts().unwrap().frozen
    };
    assert_eq!((frozen("plif_net"), frozen("resnet18")), (10 * 100, 0));
}

/// Multiply-adds, sites and neurons of every network, at the input that it is published for.
const COUNTS: &[(&str, u64, usize, usize)] = &[
    ("resnet", 40_813_184, 19, 188_416),
    ("resnet18", 1_814_073_344, 17, 2_308_096),
    ("resnet34", 3_663_761_408, 33, 3_562_496),
    ("resnet19", 2_285_245_440, 17, 1_441_792),
    ("resnet19_tet", 2_216_495_616, 18, 1_376_512),
    ("sew_resnet18", 1_814_073_344, 20, 2_483_712),
    ("sew_resnet34", 3_663_761_408, 36, 3_738_112),
    ("ms_resnet18", 1_826_918_400, 17, 2_308_096),
    ("ms_resnet34", 3_676_606_464, 33, 3_562_496),
    ("vgg11", 152_769_536, 8, 151_552),
    ("vgg16", 313_201_664, 13, 276_480),
    ("vggsnn", 1_361_654_784, 8, 921_600),
    ("plif_net", 1_701_782_504, 8, 985_188),
    ("plif_net_mnist", 62_261_224, 4, 187_108),
    ("plif_net_dvs", 834_718_696, 6, 2_785_892),
    ("plif_net_gesture", 841_015_482, 7, 2_794_094),
    ("airbench94", 118_147_360, 7, 81_560),
    ("airbench95", 301_560_864, 7, 125_208),
    ("airbench96", 451_967_264, 10, 179_736),
    ("qkformer", 1_492_602_624, 33, 2_272_256),
    ("spike_driven_transformer", 1_234_946_048, 19, 1_115_136),
    ("small", 2_208_064, 5, 16_384),
];

#[test]
fn multiply_adds_sites_and_neurons_are_as_recorded() {
    let found: Vec<(&str, u64, usize, usize)> = NETWORKS
        .iter()
        .map(|row| {
            let Counts { multiply_adds, sites, neurons, .. } = graph(row).counts().unwrap();
            (row.kind, multiply_adds, sites, neurons)
        })
        .collect();
    assert_eq!(found, COUNTS);
}

/// Sizes of other inputs that are published too.
#[test]
fn other_published_sizes() {
    let counts = |kind: &str, value: Value, input, classes| {
        with(kind, &value).graph(input, classes, &Lif::default()).counts().unwrap()
    };
    let cifar = [3, 32, 32];
    // kuangliu/pytorch-cifar `ResNet18` and `ResNet34`: 0.56 and 1.16 G.
    let found = counts("resnet18", json!({}), cifar, 10);
    assert_eq!((found.parameters, found.multiply_adds), (11_173_962, 555_422_720));
    assert_eq!(counts("resnet34", json!({}), cifar, 10).parameters, 21_282_122);
    // torchvision `vgg11_bn` and `vgg16_bn`: 7.61 and 15.47 G.
    let hidden = json!({ "hidden": [4096, 4096] });
    let found = counts("vgg11", hidden.clone(), [3, 224, 224], 1000);
    assert_eq!((found.parameters, found.multiply_adds), (132_868_840, 7_609_090_048));
    let found = counts("vgg16", hidden, [3, 224, 224], 1000);
    assert_eq!((found.parameters, found.multiply_adds), (138_365_992, 15_470_264_320));
    // QKFormer HST-4-384 (Zhou 2024, table 4) has 6.74 M: self-attention in the two blocks of its
    // last stage has values beside queries and keys, a convolution of 384² and its norm.
    let found = counts("qkformer", json!({}), cifar, 100);
    let published = found.parameters - found.frozen + 2 * (384 * 384 + 2 * 384);
    assert_eq!(published / 10_000, 674, "{published}");
    // ResNet-110 and ResNet-56 of He 2016, table 6: 1.7 M and 0.85 M.
    let blocks = |n: usize| json!({ "blocks": [n, n, n] });
    assert_eq!(counts("resnet", blocks(18), cifar, 10).parameters, 1_730_714);
    assert_eq!(counts("resnet", blocks(9), cifar, 10).parameters, 855_770);
}

#[test]
fn keys_are_those_that_are_written_out() {
    for row in NETWORKS {
        let written = BuiltIn::of(row).keys();
        for key in written.keys() {
            let with_itself = Map::from_iter([(key.clone(), written[key].clone())]);
            assert_eq!(BuiltIn::with_keys(row.kind, with_itself), Ok(BuiltIn::of(row)));
        }
        let error = BuiltIn::with_keys(row.kind, keys(&json!({ "none": 1 }))).unwrap_err();
        let KeyError::Unknown { known, .. } = error else { panic!("{error}") };
        // A key that is absent has no default: only the width of a stem.
        let absent: Vec<_> = known.iter().filter(|key| !written.contains_key(**key)).collect();
        assert!(absent.iter().all(|key| **key == "stem_width"), "{}: {absent:?}", row.kind);
        assert!(written.keys().all(|key| known.contains(&key.as_str())), "{}", row.kind);
    }
    assert!(KINDS.iter().all(|kind| BuiltIn::named(kind).unwrap().kind() == *kind));
    assert_eq!(BuiltIn::named("resnet21"), None);
}

#[test]
fn keys_are_refused_out_of_their_range() {
    let refusal = |kind: &str, key: &str, value: Value| {
        let keys = Map::from_iter([(key.to_string(), value)]);
        BuiltIn::with_keys(kind, keys).unwrap_err().to_string()
    };
    // Each of them is a node or more, so a large one would be a graph without end.
    for (kind, key) in [("spike_driven_transformer", "depth"), ("airbench94", "convolutions")] {
        for count in [0, 1001, 1 << 20] {
            let found = refusal(kind, key, json!(count));
            assert_eq!(found, format!("`{key}` must be 1 to 1000, found {count}"));
        }
        with(kind, &json!({ key: 1000 }));
    }
    let dropped = [
        ("plif_net", "dropout"),
        ("vggsnn", "dropout"),
        ("qkformer", "drop_path"),
        ("spike_driven_transformer", "drop_path"),
    ];
    for (kind, key) in dropped {
        for rate in [json!(-0.1), json!(1), json!(1.5)] {
            let found = refusal(kind, key, rate);
            assert!(
                found.starts_with(&format!("`{key}` must be at least 0 and below 1")),
                "{found}"
            );
        }
        with(kind, &json!({ key: 0 }));
        with(kind, &json!({ key: 0.99 }));
    }
}

#[test]
fn values_of_another_type_are_refused_with_their_key() {
    let refusal =
        |kind: &str, value: Value| BuiltIn::with_keys(kind, keys(&value)).unwrap_err().to_string();
    for (kind, value, expected) in [
        ("vgg11", json!({ "pool": "max", "dropout": "half" }), "`dropout`: invalid type: string"),
        ("resnet18", json!({ "width": 8, "blocks": 3 }), "`blocks`: invalid type: integer `3`"),
        ("resnet18", json!({ "stem": "mnist" }), "`stem`: unknown variant `mnist`"),
        // As a config has NaN and infinity.
        ("vgg11", json!({ "dropout": f64::NAN }), "`dropout` must be a value, and a number finite"),
        ("resnet18", json!({ "inner_width": null }), "`inner_width` must be a value"),
    ] {
        let found = refusal(kind, value);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn dropout_stands_where_the_key_says() {
    let nodes = |kind: &str, keys: Value, op: &str| -> Vec<(String, String)> {
        let graph = with(kind, &keys).graph([3, 32, 32], 3, &Lif::default());
        graph.resolve().unwrap();
        let dropped = graph.nodes.iter().filter(|node| node.op.label() == op);
        let reader = |name: &str| {
            let reads = |node: &&snn_ir::Node| node.inputs.iter().any(|input| input == name);
            graph.nodes.iter().find(reads).unwrap().name.clone()
        };
        dropped.map(|node| (node.inputs[0].clone(), reader(&node.name))).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|&(from, to)| (from.to_string(), to.to_string())).collect()
    };
    // As published: Fang 2021 has dropout before both fully connected layers, TET none.
    let both = pairs(&[("flat", "fc1"), ("fc1.act", "fc2")]);
    assert_eq!(nodes("plif_net", json!({}), "dropout"), both);
    assert_eq!(nodes("plif_net_gesture", json!({}), "dropout"), both);
    assert!(nodes("vggsnn", json!({}), "dropout").is_empty());
    let vgg = json!({ "hidden": [8], "dropout": 0.3 });
    let before = pairs(&[("flat", "hidden1"), ("hidden1.act", "fc")]);
    assert_eq!(nodes("vgg11", vgg, "dropout"), before);
    let narrow = |rate: f64| json!({ "width": 64, "drop_path": rate });
    let branches = pairs(&[
        ("block1.attention.out.bn", "block1.attention.add"),
        ("block1.mlp.2.bn", "block1.mlp.add"),
        ("block2.attention.out.bn", "block2.attention.add"),
        ("block2.mlp.2.bn", "block2.mlp.add"),
    ]);
    assert_eq!(nodes("spike_driven_transformer", narrow(0.1), "drop_path"), branches);
    let found = nodes("qkformer", narrow(0.1), "drop_path");
    assert_eq!(found.len(), 2 * 4, "attention and convolutions of four blocks");
    assert_eq!(found[..1], pairs(&[("stage1.0.attention.out.act", "stage1.0.attention.add")]));
    for kind in ["qkformer", "spike_driven_transformer"] {
        assert!(nodes(kind, narrow(0.0), "drop_path").is_empty(), "{kind}");
    }
    // Nothing is counted differently.
    for (kind, key) in [
        ("plif_net", "dropout"),
        ("vgg16", "dropout"),
        ("qkformer", "drop_path"),
        ("spike_driven_transformer", "drop_path"),
    ] {
        let counts = |rate: f64| {
            let network = with(kind, &json!({ key: rate }));
            network.graph([3, 32, 32], 10, &Lif::default()).counts().unwrap()
        };
        assert_eq!(counts(0.0), counts(0.4), "{kind}");
    }
}

#[test]
fn narrow_twins_have_the_same_structure() {
    for row in NETWORKS {
        let (wide, narrow) = (graph(row), narrow(row));
        narrow.resolve().unwrap_or_else(|error| panic!("{}: {error}", row.kind));
        let ops = |graph: &Graph| {
            graph.nodes.iter().map(|n| (n.name.clone(), n.op.label())).collect::<Vec<_>>()
        };
        if row.kind != "resnet" {
            assert_eq!(ops(&wide), ops(&narrow), "{}", row.kind);
        }
        assert!(narrow.counts().unwrap().parameters < 40_000, "{}", row.kind);
    }
}

#[test]
fn inner_width_widens_blocks_inside_alone() {
    let width = |kind: &str, factor: f64, input| {
        let value = json!({ "width": 8, "inner_width": factor });
        let graph = with(kind, &value).graph(input, 10, &Lif::default());
        let shapes = graph.shapes().unwrap();
        let of =
            |name: &str| shapes[graph.nodes.iter().position(|node| node.name == name).unwrap()][0];
        [of("layer2.0.conv1"), of("layer2.0.conv2"), of("layer2.0.add")]
    };
    for kind in ["resnet", "resnet18", "resnet34", "resnet19", "sew_resnet18", "ms_resnet18"] {
        assert_eq!(width(kind, 1.0, [3, 32, 32]), [16, 16, 16], "{kind}");
        assert_eq!(width(kind, 1.5, [3, 32, 32]), [24, 16, 16], "{kind}");
        assert_eq!(width(kind, 0.01, [3, 32, 32]), [1, 16, 16], "{kind}");
    }
    let widened = with("airbench96", &json!({ "inner_width": 1.5 }));
    let graph = widened.graph([3, 32, 32], 10, &Lif::default());
    let channels = |name: &str| {
        graph.shapes().unwrap()[graph.nodes.iter().position(|node| node.name == name).unwrap()][0]
    };
    let found = [channels("group1.conv1"), channels("group1.conv2"), channels("group1.conv3")];
    assert_eq!(found, [128, 192, 128]);
    // Twice as wide inside, most neurons are inside (design notes: 61 % of ResNet-18).
    let twice = with("resnet18", &json!({ "inner_width": 2.0 }));
    let sites = twice.graph([3, 32, 32], 10, &Lif::default()).sites().unwrap();
    let count = |inner: bool| -> usize {
        let is_inner = |name: &str| name.ends_with("act1");
        sites.iter().filter(|s| is_inner(&s.name) == inner).map(snn_ir::SiteInfo::neurons).sum()
    };
    let share = count(true) as f64 / (count(true) + count(false)) as f64;
    assert!(share > 0.6 && share < 0.62, "{share}");
}

#[test]
fn the_stem_is_that_of_the_samples() {
    let first = |stem: &str, side: usize| {
        let graph = with("resnet18", &json!({ "stem": stem, "width": 2 }));
        let graph = graph.graph([3, side, side], 4, &Lif::default());
        let Some(Op::Conv(conv)) = graph.nodes.get(1).map(|node| node.op.clone()) else {
            panic!("no stem")
        };
        (conv.kernel[0], conv.stride[0], graph.node("stem.pool").is_some())
    };
    let (cifar, imagenet) = ((3, 1, false), (7, 2, true));
    for (stem, side, expected) in [
        ("auto", 32, cifar),
        ("auto", 95, cifar),
        ("auto", 96, imagenet),
        ("cifar", 224, cifar),
        ("imagenet", 32, imagenet),
    ] {
        assert_eq!(first(stem, side), expected, "{stem} {side}");
    }
}

#[test]
fn networks_end_as_their_papers_say() {
    let plif = graph(NETWORKS.iter().find(|row| row.kind == "plif_net").unwrap());
    let vote = plif.node("vote").unwrap();
    assert_eq!((vote.initial, vote.frozen), (Some(InitialWeights::Voting), true));
    assert_eq!(plif.nodes.iter().filter(|n| matches!(n.op, Op::Pool { .. })).count(), 2);
    let vggsnn = graph(NETWORKS.iter().find(|row| row.kind == "vggsnn").unwrap());
    let average = |op: &Op| matches!(op, Op::Pool { pool: PoolKind::Average, .. });
    assert_eq!(vggsnn.nodes.iter().filter(|node| average(&node.op)).count(), 4);
    let airbench = graph(NETWORKS.iter().find(|row| row.kind == "airbench96").unwrap());
    let node = |name: &str| airbench.node(name).unwrap();
    assert_eq!(node("whiten").initial, Some(InitialWeights::Whitening));
    assert!(node("whiten").frozen && !node("group1.conv1").frozen);
    assert_eq!(node("group1.conv1").initial, Some(InitialWeights::Dirac));
    assert_eq!(node("group1.bn1").inputs, ["group1.pool"], "pooled before its norm");
    assert!(matches!(&node("group1.bn1").op, Op::BatchNorm(norm) if !norm.scale));
    assert_eq!(node("group1.add").inputs, ["group1.bn3", "group1.act1"]);
    // Logits a ninth as large, in the weights of the head.
    let Some(InitialWeights::Uniform(bound)) = node("fc").initial else { panic!("head") };
    assert!((bound - 1.0 / (9.0 * 512.0_f64.sqrt())).abs() < 1e-15, "{bound}");
    // The order of the old builder's nodes is what old checkpoints and files have.
    assert_eq!(
        BuiltIn::named("resnet").unwrap().graph([3, 32, 32], 10, &Lif::default()),
        ResNet::default().build()
    );
}
