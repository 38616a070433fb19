//! The way to write a network in Rust.

use super::resolve::Resolver;
use super::{Conv, Graph, InitialWeights, Node, Norm, Op, PoolKind, Readout, Window};
use crate::error::{Error, Result};
use crate::site::{Lif, Site};
use serde::{Deserialize, Serialize};

/// Name of the input node.
const INPUT: &str = "image";
/// Name of the last node.
const HEAD: &str = "head";

/// How a block of SEW-ResNet joins the spikes `a` of its branch with those `s` that it reads (Fang
/// 2021, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpikeJoin {
    /// `s + a`: the stream counts spikes.
    #[default]
    Add,
    /// `s · a`: the stream stays binary.
    And,
    /// `s · (1 − a)`: the stream stays binary.
    Iand,
}

/// Writes a graph node by node. Each method adds nodes after the *tip*, the node that was added
/// last, and moves the tip; [`GraphBuilder::at`] moves it to start a branch. Errors wait for
/// [`GraphBuilder::build`], which names the first node that does not fit.
///
/// A VGG (Simonyan and Zisserman 2015) with batch norm for CIFAR:
///
/// ```
/// use snn_ir::{Conv, GraphBuilder, PoolKind};
///
/// let mut net = GraphBuilder::new([3, 32, 32]);
/// let stages = [(64, 2), (128, 2), (256, 3), (512, 3)];
/// for (stage, (width, layers)) in stages.into_iter().enumerate() {
///     for layer in 0..layers {
///         net.conv_site(&format!("stage{stage}.{layer}"), Conv::square(width, 3, 1));
///     }
///     net.pool(&format!("pool{stage}"), PoolKind::Max, 2);
/// }
/// net.flatten("flat").linear("fc1", 512).site("act1").linear("fc2", 10);
/// let graph = net.build()?;
/// assert_eq!(graph.sites()?.len(), 11);
/// # Ok::<(), snn_ir::Error>(())
/// ```
///
/// A ResNet (He 2016) with bottlenecks:
///
/// ```
/// use snn_ir::{Conv, GraphBuilder, PoolKind};
///
/// let mut net = GraphBuilder::new([3, 64, 64]);
/// net.conv_site("stem", Conv::square(32, 3, 2));
/// for (stage, (width, blocks)) in [(32, 2), (64, 2), (128, 2)].into_iter().enumerate() {
///     for block in 0..blocks {
///         let stride = if stage > 0 && block == 0 { 2 } else { 1 };
///         let at = format!("layer{stage}.{block}");
///         net.residual(&at, |branch| {
///             branch.conv_site(&format!("{at}.in"), Conv::square(width, 1, 1));
///             branch.conv_site(&format!("{at}.mid"), Conv::square(width, 3, stride));
///             branch.conv_norm(&format!("{at}.out"), Conv::square(4 * width, 1, 1));
///         });
///     }
/// }
/// net.global_pool("pool", PoolKind::Average).linear("fc", 10);
/// let graph = net.build()?;
/// assert_eq!(graph.sites()?.len(), 1 + 6 * 3);
/// # Ok::<(), snn_ir::Error>(())
/// ```
///
/// Errors name the node that does not fit:
///
/// ```
/// use snn_ir::{Conv, GraphBuilder};
///
/// let mut net = GraphBuilder::new([3, 8, 8]);
/// let error = net.conv("wide", Conv::square(4, 99, 1)).linear("fc", 2).build().unwrap_err();
/// assert!(error.to_string().contains("`fc`: expected [F] (flatten first)"), "{error}");
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    resolver: Resolver,
    /// The first thing that did not fit.
    fault: Option<Error>,
    tip: String,
    site: Site,
    readout: Readout,
}

impl GraphBuilder {
    /// A network of images `[C, H, W]`, signals `[C, L]` or vectors `[F]`, whose input node is
    /// called `image` and whose sites are the default LIF neuron.
    pub fn new(shape: impl Into<Vec<usize>>) -> Self {
        let mut builder = Self {
            graph: Graph::default(),
            resolver: Resolver::default(),
            fault: None,
            tip: INPUT.into(),
            site: Site::Lif(Lif::default()),
            readout: Readout::default(),
        };
        builder.push(INPUT.into(), Op::Input { shape: shape.into() }, Vec::new());
        builder
    }

