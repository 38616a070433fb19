//! What a table consists of: rows, budgets, and what others have published.

use crate::names::{BudgetName, CodeName, RoundingName, TargetName};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use snn_train::RunConfig;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

/// Folder of the tables, from the root of the repository.
pub(crate) const FOLDER: &str = "tables";

/// A table, as its file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// Name of the file without its ending.
    #[serde(skip)]
    pub(crate) name: String,
    /// Heading of the table.
    pub(crate) title: String,
    /// What it shows, a paragraph.
    pub(crate) about: String,
    /// How its rows are made at each budget.
    pub(crate) budgets: BTreeMap<BudgetName, Budget>,
    /// Its rows.
    pub(crate) rows: Vec<Row>,
    /// Results of others, and of the paper, beside it.
    #[serde(default)]
    pub(crate) published: Vec<Published>,
}

/// How the rows are made at one budget.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// Keys of every config that it sets, as `--set` does.
    #[serde(default)]
    pub(crate) set: Vec<String>,
    /// Seeds of each row.
    #[serde(default = "first_seed")]
    pub(crate) seeds: Vec<u64>,
    /// Test samples that each conversion is verified on; all of them where it is absent.
    pub(crate) verify: Option<NonZeroUsize>,
    /// The most accuracy that the grid may cost, in points, in place of that of the rows: on few
    /// samples one of them is much.
    pub(crate) max_drop: Option<f64>,
}

fn first_seed() -> Vec<u64> {
    vec![0]
}

/// A row: a config and what is done with the network that it trains.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Name, of lower-case letters, digits and hyphens.
    pub(crate) name: String,
    /// Its config, from the root of the repository.
    pub(crate) config: String,
    /// Keys of the config that the row sets at every budget, after those of the budget.
    #[serde(default)]
    pub(crate) set: Vec<String>,
    /// Codes that it is converted with, and bits of weights.
    #[serde(default = "all_codes")]
    pub(crate) codes: Vec<TargetName>,
    /// The most accuracy that the grid may cost, in points.
    #[serde(default = "usual_drop")]
    pub(crate) max_drop: f64,
    /// Budgets at which it is made, each with the keys that it sets there; all of the table's
    /// where it is absent.
    pub(crate) budgets: Option<BTreeMap<BudgetName, Vec<String>>>,
    /// The published accuracy that it is held against, in percent.
    pub(crate) published: Option<f64>,
    /// How far below the published accuracy it still counts as reproduced, in points.
    #[serde(default = "usual_tolerance")]
    pub(crate) tolerance: f64,
}

/// The three codes, and weights of 16 bits in one: integers are the same in every code.
fn all_codes() -> Vec<TargetName> {
    let nearest = [CodeName::Unary, CodeName::Bitplane, CodeName::Graded].map(TargetName::from);
    let int16 = TargetName { code: CodeName::Unary, rounding: RoundingName::Int16 };
    nearest.into_iter().chain([int16]).collect()
}

fn usual_drop() -> f64 {
    0.2
}

fn usual_tolerance() -> f64 {
    0.5
}

/// A result of others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    /// Method and network.
    pub(crate) method: String,
    /// Macro-steps, where they are given.
    pub(crate) time_steps: Option<usize>,
    /// Test accuracy in percent.
    pub(crate) accuracy: f64,
    /// Where it stands.
    pub(crate) source: String,
    /// `true` if it is that of the best epoch on the test set, `false` if of the last, absent if
    /// the source does not say.
    pub(crate) best_epoch: Option<bool>,
}

impl Definition {
    /// Reads a table by the name of its file in `tables/`.
    pub(crate) fn load(root: &Path, name: &str) -> Result<Self> {
        let path = root.join(FOLDER).join(format!("{name}.toml"));
        if !path.is_file() {
            let known = names(root)?;
            bail!(
                "there is no table `{name}` ({}); expected one of: {}",
                path.display(),
                known.join(", ")
            );
        }
        let text = fs_err::read_to_string(&path)?;
        Self::from_toml(name, &text).with_context(|| path.display().to_string())
    }

    /// Reads a table from the text of its file.
    pub(crate) fn from_toml(name: &str, text: &str) -> Result<Self> {
        let mut table: Self = toml::from_str(text)?;
        table.name = name.to_string();
        table.check()?;
        Ok(table)
    }

