//! What can be wrong with a policy.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a policy cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A glob is not well formed.
    #[error("policy: glob `{glob}`: {reason}")]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A glob chooses nothing: a spelling mistake, most likely.
    #[error("policy: glob `{glob}` matches no site; the sites are: {}", sites.join(", "))]
    NoMatch {
        /// The glob.
        glob: String,
        /// Every site of the graph.
        sites: Vec<String>,
    },
    /// `inner` and `outer` are places relative to residual additions, and there is none.
    #[error(
        "policy: `{policy}` is defined by residual additions, and no site of this network reads one; \
         use `all`, `alternate` or `sites`"
    )]
    NoResidual {
        /// The policy.
        policy: &'static str,
    },
    /// The graph is not in the trained form.
    #[error("policy: site `{site}` ({kind}) has been converted; a policy is applied before training")]
    Converted {
        /// The site.
        site: String,
        /// What it is.
        kind: &'static str,
    },
    /// The graph is invalid, before or after the change (a step that is not positive, for example).
    #[error(transparent)]
    Graph(#[from] snn_ir::Error),
}
