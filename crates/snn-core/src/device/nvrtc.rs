//! NVRTC: the compiler that comes with CUDA, found at run time.

use super::specialisation::Specialisation;
use crate::error::{Error, Result};
use libloading::{Library, Symbol};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

/// The text of the kernels.
const TEXT: &str = include_str!("site.cu");

/// Names of the library, the newest first.
const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/// A folder with the library, where the loader does not find it by itself: for checks on machines
/// without a GPU.
pub(super) const FOLDER: &str = "SNN_NVRTC";

/// The compiler.
#[derive(Debug)]
pub(crate) struct Nvrtc {
    library: Library,
}

/// A compiled text.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Code for one kind of GPU.
    pub(crate) code: Vec<u8>,
    /// What the compiler said.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test reads registers and spills in it"))]
    pub(crate) log: String,
}

type Program = *mut c_void;

pub(super) fn failed(what: impl std::fmt::Display) -> Error {
    Error::Torch(format!("kernels of the GPU: {what}"))
}

/// The first of these libraries that can be loaded.
pub(super) fn load(names: &[PathBuf]) -> Result<Library> {
    let mut first = None;
    for name in names {
        // SAFETY: NVIDIA's libraries, whose constructors may run in any program.
        match unsafe { Library::new(name) } {
            Ok(library) => return Ok(library),
            Err(error) => first = first.or(Some(error.to_string())),
        }
    }
    Err(failed(first.unwrap_or_else(|| "no library".into())))
}

/// The folders in which wheels of CUDA stand beside that of torch.
fn beside_libtorch() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"));
    let library = line.and_then(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    // torch/lib/libtorch_cpu.so of site-packages.
    let packages = library.as_deref().and_then(|library| library.ancestors().nth(3));
    let Some(entries) = packages.and_then(|at| std::fs::read_dir(at.join("nvidia")).ok()) else {
        return Vec::new();
    };
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path().join("lib")));
    let has_it = |folder: &PathBuf| NAMES.iter().any(|name| folder.join(name).is_file());
    folders.filter(has_it).collect()
}

/// Opens the library in a folder, and its other half first, which it looks for where the loader
/// does: the loader knows what is loaded.
fn load_from(folder: &Path) -> Result<Library> {
    let told = |error: std::io::Error| failed(format!("{}: {error}", folder.display()));
    let halves = std::fs::read_dir(folder).map_err(told)?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        (name.starts_with("libnvrtc-builtins.so")).then_some(path)
    });
    let halves: Vec<PathBuf> = halves.collect();
    if halves.is_empty() {
        return Err(failed(format!("{}: no libnvrtc-builtins.so.*", folder.display())));
    }
    std::mem::forget(load(&halves)?);
    load(&NAMES.map(|name| folder.join(name)))
}

