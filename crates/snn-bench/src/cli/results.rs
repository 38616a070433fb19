//! Arguments of commands that make tables and pages of results.

use super::DataRoot;
use crate::names::{BudgetName, TargetName};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    /// The table: the name of a file in `tables/`.
    pub(crate) name: String,
    /// How much it may cost; the file of the table says what each budget means.
    #[arg(long, value_enum)]
    pub(crate) budget: BudgetName,
    /// Only this row.
    #[arg(long)]
    pub(crate) row: Option<String>,
    /// Only this seed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Make nothing; write and show the table of what is there.
    #[arg(long, conflicts_with = "force")]
    pub(crate) show: bool,
    /// Make nothing; measure so many steps of each stage of the chosen rows, and write what their
    /// training will cost on this machine.
    #[arg(long, value_name = "STEPS", conflicts_with_all = ["show", "force", "verify", "export"])]
    pub(crate) estimate: Option<NonZeroUsize>,
    /// Make the chosen rows anew, also those that are there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Verify each conversion on at most so many test samples; without this, on as many as the
    /// budget says, which verifies the rest.
    #[arg(long, value_name = "N", conflicts_with = "show")]
    pub(crate) verify: Option<NonZeroUsize>,
    /// Write a converted network of the row into this folder: the model, its config, its record and
    /// a card that says what it is.
    #[arg(long, value_name = "FOLDER", requires = "row", requires = "seed")]
    pub(crate) export: Option<PathBuf>,
    /// The conversion that `--export` writes.
    #[arg(long, default_value = "unary", requires = "export", value_parser = parse_target)]
    pub(crate) code: TargetName,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Root of the repository, with `tables/` and `configs/`.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
    /// Folder for weights and checkpoints [default: `runs/tables` in the root].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) runs: Option<PathBuf>,
    /// Folder for records and tables [default: `docs/results/tables` in the root].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) results: Option<PathBuf>,
}

/// What a table converts to, as `unary` or `unary-int16`.
fn parse_target(text: &str) -> Result<TargetName, String> {
    TargetName::try_from(text.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The run folder, or the name of a table in `tables/`.
    #[arg(value_name = "RUN|TABLE")]
    pub(crate) of: String,
    /// The HTML file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    /// Test samples of a run that are measured.
    #[arg(long, default_value = "200")]
    pub(crate) samples: NonZeroUsize,
    /// A sample whose spikes and membranes are drawn, by its number from 0 among those [default:
    /// the first 3].
    #[arg(long = "sample", value_name = "NUMBER")]
    pub(crate) drawn: Vec<usize>,
    /// A converted model of the run [default: all that stand in its folder].
    #[arg(long = "model", value_name = "FILE")]
    pub(crate) models: Vec<PathBuf>,
    /// Picojoules of a multiply-accumulate and of an addition on your hardware, as `0.23,0.03`, in
    /// place of the 45 nm figures.
    #[arg(long, value_name = "MAC,ADDITION", value_parser = crate::energy::parse)]
    pub(crate) energy: Option<crate::energy::Figures>,
    /// The budget of a table [default: cpu].
    #[arg(long, value_enum)]
    pub(crate) budget: Option<BudgetName>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Where libtorch computes: `cpu`, or `cuda:N`.
    #[arg(long, default_value = "cpu", value_parser = crate::device::parse)]
    pub(crate) device: tch::Device,
    /// Root of the repository, with `tables/`.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
}
