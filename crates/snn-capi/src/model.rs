//! Models: loaded once, shared between threads.
#![expect(unsafe_code, reason = "pointers come from C")]

use crate::border::{self, Fault, Result, Status, guard, guard_value};
use snn_runtime::deploy::{Deployment, Options};
use snn_runtime::ndarray::ArrayViewD;
use snn_runtime::snn_ir::{Form, Signature};
use snn_runtime::{Input, InstructionSet, Logits, Model, Record};
use std::ffi::{CString, c_char};
use std::sync::Arc;

/// How a model is deployed; null for one thread and the best instructions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SnnOptions {
    /// Threads that work on one sample of a session; 0 is 1.
    pub threads: u32,
    /// Instructions: 0 for the best that the machine has, 1 scalar, 2 AVX2, 3 AVX-512.
    pub level: i32,
}

/// A deployed model. It may be used by several threads at once.
#[derive(Debug)]
pub struct SnnModel {
    pub(crate) deployment: Deployment,
    pub(crate) about: Arc<About>,
    names: Vec<CString>,
    level: CString,
    summary: CString,
}

/// What sessions know of their model.
#[derive(Debug)]
pub(crate) struct About {
    /// The model without its weights, which the deployment holds in its own layout.
    pub(crate) signature: Signature,
    pub(crate) classes: usize,
}

impl SnnModel {
    fn new(model: Model, options: Option<&SnnOptions>) -> Result<Self> {
        let SnnOptions { threads, level } = options.copied().unwrap_or_default();
        let instruction_set = match level {
            0 => None,
            1 => Some(InstructionSet::Scalar),
            2 => Some(InstructionSet::Avx2),
            3 => Some(InstructionSet::Avx512),
            4 => Some(InstructionSet::Avx512Vnni),
            _ => {
                return Err(Fault::new(
                    Status::Value,
                    format!("options: level must be 0 to 4, found {level}"),
                ));
            }
        };
        if !matches!(model.form(), Form::Grid { .. }) {
            let found = model.form().label();
            let message = format!(
                "expected a model on the grid, as sums are integers here, found form `{found}`; \
                 convert it with a grid"
            );
            return Err(Fault::new(Status::Model, message));
        }
        let threads = usize::try_from(threads.max(1)).unwrap_or(usize::MAX);
        let deployment =
            Deployment::new(&model, &Options { instruction_set, threads, ..Options::default() })?;
        let classes = model.validate()?.classes();
        let text = |text: &str| CString::new(text.replace('\0', "␀")).unwrap_or_default();
        Ok(Self {
            names: model.classes().iter().map(|name| text(name)).collect(),
            level: text(deployment.instruction_set().label()),
            summary: text(&deployment.summary().to_string()),
            about: Arc::new(About { signature: model.into_parts().0, classes }),
            deployment,
        })
    }

    pub(crate) fn input_size(&self) -> usize {
        self.deployment.input_shape().iter().product()
    }
}

impl About {
    /// Logits of sums over some macro-steps.
    pub(crate) fn logits<'s>(
        &self,
        sums: &'s [i64],
        steps: u64,
    ) -> Result<impl ExactSizeIterator<Item = f64> + use<'s>> {
        let scale = self.signature.logit_scale(steps)?;
        Ok(sums.iter().map(move |&sum| scale * sum as f64))
    }
}

/// # Safety
/// Null, or as [`border::reference`].
unsafe fn optional<'a>(options: *const SnnOptions) -> Result<Option<&'a SnnOptions>> {
    if options.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { border::reference(options, "options") }.map(Some)
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_load(
    path: *const c_char,
    options: *const SnnOptions,
    out: *mut *mut SnnModel,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        border::hand_out(out, || {
            let (path, options) = (border::string(path, "path")?, optional(options)?);
            SnnModel::new(Model::load(path)?, options)
        })
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_from_bytes(
    bytes: *const u8,
    length: usize,
    options: *const SnnOptions,
    out: *mut *mut SnnModel,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        border::hand_out(out, || {
            let (bytes, options) = (border::slice(bytes, length, "bytes")?, optional(options)?);
            SnnModel::new(Model::from_bytes(bytes)?, options)
        })
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_free(model: *mut SnnModel) {
    // SAFETY: the caller's promise.
    unsafe { border::free(model) };
}

/// Something of a model, or a default with the error remembered.
///
/// # Safety
/// As [`border::reference`].
unsafe fn ask<V: Copy>(model: *const SnnModel, none: V, answer: impl FnOnce(&SnnModel) -> V) -> V {
    // SAFETY: the caller's promise.
    guard_value(|_| none, || unsafe { border::reference(model, "model") }.map(answer))
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_input_size(model: *const SnnModel) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ask(model, 0, SnnModel::input_size) }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_input_shape(
    model: *const SnnModel,
    shape: *mut usize,
    length: usize,
) -> usize {
    // SAFETY: the caller's promise, for every pointer.
    guard_value(
        |_| 0,
        || unsafe {
            let own = border::reference(model, "model")?.deployment.input_shape();
            if !(shape.is_null() && length == 0) {
                border::fill(
                    shape,
                    length.min(own.len()),
                    "shape",
                    own.iter().copied().take(length),
                )?;
            }
            Ok(own.len())
        },
    )
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_time_steps(model: *const SnnModel) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ask(model, 0, |model| model.deployment.time_steps()) }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_classes(model: *const SnnModel) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ask(model, 0, |model| model.about.classes) }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_class_name(
    model: *const SnnModel,
    class_index: usize,
) -> *const c_char {
    let none = std::ptr::null();
    // SAFETY: the caller's promise.
    unsafe {
        ask(model, none, |model| model.names.get(class_index).map_or(none, |name| name.as_ptr()))
    }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_level(model: *const SnnModel) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { ask(model, std::ptr::null(), |model| model.level.as_ptr()) }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_summary(model: *const SnnModel) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { ask(model, std::ptr::null(), |model| model.summary.as_ptr()) }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_run_batch(
    model: *const SnnModel,
    pixels: *const u8,
    length: usize,
    count: usize,
    sums: *mut i64,
    logits: *mut f64,
    values: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let model = border::reference(model, "model")?;
        let pixels = border::slice(pixels, length, "pixels")?;
        let (size, classes) = (model.input_size(), model.about.classes);
        if count.checked_mul(size) != Some(length) {
            let expected = format!("pixels: expected {count} × {size} values, found {length}");
            return Err(Fault::new(Status::Size, expected));
        }
        if count.checked_mul(classes) != Some(values) {
            let expected =
                format!("results: expected room for {count} × {classes} values, found {values}");
            return Err(Fault::new(Status::Size, expected));
        }
        if sums.is_null() && logits.is_null() {
            return Err(Fault::new(Status::Pointer, "sums and logits are both null"));
        }
        let shape = [&[count], model.deployment.input_shape()].concat();
        let images = ArrayViewD::from_shape(shape, pixels)
            .map_err(|error| Fault::new(Status::Size, format!("pixels: {error}")))?;
        let found = model.deployment.run(&Input::Static(images), Record::Logits)?;
        let Logits::Integer(found) = found.logits else {
            return Err(Fault::new(
                Status::Model,
                "a deployment returned sums that are no integers",
            ));
        };
        let found = found.into_raw_vec_and_offset().0;
        if !logits.is_null() {
            let steps = model.deployment.time_steps() as u64;
            border::fill(logits, values, "logits", model.about.logits(&found, steps)?)?;
        }
        if !sums.is_null() {
            border::fill(sums, values, "sums", found.iter().copied())?;
        }
        Ok(())
    })
}
