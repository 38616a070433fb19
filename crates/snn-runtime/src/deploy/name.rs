//! What errors call the deployment.

/// Name of the deployment in errors.
pub(crate) const NAME: &str = "deployment";
