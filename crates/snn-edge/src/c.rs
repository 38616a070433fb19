//! The C interface, `include/snn_edge.h`: pointers become references only after they were checked,
//! and errors become numbers.
#![expect(unsafe_code, reason = "pointers come from C")]

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Expected, Result};
use crate::mode::Mode;
use crate::program::Program;
use crate::scores::Scores;
use core::ffi::c_char;
use core::mem::MaybeUninit;
use core::slice;

/// Marks an engine that [`snn_edge_init`] has made.
const MADE: u64 = u64::from_le_bytes(*b"snn_edge");

/// An engine in memory of the caller's. See `snn_edge.h`.
#[derive(Debug)]
#[repr(C)]
pub struct SnnEdge {
    made: u64,
    engine: MaybeUninit<Engine<'static, 'static>>,
}

/// `SnnEdge` of `snn_edge.h` has room for it.
const _: () = assert!(size_of::<SnnEdge>() <= 8 * 32 && align_of::<SnnEdge>() <= 8);

/// What a program takes and needs. See `snn_edge.h`.
#[derive(Debug)]
#[repr(C)]
pub struct SnnEdgeInfo {
    input_shape: [usize; 3],
    input_size: usize,
    classes: usize,
    time_steps: usize,
    flash: usize,
    memory: [usize; 3],
    logit_unit: f64,
}

/// An error. See `snn_edge.h`.
#[derive(Debug)]
#[repr(C)]
pub struct SnnEdgeError {
    expected: u64,
    found: u64,
    what: *const c_char,
    what_length: usize,
    text: *const c_char,
    text_length: usize,
    status: i32,
    stage: i32,
    relation: i32,
}

impl From<Error> for SnnEdgeError {
    fn from(error: Error) -> Self {
        let (relation, expected, text) = match error.expected {
            Expected::Exactly(value) => (0, value, ""),
            Expected::AtMost(value) => (1, value, ""),
            Expected::AtLeast(value) => (2, value, ""),
            Expected::Text(text) => (3, 0, text),
        };
        let stage = error.stage.and_then(|stage| i32::try_from(stage).ok()).unwrap_or(-1);
        Self {
            expected,
            found: error.found,
            what: error.what.as_ptr().cast(),
            what_length: error.what.len(),
            text: text.as_ptr().cast(),
            text_length: text.len(),
            status: match error.kind {
                ErrorKind::Pointer => 1,
                ErrorKind::Program => 2,
                ErrorKind::Buffer => 3,
                ErrorKind::Input => 4,
                ErrorKind::Mode => 5,
            },
            stage,
            relation,
        }
    }
}

fn fault(kind: ErrorKind, what: &'static str, expected: Expected, found: usize) -> Error {
    Error { kind, what, expected, found: found as u64, stage: None }
}

/// Checks a pointer.
fn check<T>(pointer: *const T, what: &'static str) -> Result<()> {
    if !pointer.is_null() && pointer.is_aligned() {
        return Ok(());
    }
    let expected = Expected::Text("a pointer that is aligned and not null");
    Err(fault(ErrorKind::Pointer, what, expected, pointer.addr()))
}

/// Checks an array.
///
/// # Safety
/// The pointer is null or points to `length` values that nothing changes while the slice lives.
unsafe fn array<'a, T>(pointer: *const T, length: usize, what: &'static str) -> Result<&'a [T]> {
    check(pointer, what)?;
    let most = isize::MAX.unsigned_abs() / size_of::<T>();
    if length > most {
        return Err(fault(ErrorKind::Pointer, what, Expected::AtMost(most as u64), length));
    }
    // SAFETY: not null, aligned, not above isize::MAX bytes; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, length) })
}

/// As [`array`], for values that may change.
///
/// # Safety
/// The pointer is null or points to `length` values that nothing else uses while the slice lives.
unsafe fn array_mut<'a, T>(
    pointer: *mut T,
    length: usize,
    what: &'static str,
) -> Result<&'a mut [T]> {
    // SAFETY: the caller's promise; the slice ends here.
    unsafe { array(pointer, length, what) }?;
    // SAFETY: checked above; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, length) })
}

/// Writes a variable of the caller's, which may hold anything before.
///
/// # Safety
/// The pointer is null or points to room for a value that nothing else uses.
unsafe fn put<T>(pointer: *mut T, value: T, what: &'static str) -> Result<()> {
    check(pointer, what)?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    unsafe { pointer.write(value) };
    Ok(())
}

/// The engine in memory of the caller's.
///
/// # Safety
/// The pointer is null, or points to an [`SnnEdge`] that nothing else uses while the engine lives.
unsafe fn engine<'a>(pointer: *mut SnnEdge) -> Result<&'a mut Engine<'static, 'static>> {
    check(pointer, "engine")?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    let edge = unsafe { &mut *pointer };
    if edge.made != MADE {
        let expected = Expected::Text("an engine that snn_edge_init has made");
        return Err(fault(ErrorKind::Pointer, "engine", expected, 0));
    }
    // SAFETY: the mark is written with the engine alone.
    Ok(unsafe { edge.engine.assume_init_mut() })
}