    /// The LIF neuron of every site from here on.
    pub fn neuron(&mut self, neuron: &Lif) -> &mut Self {
        self.site = Site::Lif(neuron.clone());
        self
    }

    /// How the head, which [`GraphBuilder::build`] adds, reads class scores out over time; the mean
    /// unless it is set.
    pub fn readout(&mut self, readout: Readout) -> &mut Self {
        self.readout = readout;
        self
    }

    /// Any operation, on the tip.
    pub fn op(&mut self, name: &str, op: Op) -> &mut Self {
        let input = self.tip.clone();
        self.push(name.into(), op, vec![input]);
        self
    }

    /// A convolution `name`.
    pub fn conv(&mut self, name: &str, conv: Conv) -> &mut Self {
        self.op(name, Op::Conv(conv))
    }

    /// Batch normalisation `name`.
    pub fn norm(&mut self, name: &str) -> &mut Self {
        self.norm_of(name, Norm::default())
    }

    /// Batch normalisation `name` with attributes: another ε or momentum, no learned scale.
    pub fn norm_of(&mut self, name: &str, norm: Norm) -> &mut Self {
        self.op(name, Op::BatchNorm(norm))
    }

    /// An activation site `name` of the neuron that [`GraphBuilder::neuron`] set.
    pub fn site(&mut self, name: &str) -> &mut Self {
        let site = self.site.clone();
        self.site_of(name, site)
    }

    /// An activation site `name` of another kind.
    pub fn site_of(&mut self, name: &str, site: Site) -> &mut Self {
        self.op(name, Op::Activation { site, code: None })
    }

    /// First weights of the tip, a convolution or linear layer, in place of the usual ones.
    pub fn initial(&mut self, initial: InitialWeights) -> &mut Self {
        self.change(|node| node.initial = Some(initial))
    }

    /// Freezes the `weight` of the tip, a convolution or linear layer: training leaves it as it
    /// begins. A bias learns.
    pub fn frozen(&mut self) -> &mut Self {
        self.change(|node| node.frozen = true)
    }

    /// Changes the node of the tip.
    fn change(&mut self, change: impl FnOnce(&mut Node)) -> &mut Self {
        let tip = self.tip.clone();
        if let Some(node) = self.graph.node_mut(&tip) {
            change(node);
        }
        self
    }

    /// Convolution `name.conv` and batch norm `name.bn`.
    pub fn conv_norm(&mut self, name: &str, conv: Conv) -> &mut Self {
        self.conv(&format!("{name}.conv"), conv).norm(&format!("{name}.bn"))
    }

    /// Convolution `name.conv`, batch norm `name.bn` and site `name.act`.
    pub fn conv_site(&mut self, name: &str, conv: Conv) -> &mut Self {
        self.conv_norm(name, conv).site(&format!("{name}.act"))
    }

    /// A fully connected layer `name` with a bias, on `[F]`.
    pub fn linear(&mut self, name: &str, features: usize) -> &mut Self {
        self.op(name, Op::Linear { features, bias: true })
    }

    /// Dropout `name` of values of the tip in training; evaluation passes them on, and conversion
    /// removes the node.
    pub fn dropout(&mut self, name: &str, rate: f64) -> &mut Self {
        self.op(name, Op::Dropout { rate })
    }

    /// Drop-path `name` (stochastic depth): for some samples of a training step the tip, the end of
    /// a branch, is zero.
    pub fn drop_path(&mut self, name: &str, rate: f64) -> &mut Self {
        self.op(name, Op::DropPath { rate })
    }

    /// The voting layer `name` (Fang 2021): the score of each class is the mean of as many inputs
    /// in a row as there are for each, a linear layer of frozen weights.
    pub fn voting(&mut self, name: &str, classes: usize) -> &mut Self {
        self.op(name, Op::Linear { features: classes, bias: false });
        self.initial(InitialWeights::Voting).frozen()
    }

    /// Pooling `name` over windows of `size` along every axis, with stride `size`.
    pub fn pool(&mut self, name: &str, pool: PoolKind, size: usize) -> &mut Self {
        let axes = self.shape().map_or(2, |shape| shape.len().saturating_sub(1));
        let window =
            Window { kernel: vec![size; axes], stride: vec![size; axes], padding: vec![0; axes] };
        self.op(name, Op::Pool { pool, window })
    }

