//! Kernels compiled for several instruction sets, and the proof that a machine has one of them.

use crate::instruction_set::InstructionSet;
use std::sync::OnceLock;

/// An instruction set that this process may use. The value is the proof on which calls of
/// functions compiled for it rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Available(InstructionSet);

impl Available {
    /// The baseline, which every machine has.
    pub const SCALAR: Self = Self(InstructionSet::Scalar);

    /// The instruction set, if it [is available](InstructionSet::is_available).
    pub fn new(set: InstructionSet) -> Option<Self> {
        set.is_available().then_some(Self(set))
    }

    /// The fastest instruction set that this process may use.
    pub fn best() -> Self {
        static BEST: OnceLock<Available> = OnceLock::new();
        *BEST.get_or_init(|| Self::each().next_back().unwrap_or(Self::SCALAR))
    }

    /// Every instruction set that this process may use, the slowest first.
    pub fn each() -> impl DoubleEndedIterator<Item = Self> {
        InstructionSet::available().map(Self)
    }

    /// The instruction set.
    #[inline]
    pub fn set(self) -> InstructionSet {
        self.0
    }

    /// Runs a kernel compiled for this instruction set; every set gives the same bits.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<K: Kernel>(kernel: K) -> K::Output {
                kernel.run()
            }
            #[expect(unsafe_code, reason = "a function compiled for an instruction set is called")]
            match self.0 {
                InstructionSet::Scalar => kernel.run(),
                // SAFETY: `Available` is only made of a set that was detected on this machine.
                InstructionSet::Avx2 => unsafe { avx2(kernel) },
                InstructionSet::Avx512 | InstructionSet::Avx512Vnni | InstructionSet::Amx => {
                    // SAFETY: as above.
                    unsafe { avx512(kernel) }
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        kernel.run()
    }
}

/// A loop that is written once, as safe code, and compiled for each instruction set.
///
/// `run` and all that it calls must be `#[inline(always)]`: a function of its own is compiled for
/// the baseline.
pub trait Kernel {
    /// Result of the loop.
    type Output;

    /// Runs the loop.
    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// Runs a kernel with AVX2 where this process may use it, and as it is elsewhere: for loops that
/// wider vectors do not make faster, which are so compiled twice only. The bits are the same.
pub fn run_with_avx2<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if Available::best().set() >= InstructionSet::Avx2 {
        // SAFETY: every set from AVX2 on includes AVX2, and the best was detected on this machine.
        #[expect(unsafe_code, reason = "a function compiled for an instruction set is called")]
        return unsafe { avx2(kernel) };
    }
    kernel.run()
}

/// Defines a function that runs the body written for an [`Available`] instruction set, compiled
/// for it: one body for all sets, or one each for the baseline, AVX2 and AVX-512.
///
/// Bodies and all that they call must be `#[inline(always)]`.
///
/// ```
/// #[inline(always)]
/// fn double_values(values: &mut [i32]) {
///     values.iter_mut().for_each(|value| *value *= 2);
/// }
///
/// snn_simd::compiled! {
///     /// Doubles every value.
///     pub fn double(values: &mut [i32]) = double_values;
/// }
///
/// let mut values = [1, 2, 3];
/// double(snn_simd::Available::best(), &mut values);
/// assert_eq!(values, [2, 4, 6]);
/// ```
#[macro_export]
macro_rules! compiled {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $body:path;
    ) => {
        $crate::compiled! {
            $(#[$attribute])*
            $visibility fn $name($($argument: $type),*) = $body, $body, $body;
        }
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) =
            $scalar:path, $avx2:path, $avx512:path;
    ) => {
        $(#[$attribute])*
        $visibility fn $name(available: $crate::Available, $($argument: $type),*) {
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
            match available.set() {
                $crate::InstructionSet::Scalar => $scalar($($argument),*),
                // SAFETY: `Available` is only made of a set that was detected on this machine.
                $crate::InstructionSet::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                $crate::InstructionSet::Avx512
                | $crate::InstructionSet::Avx512Vnni
                | $crate::InstructionSet::Amx => unsafe { avx512($($argument),*) },
            }
            #[cfg(not(target_arch = "x86_64"))]
            $scalar($($argument),*);
        }
    };
}
