//! Which sites become LIF neurons, or have fewer levels: one after the other, the cheapest first,
//! until a limit holds.

use super::measure::{Choice, Choices, Measured};
use anyhow::Result;
use serde::Serialize;
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

/// What a site costs and brings where it alone is another than in the network of ReLUs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sensitivity {
    pub(super) site: String,
    /// What it is.
    pub(super) choice: Choice,
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
    /// Every choice for every site by itself, in the order in which they were tried.
    pub(super) sites: Vec<Sensitivity>,
    /// The network that was found; where the limit does not hold, the nearest to it of all that
    /// were measured.
    pub(super) network: Measured,
}

/// Searches for the choices that cost least until the limit holds.
///
/// Each choice for each site is measured by itself. Those that bring the network nearer to the
/// limit are then taken in the order of the loss that they cost for what they bring, as many as
/// should do by the sum of what each of them brought, and more until the limit holds; a later
/// choice for a site takes the place of an earlier one that brought less. Last, whatever is not
/// needed is given back, the dearest first.
pub(super) fn search(
    sites: &[String],
    choices: &[Choice],
    limit: Limit,
    measure: &mut dyn FnMut(&Choices) -> Result<Measured>,
) -> Result<Found> {
    let mut nearest: Option<Measured> = None;
    let mut measure = |choices: &Choices| -> Result<Measured> {
        let measured = measure(choices)?;
        let excess = |of: &Measured| limit.excess(of);
        if nearest.as_ref().is_none_or(|known| excess(&measured) < excess(known)) {
            nearest = Some(measured.clone());
        }
        Ok(measured)
    };
    let relus = measure(&Choices::new())?;
    let mut sensitivities = Vec::with_capacity(sites.len() * choices.len());
    for site in sites {
        for &choice in choices {
            let alone = measure(&Choices::from([(site.clone(), choice)]))?;
            sensitivities.push(Sensitivity {
                site: site.clone(),
                choice,
                loss: alone.loss - relus.loss,
                accuracy: alone.accuracy - relus.accuracy,
                gain: limit.excess(&relus) - limit.excess(&alone),
                additions: alone.additions - relus.additions,
            });
        }
    }
    let price = |of: &Sensitivity| {
        if of.gain > 0.0 { of.loss.max(0.0) / of.gain } else { f64::INFINITY }
    };
    sensitivities.sort_by(|a, b| price(a).total_cmp(&price(b)).then(a.loss.total_cmp(&b.loss)));
    let mut taken: Vec<&Sensitivity> = Vec::new();
    let mut network = relus.clone();
    let mut expected = limit.excess(&relus);
    for (place, next) in sensitivities.iter().enumerate() {
        if limit.excess(&network) <= 0.0 {
            break;
        }
        let brought = brought(&taken, &next.site);
        if next.gain <= brought {
            continue;
        }
        taken.retain(|of| of.site != next.site);
        taken.push(next);
        expected -= next.gain - brought;
        // Far from the limit the sum of what sites bring is enough to know.
        let is_last =
            !sensitivities[place + 1..].iter().any(|of| of.gain > self::brought(&taken, &of.site));
        if expected <= 0.1 * limit.excess(&relus) || is_last {
            network = measure(&chosen(&taken))?;
        }
    }
    let mut holds = limit.excess(&network) <= 0.0;
    if holds {
        let mut dearest = taken.clone();
        dearest.sort_by(|a, b| b.loss.total_cmp(&a.loss));
        for site in dearest {
            if site.loss <= 0.0 {
                continue;
            }
            let fewer: Vec<&Sensitivity> =
                taken.iter().copied().filter(|of| of.site != site.site).collect();
            let without = measure(&chosen(&fewer))?;
            if limit.excess(&without) <= 0.0 && without.loss <= network.loss {
                (taken, network) = (fewer, without);
            }
        }
        holds = limit.excess(&network) <= 0.0;
    }
    let network = if holds { network } else { nearest.unwrap_or(network) };
    Ok(Found { holds, relus, sites: sensitivities, network })
}

/// What the choice that was taken for a site brought by itself; 0 where none was.
fn brought(taken: &[&Sensitivity], site: &str) -> f64 {
    taken.iter().find(|of| of.site == site).map_or(0.0, |of| of.gain)
}

fn chosen(taken: &[&Sensitivity]) -> Choices {
    taken.iter().map(|of| (of.site.clone(), of.choice)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network whose sites cost and bring what these say, with what two of them do together;
    /// where they only have fewer levels, a quarter of the cost and a third of the gain.
    fn measure(costs: &[(&str, f64, f64)], choices: &Choices) -> Measured {
        let of = |(name, choice): (&String, &Choice)| {
            let (_, loss, saved) = costs.iter().find(|cost| cost.0 == name).copied().unwrap();
            if *choice == Choice::Lif { (loss, saved) } else { (loss / 4.0, saved / 3.0) }
        };
        let loss: f64 = choices.iter().map(|choice| of(choice).0).sum();
        let saved: f64 = choices.iter().map(|choice| of(choice).1).sum();
        let is_lif = |name: &str| choices.get(name) == Some(&Choice::Lif);
        let together = if is_lif("a") && is_lif("b") { 10.0 } else { 0.0 };
        let lif: Vec<String> = choices.keys().filter(|name| is_lif(name)).cloned().collect();
        Measured {
            lif_share: lif.len() as f64 / costs.len() as f64,
            levels: choices
                .iter()
                .filter_map(|(name, choice)| Some((name.clone(), choice.levels()?)))
                .collect(),
            lif,
            loss: 1.0 + loss,
            accuracy: 90.0 - loss,
            additions: 100.0 - saved + together,
            ..Measured::default()
        }
    }

    fn found(costs: &[(&str, f64, f64)], limit: Limit) -> (Found, usize) {
        found_among(&[Choice::Lif], costs, limit)
    }

    fn found_among(choices: &[Choice], costs: &[(&str, f64, f64)], limit: Limit) -> (Found, usize) {
        let sites: Vec<String> = costs.iter().map(|cost| cost.0.to_string()).collect();
        let mut measured = 0;
        let found = search(&sites, choices, limit, &mut |choices| {
            measured += 1;
            Ok(measure(costs, choices))
        });
        (found.unwrap(), measured)
    }

    /// Fewer levels where that is enough, LIF where it is not: a site that had fewer levels first.
    #[test]
    fn levels_are_chosen_too() {
        let costs = [("a", 0.3, 30.0), ("b", 0.6, 30.0)];
        let choices = [Choice::Lif, Choice::Levels(3)];
        let (few, _) = found_among(&choices, &costs, Limit::Additions(91.0));
        assert!(few.holds && few.network.lif.is_empty());
        assert_eq!(few.network.levels.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(few.sites.len(), 4);
        let (more, _) = found_among(&choices, &costs, Limit::Additions(61.0));
        assert!(more.holds, "{more:?}");
        assert_eq!((more.network.lif.len(), more.network.levels.len()), (1, 1));
        let (all, _) = found_among(&choices, &costs, Limit::LifShare(1.0));
        assert!(all.holds && all.network.lif == ["a", "b"]);
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