    /// Pooling `name` over the whole image, to `[C]`.
    pub fn global_pool(&mut self, name: &str, pool: PoolKind) -> &mut Self {
        self.op(name, Op::GlobalPool { pool })
    }

    /// Flattening `name`, to `[F]`.
    pub fn flatten(&mut self, name: &str) -> &mut Self {
        self.op(name, Op::Flatten)
    }

    /// The sum `name` of nodes of one shape.
    pub fn add(&mut self, name: &str, inputs: &[&str]) -> &mut Self {
        self.push(name.into(), Op::Add, inputs.iter().map(ToString::to_string).collect());
        self
    }

    /// The concatenation `name` of nodes along channels.
    pub fn concat(&mut self, name: &str, inputs: &[&str]) -> &mut Self {
        self.push(name.into(), Op::Concat, inputs.iter().map(ToString::to_string).collect());
        self
    }

    /// A delay `name` of `steps` macro-steps of the site `site`, which may be added later: where it
    /// is, `shape` is the one that it will have. A delay of an earlier site is a tip like any
    /// other.
    pub fn delay(
        &mut self,
        name: &str,
        site: &str,
        steps: usize,
        shape: impl Into<Vec<usize>>,
    ) -> &mut Self {
        let op = Op::Delay { steps, shape: shape.into() };
        self.push(name.into(), op, vec![site.into()]);
        self
    }

    /// A recurrent site `name` on the current at the tip, of `[F]` or of an image: its spikes of
    /// the macro-step before (`name.delay`) come back through learned weights without a bias
    /// (`name.recurrent`: fully connected, or on images the convolution `window`, which keeps the
    /// shape) and are added to the current (`name.sum`).
    ///
    /// A recurrent LIF layer for spoken digits (SHD, Cramer 2020):
    ///
    /// ```
    /// use snn_ir::GraphBuilder;
    ///
    /// let mut net = GraphBuilder::new([700]);
    /// net.linear("fc1", 128).recurrent_site("act1", None).linear("fc2", 20);
    /// let graph = net.build()?;
    /// assert_eq!(graph.node("act1.delay").unwrap().inputs, ["act1"]);
    /// # Ok::<(), snn_ir::Error>(())
    /// ```
    pub fn recurrent_site(&mut self, name: &str, window: Option<Conv>) -> &mut Self {
        let current = self.tip.clone();
        let shape = self.shape().map(<[usize]>::to_vec).unwrap_or_default();
        let synapse = match window {
            Some(conv) => Op::Conv(conv),
            None => Op::Linear { features: shape.iter().product(), bias: false },
        };
        let [delay, recurrent, sum] =
            ["delay", "recurrent", "sum"].map(|part| format!("{name}.{part}"));
        self.delay(&delay, name, 1, shape).op(&recurrent, synapse);
        self.add(&sum, &[&current, &recurrent]).site(name)
    }

    /// The sum `name` over the channels of each of `groups` groups of consecutive channels
    /// (eq. 6c), to as many channels.
    ///
    /// ```
    /// use snn_ir::{Conv, GraphBuilder, PoolKind};
    ///
    /// // Q-K token attention of two heads (QKFormer, Zhou 2024).
    /// let mut net = GraphBuilder::new([3, 8, 8]);
    /// net.conv_site("stem", Conv::square(16, 3, 1));
    /// net.conv_site("q", Conv::square(16, 1, 1)).channel_sum("sum", 2).site("attention");
    /// net.at("stem.act").conv_site("k", Conv::square(16, 1, 1));
    /// net.mask("qk", "attention", "k.act");
    /// let graph = net.global_pool("pool", PoolKind::Average).linear("fc", 10).build()?;
    /// # let _ = graph;
    /// # Ok::<(), snn_ir::Error>(())
    /// ```
    pub fn channel_sum(&mut self, name: &str, groups: usize) -> &mut Self {
        self.op(name, Op::ChannelSum { groups })
    }

