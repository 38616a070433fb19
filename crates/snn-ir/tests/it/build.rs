//! The builder: the built-in networks node by node, and what it says of nonsense.

use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::{Conv, Graph, GraphBuilder, Lif, Norm, Op, PoolKind, QuantRelu, Site, Window};

fn conv_norm(graph: &mut Graph, conv: &str, norm: &str, attributes: Conv, input: &str) -> String {
    let conv = graph.push(conv, Op::Conv(attributes), &[input]);
    graph.push(norm, Op::BatchNorm(Norm::default()), &[&conv])
}

fn lif(graph: &mut Graph, name: &str, input: &str) -> String {
    graph.push(name, Op::Activation { site: Site::Lif(Lif::default()), code: None }, &[input])
}

/// Inputs, outputs and stride of a block.
struct Block(usize, usize, usize);

fn basic_block(graph: &mut Graph, name: &str, block: &Block, input: &str) -> String {
    let at = |part: &str| format!("{name}.{part}");
    let Block(inputs, channels, stride) = *block;
    let norm = conv_norm(graph, &at("conv1"), &at("bn1"), Conv::square(channels, 3, stride), input);
    let inner = lif(graph, &at("act1"), &norm);
    let norm = conv_norm(graph, &at("conv2"), &at("bn2"), Conv::square(channels, 3, 1), &inner);
    let shortcut = if stride == 1 && inputs == channels {
        input.to_string()
    } else {
        let conv = Conv::square(channels, 1, stride);
        conv_norm(graph, &at("shortcut.conv"), &at("shortcut.bn"), conv, input)
    };
    let sum = graph.push(at("add"), Op::Add, &[&norm, &shortcut]);
    lif(graph, &at("act2"), &sum)
}

fn ends(mut graph: Graph, pool: &str, classes: usize, input: &str) -> Graph {
    let pooled = graph.push(pool, Op::GlobalPool { pool: PoolKind::Average }, &[input]);
    let scores = graph.push("fc", Op::Linear { features: classes, bias: true }, &[&pooled]);
    graph.push("head", Op::TimeMean, &[&scores]);
    graph
}

fn stem(width: usize, shape: [usize; 3]) -> (Graph, String) {
    let mut graph = Graph::default();
    let image = graph.push("image", Op::Input { shape: shape.to_vec() }, &[]);
    let norm = conv_norm(&mut graph, "stem.conv", "stem.bn", Conv::square(width, 3, 1), &image);
    let stream = lif(&mut graph, "stem.act", &norm);
    (graph, stream)
}

/// Names, order and attributes decide what files and initial weights are, so they never change.
#[test]
fn built_in_networks_are_what_they_were_when_they_were_pushed_node_by_node() {
    let nets = [
        ResNet::default(),
        ResNet { width: 5, blocks: vec![1, 2], classes: 3, ..ResNet::default() },
        ResNet { input: [1, 4, 4], blocks: vec![0, 1, 1, 1, 1], ..ResNet::default() },
    ];
    for net in nets {
        let (mut graph, mut stream) = stem(net.width, net.input);
        let mut channels = net.width;
        for (stage, &blocks) in net.blocks.iter().enumerate() {
            for block in 0..blocks {
                let halve = stage > 0 && block == 0;
                let outputs = if halve { channels * 2 } else { channels };
                let shape = Block(channels, outputs, if halve { 2 } else { 1 });
                let name = format!("layer{}.{block}", stage + 1);
                stream = basic_block(&mut graph, &name, &shape, &stream);
                channels = outputs;
            }
        }
        assert_eq!(net.build(), ends(graph, "pool", net.classes, &stream), "{net:?}");
    }
    let net = SmallNet { width: 6, ..SmallNet::default() };
    let (mut graph, stream) = stem(net.width, net.input);
    let stream = basic_block(&mut graph, "block1", &Block(6, 6, 1), &stream);
    let window = Window::square(2);
    let pooled = graph.push("pool1", Op::Pool { pool: PoolKind::Max, window }, &[&stream]);
    let stream = basic_block(&mut graph, "block2", &Block(6, 12, 1), &pooled);
    assert_eq!(net.build(), ends(graph, "pool2", net.classes, &stream));
}

