//! Which sites a policy chooses.

use crate::nearest::nearest;
use crate::{End, Error, Policy, Result};
use globset::{Glob, GlobMatcher};
use snn_ir::{Graph, Op, Resolved, Role, Site, SiteInfo};

/// A graph and what is known of it.
pub(crate) struct Network<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) resolved: &'a Resolved,
    pub(crate) sites: &'a [SiteInfo],
}

impl Network<'_> {
    /// For each site whether the policy chooses it.
    pub(crate) fn choose(&self, policy: &Policy) -> Result<Vec<bool>> {
        let count = self.sites.len();
        Ok(match policy {
            Policy::None => vec![false; count],
            Policy::All => vec![true; count],
            Policy::Outer => self.residual_stream(policy)?,
            Policy::Inner => {
                self.residual_stream(policy)?.into_iter().map(|outer| !outer).collect()
            }
            Policy::Alternate => (0..count).map(|position| position % 2 == 0).collect(),
            Policy::Stem => self.stem(),
            Policy::Head => self.head(),
            Policy::FirstK { k } => {
                self.check_count(policy, *k)?;
                (0..count).map(|position| position < *k).collect()
            }
            Policy::LastK { k } => {
                self.check_count(policy, *k)?;
                (0..count).map(|position| position >= count - *k).collect()
            }
            Policy::Stage { stages } => self.stages(stages)?,
            Policy::Sites { include, exclude } => {
                let included = self.matched("policy", include)?;
                let excluded = self.matched("policy", exclude)?;
                included
                    .into_iter()
                    .zip(excluded)
                    .map(|(included, excluded)| included && !excluded)
                    .collect()
            }
            Policy::Ratio { share, spread } => {
                if !(0.0..=1.0).contains(share) {
                    return Err(Error::Share { share: *share });
                }
                // The nearest whole number, ties up.
                let chosen =
                    (0..count).filter(|site| *site as f64 + 0.5 <= share * count as f64).count();
                let positions = spread.positions(count, chosen);
                (0..count).map(|position| positions.contains(&position)).collect()
            }
            Policy::Union { policies } => self.combine(policy, policies, |a, b| a || b)?,
            Policy::Intersection { policies } => self.combine(policy, policies, |a, b| a && b)?,
            Policy::Difference { policy, without } => {
                zip(&self.choose(policy)?, &self.choose(without)?, |chosen, taken| chosen && !taken)
            }
            Policy::Crossover { policy, stage, of, from } => {
                crossover(self.choose(policy)?, &self.can_change(), (*stage, *of), *from)?
            }
        })
    }

    /// Sites that a policy can change: LIF sites whose spikes are no mask.
    fn can_change(&self) -> Vec<bool> {
        let masks = self.graph.makes_masks();
        let can = |site: &SiteInfo| matches!(site.site, Site::Lif(_)) && !masks[site.index];
        self.sites.iter().map(can).collect()
    }

    /// Sites that read an addition, and the stem.
    fn residual_stream(&self, policy: &Policy) -> Result<Vec<bool>> {
        let reads_add = |site: &SiteInfo| self.adds_branches(self.input(site));
        let after_add: Vec<bool> = self.sites.iter().map(reads_add).collect();
        if !after_add.contains(&true) {
            let adds_spikes = (0..self.graph.nodes.len()).any(|node| self.adds_branches(node));
            return Err(Error::NoResidual { policy: policy.label(), adds_spikes });
        }
        Ok(zip(&after_add, &self.stem(), |after_add, stem| after_add || stem))
    }

    /// `true` if a node adds two branches or more; what comes back to a layer through a delay is no
    /// branch.
    fn adds_branches(&self, node: usize) -> bool {
        let branches =
            self.resolved.nodes[node].inputs.iter().filter(|input| !self.returns(**input));
        matches!(self.graph.nodes[node].op, Op::Add) && branches.count() >= 2
    }

    /// `true` if a node passes on, perhaps weighted, what a delay yields.
    fn returns(&self, mut node: usize) -> bool {
        loop {
            match (self.graph.nodes[node].op.role(), &self.resolved.nodes[node].inputs[..]) {
                (Role::Delay, _) => return true,
                (Role::Synapse | Role::Norm | Role::Pool | Role::Shape, [input]) => node = *input,
                _ => return false,
            }
        }
    }

    /// Sites with no site upstream.
    fn stem(&self) -> Vec<bool> {
        // Whether each node is a site or has one above it.
        let mut seen: Vec<bool> = Vec::with_capacity(self.resolved.nodes.len());
        for (node, info) in self.graph.nodes.iter().zip(&self.resolved.nodes) {
            // What a delay brings back of a later site is not upstream.
            let above = info.inputs.iter().any(|&input| seen.get(input).is_some_and(|seen| *seen));
            seen.push(is_site(&node.op) || above);
        }
        self.sites.iter().map(|site| !seen[self.input(site)]).collect()
    }

    /// Sites with no site downstream.
    fn head(&self) -> Vec<bool> {
        // Whether each node has a site below it.
        let mut above = vec![false; self.resolved.nodes.len()];
        for (index, (node, info)) in
            self.graph.nodes.iter().zip(&self.resolved.nodes).enumerate().rev()
        {
            // A later site that a delay reads is not above it.
            for &input in info.inputs.iter().filter(|input| **input < index) {
                above[input] |= above[index] || is_site(&node.op);
            }
        }
        self.sites.iter().map(|site| !above[site.index]).collect()
    }

    /// Sites whose path begins with one of the stages; every stage must have some.
    fn stages(&self, stages: &[String]) -> Result<Vec<bool>> {
        let mut any = vec![false; self.sites.len()];
        if stages.is_empty() {
            return Err(Error::Empty { policy: "stage", key: "stages" });
        }
        for stage in stages {
            let of_stage: Vec<bool> = self
                .sites
                .iter()
                .map(|site| prefixes(&site.name).any(|prefix| prefix == stage))
                .collect();
            if !of_stage.contains(&true) {
                let paths = self.sites.iter().flat_map(|site| prefixes(&site.name));
                let mut stages: Vec<String> = self
                    .sites
                    .iter()
                    .filter_map(|site| prefixes(&site.name).next())
                    .map(ToString::to_string)
                    .collect();
                stages.dedup();
                return Err(Error::NoStage {
                    stage: stage.clone(),
                    nearest: nearest(stage, paths).into(),
                    stages,
                });
            }
            any = zip(&any, &of_stage, |a, b| a || b);
        }
        Ok(any)
    }

    /// Sites whose name matches one of the globs; every glob must match some.
    pub(crate) fn matched(&self, place: &'static str, globs: &[String]) -> Result<Vec<bool>> {
        let mut any = vec![false; self.sites.len()];
        for glob in globs {
            let matcher: GlobMatcher = Glob::new(glob)
                .map_err(|e| Error::Glob {
                    place,
                    glob: glob.clone(),
                    reason: e.kind().to_string(),
                })?
                .compile_matcher();
            let found: Vec<bool> =
                self.sites.iter().map(|site| matcher.is_match(&site.name)).collect();
            if !found.contains(&true) {
                let sites: Vec<String> = self.sites.iter().map(|site| site.name.clone()).collect();
                let nearest = nearest(glob, sites.iter().map(String::as_str)).to_string();
                return Err(Error::NoMatch { place, glob: glob.clone(), nearest, sites });
            }
            any = zip(&any, &found, |a, b| a || b);
        }
        Ok(any)
    }

    fn combine(
        &self,
        policy: &Policy,
        parts: &[Policy],
        join: impl Fn(bool, bool) -> bool,
    ) -> Result<Vec<bool>> {
        let mut chosen: Option<Vec<bool>> = None;
        for part in parts {
            let part = self.choose(part)?;
            chosen = Some(match chosen {
                None => part,
                Some(chosen) => zip(&chosen, &part, &join),
            });
        }
        chosen.ok_or(Error::Empty { policy: policy.label(), key: "policies" })
    }

    fn check_count(&self, policy: &Policy, k: usize) -> Result<()> {
        let sites = self.sites.len();
        if k > sites { Err(Error::TooMany { policy: policy.label(), k, sites }) } else { Ok(()) }
    }

    /// The node that a site reads.
    fn input(&self, site: &SiteInfo) -> usize {
        self.resolved.nodes[site.index].inputs[0]
    }
}

/// The chosen sites, and of the others that can be either those that do not spike in stage k of n.
fn crossover(
    mut chosen: Vec<bool>,
    can_change: &[bool],
    (stage, of): (usize, usize),
    from: End,
) -> Result<Vec<bool>> {
    let mut spiking: Vec<usize> =
        (0..chosen.len()).filter(|&site| !chosen[site] && can_change[site]).collect();
    let sites = spiking.len();
    if of == 0 || of > sites || stage > of {
        return Err(Error::Stages { stage, of, sites });
    }
    if from == End::Output {
        spiking.reverse();
    }
    for &site in spiking.iter().skip((sites * stage).div_ceil(of)) {
        chosen[site] = true;
    }
    Ok(chosen)
}

fn is_site(op: &Op) -> bool {
    matches!(op, Op::Activation { .. })
}

fn zip(a: &[bool], b: &[bool], join: impl Fn(bool, bool) -> bool) -> Vec<bool> {
    a.iter().zip(b).map(|(a, b)| join(*a, *b)).collect()
}

/// `a`, `a.b` and `a.b.c` of `a.b.c`.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(end, _)| &name[..end]).chain([name])
}
