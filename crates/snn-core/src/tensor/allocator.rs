//! Settings of the C library's allocator for training programs.

/// Sets the C library's allocator to reuse freed memory instead of returning it to the system.
///
/// Without this glibc takes every large tensor from the system and gives it back, so that a
/// training step spends a tenth to a sixth of its time in page faults. The setting is for the whole
/// process and holds peak memory until its end, which is why a program asks for it, once, when it
/// starts; elsewhere than on Linux with glibc it does nothing. Returns whether it took effect.
pub fn keep_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        const TRIM_THRESHOLD: c_int = -1;
        const TOP_PAD: c_int = -2;
        const MMAP_MAX: c_int = -4;
        // SAFETY: mallopt takes any values, reports those it refuses, and locks the heap itself;
        // the constants are those of glibc's malloc.h.
        unsafe {
            mallopt(MMAP_MAX, 0) == 1
                && mallopt(TRIM_THRESHOLD, c_int::MAX) == 1
                && mallopt(TOP_PAD, 1 << 26) == 1
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}
