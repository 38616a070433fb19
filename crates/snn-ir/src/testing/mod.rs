//! Random trained models, for testing interpreters and conversions against each other. A model is a
//! function of its seed.

mod blocks;
mod finish;
mod neurons;

use crate::graph::{
    BATCH_NORM_MOMENTUM, Conv, Graph, InitialWeights, Node, Norm, Op, PoolKind, Readout, Role,
};
use crate::model::Model;
use crate::site::{QuantRelu, Share, Site};
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
}
