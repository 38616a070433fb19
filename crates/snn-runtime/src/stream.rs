//! What an event edge carries: channels in segments of one code each, and how its planes come about (eqs. 15 to 17).

use snn_ir::Code;

/// How a synapse treats the planes of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Bit-planes: `A ← 2A + S·e`.
    Horner,
    /// Unary and binary planes: `A ← A + S·e`, additions.
    Counted,
    /// Payloads: `A ← A + S·q`, multiplications.
    Graded,
}

/// Delivered in this order, one accumulator is enough for all: it is linear, and what follows the Horner planes is not doubled any more.
pub(crate) const CLASSES: [Class; 3] = [Class::Horner, Class::Counted, Class::Graded];

/// Consecutive channels of one code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// One past its last channel.
    pub(crate) end: usize,
    pub(crate) code: Code,
    /// D of the code: the largest level of one source.
    pub(crate) levels: u32,
    /// The largest value: D, times the windows of sum pools on the way.
    pub(crate) bound: u32,
    /// Whether a plane entry may be above one.
    pub(crate) counts: bool,
}

impl Segment {
    /// A segment straight from its source. A code that needs one plane only is binary.
    pub(crate) fn new(end: usize, code: Code, levels: u32, counts: bool) -> Self {
        let code = if code != Code::Graded && code.micro_steps(levels) == 1 { Code::Binary } else { code };
        Self { end, code, levels, bound: levels, counts: counts && code == Code::Binary }
    }

    pub(crate) fn class(&self) -> Class {
        match self.code {
            Code::BitPlane => Class::Horner,
            Code::Binary | Code::Ternary | Code::Unary => Class::Counted,
            Code::Graded => Class::Graded,
        }
    }

    pub(crate) fn micro_steps(&self) -> u32 {
        self.code.micro_steps(self.levels)
    }

    /// Eq. 15: what level `q` puts on the plane that `remaining` micro-steps follow. Counting from the end aligns streams of different length.
    pub(crate) fn entry(&self, q: u32, remaining: u32) -> u32 {
        match self.code {
            // Ternary sites are refused when a model is compiled.
            Code::Binary | Code::Ternary | Code::Graded => {
                if remaining == 0 {
                    q
                } else {
                    0
                }
            }
            Code::Unary => u32::from(remaining < self.levels && q >= self.levels - remaining),
            Code::BitPlane => q.checked_shr(remaining).unwrap_or(0) & 1,
        }
    }

    /// Plane entries that level `q` sends.
    pub(crate) fn events(&self, q: u32) -> u64 {
        u64::from(match self.code {
            Code::Unary => q,
            Code::BitPlane => q.count_ones(),
            Code::Binary | Code::Ternary | Code::Graded => u32::from(q > 0),
        })
    }
}

/// How the plane of a node is formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Formation {
    /// The levels are the one plane.
    Whole,
    /// From the node's own levels, by code.
    Filter,
    /// From the planes of its inputs: it pools planes, or rearranges what does.
    Derived,
}

/// The stream that leaves a node.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) segments: Vec<Segment>,
    pub(crate) formation: Formation,
}

impl Stream {
    /// Of a node whose planes are formed from its own levels.
    pub(crate) fn of_levels(segments: Vec<Segment>) -> Self {
        let whole = segments.iter().all(|s| s.micro_steps() == 1 && s.class() == segments[0].class());
        Self { segments, formation: if whole { Formation::Whole } else { Formation::Filter } }
    }

    /// Of a max pool: planes are formed anew from the largest levels.
    pub(crate) fn max_pooled(&self) -> Self {
        Self::of_levels(self.segments.iter().map(|s| Segment::new(s.end, s.code, s.bound, s.counts)).collect())
    }

    /// Of a sum pool over windows of `size` positions: planes are pooled.
    pub(crate) fn sum_pooled(&self, size: usize) -> Self {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let segments: Vec<Segment> =
            self.segments.iter().map(|s| Segment { bound: s.bound.saturating_mul(size), counts: true, ..*s }).collect();
        let linear = self.formation != Formation::Derived && segments.iter().all(|s| s.micro_steps() == 1);
        if linear { Self::of_levels(segments) } else { Self { segments, formation: Formation::Derived } }
    }

    /// Of a flatten over `positions` positions.
    pub(crate) fn flattened(&self, positions: usize) -> Self {
        let segments = self.segments.iter().map(|s| Segment { end: s.end * positions, ..*s }).collect();
        Self { segments, formation: self.formation }
    }

    /// Of a concatenation.
    pub(crate) fn concatenated(streams: &[&Stream]) -> Self {
        let mut segments = Vec::new();
        let mut start = 0;
        for stream in streams {
            segments.extend(stream.segments.iter().map(|s| Segment { end: start + s.end, ..*s }));
            start += stream.segments.last().map_or(0, |s| s.end);
        }
        if streams.iter().any(|s| s.formation == Formation::Derived) {
            Self { segments, formation: Formation::Derived }
        } else {
            Self::of_levels(segments)
        }
    }

    fn of_class(&self, class: Class) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |s| s.class() == class)
    }

    /// The planes of this stream, class by class.
    pub(crate) fn passes(&self) -> Vec<Pass> {
        CLASSES
            .into_iter()
            .filter_map(|class| {
                let micro_steps = self.of_class(class).map(Segment::micro_steps).max()?;
                let weighted = class == Class::Graded || self.of_class(class).any(|s| s.counts);
                Some(Pass { class, micro_steps, weighted })
            })
            .collect()
    }
}

/// The planes of one class that a synapse receives at each macro-step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) class: Class,
    pub(crate) micro_steps: u32,
    /// Whether entries carry a count or payload other than one.
    pub(crate) weighted: bool,
}
