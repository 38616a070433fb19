//! The interface to what runs kernels.

use super::specialisation::Specialisation;
use crate::error::Result;
use std::ffi::c_void;
use std::fmt::Debug;

/// What runs kernels: a GPU, or in tests the host.
pub(crate) trait Machine: Debug + Send + Sync {
    /// Starts a kernel of a site of this kind; it may still run when this returns.
    ///
    /// # Safety
    /// The arguments are those of the kernel, and what they point to lives and is left alone until
    /// the kernel has ended.
    ///
    /// # Errors
    /// The kernel cannot be compiled or started.
    unsafe fn launch(
        &self,
        of: &Specialisation,
        launch: &Launch,
        arguments: &mut [*mut c_void],
    ) -> Result<()>;
}

/// One start of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// Its name in the text.
    pub(crate) kernel: &'static str,
    /// Blocks: of channels, of positions.
    pub(crate) grid: [u32; 2],
    /// Threads of a block, likewise.
    pub(crate) block: [u32; 2],
    /// Bytes of shared memory.
    pub(crate) shared: usize,
    /// Bytes that it reads and writes of values of neurons, each once; 0 for one that has channels
    /// alone.
    pub(crate) bytes: usize,
}