    /// What can be said of a table without its configs.
    fn check(&self) -> Result<()> {
        ensure!(!self.rows.is_empty(), "`rows`: expected one at least");
        ensure!(!self.budgets.is_empty(), "`budgets`: expected one at least");
        let fits = |value: f64| (0.0..=100.0).contains(&value);
        for (name, budget) in &self.budgets {
            ensure!(
                budget.max_drop.is_none_or(fits),
                "`budgets.{name}.max_drop`: expected points, 0 to 100"
            );
            ensure!(!budget.seeds.is_empty(), "`budgets.{name}.seeds`: expected one at least");
            distinct(&budget.seeds, |seed| {
                format!("`budgets.{name}.seeds`: the seed {seed} stands there twice")
            })?;
        }
        let is_name = |name: &str| {
            let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !name.is_empty() && name.chars().all(letter)
        };
        for row in &self.rows {
            let name = &row.name;
            ensure!(
                is_name(name),
                "`rows.name`: expected lower-case letters, digits and hyphens, found `{name}`"
            );
            ensure!(
                fits(row.max_drop) && fits(row.tolerance) && row.published.is_none_or(fits),
                "row `{name}`: `max_drop`, `tolerance` and `published` are points and percent, 0 \
                 to 100"
            );
            ensure!(!row.codes.is_empty(), "row `{name}`: `codes`: expected one at least");
            distinct(&row.codes, |code: &TargetName| {
                format!("row `{name}`: the code {code} stands there twice")
            })?;
            for budget in row.budgets.iter().flat_map(BTreeMap::keys) {
                ensure!(
                    self.budgets.contains_key(budget),
                    "row `{name}`: `budgets`: the table has no budget `{budget}`"
                );
            }
        }
        let names: Vec<_> = self.rows.iter().map(|row| &row.name).collect();
        distinct(&names, |name| format!("there are two rows `{name}`"))
    }

    /// The budget with this name.
    pub(crate) fn budget(&self, name: BudgetName) -> Result<&Budget> {
        self.budgets.get(&name).with_context(|| {
            let has: Vec<_> = self.budgets.keys().map(ToString::to_string).collect();
            format!(
                "table `{}`: it has no budget `{name}`; expected one of: {}",
                self.name,
                has.join(", ")
            )
        })
    }

    /// The row with this name.
    pub(crate) fn row(&self, name: &str) -> Result<&Row> {
        self.rows.iter().find(|row| row.name == name).with_context(|| {
            let has: Vec<_> = self.rows.iter().map(|row| row.name.as_str()).collect();
            format!(
                "table `{}`: it has no row `{name}`; expected one of: {}",
                self.name,
                has.join(", ")
            )
        })
    }

    /// The rows that are made at this budget.
    pub(crate) fn rows_at(&self, budget: BudgetName) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(move |row| row.budgets.as_ref().is_none_or(|all| all.contains_key(&budget)))
    }

    /// The keys of its config that a row sets at a budget: of the budget, of the row, and of the
    /// row at this budget, in this order.
    pub(crate) fn sets(&self, row: &Row, budget: BudgetName) -> Result<Vec<String>> {
        let all = &self.budget(budget)?.set;
        let own = row.budgets.as_ref().and_then(|budgets| budgets.get(&budget));
        Ok(all.iter().chain(&row.set).chain(own.into_iter().flatten()).cloned().collect())
    }

    /// The whole config of a row at a budget with one seed.
    pub(crate) fn config(
        &self,
        root: &Path,
        row: &Row,
        budget: BudgetName,
        seed: u64,
    ) -> Result<RunConfig> {
        let mut sets = self.sets(row, budget)?;
        sets.push(format!("seed={seed}"));
        RunConfig::load(&root.join(&row.config), &sets)
            .with_context(|| format!("table `{}`, row `{}`", self.name, row.name))
    }
}

fn distinct<T: PartialEq>(values: &[T], message: impl Fn(&T) -> String) -> Result<()> {
    for (position, value) in values.iter().enumerate() {
        ensure!(!values[..position].contains(value), message(value));
    }
    Ok(())
}

/// Names of the tables that there are, sorted.
pub(crate) fn names(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FOLDER);
    ensure!(
        folder.is_dir(),
        "{}: there is no such folder; `snn table` runs in the root of the repository, or with \
         --root",
        folder.display()
    );
    let mut names = Vec::new();
    for entry in fs_err::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// All tables, sorted by name.
pub(crate) fn all(root: &Path) -> Result<Vec<Definition>> {
    names(root)?.iter().map(|name| Definition::load(root, name)).collect()
}
