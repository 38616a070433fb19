//! The attributes of a LIF site on the grid (eq. 13).

use super::Record;
use crate::error::{Expected, Result, check};

/// A factor `k/2^m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction {
    /// k, at most 2^m.
    pub(crate) multiplier: u32,
    /// m, at most 16.
    pub(crate) shift: u32,
}

impl Fraction {
    fn read(record: Record<'_>, first: usize, what: &'static str) -> Result<Self> {
        let shift = record.small(first + 1, 16, what)?;
        Ok(Self { multiplier: record.small(first, 1 << shift, what)?, shift })
    }

    /// `⌊x·k / 2^m⌋`.
    #[inline]
    pub(crate) fn of(self, value: i64) -> i64 {
        (value * i64::from(self.multiplier)) >> self.shift
    }
}

/// Effect of a spike on the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    Hard,
    Soft,
    None,
}

/// Levels that are emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spike {
    Binary,
    Ternary,
    /// 0 to so many.
    Integer(u32),
}

/// A LIF site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lif {
    pub(crate) leak: Fraction,
    pub(crate) guard_bits: u32,
    pub(crate) reset: Reset,
    pub(crate) spike: Spike,
    /// Decay of the synaptic current, where there is one.
    pub(crate) synapse: Option<Fraction>,
    /// Decay of the adaptation, where there is one; then the jumps follow the thresholds.
    pub(crate) adaptation: Option<Fraction>,
    /// `true` if first membranes follow the other parameters.
    pub(crate) initial: bool,
}

impl Lif {
    /// Words that a neuron remembers: membrane, synaptic current, adaptation.
    pub(crate) fn states(&self) -> usize {
        1 + usize::from(self.synapse.is_some()) + usize::from(self.adaptation.is_some())
    }

    /// Parameters of a channel: threshold, jump of the adaptation, first membrane.
    pub(crate) fn parameters(&self) -> usize {
        1 + usize::from(self.adaptation.is_some()) + usize::from(self.initial)
    }

    /// Reads the attributes from 13 words.
    pub(crate) fn read(record: Record<'_>, first: usize) -> Result<Self> {
        let decay = |word, what| -> Result<Option<Fraction>> {
            let present = record.flag(first + word, what)?;
            present.then(|| Fraction::read(record, first + word + 1, what)).transpose()
        };
        let levels = record.small(first, 255, "levels of a site")?;
        check(levels > 0, "levels of a site", Expected::AtLeast(1), 0)?;
        let spikes = [Spike::Binary, Spike::Ternary, Spike::Integer(levels)];
        let lif = Self {
            spike: record.choice(first + 1, &spikes, "spikes of a site")?,
            reset: record.choice(
                first + 2,
                &[Reset::Hard, Reset::Soft, Reset::None],
                "reset of a site",
            )?,
            guard_bits: record.small(first + 3, 16, "guard bits of a site")?,
            leak: Fraction::read(record, first + 4, "leak k/2^m of a site")?,
            synapse: decay(6, "synaptic decay of a site")?,
            adaptation: decay(9, "adaptation of a site")?,
            initial: record.flag(first + 12, "first membrane of a site")?,
        };
        let adapts = lif.adaptation.is_some() && matches!(lif.spike, Spike::Integer(_));
        check(!adapts, "adaptation of a site", Expected::Text("none of integer spikes"), 1)?;
        Ok(lif)
    }

    /// The words of the attributes.
    #[cfg(feature = "compile")]
    pub(crate) fn words(&self) -> [usize; 13] {
        let fraction = |fraction: Option<Fraction>| {
            let Fraction { multiplier, shift } =
                fraction.unwrap_or(Fraction { multiplier: 0, shift: 0 });
            [usize::from(fraction.is_some()), multiplier as usize, shift as usize]
        };
        let (spike, levels) = match self.spike {
            Spike::Binary => (0, 1),
            Spike::Ternary => (1, 1),
            Spike::Integer(levels) => (2, levels as usize),
        };
        let reset = match self.reset {
            Reset::Hard => 0,
            Reset::Soft => 1,
            Reset::None => 2,
        };
        let [_, leak, shift] = fraction(Some(self.leak));
        let [synapse, k_i, m_i] = fraction(self.synapse);
        let [adaptation, k_a, m_a] = fraction(self.adaptation);
        let (guard, initial) = (self.guard_bits as usize, usize::from(self.initial));
        [levels, spike, reset, guard, leak, shift, synapse, k_i, m_i, adaptation, k_a, m_a, initial]
    }
}
