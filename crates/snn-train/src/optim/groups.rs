//! Groups of parameters by name: their own learning rate and weight decay, and when they are
//! frozen.

use crate::config::check::{check, matcher, within};
use crate::error::{Error, Result};
use globset::GlobMatcher;
use serde::{Deserialize, Serialize};

/// How the optimiser treats the learned weights whose names match a pattern (`[[groups]]`). A
/// weight belongs to the first group of the list that matches it.
///
/// ```
/// use snn_train::{GroupConfig, Recipe};
/// // Biases of batch norms move 64 times as far, with the weight decay of everything else.
/// let biases = GroupConfig {
///     learning_rate: 64.0,
///     weight_decay: Some(1.0 / 64.0),
///     ..GroupConfig::new("*.norm*.bias")
/// };
/// let recipe = Recipe { groups: vec![biases], ..Recipe::default() };
/// recipe.validate()?;
/// # Ok::<(), snn_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// A glob over names of weights (`<node>.<part>`): `*` any text, `?` a character, `{a,b}`
    /// either of them.
    pub names: String,
    /// Factor on the learning rate, above 0.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub learning_rate: f64,
    /// Factor on the weight decay, at least 0. Absent, it is 1 for weights of convolutions and
    /// linear layers and 0 for all others; given, it holds for every weight of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// `true` for weights that stay as they are in the whole run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub frozen: bool,
    /// Frozen in so many first epochs; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub freeze_until: usize,
    /// Frozen after so many epochs; 0 for never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub freeze_after: usize,
    /// `true` for weights that Muon leaves to `optimiser.others`, beside those that it does anyway.
    #[serde(default, skip_serializing_if = "is_default")]
    pub others: bool,
}

fn one() -> f64 {
    1.0
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(factor: &f64) -> bool {
    factor.to_bits() == 1.0_f64.to_bits()
}
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl GroupConfig {
    /// The group of the weights whose names match a glob, treated as all others.
    pub fn new(names: impl Into<String>) -> Self {
        Self {
            names: names.into(),
            learning_rate: 1.0,
            weight_decay: None,
            frozen: false,
            freeze_until: 0,
            freeze_after: 0,
            others: false,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range, or a pattern that is no glob.
    pub fn validate(&self) -> Result<()> {
        self.matcher()?;
        within(&self.place(), self.ranges())
    }

    fn ranges(&self) -> Result<()> {
        let rate = self.learning_rate;
        check("learning_rate", rate.is_finite() && rate > 0.0, "a factor above 0", rate)?;
        let decay = self.weight_decay.unwrap_or(0.0);
        check("weight_decay", decay.is_finite() && decay >= 0.0, "a factor of at least 0", decay)?;
        let (until, after) = (self.freeze_until, self.freeze_after);
        let alone = !self.frozen || (until == 0 && after == 0);
        check("freeze_until", alone, "0 beside `frozen`, as `freeze_after`", until.max(after))?;
        let learns = after == 0 || until < after;
        check("freeze_until", learns, "below `freeze_after`", until)
    }

    /// The group as errors name it.
    fn place(&self) -> String {
        format!("groups (names = \"{}\")", self.names)
    }

    fn matcher(&self) -> Result<GlobMatcher> {
        matcher(&self.place(), &self.names)
    }

    /// `true` if its weights learn in an epoch, from 0.
    pub(crate) fn learns(&self, epoch: usize) -> bool {
        let ended = self.freeze_after > 0 && epoch >= self.freeze_after;
        !self.frozen && !ended && epoch >= self.freeze_until
    }
}

/// The group of each weight, by its position in the list.
///
/// # Errors
/// A group matches no weight, or only such as earlier groups have taken.
pub(crate) fn assign(groups: &[GroupConfig], names: &[&str]) -> Result<Vec<Option<usize>>> {
    let mut of_weight = vec![None; names.len()];
    for (position, group) in groups.iter().enumerate() {
        let matcher = group.matcher()?;
        let mut matched = names.iter().enumerate().filter(|(_, name)| matcher.is_match(name));
        let (mut any, mut taken) = (false, false);
        for (weight, _) in matched.by_ref() {
            any = true;
            if of_weight[weight].is_none() {
                of_weight[weight] = Some(position);
                taken = true;
            }
        }
        let refuse = |reason: String| Err(Error::Toml(format!("`{}` {reason}", group.place())));
        if !any {
            let nearest = nearest(&group.names, names).join("`, `");
            return refuse(format!(
                "matches no weight that this network learns; the nearest are `{nearest}`"
            ));
        }
        if !taken {
            return refuse("matches only weights that earlier groups have, so delete it".into());
        }
    }
    Ok(of_weight)
}

/// Weights that may have been meant, the nearest first.
fn nearest<'n>(pattern: &str, names: &[&'n str]) -> Vec<&'n str> {
    const SHOWN: usize = 3;
    // A star stands for text that is not there to compare.
    let plain = pattern.replace('*', "");
    let distance = |name: &&str| {
        let tail: String = name.chars().skip(name.len().saturating_sub(plain.len())).collect();
        strsim::levenshtein(&plain, &tail).min(strsim::levenshtein(pattern, name))
    };
    let mut names = names.to_vec();
    names.sort_by_key(distance);
    names.truncate(SHOWN);
    names
}
