//! State of streams: values that belong to the caller, several of them to one session.
#![expect(unsafe_code, reason = "pointers come from C")]

use crate::border::{self, Status, guard, guard_value};
use crate::session::SnnSession;
use snn_runtime::deploy::State;

/// State of a network between the frames of one stream.
#[derive(Debug)]
pub struct SnnState(pub(crate) State);

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_state_new(
    session: *const SnnSession,
    out: *mut *mut SnnState,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        border::hand_out(out, || Ok(SnnState(border::reference(session, "session")?.rest())))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_state_copy(state: *const SnnState, out: *mut *mut SnnState) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        border::hand_out(out, || Ok(SnnState(border::reference(state, "state")?.0.clone())))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_state_reset(state: *mut SnnState) -> Status {
    // SAFETY: the caller's promise.
    guard(|| unsafe { border::exclusive(state, "state") }.map(|state| state.0.clear()))
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_state_steps(state: *const SnnState) -> u64 {
    // SAFETY: the caller's promise.
    guard_value(|_| 0, || unsafe { border::reference(state, "state") }.map(|state| state.0.steps()))
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_state_free(state: *mut SnnState) {
    // SAFETY: the caller's promise.
    unsafe { border::free(state) };
}
