//! Random converted models, drawn directly in the form `grid` or `events`: small numbers, so that
//! neurons meet their thresholds exactly, often.
#![allow(dead_code, reason = "each test file uses a part of this module")]

mod finish;

use ndarray::{ArrayD, IxDyn};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::Model;
use snn_ir::StreamKind as Kind;
use snn_ir::{
    Adaptation, Code, FirstMembrane, GridAdaptation, GridLif, GridReset, GridSynapse, Leak, Lif,
    QuantRelu, Reset, Share, Site, Spike, Synapse, Threshold,
};
use snn_ir::{Conv, Graph, Op, PoolKind, Window};

/// Numbers of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// The grid.
    Integer,
    /// Multiples of powers of two: every f64 sum is exact.
    Dyadic,
    /// As dyadic, but so few bits that every f32 sum is exact; without unquantised ReLUs.
    Coarse,
}

/// Mean of every channel.
const MEAN: u8 = 128;

pub(crate) struct Draw {
    random: ChaCha8Rng,
    numbers: Numbers,
    graph: Graph,
    /// Name, shape and kind of every node so far.
    nodes: Vec<(String, Vec<usize>, Kind)>,
}

/// A model of about `size` operations.
pub(crate) fn model(seed: u64, size: usize, numbers: Numbers) -> Model {
    let mut draw = Draw {
        random: ChaCha8Rng::seed_from_u64(seed),
        numbers,
        graph: Graph::default(),
        nodes: Vec::new(),
    };
    let channels = draw.upto(3);
    let shape = match draw.random.random_range(0..8) {
        0 => vec![channels * 4],
        1 | 2 => vec![channels, draw.upto(6) + 3],
        _ => vec![channels, draw.upto(5) + 2, draw.upto(5) + 2],
    };
    let image = draw.node(Op::Input { shape: shape.clone() }, &[], shape, Kind::Pixels);
    let current = draw.synapse(&image);
    draw.site(&current);
    for _ in 0..size {
        draw.grow();
    }
    draw.finish()
}

/// Pixels near the mean, `[…shape]`; now and then far from it.
pub(crate) fn pixels(model: &Model, leading: &[usize], seed: u64) -> ArrayD<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shape = leading.to_vec();
    if let Some(Op::Input { shape: image }) = model.graph().nodes.first().map(|n| &n.op) {
        shape.extend(image);
    }
    ArrayD::from_shape_simple_fn(IxDyn(&shape), || {
        if random.random_bool(0.05) {
            random.random()
        } else {
            random.random_range(MEAN - 3..=MEAN + 3)
        }
    })
}

/// The model with every site that has a choice sending by `code`.
pub(crate) fn recoded(model: &Model, code: Code) -> Model {
    let mut model = model.clone();
    for node in &mut model.graph_mut().nodes {
        if let Op::Activation { site, code: Some(old) } = &mut node.op
            && site.spike().is_some_and(|spike| code.carries(spike))
        {
            *old = code;
        }
    }
    model
}

