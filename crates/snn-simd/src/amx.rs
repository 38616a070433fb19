//! Whether this process may use AMX.
#![cfg_attr(
    all(target_arch = "x86_64", target_os = "linux"),
    expect(unsafe_code, reason = "instructions of the machine")
)]

/// `true` if the processor has AMX tiles with products of bytes and of bf16, and AVX-512 with
/// bf16 to fill them, and the system saves the tiles of this process.
///
/// The first call asks the system to, for all threads.
pub(crate) fn is_detected() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    {
        static DETECTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *DETECTED.get_or_init(|| {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512bf16")
                && has_tiles()
                && is_permitted()
        })
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

/// `true` if the processor has AMX tiles and their products, and the system saves tiles.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const XSAVE_BY_SYSTEM: u32 = 1 << 27;
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    const BYTES: u32 = 1 << 25;
    /// Leaf 29 of the first palette: 1,024 bytes a tile of 8 KiB, 8 tiles of 64 bytes a row, 16
    /// rows.
    const PALETTE: [u32; 3] = [(1024 << 16) | 8192, (8 << 16) | 64, 16];
    /// State components 17 and 18: the configuration of tiles, and their values.
    const SAVED: u64 = 0b11 << 17;
    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: the function has the feature.
        unsafe { std::arch::x86_64::_xgetbv(0) }
    }
    if __cpuid(0).eax < 0x1d || __cpuid(1).ecx & XSAVE_BY_SYSTEM == 0 {
        return false;
    }
    if [BF16, TILES, BYTES].iter().any(|feature| __cpuid_count(7, 0).edx & feature == 0) {
        return false;
    }
    let palette = __cpuid_count(0x1d, 1);
    // SAFETY: the system has turned `xgetbv` on.
    let saved = unsafe { saved() };
    saved & SAVED == SAVED && [palette.eax, palette.ebx, palette.ecx & 0xffff] == PALETTE
}

/// Asks the system for room for tiles, once for all threads. It refuses where a thread has a signal
/// stack too small for them.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the call changes nothing but what the process may save.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result == 0
}
