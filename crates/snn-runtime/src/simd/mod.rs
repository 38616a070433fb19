//! Instruction sets and the inner loops that are compiled for each of them.
//!
//! A kernel is written once, in safe Rust over arrays of constant size, and compiled three times:
//! as it is (the scalar twin), with AVX2 and with AVX-512. `unsafe` is left for two things: the
//! instructions that compilers do not find by themselves (`x86.rs`), and the call of a function
//! that was compiled for more than a machine may have ([`compiled`]). The scalar level runs
//! neither.

pub(crate) mod dense;
pub(crate) mod emit;
pub(crate) mod neurons;
pub(crate) mod rows;
pub(crate) mod vectors;
#[cfg(target_arch = "x86_64")]
mod x86;

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every machine has.
    Scalar,
    /// AVX2 (x86-64).
    Avx2,
    /// AVX-512 with byte and word instructions (x86-64).
    Avx512,
    /// The same, with VNNI for products of bytes (x86-64).
    Avx512Vnni,
}

impl Level {
    /// All of them, the slowest first.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Avx512Vnni];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                has_avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_available() && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 | Self::Avx512Vnni => false,
        }
    }

    /// Every instruction set of this machine, the slowest first: what tests and proofs force one after another.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| level.is_available())
    }

    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::Scalar)
    }

    /// Name as used in reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("popcnt")
}

/// A level that this machine was seen to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Available(Level);

impl Available {
    pub(crate) fn new(level: Level) -> Option<Self> {
        level.is_available().then_some(Self(level))
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

/// Defines a function that runs the one that is written for a level, compiled for it.
macro_rules! compiled {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $body:path;) => {
        compiled! { $(#[$attribute])* fn $name($($argument: $type),*) = $body, $body, $body; }
    };
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $scalar:path, $avx2:path, $avx512:path;) => {
        $(#[$attribute])*
        pub(crate) fn $name(level: crate::simd::Available, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,popcnt")]
            fn avx2($($argument: $type),*) {
                $avx2($($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) {
                $avx512($($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a function compiled for an instruction set is called")]
            match level.level() {
                crate::simd::Level::Scalar => $scalar($($argument),*),
                // SAFETY: `Available` is only made for a level whose instruction sets were detected
                // on this machine.
                crate::simd::Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                crate::simd::Level::Avx512 | crate::simd::Level::Avx512Vnni => unsafe { avx512($($argument),*) },
            }
            #[cfg(not(target_arch = "x86_64"))]
            $scalar($($argument),*);
        }
    };
}
pub(crate) use compiled;
