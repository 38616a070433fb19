//! Random trained models, for testing interpreters and conversions against each other. A model is a
//! function of its seed.

use crate::graph::{
    BATCH_NORM_MOMENTUM, Conv, Graph, InitialWeights, Node, Norm, Op, PoolKind, Readout, Role,
    Window,
};
use crate::model::weights::{Tensor, Weights};
use crate::model::{Form, Model, Preprocessing, Signature, WeightSpec, weight_specs};
use crate::site::parts::{Initial, PartSpec, Range};
use crate::site::{
    Adaptation, FirstMembrane, Leak, Lif, QuantRelu, Reset, Share, Site, Spike, Synapse, Threshold,
};
use ndarray::{ArrayD, IxDyn};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Kind of numbers in a random model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Any real weights; batch-norm factors κ include 0, ±1e-8 and negative ones.
    Real,
    /// Small multiples of powers of two: every f64 sum is exact and neurons meet their thresholds
    /// exactly, often.
    Dyadic,
}

/// Which sites a random model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sites {
    /// QuantRelu and binary LIF with a fixed threshold.
    Basic,
    /// Every kind of LIF site as well: ternary and integer spikes, no reset, learned and adaptive
    /// thresholds, synaptic currents.
    All,
}

/// [`trained_with`] basic sites.
pub fn trained(seed: u64, numbers: Numbers) -> Model {
    trained_with(seed, numbers, Sites::Basic)
}

/// Draws a trained model: convolutions with stride, groups, dilation and padding of each side,
/// batch norm with and without scale, also after max poolings, pooling of events and of currents,
/// residual and membrane streams, concatenation, masks, delays (within recurrences, across each
/// other and onwards), dropout, every head, IF, LIF, PLIF and QuantRelu sites (and others, if
/// asked), T of 1 to 6, D of 1 to 15.
pub fn trained_with(seed: u64, numbers: Numbers, sites: Sites) -> Model {
    let mut draw = Draw {
        random: ChaCha8Rng::seed_from_u64(seed),
        numbers,
        sites,
        graph: Graph::default(),
        count: 0,
    };
    let channels = draw.random.random_range(1..=3);
    let (h, w) = (draw.random.random_range(4..=7), draw.random.random_range(4..=7));
    let shape = if draw.chance(0.15) { vec![channels, h * w] } else { vec![channels, h, w] };
    let image = draw.graph.push("image", Op::Input { shape }, &[]);
    let mut stream = draw.layer(&image);
    for _ in 0..draw.random.random_range(1..=4) {
        stream = match draw.random.random_range(0..10) {
            0 => draw.layer(&stream),
            1 | 2 => draw.residual(&stream),
            3 => draw.pool(&stream, &[PoolKind::Max, PoolKind::Average, PoolKind::Sum]),
            4 => draw.concat(&stream),
            5 => draw.event_add(&stream),
            6 => draw.mask(&stream),
            7 => draw.recurrence(&stream),
            8 => draw.delayed(&stream),
            _ => draw.membrane_stream(&stream),
        };
    }
    let classes = draw.random.random_range(2..=5);
    let features = if draw.chance(0.5) {
        let pool = draw.choose(&[PoolKind::Average, PoolKind::Sum, PoolKind::Max]);
        draw.graph.push("pool", Op::GlobalPool { pool }, &[&stream])
    } else {
        draw.graph.push("flatten", Op::Flatten, &[&stream])
    };
    let scores = draw.graph.push("fc", Op::Linear { features: classes, bias: true }, &[&features]);
    let readout = draw.choose(&[Readout::Mean, Readout::Mean, Readout::Last, Readout::Max]);
    draw.graph.push("head", readout.op(), &[&scores]);
    say_how_weights_begin(&mut draw.graph, seed);
    draw.finish(channels)
}

/// Says of some convolutions and linear layers how their weights begin, and freezes some: nothing
/// that an interpreter or a conversion may notice. Drawn apart, so that the rest of a model does
/// not depend on it.
fn say_how_weights_begin(graph: &mut Graph, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(1);
    for node in &mut graph.nodes {
        if matches!(node.op, Op::Conv(_) | Op::Linear { .. }) {
            let laws = [
                InitialWeights::Constant(0.25),
                InitialWeights::Normal(0.1),
                InitialWeights::Uniform(0.1),
                InitialWeights::KaimingUniform,
                InitialWeights::Dirac,
            ];
            node.initial =
                random.random_bool(0.3).then(|| *laws.choose(&mut random).unwrap_or(&laws[0]));
            node.frozen = random.random_bool(0.2);
        }
    }
}

