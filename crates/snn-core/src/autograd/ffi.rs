//! The other side of `node.cpp`.

use super::Backward;
use crate::error::{Error, Result};
use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use tch::Tensor;
use torch_sys::C_tensor;

pub(super) type Closure = Box<dyn FnMut(Backward) -> Result<Vec<Option<Tensor>>> + Send>;

/// `Closure` of `node.cpp`; `data` is a `Box<Closure>`.
#[repr(C)]
struct RawClosure {
    data: *mut c_void,
    call: unsafe extern "C" fn(
        *mut c_void,
        *const *mut C_tensor,
        usize,
        *const *mut C_tensor,
        usize,
        *mut *mut C_tensor,
        usize,
    ) -> *mut c_char,
    drop: unsafe extern "C" fn(*mut c_void),
}

unsafe extern "C" {
    fn snn_autograd_record(
        label: *const c_char,
        inputs: *const *const C_tensor,
        input_count: usize,
        outputs: *const *const C_tensor,
        output_count: usize,
        saved: *const *const C_tensor,
        saved_count: usize,
        closure: RawClosure,
    ) -> *mut c_char;
    fn snn_parallel(
        count: i64,
        grain: i64,
        run: unsafe extern "C" fn(*const c_void, i64, i64),
        data: *const c_void,
    );
    fn snn_free(text: *mut c_char);
    fn strdup(text: *const c_char) -> *mut c_char;
}

pub(super) fn record(
    name: &str,
    inputs: &[&Tensor],
    outputs: &[&Tensor],
    saved: &[&Tensor],
    closure: Closure,
) -> Result<()> {
    let label = without_nul(name);
    let pointers =
        |tensors: &[&Tensor]| tensors.iter().map(|tensor| tensor.as_ptr()).collect::<Vec<_>>();
    let (inputs, outputs, saved) = (pointers(inputs), pointers(outputs), pointers(saved));
    let closure =
        RawClosure { data: Box::into_raw(Box::new(closure)).cast(), call, drop: drop_closure };
    // SAFETY: the pointers are those of tensors that live through the call, with their counts; the
    // node copies what it keeps, and it or the call itself drops the closure once. The message is a
    // C string that is ours.
    let message = unsafe {
        snn_autograd_record(
            label.as_ptr(),
            inputs.as_ptr(),
            inputs.len(),
            outputs.as_ptr(),
            outputs.len(),
            saved.as_ptr(),
            saved.len(),
            closure,
        )
    };
    // SAFETY: as above.
    match unsafe { self::message(message) } {
        None => Ok(()),
        Some(text) => Err(Error::Torch(format!("{name}: {text}"))),
    }
}

/// The first line of a message of the other side, which is freed; `None` for null.
///
/// # Safety
/// Null, or a C string from `malloc` that nothing else has.
pub(crate) unsafe fn message(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: a C string; it is not used after it is freed.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        snn_free(message);
        text
    };
    Some(text.lines().next().unwrap_or_default().to_string())
}

fn without_nul(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// Runs a backward pass. Returns null, or a message.
unsafe extern "C" fn call(
    data: *mut c_void,
    saved: *const *mut C_tensor,
    saved_count: usize,
    gradients: *const *mut C_tensor,
    gradient_count: usize,
    out: *mut *mut C_tensor,
    out_count: usize,
) -> *mut c_char {
    // SAFETY: `data` is the closure that `record` boxed, and the node calls it from one thread at a
    // time; the arrays have the counts that come with them, and their tensors are ours now, or
    // null.
    let (closure, saved, gradients, out) = unsafe {
        let own =
            |&pointer: &*mut C_tensor| (!pointer.is_null()).then(|| Tensor::from_ptr(pointer));
        (
            &mut *data.cast::<Closure>(),
            array(saved, saved_count).iter().filter_map(own).collect(),
            array(gradients, gradient_count).iter().map(own).collect(),
            if out_count == 0 { &mut [] } else { slice::from_raw_parts_mut(out, out_count) },
        )
    };
    let result = catch_unwind(AssertUnwindSafe(|| closure(Backward { saved, gradients })));
    let failure = match result {
        Ok(Ok(results)) if results.len() == out.len() => {
            for (out, result) in out.iter_mut().zip(results) {
                // The tensor goes to the node.
                *out = result.map_or(std::ptr::null_mut(), |mut tensor| {
                    let pointer = tensor.as_mut_ptr();
                    std::mem::forget(tensor);
                    pointer
                });
            }
            return std::ptr::null_mut();
        }
        Ok(Ok(results)) => {
            format!("the backward pass gave {} gradients for {} inputs", results.len(), out.len())
        }
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("the backward pass panicked: {}", panic_message(panic.as_ref())),
    };
    let text = without_nul(&failure);
    // SAFETY: a C string; the node frees the copy.
    unsafe { strdup(text.as_ptr()) }
}

/// # Safety
/// As `slice::from_raw_parts`, but a pointer to nothing may be null.
unsafe fn array<'a, T>(pointer: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's.
    if count == 0 { &[] } else { unsafe { slice::from_raw_parts(pointer, count) } }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

unsafe extern "C" fn drop_closure(data: *mut c_void) {
    // SAFETY: the closure that `record` boxed; the node drops it once.
    let closure = unsafe { Box::from_raw(data.cast::<Closure>()) };
    // A destructor that panics must not unwind into C++.
    let _panicked = catch_unwind(AssertUnwindSafe(|| drop(closure)));
}

/// `run(range)` over ranges that cover `0..count`, each of `grain` or more where there is more than
/// one, in libtorch's threads (`tch::set_num_threads`).
///
/// # Panics
/// With the message of the first range that panicked, after all have ended.
pub(crate) fn parallel<F: Fn(std::ops::Range<usize>) + Sync>(count: usize, grain: usize, run: F) {
    struct Shared<F> {
        run: F,
        panic: std::sync::Mutex<Option<Box<dyn Any + Send>>>,
    }
    unsafe extern "C" fn one<F: Fn(std::ops::Range<usize>) + Sync>(
        data: *const c_void,
        first: i64,
        last: i64,
    ) {
        // SAFETY: `data` is the `Shared` below, which outlives the loop.
        let shared = unsafe { &*data.cast::<Shared<F>>() };
        let range =
            usize::try_from(first).unwrap_or_default()..usize::try_from(last).unwrap_or_default();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (shared.run)(range)))
            && let Ok(mut first) = shared.panic.lock()
        {
            first.get_or_insert(panic);
        }
    }
    let shared = Shared { run, panic: std::sync::Mutex::new(None) };
    let (count, grain) =
        (i64::try_from(count).unwrap_or(i64::MAX), i64::try_from(grain.max(1)).unwrap_or(i64::MAX));
    // SAFETY: `one::<F>` expects the `Shared<F>` that it gets, which is shared between threads as
    // `F: Sync` and the mutex allow; nothing unwinds out of it.
    unsafe { snn_parallel(count, grain, one::<F>, (&raw const shared).cast()) };
    if let Ok(Some(panic)) = shared.panic.into_inner() {
        std::panic::resume_unwind(panic);
    }
}
