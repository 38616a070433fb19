//! A GPU: kernels compiled for it, loaded by CUDA's driver, started on libtorch's stream.

use super::machine::{Launch, Machine};
use super::nvrtc::{Nvrtc, failed, load};
use super::specialisation::Specialisation;
use crate::autograd::message;
use crate::error::Result;
use libloading::{Library, Symbol};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

unsafe extern "C" {
    fn snn_current_stream(device: c_int, out: *mut *mut c_void) -> *mut c_char;
}

/// Attributes of a device in cuda.h.
const COMPUTE_CAPABILITY: [c_int; 2] = [75, 76];

/// A GPU.
#[derive(Debug)]
pub(super) struct Cuda {
    /// As libtorch and the driver number it.
    device: c_int,
    driver: Library,
    nvrtc: Nvrtc,
    /// As `sm_90`.
    architecture: String,
    /// The primary context of the device, in which libtorch computes.
    context: Context,
    modules: Mutex<HashMap<Specialisation, Module>>,
}

/// A context of the driver.
#[derive(Debug, Clone, Copy)]
struct Context(*mut c_void);

// SAFETY: the driver's handles may be used by any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Kernels on the device, which stay there.
#[derive(Debug, Clone, Copy)]
struct Module(*mut c_void);

// SAFETY: the driver's handles may be used by any thread.
unsafe impl Send for Module {}

/// The GPU of this number, found once, or why its kernels cannot be used.
pub(super) fn of(device: usize) -> Result<Arc<dyn Machine>> {
    type Found = HashMap<usize, std::result::Result<Arc<Cuda>, String>>;
    static FOUND: OnceLock<Mutex<Found>> = OnceLock::new();
    let found = FOUND.get_or_init(Mutex::default);
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = found
        .entry(device)
        .or_insert_with(|| Cuda::find(device).map(Arc::new).map_err(|error| error.to_string()));
    match machine {
        Ok(machine) => Ok(Arc::clone(machine) as Arc<dyn Machine>),
        Err(why) => Err(crate::error::Error::Torch(why.clone())),
    }
}

impl Cuda {
    /// Finds compiler and driver, and shows that a kernel can be compiled and loaded.
    fn find(device: usize) -> Result<Self> {
        let device = c_int::try_from(device).map_err(failed)?;
        let driver = load(&["libcuda.so.1".into(), "libcuda.so".into()])?;
        let nvrtc = Nvrtc::find()?;
        let mut gpu = Self {
            device,
            driver,
            nvrtc,
            architecture: String::new(),
            context: Context(std::ptr::null_mut()),
            modules: Mutex::default(),
        };
        let init = gpu.symbol::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")?;
        // SAFETY: may be called at any time, and again.
        gpu.check("cuInit", unsafe { init(0) })?;
        let retain = gpu.symbol::<unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int>(
            "cuDevicePrimaryCtxRetain",
        )?;
        let mut context = std::ptr::null_mut();
        // SAFETY: writes a handle; the primary context is the one that libtorch uses.
        let code = unsafe { retain(&raw mut context, device) };
        gpu.check(&format!("the context of CUDA device {device}"), code)?;
        gpu.context = Context(context);
        let capability = gpu.capability()?;
        gpu.architecture = format!("sm_{}{}", capability[0], capability[1]);
        gpu.inside(|| gpu.module(&Specialisation::smallest()).map(drop))?;
        Ok(gpu)
    }

    /// Its compute capability.
    fn capability(&self) -> Result<[c_int; 2]> {
        let attribute = self.symbol::<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>(
            "cuDeviceGetAttribute",
        )?;
        let mut capability = [0; 2];
        for (value, which) in capability.iter_mut().zip(COMPUTE_CAPABILITY) {
            // SAFETY: the driver was started (`cuInit`), and writes a number.
            let code = unsafe { attribute(std::ptr::from_mut(value), which, self.device) };
            self.check(&format!("the kind of CUDA device {}", self.device), code)?;
        }
        Ok(capability)
    }