/// Random pixels `[B, …shape]` of a model.
pub fn pixels(model: &Model, batch: usize, seed: u64) -> ArrayD<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shape = vec![batch];
    if let Some(Op::Input { shape: image }) = model.graph().nodes.first().map(|n| &n.op) {
        shape.extend(image);
    }
    ArrayD::from_shape_simple_fn(IxDyn(&shape), || random.random())
}

/// `true` for a batch norm that reads a max pooling, through dropout at most.
fn follows_maxima(graph: &Graph, node: &Node) -> bool {
    let read = |node: &Node| node.inputs.first().and_then(|input| graph.node(input));
    let mut input = read(node);
    while let Some(dropout) = input.filter(|node| node.op.role() == Role::Dropout) {
        input = read(dropout);
    }
    matches!(node.op, Op::BatchNorm(_))
        && matches!(
            input.map(|input| &input.op),
            Some(Op::Pool { pool: PoolKind::Max, .. } | Op::GlobalPool { pool: PoolKind::Max })
        )
}

struct Draw {
    random: ChaCha8Rng,
    numbers: Numbers,
    sites: Sites,
    graph: Graph,
    count: usize,
}

impl Draw {
    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn choose<V: Copy>(&mut self, values: &[V]) -> V {
        *values.choose(&mut self.random).unwrap_or(&values[0])
    }

    fn name(&mut self, stem: &str) -> String {
        self.count += 1;
        format!("{stem}{}", self.count)
    }

    /// Shape of a node of the graph so far.
    fn shape(&self, name: &str) -> Vec<usize> {
        let position = self.graph.nodes.iter().position(|n| n.name == name).unwrap_or(0);
        self.graph
            .shapes()
            .ok()
            .and_then(|mut shapes| (position < shapes.len()).then(|| shapes.swap_remove(position)))
            .unwrap_or_default()
    }

    fn conv(&mut self, input: &str, channels: Option<usize>, same: bool) -> String {
        let shape = self.shape(input);
        let divisors: Vec<usize> = (2..=shape[0]).filter(|n| shape[0].is_multiple_of(*n)).collect();
        let groups = if channels.is_none() && self.chance(0.3) {
            divisors.choose(&mut self.random).copied()
        } else {
            None
        };
        let groups = groups.unwrap_or(1);
        let channels = channels.unwrap_or_else(|| groups * self.random.random_range(1..=4));
        let mut conv = Conv {
            channels,
            kernel: Vec::new(),
            stride: Vec::new(),
            padding: Vec::new(),
            dilation: Vec::new(),
            groups,
            bias: self.chance(0.5),
        };
        // Each axis for itself: windows and steps need not be square.
        for &size in &shape[1..] {
            let kernel = if size < 3 { 1 } else { self.choose(&[1, 3, 3]) };
            let dilation =
                if !same && kernel == 3 && size >= 5 && self.chance(0.2) { 2 } else { 1 };
            let (stride, padding) = if same {
                (1, kernel / 2)
            } else {
                (self.choose(&[1, 1, 2]), if self.chance(0.7) { kernel / 2 * dilation } else { 0 })
            };
            conv.kernel.push(kernel);
            conv.stride.push(stride);
            conv.padding.push(padding);
            conv.dilation.push(dilation);
        }
        self.lopsided(&mut conv.padding);
        let name = self.name("conv");
        let conv = self.graph.push(name, Op::Conv(conv), &[input]);
        let current = if self.chance(0.75) { self.norm(&conv) } else { conv };
        self.dropout(&current)
    }

    /// Shifts some windows: as much padding in all, but not the same on both sides.
    fn lopsided(&mut self, padding: &mut Vec<usize>) {
        if self.chance(0.25) {
            let before: Vec<usize> =
                padding.iter().map(|&each| self.random.random_range(0..=2 * each)).collect();
            let after = padding.iter().zip(&before).map(|(each, before)| 2 * each - before);
            *padding = before.iter().copied().chain(after).collect();
        }
    }

    fn norm(&mut self, input: &str) -> String {
        let norm = Norm {
            // With ε = 2⁻¹⁰ and a variance of 1 − 2⁻¹⁰ the root is exactly 1.
            eps: 2.0_f64.powi(-10),
            scale: !self.chance(0.2),
            momentum: self.choose(&[BATCH_NORM_MOMENTUM, BATCH_NORM_MOMENTUM, 0.4, 1.0]),
        };
        let name = self.name("bn");
        self.graph.push(name, Op::BatchNorm(norm), &[input])
    }

