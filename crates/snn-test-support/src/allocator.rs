//! A global allocator that counts. A test that uses it is a program of its own:
//!
//! ```
//! use snn_test_support::allocator::{self, CountingAllocator};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let (bytes, peak) = allocator::peak_of(|| vec![0_u8; 1000].len());
//! assert_eq!((bytes, peak), (1000, 1000));
//! let before = allocator::thread_allocations();
//! drop(Box::new(1));
//! assert_eq!(allocator::thread_allocations() - before, 1);
//! ```
#![expect(unsafe_code, reason = "a global allocator that counts is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, with counts of what the present thread and the process ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

// Without a destructor and with constant first values, so that reading them allocates nothing.
thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

static PROCESS_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static PROCESS_HELD: AtomicUsize = AtomicUsize::new(0);

/// Bytes that the present thread has allocated or freed.
fn held(change: isize) {
    HELD.set(HELD.get().wrapping_add(change));
    PEAK.set(PEAK.get().max(HELD.get()));
}

/// An allocation of so many bytes.
fn asked(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    held(bytes.cast_signed());
    PROCESS_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    PROCESS_HELD.fetch_add(bytes, Ordering::Relaxed);
}

/// So many bytes are given back.
fn freed(bytes: usize) {
    held(-bytes.cast_signed());
    PROCESS_HELD.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        asked(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        asked(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        freed(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // One request for memory, of which the difference is new.
        freed(layout.size());
        asked(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `work` gives, and the most bytes that this thread held at once while it ran, beyond those
/// that it held before.
pub fn peak_of<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before).unsigned_abs())
}

/// Requests for memory by the present thread since it began.
#[must_use]
pub fn thread_allocations() -> usize {
    ALLOCATIONS.get()
}

/// Bytes that the current thread has allocated and not freed; negative where it frees what another
/// one allocated.
#[must_use]
pub fn thread_held() -> isize {
    HELD.get()
}

/// Requests for memory by all threads of the process.
#[must_use]
pub fn process_allocations() -> usize {
    PROCESS_ALLOCATIONS.load(Ordering::Relaxed)
}

/// Bytes that the process has allocated and not freed.
#[must_use]
pub fn process_held() -> usize {
    PROCESS_HELD.load(Ordering::Relaxed)
}
