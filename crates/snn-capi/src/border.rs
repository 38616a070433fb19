//! The border between C and Rust: pointers become references only after they were checked, errors
//! become codes, and no panic passes.
#![expect(unsafe_code, reason = "pointers come from C")]

use snn_runtime::Error;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Return value of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[must_use]
pub enum Status {
    /// The call succeeded.
    Ok = 0,
    /// A pointer is null, or not aligned for what it points to.
    Pointer = 1,
    /// A length is not what the model takes.
    Size = 2,
    /// A value is outside its range.
    Value = 3,
    /// A file is missing, damaged, or no model that can be deployed; or this machine cannot do what
    /// the options ask for.
    Model = 4,
    /// There is no result: nothing has run, or the last run failed.
    Order = 5,
    /// A fault of this library; the session that met it is of no use any more.
    Panic = 6,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Fault {
    status: Status,
    message: String,
}

impl Fault {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::Input { .. } => Status::Size,
            Error::InputValue { .. } => Status::Value,
            _ => Status::Model,
        };
        Self::new(status, error.to_string())
    }
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Keeps the text of an error for [`snn_last_error`].
fn remember(message: &str) {
    let text = CString::new(message.replace('\0', "␀")).unwrap_or_default();
    // A thread that ends may have lost the variable; then nobody can ask.
    let _ = LAST.try_with(|last| last.replace(text));
}

/// Runs the work of a function of the interface.
pub(crate) fn guard(work: impl FnOnce() -> Result<()>) -> Status {
    guard_value(|status| status, || work().map(|()| Status::Ok))
}

/// As [`guard`], for a function that returns something else; `failed` makes that of a status.
pub(crate) fn guard_value<V>(
    failed: impl FnOnce(Status) -> V,
    work: impl FnOnce() -> Result<V>,
) -> V {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => value,
        Ok(Err(Fault { status, message })) => {
            remember(&message);
            failed(status)
        }
        Err(payload) => {
            remember(&format!("a fault of the library, please report it: {}", text(&*payload)));
            failed(Status::Panic)
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let string = payload.downcast_ref::<String>().map(String::as_str);
    string.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
}

fn check<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Fault::new(Status::Pointer, format!("{name} is null")));
    }
    if !pointer.is_aligned() {
        return Err(Fault::new(
            Status::Pointer,
            format!("{name} is not aligned to {} bytes", align_of::<T>()),
        ));
    }
    Ok(())
}

/// # Safety
/// The pointer is null or points to a `T` that nothing changes while the reference lives.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    check(pointer, name)?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    Ok(unsafe { &*pointer })
}

/// # Safety
/// The pointer is null or points to a `T` that nothing else uses while the reference lives.
pub(crate) unsafe fn exclusive<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    check(pointer, name)?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    Ok(unsafe { &mut *pointer })
}

fn check_length<T>(length: usize, name: &str) -> Result<()> {
    match length.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Fault::new(Status::Size, format!("{name}: no memory holds {length} values"))),
    }
}

/// # Safety
/// The pointer is null or points to `length` values that nothing changes while the slice lives.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, length: usize, name: &str) -> Result<&'a [T]> {
    check(pointer, name)?;
    check_length::<T>(length, name)?;
    // SAFETY: not null, aligned, not above isize::MAX bytes; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Fills a caller's array, which may hold anything before.
///
/// # Safety
/// The pointer is null or points to room for `length` values that nothing else uses.
pub(crate) unsafe fn fill<T>(
    pointer: *mut T,
    length: usize,
    name: &str,
    values: impl ExactSizeIterator<Item = T>,
) -> Result<()> {
    check(pointer, name)?;
    if values.len() != length {
        return Err(Fault::new(
            Status::Size,
            format!("{name}: expected room for {} values, found {length}", values.len()),
        ));
    }
    for (index, value) in values.enumerate() {
        // SAFETY: not null, aligned, and within the `length` values of the caller's promise.
        unsafe { pointer.add(index).write(value) };
    }
    Ok(())
}

/// Writes a caller's variable, which may hold anything before.
///
/// # Safety
/// The pointer is null or points to room for a `T` that nothing else uses.
pub(crate) unsafe fn put<T>(pointer: *mut T, name: &str, value: T) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Makes a handle of what `make` returns, and puts it, or null where that fails.
///
/// # Safety
/// As [`put`].
pub(crate) unsafe fn hand_out<T>(out: *mut *mut T, make: impl FnOnce() -> Result<T>) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { put(out, "out", std::ptr::null_mut()) }?;
    let handle = Box::into_raw(Box::new(make()?));
    // SAFETY: as before.
    unsafe { put(out, "out", handle) }
}

/// Frees a handle; null is none.
///
/// # Safety
/// The handle is null, or was handed out and not freed before.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    let freed = guard(|| {
        if !handle.is_null() {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(handle) });
        }
        Ok(())
    });
    debug_assert_eq!(freed, Status::Ok);
}

/// # Safety
/// The pointer is null or points to a text that ends with a zero byte.
pub(crate) unsafe fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    check(pointer, name)?;
    // SAFETY: not null; the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Fault::new(Status::Value, format!("{name} is not UTF-8")))
}

/// See `snn.h`.
#[unsafe(no_mangle)]
pub extern "C" fn snn_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// See `snn.h`.
#[unsafe(no_mangle)]
pub extern "C" fn snn_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::{Fault, Status, guard, snn_last_error};
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: the pointer is good until the next error on this thread.
        unsafe { CStr::from_ptr(snn_last_error()) }.to_str().unwrap().to_string()
    }

    #[test]
    fn no_panic_passes() {
        assert_eq!(last(), "");
        assert_eq!(guard(|| panic!("one {}", 1)), Status::Panic);
        assert!(last().ends_with("please report it: one 1"), "{}", last());
        assert_eq!(guard(|| panic!("plain")), Status::Panic);
        assert!(last().ends_with("plain"));
        assert_eq!(guard(|| std::panic::panic_any(5)), Status::Panic);
        assert_eq!(guard(|| Err(Fault::new(Status::Size, "a\0b"))), Status::Size);
        assert_eq!(last(), "a␀b");
        assert_eq!(guard(|| Ok(())), Status::Ok);
        assert_eq!(last(), "a␀b", "a success leaves the text");
        std::thread::spawn(|| assert_eq!(last(), "", "each thread has its own")).join().unwrap();
    }
}