    fn symbol<F>(&self, name: &str) -> Result<Symbol<'_, F>> {
        // SAFETY: each use has the type of that function in cuda.h.
        unsafe { self.driver.get(name.as_bytes()) }.map_err(failed)
    }

    fn check(&self, what: &str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        let text = self.symbol::<unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int>(
            "cuGetErrorString",
        )?;
        let mut found = std::ptr::null();
        // SAFETY: writes a pointer to a C string that is not freed, or leaves null.
        let text = unsafe {
            text(code, &raw mut found);
            if found.is_null() {
                format!("error {code}")
            } else {
                CStr::from_ptr(found).to_string_lossy().into_owned()
            }
        };
        Err(failed(format!("{what}: {text}")))
    }

    /// Does something in the context of this device, whatever this thread's context is.
    fn inside<V>(&self, work: impl FnOnce() -> Result<V>) -> Result<V> {
        let push =
            self.symbol::<unsafe extern "C" fn(*mut c_void) -> c_int>("cuCtxPushCurrent_v2")?;
        let pop =
            self.symbol::<unsafe extern "C" fn(*mut *mut c_void) -> c_int>("cuCtxPopCurrent_v2")?;
        // SAFETY: a context that is retained for good.
        self.check("cuCtxPushCurrent", unsafe { push(self.context.0) })?;
        let result = work();
        let mut before = std::ptr::null_mut();
        // SAFETY: what was pushed above.
        let popped = self.check("cuCtxPopCurrent", unsafe { pop(&raw mut before) });
        result.and_then(|result| popped.map(|()| result))
    }

    /// The kernels of a kind of site, compiled where they were not yet.
    fn module(&self, of: &Specialisation) -> Result<Module> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(of) {
            return Ok(*module);
        }
        let compiled = self.nvrtc.compile(of, &self.architecture)?;
        let load = self.symbol::<unsafe extern "C" fn(*mut *mut c_void, *const u8) -> c_int>(
            "cuModuleLoadData",
        )?;
        let mut module = std::ptr::null_mut();
        // SAFETY: code that the compiler made for this device.
        let code = unsafe { load(&raw mut module, compiled.code.as_ptr()) };
        self.check("the kernels cannot be loaded", code)?;
        modules.insert(*of, Module(module));
        Ok(Module(module))
    }

    /// The stream that libtorch computes on in this thread.
    fn stream(&self) -> Result<*mut c_void> {
        let mut stream = std::ptr::null_mut();
        // SAFETY: writes a handle; null or a message that is ours comes back.
        match unsafe { message(snn_current_stream(self.device, &raw mut stream)) } {
            None => Ok(stream),
            Some(why) => Err(failed(why)),
        }
    }
}

impl Machine for Cuda {
    unsafe fn launch(
        &self,
        of: &Specialisation,
        launch: &Launch,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        // SAFETY: as the caller promises.
        self.inside(|| unsafe { self.start(of, launch, arguments) })
    }
}

impl Cuda {
    /// Starts a kernel in the context of the device.
    ///
    /// # Safety
    /// As [`Machine::launch`].
    unsafe fn start(
        &self,
        of: &Specialisation,
        launch: &Launch,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        let module = self.module(of)?;
        let function = self.symbol::<unsafe extern "C" fn(
            *mut *mut c_void,
            *mut c_void,
            *const c_char,
        ) -> c_int>("cuModuleGetFunction")?;
        let start = self.symbol::<unsafe extern "C" fn(
            *mut c_void,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            *mut c_void,
            *mut *mut c_void,
            *mut *mut c_void,
        ) -> c_int>("cuLaunchKernel")?;
        let name = CString::new(launch.kernel).map_err(failed)?;
        let mut kernel = std::ptr::null_mut();
        // SAFETY: a module of this device, and a name.
        let code = unsafe { function(&raw mut kernel, module.0, name.as_ptr()) };
        self.check(launch.kernel, code)?;
        let [grid, block] = [launch.grid, launch.block];
        let shared = c_uint::try_from(launch.shared).unwrap_or(c_uint::MAX);
        let stream = self.stream()?;
        // SAFETY: the arguments of the kernel, as the caller promises.
        let code = unsafe {
            start(
                kernel,
                grid[0],
                grid[1],
                1,
                block[0],
                block[1],
                1,
                shared,
                stream,
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        self.check(launch.kernel, code)
    }
}
