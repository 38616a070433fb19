//! Which sites become LIF neurons: one after the other, the cheapest first, until a limit holds.

use super::measure::Measured;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// What must hold of a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Limit {
    /// At most so many additions a sample.
    Additions(f64),
    /// At most so many microjoules a sample, by counting.
    Microjoules(f64),
    /// At most so many milliseconds a sample, in the deployment on this machine.
    Milliseconds(f64),
    /// At least this share of the neurons LIF.
    LifShare(f64),
}

impl Limit {
    /// How far a network is from it; at most 0 where it holds.
    pub(super) fn excess(self, network: &Measured) -> f64 {
        match self {
            Self::Additions(limit) => network.additions - limit,
            Self::Microjoules(limit) => network.microjoules - limit,
            Self::Milliseconds(limit) => network.milliseconds - limit,
            Self::LifShare(limit) => limit - network.lif_share,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Additions(limit) => write!(f, "at most {limit} additions a sample"),
            Self::Microjoules(limit) => write!(f, "at most {limit} µJ a sample"),
            Self::Milliseconds(limit) => write!(f, "at most {limit} ms a sample"),
            Self::LifShare(limit) => write!(f, "at least {} % of the neurons LIF", 100.0 * limit),
        }
    }
}

/// What a site costs and brings where it alone is LIF.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sensitivity {
    pub(super) site: String,
    /// Loss on the held-out samples above that of the network of ReLUs.
    pub(super) loss: f64,
    /// Accuracy on them above that of the network of ReLUs, in points.
    pub(super) accuracy: f64,
    /// By how much the network comes nearer to the limit.
    pub(super) gain: f64,
    /// Additions of a sample above those of the network of ReLUs.
    pub(super) additions: f64,
}

/// A search that has ended.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Found {
    /// `true` if the limit holds.
    pub(super) holds: bool,
    /// The network of ReLUs alone.
    pub(super) relus: Measured,
    /// Every site by itself, in the order in which they were tried.
    pub(super) sites: Vec<Sensitivity>,
    /// The network that was found; where the limit does not hold, the nearest to it of all that
    /// were measured.
    pub(super) network: Measured,
}