impl Nvrtc {
    /// Finds the library: in the folder that `SNN_NVRTC` names, or else beside libtorch in a
    /// Python's packages, or where the loader looks.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find() -> Result<Self> {
        if let Some(folder) = std::env::var_os(FOLDER) {
            let library = load_from(Path::new(&folder));
            return library.map(|library| Self { library }).map_err(|error| {
                failed(format!("{FOLDER} must name a folder with libnvrtc; {error}"))
            });
        }
        for folder in beside_libtorch() {
            if let Ok(library) = load_from(&folder) {
                return Ok(Self { library });
            }
        }
        let library = load(&NAMES.map(PathBuf::from)).map_err(|error| {
            failed(format!("{error}; {FOLDER} may name the folder of libnvrtc.so"))
        })?;
        Ok(Self { library })
    }

    fn symbol<F>(&self, name: &str) -> Result<Symbol<'_, F>> {
        // SAFETY: each use below has the type of that function in nvrtc.h.
        unsafe { self.library.get(name.as_bytes()) }.map_err(failed)
    }

    fn check(&self, what: &str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        let text =
            self.symbol::<unsafe extern "C" fn(c_int) -> *const c_char>("nvrtcGetErrorString")?;
        // SAFETY: a C string that is not freed.
        let text = unsafe { CStr::from_ptr(text(code)) }.to_string_lossy().into_owned();
        Err(failed(format!("{what}: {text}")))
    }

    /// Compiles the kernels of a kind of site for an architecture, as `sm_90`.
    ///
    /// # Errors
    /// The compiler refuses; the message has what it said.
    pub(crate) fn compile(&self, of: &Specialisation, architecture: &str) -> Result<Compiled> {
        let text = CString::new(TEXT).map_err(failed)?;
        let mut options = vec![
            format!("--gpu-architecture={architecture}"),
            "--std=c++17".to_string(),
            // A product is rounded before the sum it stands in, as on the CPU.
            "--fmad=false".to_string(),
            "--ptxas-options=-v".to_string(),
        ];
        options.extend(of.macros().map(|(name, value)| format!("-D{name}={value}")));
        let options = options.into_iter().map(|option| CString::new(option).map_err(failed));
        let options = options.collect::<Result<Vec<_>>>()?;
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let create = self.symbol::<unsafe extern "C" fn(
            *mut Program,
            *const c_char,
            *const c_char,
            c_int,
            *const *const c_char,
            *const *const c_char,
        ) -> c_int>("nvrtcCreateProgram")?;
        let compile = self
            .symbol::<unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int>(
                "nvrtcCompileProgram",
            )?;
        let destroy =
            self.symbol::<unsafe extern "C" fn(*mut Program) -> c_int>("nvrtcDestroyProgram")?;
        let mut program: Program = std::ptr::null_mut();
        let (none, name) = (std::ptr::null(), c"site.cu".as_ptr());
        // SAFETY: C strings that live through the call.
        let code = unsafe { create(&raw mut program, text.as_ptr(), name, 0, none, none) };
        self.check("no program", code)?;
        let count = c_int::try_from(pointers.len()).unwrap_or(c_int::MAX);
        // SAFETY: the program that was made, and as many options.
        let outcome = unsafe { compile(program, count, pointers.as_ptr()) };
        let log = self.read(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog");
        let code = self
            .check("it does not compile", outcome)
            .and_then(|()| self.read(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN"));
        // SAFETY: made above, destroyed once.
        unsafe { destroy(&raw mut program) };
        let log = String::from_utf8_lossy(&log?).trim_end_matches('\0').to_string();
        match code {
            Ok(code) => Ok(Compiled { code, log }),
            Err(error) => Err(failed(format!("{error}\n{log}"))),
        }
    }

    /// Bytes that the compiler has for us.
    fn read(&self, program: Program, size: &str, bytes: &str) -> Result<Vec<u8>> {
        let size_of = self.symbol::<unsafe extern "C" fn(Program, *mut usize) -> c_int>(size)?;
        let copy = self.symbol::<unsafe extern "C" fn(Program, *mut u8) -> c_int>(bytes)?;
        let mut count = 0;
        // SAFETY: the program lives; the size is that of what is copied.
        let code = unsafe { size_of(program, &raw mut count) };
        self.check(size, code)?;
        let mut all = vec![0; count];
        // SAFETY: as above.
        let code = unsafe { copy(program, all.as_mut_ptr()) };
        self.check(bytes, code)?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::print_stderr, reason = "a skipped test says so, one that ran how much")]

    use super::*;
    use crate::device::specialisation::all_for_tests;

    /// Registers and bytes spilled of each kernel, as the assembler tells them.
    fn used(log: &str) -> Vec<(String, u32, u32)> {
        let mut all: Vec<(String, u32, u32)> = Vec::new();
        let number_before = |line: &str, what: &str| -> Option<u32> {
            line[..line.find(what)?].split_whitespace().last()?.parse().ok()
        };
        for line in log.lines() {
            if let Some(at) = line.find("Compiling entry function '") {
                let name = line[at..].split('\'').nth(1).unwrap_or_default();
                all.push((name.to_string(), 0, 0));
            }
            if let Some(last) = all.last_mut() {
                last.1 = number_before(line, " registers").unwrap_or(last.1);
                last.2 += number_before(line, " bytes spill stores").unwrap_or(0);
                last.2 += number_before(line, " bytes spill loads").unwrap_or(0);
            }
        }
        all
    }

    /// Where NVRTC is (`SNN_NVRTC`, or with CUDA), the kinds of sites of usual networks compile for
    /// Ampere, Hopper and Blackwell without a spill.
    #[test]
    fn kernels_compile_for_gpus_without_spills() {
        let nvrtc = match Nvrtc::find() {
            Ok(nvrtc) => nvrtc,
            Err(error) => {
                assert!(std::env::var_os(FOLDER).is_none(), "{error}");
                eprintln!("skipped: {error}");
                return;
            }
        };
        let mut count = 0;
        for (number, of) in all_for_tests().into_iter().enumerate() {
            // The first ones use most registers.
            let all = ["sm_90", "sm_80", "sm_100"];
            for architecture in &all[..if number < 6 { 3 } else { 1 }] {
                let compiled = nvrtc.compile(&of, architecture).unwrap();
                let used = used(&compiled.log);
                assert_eq!(used.len(), 6, "{}", compiled.log);
                for (kernel, registers, spilled) in used {
                    assert_eq!(spilled, 0, "{kernel} for {architecture}: {of:?}");
                    assert!((1..=255).contains(&registers), "{kernel}: {registers}");
                    count += 1;
                }
                assert!(compiled.code.starts_with(b"\x7fELF"));
            }
        }
        eprintln!("{count} kernels compiled");
    }
}
