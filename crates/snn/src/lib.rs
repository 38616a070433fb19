#![doc = include_str!("../README.md")]

#[doc(inline)]
pub use snn_ir as ir;
#[doc(inline)]
pub use snn_ir::{Error, Graph, Model, Result};

#[cfg(feature = "runtime")]
#[doc(inline)]
pub use snn_runtime as runtime;
#[cfg(feature = "runtime")]
#[doc(inline)]
pub use snn_runtime::{Deployment, Options};

#[cfg(feature = "data")]
#[doc(inline)]
pub use snn_data as data;

#[cfg(feature = "convert")]
#[doc(inline)]
pub use {snn_hybrid as hybrid, snn_reparam as reparam};

#[cfg(feature = "exchange")]
#[doc(inline)]
pub use {snn_exchange as exchange, snn_nir as nir};

// Not `core`: a crate of that name is everywhere.
#[cfg(feature = "train")]
#[doc(inline)]
pub use {snn_core as torch, snn_train as train};
