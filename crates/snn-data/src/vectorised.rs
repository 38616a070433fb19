//! Loops compiled for wider vectors than every machine has.
#![expect(unsafe_code, reason = "a function that was compiled for an instruction set is called")]

/// A loop that is written once, as safe code, and compiled twice: as it is, and with AVX2.
///
/// `run` and what it calls must be inlined, otherwise it is compiled as it is.
pub(crate) trait Kernel {
    /// What it computes.
    type Output;

    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Runs a kernel with the widest vectors that this machine has; the result has the same bits.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine was just seen to have the instructions.
            return unsafe { avx2(kernel) };
        }
    }
    kernel.run()
}
