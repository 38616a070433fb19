//! Contents of an event edge: channels in segments of one code each, and how its planes come about
//! (eqs. 15 to 17).

use crate::arithmetic::Arithmetic;
use snn_ir::Code;

/// The most micro-steps that planes formed anew behind pools may need; a limit for untrusted files.
pub(crate) const MAX_MICRO_STEPS: u32 = 1 << 16;
/// The most bit-planes of a level: levels are i32.
const MAX_BIT_PLANES: u32 = 31;

/// How a synapse treats the planes of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Bit-planes: `A ← 2A + S·e`.
    Horner,
    /// Unary and binary planes, and the first of ternary ones: `A ← A + S·e`, additions.
    Counted,
    /// The second planes of ternary codes: `A ← A − S·e`, additions. The sign travels with the
    /// entries, which are negative.
    Subtracted,
    /// Payloads: `A ← A + S·q`, multiplications.
    Graded,
}

/// Delivered in this order, one accumulator is enough for all: it is linear, and what follows the
/// Horner planes is not doubled any more.
pub(crate) const CLASSES: [Class; 4] =
    [Class::Horner, Class::Counted, Class::Subtracted, Class::Graded];

/// Which plane: its class, and how many micro-steps of that class follow it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) class: Class,
    pub(crate) remaining: u32,
}

/// Consecutive channels of one code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// One past its last channel.
    pub(crate) end: usize,
    pub(crate) code: Code,
    /// D of the code: the largest absolute level of one source.
    pub(crate) levels: u32,
    /// The largest absolute value: D, times the windows of sum pools on the way.
    pub(crate) bound: u32,
    /// `true` if a plane entry may be above one.
    pub(crate) counts: bool,
}

impl Segment {
    /// A segment straight from its source. A code of levels that needs one plane only is binary.
    pub(crate) fn new(end: usize, code: Code, levels: u32, counts: bool) -> Self {
        let code = match code {
            Code::Unary | Code::BitPlane if code.micro_steps(levels) == 1 => Code::Binary,
            Code::Unary | Code::BitPlane | Code::Binary | Code::Ternary | Code::Graded => code,
        };
        Self {
            end,
            code,
            levels,
            bound: levels,
            counts: counts && matches!(code, Code::Binary | Code::Ternary),
        }
    }

    /// Micro-steps of a macro-step.
    pub(crate) fn micro_steps(&self) -> u32 {
        self.code.micro_steps(self.levels)
    }

    /// How many of its planes are of a class.
    pub(crate) fn planes(&self, class: Class) -> u32 {
        match (self.code, class) {
            (Code::BitPlane, Class::Horner) | (Code::Binary | Code::Unary, Class::Counted) => {
                self.micro_steps()
            }
            (Code::Ternary, Class::Counted | Class::Subtracted) | (Code::Graded, Class::Graded) => {
                1
            }
            (Code::Binary | Code::Ternary | Code::Unary | Code::BitPlane | Code::Graded, _) => 0,
        }
    }

    /// `true` if its planes are few enough to be sent.
    pub(crate) fn is_short(&self) -> bool {
        match self.code {
            Code::Unary => self.levels <= MAX_MICRO_STEPS,
            Code::BitPlane => self.micro_steps() <= MAX_BIT_PLANES,
            Code::Binary | Code::Ternary | Code::Graded => true,
        }
    }

    /// Eq. 15: what a level puts on a plane. Micro-steps are counted from the end, which aligns
    /// streams of different length. Payloads and counts pass as they are; a payload may be a real
    /// number.
    #[inline(always)]
    pub(crate) fn entry<A: Arithmetic>(&self, value: A, at: Moment) -> A {
        let (zero, last) = (A::default(), at.remaining == 0);
        let takes = match (self.code, at.class) {
            (Code::Binary, Class::Counted) | (Code::Graded, Class::Graded) => {
                return if last { value } else { zero };
            }
            (Code::Ternary, Class::Counted) => {
                return if last && value > zero { value } else { zero };
            }
            (Code::Ternary, Class::Subtracted) => {
                return if last && value < zero { value } else { zero };
            }
            (Code::Unary, Class::Counted) => {
                at.remaining < self.levels
                    && value.level().unsigned_abs() >= self.levels - at.remaining
            }
            (Code::BitPlane, Class::Horner) => {
                value.level().unsigned_abs().checked_shr(at.remaining).unwrap_or(0) & 1 != 0
            }
            (Code::Binary | Code::Ternary | Code::Unary | Code::BitPlane | Code::Graded, _) => {
                false
            }
        };
        if takes { A::ONE } else { zero }
    }

    /// Plane entries that level `q` of a site sends.
    pub(crate) fn events(&self, q: i32) -> u64 {
        u64::from(match self.code {
            Code::Unary => q.unsigned_abs(),
            Code::BitPlane => q.count_ones(),
            Code::Binary | Code::Ternary | Code::Graded => u32::from(q != 0),
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
    /// Stream of a node whose planes are formed from its own levels.
    pub(crate) fn of_levels(segments: Vec<Segment>) -> Self {
        let sends_levels = |s: &Segment| matches!(s.code, Code::Binary | Code::Graded);
        let whole = segments.iter().all(|s| sends_levels(s) && s.code == segments[0].code);
        Self { segments, formation: if whole { Formation::Whole } else { Formation::Filter } }
    }

    /// Stream of a max pool: planes are formed anew from the largest levels.
    pub(crate) fn max_pooled(&self) -> Self {
        Self::of_levels(
            self.segments.iter().map(|s| Segment::new(s.end, s.code, s.bound, s.counts)).collect(),
        )
    }

    /// Stream of a sum pool over windows of `size` positions: planes are pooled.
    pub(crate) fn sum_pooled(&self, size: usize) -> Self {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let segments: Vec<Segment> = self
            .segments
            .iter()
            .map(|s| Segment { bound: s.bound.saturating_mul(size), counts: true, ..*s })
            .collect();
        let linear =
            self.formation != Formation::Derived && segments.iter().all(|s| s.micro_steps() == 1);
        if linear {
            Self::of_levels(segments)
        } else {
            Self { segments, formation: Formation::Derived }
        }
    }

    /// Stream of a flatten over `positions` positions.
    pub(crate) fn flattened(&self, positions: usize) -> Self {
        let segments =
            self.segments.iter().map(|s| Segment { end: s.end * positions, ..*s }).collect();
        Self { segments, formation: self.formation }
    }

    /// Stream of a concatenation.
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

    /// The planes of this stream, class by class.
    pub(crate) fn passes(&self) -> Vec<Pass> {
        CLASSES
            .into_iter()
            .filter_map(|class| {
                let of_class = || self.segments.iter().filter(move |s| s.planes(class) > 0);
                let micro_steps = of_class().map(|s| s.planes(class)).max()?;
                let weighted = matches!(class, Class::Subtracted | Class::Graded)
                    || of_class().any(|s| s.counts);
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
    /// `true` if entries carry a sign, count or payload: are not all one.
    pub(crate) weighted: bool,
}