    /// A site, perhaps with dropout behind it.
    fn site(&mut self, input: &str) -> String {
        let site = self.bare_site(input);
        self.dropout(&site)
    }

    fn bare_site(&mut self, input: &str) -> String {
        let site = if self.chance(0.5) {
            Site::QuantRelu(QuantRelu {
                levels: self.random.random_range(1..=15),
                step: self.choose(&[0.25, 0.5, 1.0]),
                share: self.choose(&[Share::Layer, Share::Channel]),
            })
        } else {
            let lif = self.lif();
            Site::Lif(match self.sites {
                Sites::Basic => lif,
                Sites::All => self.attributes(lif),
            })
        };
        self.activation(site, input)
    }

    fn activation(&mut self, site: Site, input: &str) -> String {
        let name = self.name("site");
        self.graph.push(name, Op::Activation { site, code: None }, &[input])
    }

    /// Dropout of either kind behind some nodes, which no interpreter and no conversion may notice.
    fn dropout(&mut self, input: &str) -> String {
        if !self.chance(0.08) {
            return input.to_string();
        }
        let rate = self.choose(&[0.0, 0.25, 0.5]);
        let name = self.name("drop");
        let op = if self.chance(0.5) { Op::Dropout { rate } } else { Op::DropPath { rate } };
        self.graph.push(name, op, &[input])
    }

    /// A LIF neuron of the basic kind.
    fn lif(&mut self) -> Lif {
        let dyadic = self.numbers == Numbers::Dyadic;
        let leak = match self.random.random_range(0..4) {
            0 => Leak::Factor { factor: 1.0 },
            1 if !dyadic => Leak::Learned { initial: self.random.random_range(0.1..0.9) },
            2 if !dyadic => Leak::Factor { factor: self.random.random_range(0.0..1.0) },
            _ => Leak::Factor { factor: self.choose(&[0.5, 0.25]) },
        };
        let reset = match self.random.random_range(0..3) {
            0 => Reset::Soft,
            1 => Reset::Hard { potential: self.choose(&[-0.5, 0.25]) },
            _ => Reset::Hard { potential: 0.0 },
        };
        let threshold = Threshold::Fixed(self.choose(&[0.5, 1.0, 2.0]));
        Lif { leak, threshold, reset, ..Lif::default() }
    }

    /// Attributes beyond those of [`Sites::Basic`], some of them.
    fn attributes(&mut self, mut lif: Lif) -> Lif {
        let dyadic = self.numbers == Numbers::Dyadic;
        lif.spike = match self.random.random_range(0..4) {
            0 => Spike::Ternary,
            1 => Spike::Integer { levels: self.random.random_range(1..=7) },
            _ => Spike::Binary,
        };
        if lif.spike != Spike::Binary && matches!(lif.reset, Reset::Hard { .. }) {
            lif.reset = Reset::Hard { potential: 0.0 };
        }
        if self.chance(0.2) {
            lif.reset = Reset::None;
        }
        if self.chance(0.3) {
            lif.threshold = Threshold::Learned {
                initial: self.choose(&[0.5, 1.0, 2.0]),
                share: self.choose(&[Share::Layer, Share::Channel]),
            };
        }
        let factor = |draw: &mut Self| {
            if dyadic { draw.choose(&[0.5, 0.25, 1.0]) } else { draw.random.random_range(0.0..1.0) }
        };
        if self.chance(0.3) {
            lif.synapse = Synapse::Current { alpha: factor(self) };
        }
        lif.initial = match self.random.random_range(0..6) {
            0 => FirstMembrane::Potential(self.choose(&[-0.5, 0.25, 0.75])),
            1 | 2 if dyadic => FirstMembrane::Threshold { share: self.choose(&[0.5, -0.25]) },
            1 | 2 => FirstMembrane::Threshold { share: self.random.random_range(-1.0..1.0) },
            _ => FirstMembrane::Rest,
        };
        if self.chance(0.3) && !matches!(lif.spike, Spike::Integer { .. }) {
            let strength = if dyadic {
                self.choose(&[0.25, 0.5, 1.0])
            } else {
                self.random.random_range(0.0..1.5)
            };
            lif.adaptation = Adaptation::Threshold { decay: factor(self), strength };
        }
        lif
    }

