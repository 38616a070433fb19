//! Running a plan: the buffers, the engine that fills them node by node, and batches.

pub(crate) mod arena;
pub(crate) mod batch;
pub(crate) mod engine;
pub(crate) mod rearrange;
pub(crate) mod stage;
