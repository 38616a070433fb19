//! Settings of the regulariser of activities.

use crate::config::check::{check, matcher, within};
use crate::error::{Error, Result};
use globset::GlobMatcher;
use serde::{Deserialize, Serialize};

/// A regulariser of firing rates (`[activity]`): sites that are more active than their target add
/// to the loss, `λ·Σ_s n_s/N·max(0, a_s − target_s)`, where `a_s` is the activity of site s in the
/// batch ([`SiteActivity`](snn_core::SiteActivity): the mean of `|q|/D` over neurons, samples and
/// macro-steps), `n_s` its number of neurons and N that of all these sites.
///
/// Sites at or below their target add nothing and have no gradient from it. ReLUs that are not
/// quantised have no activity, and stay out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActivityConfig {
    /// Weight λ; 0 for no regulariser.
    pub weight: f64,
    /// Target of every site, 0 to 1.
    pub target: f64,
    /// Sites with a target of their own; a site has that of the first entry that matches it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<ActivityTarget>,
}

/// The target of sites that match a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityTarget {
    /// A glob over names of sites: `*` any text, `?` a character, `{a,b}` either of them.
    pub names: String,
    /// Their target, 0 to 1; 1 leaves them as active as they are.
    pub target: f64,
}

impl ActivityConfig {
    /// `true` for a config that says nothing of it.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// `true` if there is a regulariser.
    pub fn is_on(&self) -> bool {
        self.weight > 0.0
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range, or a pattern that is no glob.
    pub fn validate(&self) -> Result<()> {
        let weight = self.weight;
        check("activity.weight", weight.is_finite() && weight >= 0.0, "at least 0", weight)?;
        let is_share = |target: f64| (0.0..=1.0).contains(&target);
        check("activity.target", is_share(self.target), "0 to 1", self.target)?;
        self.sites.iter().try_for_each(|site| {
            site.matcher()?;
            within(&site.place(), check("target", is_share(site.target), "0 to 1", site.target))
        })
    }

    /// The target of each of these sites.
    ///
    /// # Errors
    /// An entry matches no site.
    pub(crate) fn targets(&self, sites: &[&str]) -> Result<Vec<f64>> {
        let matchers =
            self.sites.iter().map(ActivityTarget::matcher).collect::<Result<Vec<_>>>()?;
        for (entry, matcher) in self.sites.iter().zip(&matchers) {
            if !sites.iter().any(|site| matcher.is_match(site)) {
                return Err(Error::Toml(format!(
                    "`{}` matches no site that has an activity; they are `{}`",
                    entry.place(),
                    sites.join("`, `")
                )));
            }
        }
        let target = |site: &&str| {
            let own = matchers.iter().position(|matcher| matcher.is_match(site));
            own.map_or(self.target, |position| self.sites[position].target)
        };
        Ok(sites.iter().map(target).collect())
    }
}

impl ActivityTarget {
    /// The entry as errors name it.
    fn place(&self) -> String {
        format!("activity.sites (names = \"{}\")", self.names)
    }

    fn matcher(&self) -> Result<GlobMatcher> {
        matcher(&self.place(), &self.names)
    }
}