impl Draw {
    fn upto(&mut self, most: usize) -> usize {
        self.random.random_range(1..=most)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn choose<V: Clone>(&mut self, from: &[V]) -> V {
        from.choose(&mut self.random).expect("a choice").clone()
    }

    fn node(&mut self, op: Op, inputs: &[&str], shape: Vec<usize>, kind: Kind) -> String {
        let name = format!("n{}.{}", self.nodes.len(), op.label());
        self.graph.push(&name, op, inputs);
        self.nodes.push((name.clone(), shape, kind));
        name
    }

    fn of(&self, name: &str) -> (Vec<usize>, Kind) {
        self.nodes.iter().find(|n| n.0 == name).map(|n| (n.1.clone(), n.2)).expect("a node")
    }

    /// A random node of one of these kinds, late ones more often.
    fn any(&mut self, kinds: &[Kind]) -> Option<String> {
        let names: Vec<String> =
            self.nodes.iter().filter(|n| kinds.contains(&n.2)).map(|n| n.0.clone()).collect();
        let late = names.len().saturating_sub(3);
        let from = if self.chance(0.7) { &names[late..] } else { &names };
        from.choose(&mut self.random).cloned()
    }

    fn grow(&mut self) {
        let flow = [Kind::Events, Kind::Pixels];
        match self.random.random_range(0..15) {
            0..=3 => {
                let Some(source) = self.any(&[Kind::Events]) else { return };
                let current = self.synapse(&source);
                self.site(&current);
            }
            4 => {
                if let Some(source) = self.any(&flow) {
                    self.synapse(&source);
                }
            }
            5 => {
                if let Some(current) = self.any(&[Kind::Current]) {
                    self.site(&current);
                }
            }
            6 | 7 => {
                if let Some(source) =
                    self.any(&[Kind::Events, Kind::Events, Kind::Current, Kind::Pixels])
                {
                    self.pool(&source);
                }
            }
            8 | 9 => self.concat(),
            10 => self.add(),
            11 => self.recurrence(),
            12 => self.delayed(),
            13 => self.mask(),
            _ => {
                if let Some(source) = self.any(&[Kind::Events, Kind::Current]) {
                    self.flatten(&source);
                }
            }
        }
    }

    /// A delay of a shape, whose site [`Draw::delay_of`] says.
    fn delay(&mut self, shape: Vec<usize>) -> String {
        let steps = self.choose(&[1, 1, 2, 3, 7]);
        let op = Op::Delay { steps, shape: shape.clone() };
        self.node(op, &[""], shape, Kind::Events)
    }

    fn delay_of(&mut self, delay: &str, site: String) {
        self.graph.node_mut(delay).expect("a delay").inputs = vec![site];
    }

    /// A site that reads what it, or a site that reads it, sent before.
    fn recurrence(&mut self) {
        let Some(current) = self.any(&[Kind::Current]) else { return };
        let (shape, _) = self.of(&current);
        let delay = self.delay(shape.clone());
        let back = self.node(Op::Scale, &[&delay], shape.clone(), Kind::Current);
        let sum = self.node(Op::Add, &[&current, &back], shape.clone(), Kind::Current);
        let mut site = self.site(&sum);
        if self.chance(0.4) {
            if self.chance(0.5) {
                let onwards = self.delay(shape.clone());
                self.delay_of(&onwards, site);
                site = onwards;
            }
            let next = self.node(Op::Scale, &[&site], shape, Kind::Current);
            site = self.site(&next);
        }
        self.delay_of(&delay, site);
    }

    /// A delay of a site that stands before it.
    fn delayed(&mut self) {
        let sites: Vec<String> = self
            .graph
            .nodes
            .iter()
            .filter(|node| matches!(node.op, Op::Activation { .. }))
            .map(|node| node.name.clone())
            .collect();
        let site = self.choose(&sites);
        let delay = self.delay(self.of(&site).0);
        self.delay_of(&delay, site);
    }

    fn synapse(&mut self, source: &str) -> String {
        let (shape, _) = self.of(source);
        if self.chance(0.2) {
            return self.node(Op::Scale, &[source], shape, Kind::Current);
        }
        let bias = self.chance(0.5);
        if shape.len() == 1 {
            let features = self.upto(9);
            return self.node(
                Op::Linear { features, bias },
                &[source],
                vec![features],
                Kind::Current,
            );
        }
        let rank = shape.len() - 1;
        let divisors: Vec<usize> = (1..=shape[0]).filter(|g| shape[0].is_multiple_of(*g)).collect();
        let groups = if self.chance(0.5) { 1 } else { self.choose(&divisors) };
        let mut conv = Conv {
            channels: groups * if self.chance(0.1) { self.upto(12) + 8 } else { self.upto(3) },
            kernel: Vec::new(),
            stride: Vec::new(),
            padding: Vec::new(),
            dilation: Vec::new(),
            groups,
            bias,
        };
        let mut outputs = vec![conv.channels];
        for axis in 0..rank {
            let (size, padding) = (shape[axis + 1], self.choose(&[0, 1, 1, 2]));
            let kernel = self.upto(3.min(size + 2 * padding));
            let dilation =
                if (kernel - 1) * 2 < size + 2 * padding { self.choose(&[1, 1, 2]) } else { 1 };
            let stride = self.choose(&[1, 1, 2, 3]);
            outputs.push((size + 2 * padding - (kernel - 1) * dilation - 1) / stride + 1);
            conv.kernel.push(kernel);
            conv.padding.push(padding);
            conv.stride.push(stride);
            conv.dilation.push(dilation);
        }
        if self.chance(0.25) {
            // As much padding in all, but not the same on both sides.
            let total: Vec<usize> = conv.padding.iter().map(|each| 2 * each).collect();
            let before: Vec<usize> =
                total.iter().map(|&total| self.random.random_range(0..=total)).collect();
            let after = total.iter().zip(&before).map(|(total, before)| total - before);
            conv.padding = before.iter().copied().chain(after).collect();
        }
        self.node(Op::Conv(conv), &[source], outputs, Kind::Current)
    }

    fn site(&mut self, current: &str) -> String {
        let (shape, _) = self.of(current);
        let (site, code) = match self.numbers {
            Numbers::Integer => self.grid_site(),
            Numbers::Dyadic | Numbers::Coarse => self.real_site(),
        };
        self.node(Op::Activation { site, code: Some(code) }, &[current], shape, Kind::Events)
    }

    fn code(&mut self) -> Code {
        self.choose(&[Code::Unary, Code::BitPlane, Code::Graded])
    }

    fn grid_site(&mut self) -> (Site, Code) {
        if self.chance(0.5) {
            return (Site::GridQuantRelu { levels: self.random.random_range(1..=15) }, self.code());
        }
        let (leak_multiplier, leak_shift) = self.fraction();
        let reset = self.choose(&[GridReset::Hard, GridReset::Soft, GridReset::None]);
        let mut lif =
            GridLif::new(leak_multiplier, leak_shift, self.choose(&[0, 1, 3, 8, 16]), reset);
        lif.spike = self.spike();
        if self.chance(0.3) {
            let (multiplier, shift) = self.fraction();
            lif.synapse = GridSynapse::Current { multiplier, shift };
        }
        if self.chance(0.3) && !matches!(lif.spike, Spike::Integer { .. }) {
            let (multiplier, shift) = self.fraction();
            lif.adaptation = GridAdaptation::Threshold { multiplier, shift };
        }
        lif.initial = self.chance(0.3);
        let code = self.code_of(lif.spike);
        (Site::GridLif(lif), code)
    }

    /// k and m of a factor k/2^m.
    fn fraction(&mut self) -> (u32, u8) {
        let shift = self.random.random_range(0..=4);
        (self.random.random_range(0..=1 << shift), shift)
    }

    fn spike(&mut self) -> Spike {
        match self.random.random_range(0..4) {
            0 => Spike::Ternary,
            1 => Spike::Integer { levels: self.random.random_range(1..=9) },
            _ => Spike::Binary,
        }
    }

    fn code_of(&mut self, spike: Spike) -> Code {
        match spike {
            Spike::Binary => Code::Binary,
            Spike::Ternary => Code::Ternary,
            Spike::Integer { .. } => self.code(),
        }
    }

    fn real_site(&mut self) -> (Site, Code) {
        match self.random.random_range(0..4) {
            0 | 1 => {
                let share = self.choose(&[Share::Layer, Share::Channel]);
                let levels = self.random.random_range(1..=15);
                (Site::QuantRelu(QuantRelu { levels, step: 1.0, share }), self.code())
            }
            2 if self.numbers == Numbers::Dyadic => {
                let limit = self.choose(&[None, None, Some(1.5)]);
                (Site::Relu { limit }, Code::Graded)
            }
            _ => {
                let spike = self.spike();
                let potential =
                    if spike == Spike::Binary { self.choose(&[0.0, 0.0, -0.5, 0.25]) } else { 0.0 };
                let mut lif = Lif {
                    leak: Leak::Factor { factor: self.choose(&[1.0, 0.5, 0.75, 0.0]) },
                    threshold: self.choose(&[0.5, 1.0, 2.0]).into(),
                    reset: self.choose(&[Reset::Hard { potential }, Reset::Soft, Reset::None]),
                    spike,
                    ..Lif::default()
                };
                if self.chance(0.3) {
                    let share = self.choose(&[Share::Layer, Share::Channel]);
                    lif.threshold = Threshold::Learned { initial: 1.0, share };
                }
                if self.chance(0.3) {
                    lif.synapse = Synapse::Current { alpha: self.choose(&[0.5, 0.75, 1.0]) };
                }
                if self.chance(0.3) && !matches!(spike, Spike::Integer { .. }) {
                    let (decay, strength) =
                        (self.choose(&[0.5, 0.75, 1.0]), self.choose(&[0.0, 0.25, 1.0]));
                    lif.adaptation = Adaptation::Threshold { decay, strength };
                }
                lif.initial = match self.random.random_range(0..4) {
                    0 => FirstMembrane::Potential(self.choose(&[-0.5, 0.25, 0.5])),
                    1 => FirstMembrane::Threshold { share: self.choose(&[0.5, -0.25]) },
                    _ => FirstMembrane::Rest,
                };
                let code = self.code_of(spike);
                (Site::Lif(lif), code)
            }
        }
    }

    fn pool(&mut self, source: &str) {
        let (shape, kind) = self.of(source);
        let pool = self.choose(&[PoolKind::Sum, PoolKind::Max]);
        if shape.len() == 1 || self.chance(0.2) {
            self.node(Op::GlobalPool { pool }, &[source], vec![shape[0]], kind);
            return;
        }
        let (mut window, mut outputs) =
            (Window { kernel: vec![], stride: vec![], padding: vec![] }, vec![shape[0]]);
        let mut after = Vec::new();
        for &size in &shape[1..] {
            let kernel = self.upto(3.min(size));
            let side = |draw: &mut Self| draw.random.random_range(0..=kernel / 2);
            let (before, behind) = (side(self), side(self));
            let stride = self.upto(2);
            outputs.push((size + before + behind - kernel) / stride + 1);
            window.kernel.push(kernel);
            window.padding.push(before);
            after.push(behind);
            window.stride.push(stride);
        }
        window.padding.extend(after);
        self.node(Op::Pool { pool, window }, &[source], outputs, kind);
    }

    fn flatten(&mut self, source: &str) -> String {
        let (shape, kind) = self.of(source);
        self.node(Op::Flatten, &[source], vec![shape.iter().product()], kind)
    }

    fn concat(&mut self) {
        let Some(first) = self.any(&[Kind::Events, Kind::Events, Kind::Current]) else { return };
        let (shape, kind) = self.of(&first);
        let fitting: Vec<_> = self
            .nodes
            .iter()
            .filter(|n| n.2 == kind && n.1[1..] == shape[1..] && n.1.len() == shape.len())
            .cloned()
            .collect();
        let mut chosen = vec![(first, shape.clone(), kind)];
        for _ in 0..self.upto(2) {
            chosen.push(self.choose(&fitting));
        }
        let mut joined = shape;
        joined[0] = chosen.iter().map(|n| n.1[0]).sum();
        if joined[0] > 40 {
            return;
        }
        let names: Vec<&str> = chosen.iter().map(|n| n.0.as_str()).collect();
        self.node(Op::Concat, &names, joined, kind);
    }

    /// Events masked by spikes that there are, or by new ones of all channels, groups or one, at
    /// all positions or for whole channels.
    fn mask(&mut self) {
        let Some(x) = self.any(&[Kind::Events]) else { return };
        let (shape, kind) = self.of(&x);
        let op = Op::Mask { inverted: self.chance(0.5) };
        let fits = |mask: &String| {
            let mut graph = self.graph.clone();
            graph.push("trial", op.clone(), &[mask, &x]);
            graph.shapes().is_ok()
        };
        let masks: Vec<String> =
            self.nodes.iter().map(|node| node.0.clone()).filter(fits).collect();
        let mask = if masks.is_empty() || self.chance(0.6) {
            let divisors: Vec<usize> =
                (1..=shape[0]).filter(|g| shape[0].is_multiple_of(*g)).collect();
            let groups = self.choose(&divisors);
            let current = if shape.len() == 1 {
                let op = Op::Linear { features: groups, bias: true };
                self.node(op, &[&x], vec![groups], Kind::Current)
            } else {
                let axes = shape.len() - 1;
                let line = Conv { bias: true, ..Conv::line(groups, 1, 1) };
                let conv = Conv {
                    kernel: vec![1; axes],
                    stride: vec![1; axes],
                    padding: vec![0; axes],
                    dilation: vec![1; axes],
                    ..line
                };
                let outputs = [&[groups], &shape[1..]].concat();
                self.node(Op::Conv(conv), &[&x], outputs, Kind::Current)
            };
            let spikes = self.spikes(&current);
            if self.chance(0.4) {
                let pool = Op::GlobalPool { pool: PoolKind::Max };
                self.node(pool, &[&spikes], vec![groups], Kind::Events)
            } else {
                spikes
            }
        } else {
            self.choose(&masks)
        };
        self.node(op, &[&mask, &x], shape, kind);
    }

    /// A site of binary spikes.
    fn spikes(&mut self, current: &str) -> String {
        let (shape, _) = self.of(current);
        loop {
            let (site, code) = match self.numbers {
                Numbers::Integer => self.grid_site(),
                Numbers::Dyadic | Numbers::Coarse => self.real_site(),
            };
            if site.spike() == Some(Spike::Binary) {
                let op = Op::Activation { site, code: Some(code) };
                return self.node(op, &[current], shape, Kind::Events);
            }
        }
    }

    /// A membrane stream or a shortcut: currents of one shape.
    fn add(&mut self) {
        let Some(first) = self.any(&[Kind::Current]) else { return };
        let (shape, _) = self.of(&first);
        // A scale of events of the same shape is the identity shortcut.
        let shortcut =
            self.nodes.iter().find(|n| n.2 == Kind::Events && n.1 == shape).map(|n| n.0.clone());
        if let Some(source) = shortcut {
            self.node(Op::Scale, &[&source], shape.clone(), Kind::Current);
        }
        let fitting: Vec<_> =
            self.nodes.iter().filter(|n| n.2 == Kind::Current && n.1 == shape).cloned().collect();
        let second = self.choose(&fitting).0;
        let third = self.choose(&fitting).0;
        let all = [first.as_str(), &second, &third];
        let count = self.random.random_range(2..=3);
        self.node(Op::Add, &all[..count], shape, Kind::Current);
    }
}
