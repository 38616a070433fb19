//! One file a command.

pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod finetune;
pub(crate) mod infer;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod policy;
pub(crate) mod train;
pub(crate) mod verify;
