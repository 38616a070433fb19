//! Models: loaded once, shared between threads.
#![expect(unsafe_code, reason = "pointers come from C")]

use crate::border::{self, Fault, Result, Status, guard, guard_value};
use snn_runtime::deploy::{Deployment, Options};
use snn_runtime::ndarray::ArrayViewD;
use snn_runtime::snn_ir::Form;
use snn_runtime::{Input, InstructionSet, Logits, Model, Prediction, Record};
use std::ffi::{CString, c_char};
use std::sync::Arc;

/// How a model is deployed; null for one thread and the best instructions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SnnOptions {
    /// Threads that work on one sample of a session; 0 is 1.
    pub threads: u32,
    /// Instruction set: 0 for the best that is available, 1 scalar, 2 AVX2, 3 AVX-512, 4 AVX-512
    /// with VNNI, 5 AMX.
    pub instruction_set: i32,
}

/// A deployed model. It may be used by several threads at once.
#[derive(Debug)]
pub struct SnnModel {
    pub(crate) deployment: Deployment,
    pub(crate) about: Arc<About>,
    instruction_set: CString,
    summary: CString,
}

/// A class with its probability, as `snn.h` declares it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct SnnPrediction {
    /// Position of the class among the logits.
    pub class_index: usize,
    /// Name of the class; null if it has none.
    pub name: *const c_char,
    /// Softmax of the logits.
    pub probability: f64,
}

/// Facts of a model that its sessions need.
#[derive(Debug)]
pub(crate) struct About {
    names: Vec<CString>,
    pub(crate) classes: usize,
}

impl About {
    pub(crate) fn name(&self, class: usize) -> *const c_char {
        self.names.get(class).map_or(std::ptr::null(), |name| name.as_ptr())
    }

    pub(crate) fn prediction(&self, found: &Prediction) -> SnnPrediction {
        let Prediction { class, probability, .. } = *found;
        SnnPrediction { class_index: class, name: self.name(class), probability }
    }
}

impl SnnModel {
    fn new(model: &Model, options: Option<&SnnOptions>) -> Result<Self> {
        let SnnOptions { threads, instruction_set } = options.copied().unwrap_or_default();
        let instruction_set = match instruction_set {
            0 => None,
            1 => Some(InstructionSet::Scalar),
            2 => Some(InstructionSet::Avx2),
            3 => Some(InstructionSet::Avx512),
            4 => Some(InstructionSet::Avx512Vnni),
            5 => Some(InstructionSet::Amx),
            found => {
                return Err(Fault::new(
                    Status::Value,
                    format!("options: instruction_set must be 0 to 5, found {found}"),
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
            Deployment::new(model, &Options { instruction_set, threads, ..Options::default() })?;
        let text = |text: &str| CString::new(text.replace('\0', "␀")).unwrap_or_default();
        let about = About {
            names: deployment.classes().iter().map(|name| text(name)).collect(),
            classes: deployment.class_count(),
        };
        Ok(Self {
            instruction_set: text(deployment.instruction_set().label()),
            summary: text(&deployment.summary().to_string()),
            about: Arc::new(about),
            deployment,
        })
    }

    pub(crate) fn input_size(&self) -> usize {
        self.deployment.input_shape().iter().product()
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
            SnnModel::new(&Model::load(path)?, options)
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
            SnnModel::new(&Model::from_bytes(bytes)?, options)
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
    // SAFETY: the caller's promise.
    unsafe { ask(model, std::ptr::null(), |model| model.about.name(class_index)) }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_instruction_set(model: *const SnnModel) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { ask(model, std::ptr::null(), |model| model.instruction_set.as_ptr()) }
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
        let found = model.deployment.run(&Input::Static(images), Record::Logits)?.logits;
        if !logits.is_null() {
            let found = model.deployment.to_logits(found.clone());
            let found = found.into_raw_vec_and_offset().0;
            border::fill(logits, values, "logits", found.into_iter())?;
        }
        if !sums.is_null() {
            let Logits::Integer(found) = found else {
                let message = "a deployment returned sums that are no integers";
                return Err(Fault::new(Status::Model, message));
            };
            border::fill(sums, values, "sums", found.into_raw_vec_and_offset().0.into_iter())?;
        }
        Ok(())
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_model_classify(
    model: *const SnnModel,
    pixels: *const u8,
    length: usize,
    best: *mut SnnPrediction,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (model, pixels) =
            (border::reference(model, "model")?, border::slice(pixels, length, "pixels")?);
        let found = model.deployment.classify(pixels)?;
        border::put(best, "best", model.about.prediction(&found))
    })
}
