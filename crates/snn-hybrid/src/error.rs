//! Errors of policies.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a policy cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A glob is not well formed.
    #[error("{place}: glob `{glob}`: {reason}")]
    Glob {
        /// The key that has it.
        place: &'static str,
        /// The glob.
        glob: String,
        /// The fault.
        reason: String,
    },
    /// A glob chooses nothing: a spelling mistake, most likely.
    #[error(
        "{place}: glob `{glob}` matches no site; did you mean `{nearest}`? The sites are: {}",
        sites.join(", ")
    )]
    NoMatch {
        /// The key that has it.
        place: &'static str,
        /// The glob.
        glob: String,
        /// The site whose name is nearest.
        nearest: String,
        /// Every site of the graph.
        sites: Vec<String>,
    },
    /// A stage has no site: a spelling mistake, most likely.
    #[error(
        "policy: stage `{stage}` has no site; did you mean `{nearest}`? The stages are: {}",
        stages.join(", ")
    )]
    NoStage {
        /// The stage.
        stage: String,
        /// The path whose name is nearest.
        nearest: String,
        /// The first part of every site's path.
        stages: Vec<String>,
    },
    /// More sites are wanted than there are.
    #[error(
        "policy: `{policy}` with k = {k} on a network of {sites} sites; k must be 0 to {sites}"
    )]
    TooMany {
        /// The policy.
        policy: &'static str,
        /// How many are wanted.
        k: usize,
        /// How many there are.
        sites: usize,
    },
    /// A crossover has more stages than sites that change, or a stage that it has not.
    #[error(
        "policy: `crossover` in stage {stage} of {of}, where {}",
        if *sites == 0 {
            "no site becomes spiking".to_string()
        } else {
            format!(
                "{sites} sites become spiking: it must have 1 to {sites} stages, and `stage` must \
                 be 0 to their number"
            )
        }
    )]
    Stages {
        /// The stage.
        stage: usize,
        /// The number of stages.
        of: usize,
        /// Sites that spike in the end.
        sites: usize,
    },
    /// A share is not one.
    #[error("policy: `ratio` has share = {share}; it must be 0 to 1")]
    Share {
        /// The share.
        share: f64,
    },
    /// A list that must name something is empty.
    #[error("policy: `{policy}` has an empty list `{key}`")]
    Empty {
        /// The policy.
        policy: &'static str,
        /// The list.
        key: &'static str,
    },
    /// `inner` and `outer` are places relative to residual additions that sites read, and there is
    /// none.
    #[error(
        "policy: `{policy}` is for networks whose sites read the sums of residual additions \
         (ResNets, MS-ResNets, spike-driven transformers), but {}; use `sites`, for instance \
         {{ kind = \"sites\", include = [\"*.act1\"] }}, or `stage`, `alternate`, `ratio`",
        if *adds_spikes {
            "this network adds behind its sites, spikes to spikes (as SEW-ResNets and QKFormer do)"
        } else {
            "this network adds nothing"
        }
    )]
    NoResidual {
        /// The policy.
        policy: &'static str,
        /// `true` if the network has additions, which no site reads.
        adds_spikes: bool,
    },
    /// The graph is not in the trained form.
    #[error(
        "policy: site `{site}` ({kind}) has been converted; a policy is applied before training"
    )]
    Converted {
        /// The site.
        site: String,
        /// The kind of the site.
        kind: &'static str,
    },
    /// The graph is invalid, before or after the change (a step that is not positive, for example).
    #[error(transparent)]
    Graph(#[from] snn_ir::Error),
}
