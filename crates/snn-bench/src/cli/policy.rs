//! Arguments of `policy`.

use super::DataRoot;
use crate::names::CodeName;
use clap::{ArgGroup, Args, Subcommand};
use std::num::{NonZeroU8, NonZeroUsize};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show which sites a config makes ReLU, before any training; data is read only where its name
    /// does not say the size of its samples and the number of classes.
    #[command(
        after_help = "JSON: `config`, `explanation`, `relu_sites`, `neurons`, `lif_neurons`, \
                      `relu_share`, \
                        `policy`, `sites` (each `site`, `shape`, `neurons`, `before`, `after`, \
                        `spiking`, \
                        `decision`)."
    )]
    Show {
        /// The config, a TOML file.
        config: PathBuf,
        #[command(flatten)]
        data: DataRoot,
        /// Set a key of the config, as `policy=outer` or
        /// `'policy={ kind = "ratio", share = 0.25 }'`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
    },
    /// Search for the sites whose spikes cost least, until a limit holds.
    ///
    /// Each site of a trained twin is made LIF by itself, or gets fewer levels where `--levels`
    /// says so, as a staged run begins: thresholds fitted, norms measured again, nothing trained.
    /// Loss and accuracy are those on held-out samples, additions, energy and time those of the
    /// integer network. Sites are then taken in the order of what they cost for what they bring.
    /// Every measurement is kept in the folder, so that a search that was cut off, or one with
    /// another limit, goes on from there.
    #[command(
        after_help = "JSON: `limit`, `policy`, `replacement` (with `--levels`), `sets` (for `snn \
                      train --set`), `holds`, `relus` and `network` (each `lif`, `levels`, `loss`, \
                      `accuracy`, `additions`, `microjoules`, `milliseconds`, `lif_share`), \
                      `sites` (each `site`, `choice`, `loss`, `accuracy`, `gain`, `additions`)."
    )]
    Search(PolicySearch),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("limit").required(true))]
pub(crate) struct PolicySearch {
    /// The config whose policy is searched, a TOML file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// The run folder of its twin, with ReLUs alone.
    #[arg(long, value_name = "RUN")]
    pub(crate) twin: PathBuf,
    /// Folder for measurements, `policy.toml` and `search.json`.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// At most so many additions a sample.
    #[arg(long, group = "limit", value_parser = parse_amount)]
    pub(crate) additions: Option<f64>,
    /// At most so much energy a sample by counting, in µJ.
    #[arg(long, group = "limit", value_parser = parse_amount)]
    pub(crate) microjoules: Option<f64>,
    /// At most so many milliseconds a sample in the deployment on this machine.
    #[arg(long, group = "limit", value_parser = parse_amount)]
    pub(crate) milliseconds: Option<f64>,
    /// At least this share of the neurons LIF, 0 to 1.
    #[arg(long, group = "limit", value_parser = parse_share)]
    pub(crate) lif_share: Option<f64>,
    /// Numbers of levels that ReLU sites may have, 1 to 255: sites begin with the largest, which
    /// should be what your hardware can send. Without it sites have those of the config. With
    /// `--lif-share` only the largest counts, since fewer levels bring no LIF neuron.
    #[arg(long, value_name = "D", value_delimiter = ',')]
    pub(crate) levels: Vec<NonZeroU8>,
    /// Of all sites, consider only so many: those where a LIF neuron comes nearest to the twin's
    /// ReLU, which one pass over a few batches tells. For networks of many sites.
    #[arg(long, value_name = "N")]
    pub(crate) candidates: Option<NonZeroUsize>,
    /// How ReLU sites send their levels; hardware without graded events takes the other two.
    #[arg(long, value_enum, default_value = "unary")]
    pub(crate) code: CodeName,
    /// Held-out samples that are measured.
    #[arg(long, default_value = "1000")]
    pub(crate) samples: NonZeroUsize,
    /// Of these, samples that operations are counted and timed on.
    #[arg(long, default_value = "100")]
    pub(crate) counted: NonZeroUsize,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Set a key of the config.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

/// A number of at least 0.
fn parse_amount(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "expected a number of at least 0".into())
}

/// A number from 0 to 1.
fn parse_share(text: &str) -> Result<f64, String> {
    let value = parse_amount(text).ok().filter(|value| *value <= 1.0);
    value.ok_or_else(|| "expected a share from 0 to 1".into())
}
