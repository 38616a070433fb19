//! Arguments of commands that convert.

use super::DataRoot;
use crate::names::CodeName;
use clap::{Args, ValueEnum};
use snn_data::DatasetName;
use snn_reparam::StepRule;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The grid as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GridName {
    /// 8-bit weights, integers everywhere.
    Int8,
    /// 16-bit weights as two of 8 bits: closer to the trained network, for twice the additions.
    Int16,
    /// Real numbers, f64.
    None,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The run folder, or a trained model file.
    pub(crate) run: PathBuf,
    /// How ReLU sites send their levels.
    #[arg(long, value_enum)]
    pub(crate) code: CodeName,
    /// The number system.
    #[arg(long, value_enum, default_value = "int8")]
    pub(crate) grid: GridName,
    /// Another code for one site, as `stem.act=graded`.
    #[arg(long = "site-code", value_name = "SITE=CODE", value_parser = parse_site_code)]
    pub(crate) site_codes: Vec<(String, CodeName)>,
    /// Fractional bits of membranes on the grid, 0 to 16 [default: 8, of int16 4].
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) guard_bits: Option<u8>,
    /// Bits that leaks are rounded to on the grid, 0 to 16 [default: 12, of int16 16].
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) leak_bits: Option<u8>,
    /// Round weights by what layers read of so many training samples, in place of to the nearest:
    /// the currents of layers change least.
    #[arg(long, value_name = "SAMPLES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calibrate: Option<u32>,
    /// The data set of these samples [default: the run's].
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    pub(crate) dataset: Option<DatasetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where to calibrate: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// List what becomes of every node, not only a summary; JSON has it always.
    #[arg(long, conflicts_with = "json")]
    pub(crate) plan: bool,
    /// The model file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Quantise {
    /// The trained network: a model file, or a run folder.
    pub(crate) run: PathBuf,
    /// Levels of every site.
    #[arg(
        long,
        value_name = "D",
        value_parser = clap::value_parser!(u8).range(1..),
        conflicts_with = "error",
        required_unless_present = "error"
    )]
    pub(crate) levels: Option<u8>,
    /// For each site the fewest levels with which it is off by this much at most: 0.02 for 2 %.
    #[arg(long, value_name = "SHARE")]
    pub(crate) error: Option<f64>,
    /// How steps are chosen: `least-error`, of what is rounded and clipped; `largest`, nothing is
    /// clipped; or a quantile of the positive values beyond which they are, as 0.999.
    #[arg(long, default_value = "least-error", value_parser = step_rule)]
    pub(crate) rule: StepRule,
    /// Leave biases as they are.
    #[arg(long)]
    pub(crate) keep_biases: bool,
    /// Training samples that decide.
    #[arg(long, default_value = "512", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// The data set of these samples [default: the run's].
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// The model file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Codes {
    /// The trained ReLU network: a model file, or a run folder.
    pub(crate) run: PathBuf,
    /// Levels to quantise it with.
    #[arg(long, value_delimiter = ',', value_name = "D", default_value = "1,2,3,4,7,15,31",
          value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) levels: Vec<u8>,
    /// Macro-steps of the rate-coded networks.
    #[arg(long, value_delimiter = ',', value_name = "T", default_value = "4,8,16,32,64,128,256")]
    pub(crate) steps: Vec<NonZeroUsize>,
    /// Training samples that steps and thresholds are chosen by.
    #[arg(long, default_value = "512", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// The data set [default: the run's].
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<DatasetName>,
    /// Only N test images.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Test images on which additions are counted.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(crate) counted: NonZeroUsize,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Write the table into this folder as `codes.md` and `codes.json`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Replace existing files.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

fn step_rule(text: &str) -> Result<StepRule, String> {
    match (text, text.parse::<f64>()) {
        ("least-error", _) => Ok(StepRule::LeastError),
        ("largest", _) => Ok(StepRule::Largest),
        (_, Ok(share)) if share > 0.0 && share <= 1.0 => Ok(StepRule::Percentile(share)),
        _ => Err("expected `least-error`, `largest` or a quantile above 0 and at most 1".into()),
    }
}

fn parse_site_code(text: &str) -> Result<(String, CodeName), String> {
    let (site, code) = text.split_once('=').ok_or("expected SITE=CODE")?;
    Ok((site.to_string(), CodeName::from_str(code, true)?))
}