    /// Convolution, norm, perhaps pooling of the current, perhaps a norm after maxima, site.
    fn layer(&mut self, input: &str) -> String {
        let mut current = self.conv(input, None, false);
        if self.chance(0.25) {
            current = self.pool(&current, &[PoolKind::Max, PoolKind::Average]);
        } else if self.chance(0.2) {
            for _ in 0..self.random.random_range(1..=2) {
                current = self.pool(&current, &[PoolKind::Max]);
            }
            current = self.norm(&current);
        }
        self.site(&current)
    }

    fn residual(&mut self, input: &str) -> String {
        let channels = self.shape(input)[0];
        let inner = self.layer_same(input);
        let branch = self.conv(&inner, Some(channels), true);
        let shortcut = if self.chance(0.3) {
            self.conv(input, Some(channels), true)
        } else {
            input.to_string()
        };
        let name = self.name("add");
        let sum = self.graph.push(name, Op::Add, &[&branch, &shortcut]);
        self.site(&sum)
    }

    fn layer_same(&mut self, input: &str) -> String {
        let channels = self.random.random_range(1..=4);
        let current = self.conv(input, Some(channels), true);
        self.site(&current)
    }

    fn pool(&mut self, input: &str, kinds: &[PoolKind]) -> String {
        let shape = self.shape(input);
        if shape[1..].iter().any(|n| *n < 2) {
            return input.to_string();
        }
        let (kernel, stride, padding) = self.choose(&[(2, 2, 0), (2, 1, 0), (2, 2, 1), (3, 2, 1)]);
        let kernel = kernel.min(shape[1..].iter().copied().min().unwrap_or(1));
        let axes = shape.len() - 1;
        let pool = self.choose(kinds);
        // A ninth is no multiple of a power of two.
        let kernel =
            if pool == PoolKind::Average && self.numbers == Numbers::Dyadic { 2 } else { kernel };
        let padding = padding.min(kernel / 2);
        let mut window = Window {
            kernel: vec![kernel; axes],
            stride: vec![stride; axes],
            padding: vec![padding; axes],
        };
        if self.chance(0.25) {
            // At most half the kernel on either side.
            let most = kernel / 2;
            window.padding = (0..2 * axes).map(|_| self.random.random_range(0..=most)).collect();
        }
        let name = self.name("pool");
        self.graph.push(name, Op::Pool { pool, window }, &[input])
    }

    fn concat(&mut self, input: &str) -> String {
        let other = self.layer_same(input);
        let name = self.name("concat");
        self.graph.push(name, Op::Concat, &[input, &other])
    }

    /// Events masked by spikes that are computed from them: value by value, for groups of channels,
    /// for whole channels, or for all positions of groups. What is masked may be a sum of streams,
    /// which a layer then reads.
    fn mask(&mut self, input: &str) -> String {
        let shape = self.shape(input);
        let divisors: Vec<usize> = (1..=shape[0]).filter(|n| shape[0].is_multiple_of(*n)).collect();
        let groups = self.choose(&divisors);
        let groups = if self.chance(0.4) { shape[0] } else { groups };
        let mut mask = self.conv(input, Some(groups), true);
        let whole = self.chance(0.4);
        let pool = self.choose(&[PoolKind::Max, PoolKind::Average, PoolKind::Sum]);
        let global = |draw: &mut Self, input: &str, pool| {
            let name = draw.name("pool");
            draw.graph.push(name, Op::GlobalPool { pool }, &[input])
        };
        let of_currents = whole && self.chance(0.5);
        if of_currents {
            // A ninth is no multiple of a power of two.
            let pool = if self.numbers == Numbers::Dyadic { PoolKind::Max } else { pool };
            mask = global(self, &mask, pool);
        }
        let lif = self.lif();
        mask = self.activation(Site::Lif(lif), &mask);
        if !whole && self.chance(0.3) {
            // Tokens: spikes of each group of channels are counted, perhaps normalised.
            let divisors: Vec<usize> = (1..=groups).filter(|n| groups.is_multiple_of(*n)).collect();
            let heads = self.choose(&divisors);
            let name = self.name("sum");
            mask = self.graph.push(name, Op::ChannelSum { groups: heads }, &[&mask]);
            if self.chance(0.3) {
                mask = self.norm(&mask);
            }
            let lif = self.lif();
            mask = self.activation(Site::Lif(lif), &mask);
        }
        if whole && !of_currents {
            mask = if pool == PoolKind::Max {
                global(self, &mask, pool)
            } else {
                let sum = global(self, &mask, PoolKind::Sum);
                let lif = Lif { threshold: Threshold::Fixed(4.0), ..self.lif() };
                self.activation(Site::Lif(lif), &sum)
            };
        }
        let mut x = input.to_string();
        let is_sum = self.chance(0.3);
        if is_sum || self.chance(0.5) {
            let current = self.conv(input, Some(shape[0]), true);
            let other = self.site(&current);
            let name = self.name("add");
            x = if is_sum { self.graph.push(name, Op::Add, &[input, &other]) } else { other };
        }
        let (name, inverted) = (self.name("mask"), self.chance(0.4));
        let masked = self.graph.push(name, Op::Mask { inverted }, &[&mask, &x]);
        if is_sum { self.layer(&masked) } else { masked }
    }