#[test]
fn branches_join_by_sum_and_by_concatenation() {
    let mut net = GraphBuilder::new([2, 6, 6]);
    let left = net.conv_site("left", Conv::square(3, 3, 1)).tip().to_string();
    let right = net.at("image").conv_site("right", Conv::square(4, 3, 1)).tip().to_string();
    net.concat("both", &[&left, &right]).conv_norm("mix", Conv::square(5, 1, 1));
    let mixed = net.tip().to_string();
    net.at(&left).conv_norm("skip", Conv::square(5, 1, 1));
    let skip = net.tip().to_string();
    net.add("sum", &[&mixed, &skip]).site_of("act", Site::QuantRelu(QuantRelu::default()));
    let graph = net.flatten("flat").linear("fc", 2).build().unwrap();
    let sum = graph.node("sum").unwrap();
    assert_eq!(sum.inputs, ["mix.bn", "skip.bn"]);
    assert_eq!(graph.sites().unwrap().len(), 3);
}

/// The shortcut of any branch has its stride and channels; one that keeps the shape has none.
#[test]
fn shortcuts_fit_their_branch() {
    for (size, stride, channels) in [(9, 2, 4), (8, 2, 3), (7, 3, 4), (5, 1, 3), (5, 1, 4)] {
        let mut net = GraphBuilder::new([3, size, size]);
        net.conv_site("stem", Conv::square(3, 3, 1)).residual("block", |branch| {
            branch.conv_norm("block.only", Conv::square(channels, 3, stride));
        });
        let graph = net.flatten("flat").linear("fc", 2).build().unwrap();
        let same = stride == 1 && channels == 3;
        assert_eq!(graph.node("block.shortcut.conv").is_none(), same);
    }
    let mut net = GraphBuilder::new([2, 20]);
    net.op("stem", Op::Conv(Conv::line(4, 5, 1))).site("act").residual("block", |branch| {
        branch.conv_norm("block.only", Conv::line(8, 3, 2));
    });
    let graph = net.pool("pool", PoolKind::Max, 2).flatten("flat").linear("fc", 2).build();
    assert_eq!(graph.unwrap().sites().unwrap()[1].shape, [8, 10]);
}

/// Calls of a builder that do not fit.
type Build = fn(&mut GraphBuilder);

fn refusal(build: impl FnOnce(&mut GraphBuilder)) -> String {
    let mut net = GraphBuilder::new([3, 8, 8]);
    build(&mut net);
    net.build().unwrap_err().to_string()
}

#[test]
fn nonsense_is_said_with_the_name_of_its_node() {
    let cases: [(&str, Build); 8] = [
        ("node `c`: channels must be at least 1, found 0", |net| {
            net.conv("c", Conv::square(0, 3, 1)).flatten("f").linear("fc", 2);
        }),
        ("node `c`: expected [C] and 1 spatial axes", |net| {
            net.conv("c", Conv::line(4, 3, 1)).flatten("f").linear("fc", 2);
        }),
        ("node `fc`: expected [F] (flatten first)", |net| {
            net.linear("fc", 2);
        }),
        ("node `a`: the name is used twice", |net| {
            net.site("a").site("a");
        }),
        ("no node `nowhere` to start a branch from", |net| {
            net.at("nowhere").site("a");
        }),
        ("node `s`: expected equal shapes", |net| {
            net.conv("c", Conv::square(4, 3, 1)).add("s", &["image", "c"]);
        }),
        ("the output of node `unread` is read by nothing", |net| {
            net.flatten("unread").at("image").flatten("f").linear("fc", 2);
        }),
        ("node `head`: expected [classes]", |net| {
            net.site("a");
        }),
    ];
    for (expected, build) in cases {
        let found = refusal(build);
        assert!(found.contains(expected), "{found}");
    }
    let error = GraphBuilder::new(Vec::new()).linear("fc", 2).build().unwrap_err();
    assert!(error.to_string().contains("node `image`"), "{error}");
    let error = GraphBuilder::new([4]).pool("p", PoolKind::Max, 2).build().unwrap_err();
    assert!(error.to_string().contains("node `p`"), "{error}");
}
