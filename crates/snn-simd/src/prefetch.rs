//! Values that are asked for before they are needed.

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// Asks the caches for values that will be read soon, where the machine can be asked; it changes
/// nothing but time. Memory that is read in order needs no asking: several places that are read in
/// turn do.
#[inline(always)]
#[expect(clippy::inline_always, reason = "an instruction or two")]
pub fn prefetch<V>(values: &[V]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(LINE / size_of::<V>().clamp(1, LINE)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "an instruction of the machine")]
        // SAFETY: a hint, of an instruction set that every x86-64 has.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}