    /// Two event streams with different steps, added and read by a convolution.
    fn event_add(&mut self, input: &str) -> String {
        let channels = self.shape(input)[0];
        let current = self.conv(input, Some(channels), true);
        let other = self.site(&current);
        let name = self.name("add");
        let mut sum = self.graph.push(name, Op::Add, &[input, &other]);
        if self.chance(0.3) {
            sum = self.pool(&sum, &[PoolKind::Average, PoolKind::Sum]);
        }
        self.layer(&sum)
    }

    /// A delay of 1 to 3 macro-steps of a site of a shape; the site may follow, see
    /// [`Draw::delay_of`].
    fn delay(&mut self, shape: Vec<usize>) -> String {
        let steps = self.choose(&[1, 1, 2, 3]);
        let name = self.name("delay");
        self.graph.push(name, Op::Delay { steps, shape }, &[""])
    }

    /// Makes a delay read a site, or the site that a node before reads: dropout may stand behind.
    fn delay_of(&mut self, delay: &str, site: &str) {
        let mut site = site;
        while let Some(node) = self.graph.node(site)
            && !matches!(node.op, Op::Activation { .. })
            && let [input] = &node.inputs[..]
        {
            site = input;
        }
        let site = site.to_string();
        if let Some(node) = self.graph.node_mut(delay) {
            node.inputs = vec![site];
        }
    }

    /// A site that reads its own events, or those of a later site, of macro-steps before: through
    /// a convolution, or as they are.
    fn recurrence(&mut self, input: &str) -> String {
        let channels = self.random.random_range(1..=4);
        let current = self.conv(input, Some(channels), true);
        let shape = self.shape(&current);
        let delay = self.delay(shape.clone());
        let back =
            if self.chance(0.3) { delay.clone() } else { self.conv(&delay, Some(channels), true) };
        let name = self.name("add");
        let sum = self.graph.push(name, Op::Add, &[&current, &back]);
        let mut last = self.bare_site(&sum);
        if self.chance(0.4) {
            // A longer loop, perhaps through a second delay.
            let first = if self.chance(0.5) {
                let onwards = self.delay(shape);
                self.delay_of(&onwards, &last);
                onwards
            } else {
                last
            };
            let current = self.conv(&first, Some(channels), true);
            last = self.bare_site(&current);
        }
        self.delay_of(&delay, &last);
        last
    }

    /// Events of a site beside those of macro-steps before.
    fn delayed(&mut self, input: &str) -> String {
        let site = self.layer_same(input);
        let delay = self.delay(self.shape(&site));
        self.delay_of(&delay, &site);
        let both: [&str; 2] = [&site, &delay];
        if self.chance(0.5) {
            let name = self.name("concat");
            return self.graph.push(name, Op::Concat, &both);
        }
        let name = self.name("add");
        let sum = self.graph.push(name, Op::Add, &both);
        self.layer(&sum)
    }

    /// A current that one site reads and that a later add continues.
    fn membrane_stream(&mut self, input: &str) -> String {
        let channels = self.random.random_range(1..=4);
        let stream = self.conv(input, Some(channels), true);
        let site = self.site(&stream);
        let branch = self.conv(&site, Some(channels), true);
        let name = self.name("add");
        let mut sum = self.graph.push(name, Op::Add, &[&stream, &branch]);
        for _ in 0..2 {
            if self.chance(0.4) {
                sum = self.pre_activation(&sum);
            }
        }
        self.site(&sum)
    }