/// The status of a result, and its error where the caller has room for it.
///
/// # Safety
/// As [`put`]; null is no room.
unsafe fn status(result: Result<()>, error: *mut SnnEdgeError) -> i32 {
    let Err(found) = result else { return 0 };
    let report = SnnEdgeError::from(found);
    let status = report.status;
    if !error.is_null() {
        // SAFETY: the caller's promise; a pointer that is not aligned is not written to.
        let _ = unsafe { put(error, report, "error") };
    }
    status
}

/// See `snn_edge.h`.
///
/// # Safety
/// Pointers are null or point to what the header says, of the lengths that come with them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_edge_info(
    program: *const u8,
    bytes: usize,
    info: *mut SnnEdgeInfo,
    error: *mut SnnEdgeError,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let program = Program::new(unsafe { array(program, bytes, "program") }?)?;
        let found = SnnEdgeInfo {
            input_shape: program.input_shape(),
            input_size: program.input_size(),
            classes: program.classes(),
            time_steps: program.time_steps(),
            flash: program.flash(),
            memory: Mode::ALL.map(|mode| program.memory(mode)),
            logit_unit: program.logit_unit(),
        };
        // SAFETY: the caller's promise.
        unsafe { put(info, found, "info") }
    };
    // SAFETY: the caller's promise.
    unsafe { status(work(), error) }
}

/// See `snn_edge.h`.
///
/// # Safety
/// As [`snn_edge_info`]; program and buffer stay as long as the engine is used, and nothing else
/// uses the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_edge_init(
    engine: *mut SnnEdge,
    program: *const u8,
    bytes: usize,
    mode: i32,
    buffer: *mut i32,
    words: usize,
    error: *mut SnnEdgeError,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let program = Program::new(unsafe { array(program, bytes, "program") }?)?;
        let mode = usize::try_from(mode).ok().and_then(|mode| Mode::ALL.get(mode).copied());
        let expected = Expected::Text("an SNN_EDGE_ mode");
        let mode = mode.ok_or(fault(ErrorKind::Mode, "mode", expected, 0))?;
        // SAFETY: the caller's promise.
        let buffer = unsafe { array_mut(buffer, words, "buffer") }?;
        let made = MaybeUninit::new(Engine::new(program, mode, buffer)?);
        // SAFETY: the caller's promise.
        unsafe { put(engine, SnnEdge { made: MADE, engine: made }, "engine") }
    };
    // SAFETY: the caller's promise.
    unsafe { status(work(), error) }
}

/// Runs an engine and fills the scores of the caller.
///
/// # Safety
/// As [`snn_edge_run`].
unsafe fn fill(
    edge: *mut SnnEdge,
    (pixels, size): (*const u8, usize),
    (scores, classes): (*mut i64, usize),
    work: for<'e> fn(&'e mut Engine<'static, 'static>, &[u8]) -> Result<Scores<'e>>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let engine = unsafe { engine(edge) }?;
    // SAFETY: the caller's promise.
    let pixels = unsafe { array(pixels, size, "pixels") }?;
    let expected = engine.program().classes();
    if classes != expected {
        let expected = Expected::Exactly(expected as u64);
        return Err(fault(ErrorKind::Buffer, "scores", expected, classes));
    }
    check(scores, "scores")?;
    for (class, score) in work(engine, pixels)?.iter().enumerate() {
        // SAFETY: not null, aligned, and one of the caller's `classes` values.
        unsafe { scores.add(class).write(score) };
    }
    Ok(())
}

/// See `snn_edge.h`.
///
/// # Safety
/// As [`snn_edge_info`]; the engine is one of [`snn_edge_init`] or zeros.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_edge_run(
    engine: *mut SnnEdge,
    pixels: *const u8,
    size: usize,
    scores: *mut i64,
    classes: usize,
    error: *mut SnnEdgeError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { status(fill(engine, (pixels, size), (scores, classes), Engine::run), error) }
}

/// See `snn_edge.h`.
///
/// # Safety
/// As [`snn_edge_run`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_edge_step(
    engine: *mut SnnEdge,
    frame: *const u8,
    size: usize,
    scores: *mut i64,
    classes: usize,
    error: *mut SnnEdgeError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { status(fill(engine, (frame, size), (scores, classes), Engine::step), error) }
}

/// See `snn_edge.h`.
///
/// # Safety
/// As [`snn_edge_run`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_edge_reset(edge: *mut SnnEdge, error: *mut SnnEdgeError) -> i32 {
    // SAFETY: the caller's promise.
    let result = unsafe { engine(edge) }.and_then(Engine::reset);
    // SAFETY: the caller's promise.
    unsafe { status(result, error) }
}

/// What ends a program of C without Rust's standard library where a check of the language fails,
/// which no program that was checked makes happen.
#[cfg(all(feature = "panic-handler", panic = "abort", not(feature = "compile")))]
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