    /// The events of node `x` where node `mask` has a spike, `y = m · x` (eq. 6b). The mask is
    /// binary spikes: as many channels as `x`, or one for each group of consecutive channels (`[1,
    /// H, W]` masks them all alike), and as many positions as `x`, or one (`[C]`).
    ///
    /// ```
    /// use snn_ir::{Conv, GraphBuilder, PoolKind};
    ///
    /// // A gate for each position, which a convolution of one output learns.
    /// let mut net = GraphBuilder::new([3, 8, 8]);
    /// net.conv_site("x", Conv::square(16, 3, 1)).conv_site("m", Conv::square(1, 3, 1));
    /// net.mask("gated", "m.act", "x.act").global_pool("pool", PoolKind::Average);
    /// let graph = net.linear("fc", 10).build()?;
    /// # let _ = graph;
    /// # Ok::<(), snn_ir::Error>(())
    /// ```
    pub fn mask(&mut self, name: &str, mask: &str, x: &str) -> &mut Self {
        self.push(name.into(), Op::Mask { inverted: false }, vec![mask.into(), x.into()]);
        self
    }

    /// The events of node `x` where node `mask` has no spike, `y = (1 − m) · x`; otherwise as
    /// [`GraphBuilder::mask`]. IAND of SEW-ResNet (Fang 2021) is this with the branch as the mask
    /// of the shortcut.
    pub fn inverted_mask(&mut self, name: &str, mask: &str, x: &str) -> &mut Self {
        self.push(name.into(), Op::Mask { inverted: true }, vec![mask.into(), x.into()]);
        self
    }

    /// The basic residual block of He 2016, post-activation: `conv1`, `bn1`, `act1`, `conv2`,
    /// `bn2`, `add`, `act2`, each after the block's name and a dot. The shortcut is the identity,
    /// or a 1×1 convolution with batch norm (`shortcut.conv`, `shortcut.bn`) where stride or
    /// channels change.
    pub fn basic_block(&mut self, block: &str, channels: usize, stride: usize) -> &mut Self {
        self.wide_block(block, channels, channels, stride)
    }

    /// [`GraphBuilder::basic_block`] with another number of channels inside of it, between its two
    /// convolutions.
    pub fn wide_block(
        &mut self,
        block: &str,
        channels: usize,
        inner: usize,
        stride: usize,
    ) -> &mut Self {
        let at = |part: &str| format!("{block}.{part}");
        let start = self.tip.clone();
        let shortcut = self.projection(channels, stride);
        self.conv(&at("conv1"), Conv::square(inner, 3, stride)).norm(&at("bn1"));
        self.site(&at("act1")).conv(&at("conv2"), Conv::square(channels, 3, 1)).norm(&at("bn2"));
        self.join(block, &start, shortcut)
    }

    /// The spike-element-wise block of Fang 2021: `conv1`, `bn1`, `act1`, `conv2`, `bn2`, `act2`,
    /// and their spikes joined with those that the block reads, as `join` says: `add` or `mask`
    /// (the spikes of the branch are the mask). The shortcut is the identity, or a 1×1 convolution
    /// with batch norm and a site (`shortcut.conv`, `shortcut.bn`, `shortcut.act`) where stride or
    /// channels change. `inner` are the channels between the two convolutions.
    pub fn sew_block(
        &mut self,
        block: &str,
        channels: usize,
        inner: usize,
        stride: usize,
        join: SpikeJoin,
    ) -> &mut Self {
        let at = |part: &str| format!("{block}.{part}");
        let start = self.tip.clone();
        let shortcut = self.projection(channels, stride);
        self.conv(&at("conv1"), Conv::square(inner, 3, stride)).norm(&at("bn1"));
        self.site(&at("act1")).conv(&at("conv2"), Conv::square(channels, 3, 1)).norm(&at("bn2"));
        self.site(&at("act2"));
        let stream = match shortcut {
            None => start,
            Some(conv) => {
                self.at(&start).conv_site(&at("shortcut"), conv);
                at("shortcut.act")
            }
        };
        match join {
            SpikeJoin::Add => self.add(&at("add"), &[&at("act2"), &stream]),
            SpikeJoin::And => self.mask(&at("mask"), &at("act2"), &stream),
            SpikeJoin::Iand => self.inverted_mask(&at("mask"), &at("act2"), &stream),
        }
    }

