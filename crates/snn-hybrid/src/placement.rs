//! The result of a policy, site by site.

use crate::Policy;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The result of a policy on a graph; `Display` prints a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The policy.
    pub policy: Policy,
    /// Every site, in graph order.
    pub sites: Vec<PlacedSite>,
}

/// The result of a policy at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacedSite {
    /// Name of its node.
    pub site: String,
    /// Shape of its output for one sample.
    pub shape: Vec<usize>,
    /// Number of neurons.
    pub neurons: usize,
    /// Kind before ([`snn_ir::Site::label`]).
    pub before: String,
    /// Kind after.
    pub after: String,
    /// `true` if the site is spiking (LIF) now.
    pub spiking: bool,
    /// The decision for this site.
    pub decision: Decision,
}

/// The decision for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A LIF site that was chosen and is a `ReLU` now.
    Changed,
    /// A site that was not chosen.
    Kept,
    /// A chosen site that was not LIF before.
    KeptAsReplaced,
    /// A chosen LIF site whose spikes mask another stream: a mask must be binary spikes.
    KeptAsMask,
}

impl Decision {
    /// The word used in the table.
    pub fn label(self) -> &'static str {
        match self {
            Decision::Changed => "changed",
            Decision::Kept => "kept",
            Decision::KeptAsReplaced => "kept (no LIF before)",
            Decision::KeptAsMask => "kept (a mask)",
        }
    }
}

impl Placement {
    /// Neurons of all sites.
    pub fn neurons(&self) -> usize {
        self.sites.iter().map(|site| site.neurons).sum()
    }

    /// Neurons that are LIF (or IF, PLIF).
    pub fn lif_neurons(&self) -> usize {
        self.sites.iter().filter(|site| site.spiking).map(|site| site.neurons).sum()
    }

    /// Share of the neurons that are LIF, 0 to 1.
    pub fn lif_share(&self) -> f64 {
        share(self.lif_neurons(), self.neurons())
    }

    /// Share of the neurons that are `ReLU`, quantised or not, 0 to 1.
    pub fn relu_share(&self) -> f64 {
        share(self.neurons() - self.lif_neurons(), self.neurons())
    }

    /// Number of sites that are `ReLU`.
    pub fn relu_sites(&self) -> usize {
        self.sites.iter().filter(|site| !site.spiking).count()
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["site", "shape", "neurons", "before", "after", ""].map(str::to_string);
        let rows = self.sites.iter().map(|site| {
            let shape = site.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
            let (before, after) = (site.before.clone(), site.after.clone());
            [
                site.site.clone(),
                shape,
                site.neurons.to_string(),
                before,
                after,
                site.decision.label().to_string(),
            ]
        });
        let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
        let width: [usize; 6] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for [site, shape, neurons, before, after, decision] in &rows {
            let line = format!(
                "{site:<0$}  {shape:<1$}  {neurons:>2$}  {before:<3$}  {after:<4$}  {decision}",
                width[0], width[1], width[2], width[3], width[4]
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(
            f,
            "policy {}: {} of {} sites are ReLU; {:.1} % of {} neurons ReLU, {:.1} % LIF",
            self.policy,
            self.relu_sites(),
            self.sites.len(),
            100.0 * self.relu_share(),
            self.neurons(),
            100.0 * self.lif_share()
        )
    }
}
