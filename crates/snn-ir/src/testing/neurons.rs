//! LIF neurons of random attributes.

use super::{Draw, Numbers};
use crate::site::{Adaptation, FirstMembrane, Leak, Lif, Reset, Share, Spike, Synapse, Threshold};
use rand::RngExt;

impl Draw {
    /// A LIF neuron of the basic kind.
    pub(super) fn lif(&mut self) -> Lif {
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
    pub(super) fn attributes(&mut self, mut lif: Lif) -> Lif {
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
}
