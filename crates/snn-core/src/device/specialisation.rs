//! Kinds of sites, each of which the kernels are compiled for.

use snn_ir::{Lif, Reset, ResetGradient, Spike};

/// What the macros of `site.cu` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each macro that is on or off")]
pub(crate) struct Specialisation {
    pub(super) steps: u32,
    pub(super) pack: u32,
    pub(super) bf16: bool,
    pub(super) terms: u32,
    /// Bit k: term k does not vary over time.
    pub(super) static_terms: u32,
    /// Bit k: term k stands behind a batch norm.
    pub(super) normed_terms: u32,
    pub(super) neuron: u32,
    pub(super) spike: u32,
    pub(super) reset: u32,
    pub(super) flowing: bool,
    pub(super) surrogate: u32,
    pub(super) learns_leak: bool,
    pub(super) learns_value: bool,
    pub(super) per_channel: bool,
    pub(super) share: bool,
}

/// Neurons, as `site.cu` numbers them.
pub(super) const RELU: u32 = 0;
pub(super) const QUANT_RELU: u32 = 1;
pub(super) const LIF: u32 = 2;

impl Specialisation {
    /// A site with a batch norm, to show that kernels can be compiled.
    pub(super) fn smallest() -> Self {
        Self { steps: 1, pack: 1, terms: 1, normed_terms: 1, ..Self::default() }
    }

    /// The macros with their values.
    pub(crate) fn macros(&self) -> [(&'static str, u32); 15] {
        [
            ("STEPS", self.steps),
            ("PACK", self.pack),
            ("BF16", self.bf16.into()),
            ("TERMS", self.terms),
            ("STATIC_TERMS", self.static_terms),
            ("NORMED_TERMS", self.normed_terms),
            ("NEURON", self.neuron),
            ("SPIKE", self.spike),
            ("RESET", self.reset),
            ("FLOWING", self.flowing.into()),
            ("SURROGATE", self.surrogate),
            ("LEARNS_LEAK", self.learns_leak.into()),
            ("LEARNS_VALUE", self.learns_value.into()),
            ("PER_CHANNEL", self.per_channel.into()),
            ("SHARE", self.share.into()),
        ]
    }

    /// The most channels of a thread for which its backward pass keeps the values of all
    /// macro-steps in registers.
    pub(crate) fn most_pack(&self) -> usize {
        let is_simple = self.neuron != LIF || self.spike == 0 || !self.learns_value;
        let most = (if is_simple { 48 } else { 24 }) / self.steps.max(1);
        [8, 4, 2].into_iter().find(|pack| most >= *pack).unwrap_or(1) as usize
    }

    /// Batch norms before the site.
    pub(super) fn norms(&self) -> usize {
        self.normed_terms.count_ones() as usize
    }

    /// Sums that a backward pass makes of each channel.
    pub(super) fn sums(&self) -> usize {
        2 * self.norms() + usize::from(self.learns_leak) + usize::from(self.learns_value)
    }

    /// What a LIF neuron is beside its numbers.
    pub(super) fn with_lif(self, lif: &Lif, surrogate: u32) -> Self {
        Self {
            neuron: LIF,
            spike: match lif.spike {
                Spike::Binary => 0,
                Spike::Ternary => 1,
                Spike::Integer { .. } => 2,
            },
            reset: match lif.reset {
                Reset::Hard { .. } => 0,
                Reset::Soft => 1,
                Reset::None => 2,
            },
            flowing: lif.reset_gradient == ResetGradient::Flowing,
            surrogate,
            ..self
        }
    }
}

/// Kinds of sites that networks have, for tests of the compiler: all neurons, resets, spikes and
/// surrogates, and the numbers of macro-steps and terms that use most registers.
#[cfg(test)]
pub(super) fn all_for_tests() -> Vec<Specialisation> {
    let lif = Specialisation {
        steps: 4,
        pack: 8,
        bf16: true,
        terms: 1,
        normed_terms: 1,
        neuron: LIF,
        learns_leak: true,
        ..Specialisation::default()
    };
    let mut all = vec![
        lif,
        Specialisation { terms: 2, ..lif },
        Specialisation { terms: 2, normed_terms: 3, static_terms: 2, ..lif },
        Specialisation { bf16: false, ..lif },
        Specialisation { terms: 2, normed_terms: 3, ..lif },
        Specialisation { bf16: false, terms: 2, normed_terms: 3, ..lif },
        Specialisation { steps: 2, terms: 2, normed_terms: 3, ..lif },
        Specialisation { steps: 10, ..lif },
        Specialisation { steps: 32, ..lif },
        Specialisation { pack: 1, terms: 4, normed_terms: 15, ..lif },
        Specialisation { neuron: RELU, learns_leak: false, ..lif },
    ];
    for steps in [1, 4] {
        let quant = Specialisation { steps, neuron: QUANT_RELU, learns_leak: false, ..lif };
        all.push(Specialisation { learns_value: true, ..quant });
        all.push(Specialisation { learns_value: true, per_channel: true, terms: 2, ..quant });
    }
    for reset in 0..3 {
        for spike in 0..3 {
            let flowing = Specialisation { flowing: true, learns_value: true, share: true, ..lif };
            all.push(Specialisation {
                reset,
                spike,
                surrogate: (3 * reset + spike) % 8,
                ..flowing
            });
        }
    }
    all.push(Specialisation { spike: 2, surrogate: 7, reset: 1, ..lif });
    for of in &mut all {
        of.pack = of.pack.min(u32::try_from(of.most_pack()).unwrap_or(1));
    }
    all
}