/// Searches for the sites that cost least until the limit holds.
///
/// Each site is measured by itself. Sites that bring the network nearer to the limit are then taken
/// in the order of the loss that they cost for what they bring, as many as should do by the sum of
/// what each of them brought, and more until the limit holds; last, whatever is not needed is given
/// back, the dearest first.
pub(super) fn search(
    sites: &[String],
    limit: Limit,
    measure: &mut dyn FnMut(&BTreeSet<String>) -> Result<Measured>,
) -> Result<Found> {
    let mut nearest: Option<Measured> = None;
    let mut measure = |lif: &BTreeSet<String>| -> Result<Measured> {
        let measured = measure(lif)?;
        let excess = |of: &Measured| limit.excess(of);
        if nearest.as_ref().is_none_or(|known| excess(&measured) < excess(known)) {
            nearest = Some(measured.clone());
        }
        Ok(measured)
    };
    let relus = measure(&BTreeSet::new())?;
    let mut sensitivities = Vec::with_capacity(sites.len());
    for site in sites {
        let alone = measure(&BTreeSet::from([site.clone()]))?;
        sensitivities.push(Sensitivity {
            site: site.clone(),
            loss: alone.loss - relus.loss,
            accuracy: alone.accuracy - relus.accuracy,
            gain: limit.excess(&relus) - limit.excess(&alone),
            additions: alone.additions - relus.additions,
        });
    }
    let price = |site: &Sensitivity| {
        if site.gain > 0.0 { site.loss.max(0.0) / site.gain } else { f64::INFINITY }
    };
    sensitivities.sort_by(|a, b| price(a).total_cmp(&price(b)).then(a.loss.total_cmp(&b.loss)));
    let mut chosen = BTreeSet::new();
    let mut network = relus.clone();
    let mut expected = limit.excess(&relus);
    for site in sensitivities.iter().filter(|site| site.gain > 0.0) {
        if limit.excess(&network) <= 0.0 {
            break;
        }
        chosen.insert(site.site.clone());
        expected -= site.gain;
        // Far from the limit the sum of what sites bring is enough to know.
        let is_last = chosen.len() == sensitivities.iter().filter(|site| site.gain > 0.0).count();
        if expected <= 0.1 * limit.excess(&relus) || is_last {
            network = measure(&chosen)?;
        }
    }
    let mut holds = limit.excess(&network) <= 0.0;
    if holds {
        let mut dearest: Vec<&Sensitivity> =
            sensitivities.iter().filter(|site| chosen.contains(&site.site)).collect();
        dearest.sort_by(|a, b| b.loss.total_cmp(&a.loss));
        for site in dearest {
            if site.loss <= 0.0 {
                continue;
            }
            let fewer: BTreeSet<String> =
                chosen.iter().filter(|name| **name != site.site).cloned().collect();
            let without = measure(&fewer)?;
            if limit.excess(&without) <= 0.0 && without.loss <= network.loss {
                (chosen, network) = (fewer, without);
            }
        }
        holds = limit.excess(&network) <= 0.0;
    }
    let network = if holds { network } else { nearest.unwrap_or(network) };
    Ok(Found { holds, relus, sites: sensitivities, network })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network whose sites cost and bring what these say, with what two of them do together.
    fn measure(costs: &[(&str, f64, f64)], lif: &BTreeSet<String>) -> Measured {
        let of = |name: &str| costs.iter().find(|cost| cost.0 == name).copied().unwrap();
        let loss: f64 = lif.iter().map(|name| of(name).1).sum();
        let saved: f64 = lif.iter().map(|name| of(name).2).sum();
        let together = if lif.contains("a") && lif.contains("b") { 10.0 } else { 0.0 };
        Measured {
            lif: lif.iter().cloned().collect(),
            loss: 1.0 + loss,
            accuracy: 90.0 - loss,
            additions: 100.0 - saved + together,
            lif_share: lif.len() as f64 / costs.len() as f64,
            ..Measured::default()
        }
    }

    fn found(costs: &[(&str, f64, f64)], limit: Limit) -> (Found, usize) {
        let sites: Vec<String> = costs.iter().map(|cost| cost.0.to_string()).collect();
        let mut measured = 0;
        let found = search(&sites, limit, &mut |lif| {
            measured += 1;
            Ok(measure(costs, lif))
        });
        (found.unwrap(), measured)
    }

    #[test]
    fn the_cheapest_sites_are_taken_until_the_limit_holds() {
        let costs = [
            ("a", 0.1, 30.0),
            ("b", 0.1, 20.0),
            ("c", 0.5, 30.0),
            ("d", 0.2, -5.0),
            ("e", 0.9, 1.0),
        ];
        let (found, measured) = found(&costs, Limit::Additions(60.0));
        // a and b together save 40, which is just enough.
        assert_eq!(found.network.lif, ["a", "b"]);
        assert!(found.holds && found.network.additions <= 60.0);
        assert!(measured <= 1 + 5 + 2 + 2, "{measured}");
        let order: Vec<&str> = found.sites.iter().map(|site| site.site.as_str()).collect();
        assert_eq!(order, ["a", "b", "c", "e", "d"]);
    }

    #[test]
    fn what_is_not_needed_is_given_back() {
        // c is taken last and alone is enough, so that the dear a is not needed.
        let costs = [("a", 0.2, 10.0), ("b", 0.0, 5.0), ("c", 1.5, 60.0)];
        let (found, _) = found(&costs, Limit::Additions(38.0));
        assert_eq!(found.network.lif, ["b", "c"]);
    }

    #[test]
    fn a_limit_that_cannot_hold_is_said() {
        let costs = [("a", 0.2, 10.0), ("b", 0.1, 5.0), ("c", 0.1, -1.0)];
        let (of_additions, _) = found(&costs, Limit::Additions(10.0));
        assert!(!of_additions.holds);
        assert_eq!(of_additions.network.lif, ["a"], "nearer than both together");
        let (of_share, _) = found(&costs, Limit::LifShare(0.6));
        assert!(of_share.holds && of_share.network.lif.len() == 2);
    }
}
