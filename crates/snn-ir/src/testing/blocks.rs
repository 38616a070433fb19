//! Parts of random networks: residual blocks, masks, recurrences.

use super::{Draw, Numbers};
use crate::graph::{Conv, Op, PoolKind, Window};
use crate::site::{Lif, Site, Threshold};
use rand::RngExt;

impl Draw {
    /// Convolution, norm, perhaps pooling of the current, perhaps a norm after maxima, site.
    pub(super) fn layer(&mut self, input: &str) -> String {
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

    pub(super) fn residual(&mut self, input: &str) -> String {
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

    pub(super) fn layer_same(&mut self, input: &str) -> String {
        let channels = self.random.random_range(1..=4);
        let current = self.conv(input, Some(channels), true);
        self.site(&current)
    }

    pub(super) fn pool(&mut self, input: &str, kinds: &[PoolKind]) -> String {
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

    pub(super) fn concat(&mut self, input: &str) -> String {
        let other = self.layer_same(input);
        let name = self.name("concat");
        self.graph.push(name, Op::Concat, &[input, &other])
    }

    /// Events masked by spikes that are computed from them: value by value, for groups of channels,
    /// for whole channels, or for all positions of groups. What is masked may be a sum of streams,
    /// which a layer then reads.
    pub(super) fn mask(&mut self, input: &str) -> String {
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
    pub(super) fn event_add(&mut self, input: &str) -> String {
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
    pub(super) fn delay(&mut self, shape: Vec<usize>) -> String {
        let steps = self.choose(&[1, 1, 2, 3]);
        let name = self.name("delay");
        self.graph.push(name, Op::Delay { steps, shape }, &[""])
    }

    /// Makes a delay read a site, or the site that a node before reads: dropout may stand behind.
    pub(super) fn delay_of(&mut self, delay: &str, site: &str) {
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
    pub(super) fn recurrence(&mut self, input: &str) -> String {
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
    pub(super) fn delayed(&mut self, input: &str) -> String {
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
    pub(super) fn membrane_stream(&mut self, input: &str) -> String {
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
    pub(super) fn pre_activation(&mut self, sum: &str) -> String {
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
}