    /// A block of currents whose shortcut is a convolution of one position, which reads a sum of
    /// currents (MS-ResNet).
    fn pre_activation(&mut self, sum: &str) -> String {
        let shape = self.shape(sum);
        let divisors: Vec<usize> = (1..=shape[0]).filter(|n| shape[0].is_multiple_of(*n)).collect();
        let groups = if self.chance(0.3) { self.choose(&divisors) } else { 1 };
        let channels = groups * self.random.random_range(1..=3);
        let axes = shape.len() - 1;
        let stride: Vec<usize> = (0..axes).map(|_| self.choose(&[1, 2, 2])).collect();
        let shortcut = Conv {
            channels,
            kernel: vec![1; axes],
            stride: stride.clone(),
            padding: vec![0; axes],
            dilation: vec![1; axes],
            groups,
            bias: self.chance(0.5),
        };
        let branch = Conv { groups: 1, bias: false, ..shortcut.clone() };
        let site = self.site(sum);
        let (name, other) = (self.name("conv"), self.name("conv"));
        let mut shortcut = self.graph.push(name, Op::Conv(shortcut), &[sum]);
        if self.chance(0.7) {
            shortcut = self.norm(&shortcut);
        }
        let branch = self.graph.push(other, Op::Conv(branch), &[&site]);
        let name = self.name("add");
        self.graph.push(name, Op::Add, &[&branch, &shortcut])
    }

    fn finish(mut self, channels: usize) -> Model {
        let graph = std::mem::take(&mut self.graph);
        let mut weights = Weights::new();
        if let Ok(resolved) = graph.resolve()
            && let Ok(specs) = weight_specs(&graph, &resolved, Form::Trained)
        {
            for WeightSpec { name, node, part: spec } in specs {
                let op = &graph.nodes[node].op;
                let size = spec.shape.iter().product();
                let mut values: Vec<f64> = (0..size).map(|_| self.value(op, &spec)).collect();
                if spec.part == "weight" && follows_maxima(&graph, &graph.nodes[node]) {
                    // Only what ascends commutes with a maximum.
                    for v in &mut values {
                        *v = if *v == 0.0 { 1.0 } else { v.abs() };
                    }
                }
                if self.numbers == Numbers::Dyadic && is_synapse(op, &spec) {
                    // One full-scale weight in each row makes the unit of the grid a power of two.
                    let row = size / spec.shape[0];
                    values.iter_mut().step_by(row).for_each(|v| *v = 127.0 / 128.0);
                }
                if let Ok(array) = ArrayD::from_shape_vec(IxDyn(&spec.shape), values) {
                    weights.insert(name, Tensor::F64(array));
                }
            }
        }
        let dyadic = self.numbers == Numbers::Dyadic;
        let std = (0..channels)
            .map(|_| if dyadic { 64.0 } else { self.random.random_range(40.0..90.0) })
            .collect();
        let mean = (0..channels).map(|_| self.random.random_range(90..=160)).collect();
        let time_steps = self.random.random_range(1..=6);
        Model::new(
            Signature::new(Form::Trained, graph, time_steps, Preprocessing::new(mean, std)),
            weights,
        )
    }

    /// A value of a weight of an operation.
    fn value(&mut self, op: &Op, spec: &PartSpec) -> f64 {
        let dyadic = self.numbers == Numbers::Dyadic;
        let eighth = |random: &mut ChaCha8Rng| f64::from(random.random_range(-8_i32..=8)) / 8.0;
        match (op, spec.initial) {
            (Op::Activation { site, .. }, Some(Initial::Constant(initial))) => {
                match (spec.range, site) {
                    (Range::Finite, _) => initial,
                    _ if dyadic => initial,
                    (_, Site::QuantRelu(_)) => initial * self.random.random_range(0.5..1.5),
                    _ => initial * self.random.random_range(0.7..1.5),
                }
            }
            (Op::BatchNorm(_), Some(Initial::Constant(1.0))) if spec.learned => {
                if dyadic {
                    return self.choose(&[1.0, 0.5, -1.0, -0.5, 0.0]);
                }
                let usual = self.random.random_range(0.3..1.5);
                self.choose(&[usual, usual, usual, -usual, 1e-8, -1e-8, 0.0])
            }
            (Op::BatchNorm(Norm { eps, .. }), _) if spec.range != Range::Finite => {
                if dyadic {
                    1.0 - eps
                } else {
                    self.random.random_range(0.2..3.0)
                }
            }
            _ if dyadic && is_synapse(op, spec) => eighth(&mut self.random) * 0.5,
            _ if dyadic => eighth(&mut self.random),
            _ => self.random.random_range(-0.8..0.8),
        }
    }
}

/// `true` for the weights of convolutions and linear layers, frozen ones too.
fn is_synapse(op: &Op, spec: &PartSpec) -> bool {
    matches!(op, Op::Conv(_) | Op::Linear { .. }) && spec.part == "weight"
}