    /// The pre-activation block of MS-ResNet (Hu 2024): `act1`, `conv1`, `bn1`, `act2`, `conv2`,
    /// `bn2`, and their current added to the one that the block reads, `add`. The shortcut is the
    /// identity, or a 1×1 convolution of the current with batch norm (`shortcut.conv`,
    /// `shortcut.bn`) where stride or channels change. `inner` are the channels between the two
    /// convolutions.
    pub fn pre_activation_block(
        &mut self,
        block: &str,
        channels: usize,
        inner: usize,
        stride: usize,
    ) -> &mut Self {
        let at = |part: &str| format!("{block}.{part}");
        let start = self.tip.clone();
        let shortcut = self.projection(channels, stride);
        self.site(&at("act1")).conv(&at("conv1"), Conv::square(inner, 3, stride)).norm(&at("bn1"));
        self.site(&at("act2")).conv(&at("conv2"), Conv::square(channels, 3, 1)).norm(&at("bn2"));
        self.shortcut(block, &start, shortcut)
    }

    /// The 1×1 convolution of a shortcut from the tip; `None` where it is the identity.
    fn projection(&self, channels: usize, stride: usize) -> Option<Conv> {
        let same = stride == 1 && self.shape().is_none_or(|shape| shape[0] == channels);
        (!same).then(|| Conv::square(channels, 1, stride))
    }

    /// A residual block around any branch: `branch` adds nodes after the tip; the shortcut is the
    /// identity where the branch keeps the shape, and a strided 1×1 convolution with batch norm
    /// otherwise; then follow the sum `add` and the site `act`. Their names begin with the block's.
    pub fn residual(&mut self, block: &str, branch: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.tip.clone();
        let before = self.shape().map(<[usize]>::to_vec);
        branch(self);
        let conv = match (before, self.shape()) {
            (Some(before), Some(after)) if before != after => Some(projection(&before, after)),
            _ => None,
        };
        self.shortcut(block, &start, conv);
        self.site(&format!("{block}.act"))
    }

    /// The sum of the tip with a shortcut from `start`, and a site.
    fn join(&mut self, block: &str, start: &str, conv: Option<Conv>) -> &mut Self {
        self.shortcut(block, start, conv).site(&format!("{block}.act2"))
    }

    /// The sum of the tip with a shortcut from `start`.
    fn shortcut(&mut self, block: &str, start: &str, conv: Option<Conv>) -> &mut Self {
        let branch = self.tip.clone();
        let shortcut = match conv {
            None => start.to_string(),
            Some(conv) => {
                self.at(start).conv_norm(&format!("{block}.shortcut"), conv).tip().to_string()
            }
        };
        self.add(&format!("{block}.add"), &[&branch, &shortcut])
    }

    /// Name of the node that was added last, or that [`GraphBuilder::at`] chose.
    pub fn tip(&self) -> &str {
        &self.tip
    }

    /// Makes an earlier node the tip, to start a branch there.
    pub fn at(&mut self, node: &str) -> &mut Self {
        if self.resolver.shape(node).is_none() && self.fault.is_none() {
            self.fault = Some(Error::Graph(format!("no node `{node}` to start a branch from")));
        }
        self.tip = node.into();
        self
    }

    /// Shape of the tip for one sample; `None` once something does not fit.
    pub fn shape(&self) -> Option<&[usize]> {
        self.resolver.shape(&self.tip)
    }

    /// The graph: what was added, and the head `head` on the tip.
    ///
    /// # Errors
    /// The first node that does not fit, with what was expected and found; or a node that nothing
    /// reads.
    pub fn build(&mut self) -> Result<Graph> {
        let graph = self.finish();
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        graph.resolve()?;
        Ok(graph)
    }

    /// The graph with its head, whatever is wrong with it; the first reader of the graph says what
    /// is.
    pub(crate) fn finish(&mut self) -> Graph {
        self.op(HEAD, self.readout.op());
        std::mem::take(&mut self.graph)
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<String>) {
        let node = Node::new(name, op, inputs);
        if self.fault.is_none() {
            self.fault = self.resolver.add(&node).err();
        }
        self.tip.clone_from(&node.name);
        self.graph.nodes.push(node);
    }
}

/// The 1×1 convolution from one shape to another: as many channels, and the stride that gives its
/// size.
fn projection(from: &[usize], to: &[usize]) -> Conv {
    let axes = from.len().min(to.len()).saturating_sub(1);
    let stride = (1..=axes).map(|axis| from[axis].div_ceil(to[axis].max(1))).collect();
    Conv {
        channels: to[0],
        kernel: vec![1; axes],
        stride,
        padding: vec![0; axes],
        dilation: vec![1; axes],
        groups: 1,
        bias: false,
    }
}
