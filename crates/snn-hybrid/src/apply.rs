//! Policy × graph → graph, with a printable account of what was done.

use crate::{Decision, Error, PlacedSite, Placement, Policy, Replacement, Result};
use globset::{Glob, GlobMatcher};
use snn_ir::{Graph, Op, Resolved, Site, SiteInfo};

/// Replaces the sites that `policy` chooses, and changes nothing else.
///
/// Only LIF sites are candidates (IF and PLIF are LIF sites). A chosen site of another kind is kept as it is, and the
/// placement says so; hence applying a policy twice gives what applying it once gives.
///
/// # Errors
/// The graph is invalid or converted; a glob is malformed or matches no site; `inner` or `outer` on a network without
/// residual additions; a replacement with settings out of range.
pub fn apply(graph: &Graph, policy: &Policy, replacement: &Replacement) -> Result<(Graph, Placement)> {
    let resolved = graph.resolve()?;
    let sites = graph.sites()?;
    refuse_converted(graph, &sites)?;
    let chosen = choose(graph, &resolved, &sites, policy)?;
    let mut hybrid = graph.clone();
    let mut placed = Vec::with_capacity(sites.len());
    for (info, chosen) in sites.iter().zip(chosen) {
        let decision = match (&info.site, chosen) {
            (Site::Lif(_), true) => Decision::Changed,
            (_, true) => Decision::KeptAsReplaced,
            (_, false) => Decision::Kept,
        };
        let after = if decision == Decision::Changed { replacement.site() } else { info.site.clone() };
        placed.push(PlacedSite {
            site: info.name.clone(),
            shape: info.shape.clone(),
            neurons: info.neurons(),
            before: info.site.label().to_string(),
            after: after.label().to_string(),
            spiking: after.is_stateful(),
            decision,
        });
        if let Some(Op::Activation { site, .. }) = hybrid.nodes.get_mut(info.index).map(|node| &mut node.op) {
            *site = after;
        }
    }
    hybrid.resolve()?;
    Ok((hybrid, Placement { policy: policy.clone(), sites: placed }))
}

fn refuse_converted(graph: &Graph, sites: &[SiteInfo]) -> Result<()> {
    for info in sites {
        let coded = matches!(graph.nodes[info.index].op, Op::Activation { code: Some(_), .. });
        if coded || matches!(info.site, Site::GridLif(_) | Site::GridQuantRelu { .. }) {
            return Err(Error::Converted { site: info.name.clone(), kind: info.site.label() });
        }
    }
    Ok(())
}

/// For each site whether the policy chooses it.
fn choose(graph: &Graph, resolved: &Resolved, sites: &[SiteInfo], policy: &Policy) -> Result<Vec<bool>> {
    Ok(match policy {
        Policy::None => vec![false; sites.len()],
        Policy::All => vec![true; sites.len()],
        Policy::Outer => residual_stream(graph, resolved, sites, policy)?,
        Policy::Inner => residual_stream(graph, resolved, sites, policy)?.into_iter().map(|outer| !outer).collect(),
        Policy::Alternate => (0..sites.len()).map(|position| position % 2 == 0).collect(),
        Policy::Sites { include, exclude } => {
            let included = matched(include, sites)?;
            let excluded = matched(exclude, sites)?;
            included.into_iter().zip(excluded).map(|(included, excluded)| included && !excluded).collect()
        }
    })
}

/// For each site whether it lies on the residual stream: it reads an addition, or no site lies upstream of it.
fn residual_stream(graph: &Graph, resolved: &Resolved, sites: &[SiteInfo], policy: &Policy) -> Result<Vec<bool>> {
    // Whether each node has a site at or above it.
    let mut below_site: Vec<bool> = Vec::with_capacity(resolved.nodes.len());
    for (node, info) in graph.nodes.iter().zip(&resolved.nodes) {
        let site = matches!(node.op, Op::Activation { .. });
        below_site.push(site || info.inputs.iter().any(|&input| below_site[input]));
    }
    let reads = |site: &SiteInfo| resolved.nodes[site.index].inputs[0];
    let after_add: Vec<bool> = sites.iter().map(|site| matches!(graph.nodes[reads(site)].op, Op::Add)).collect();
    if !after_add.contains(&true) {
        return Err(Error::NoResidual { policy: policy.label() });
    }
    Ok(sites.iter().zip(after_add).map(|(site, after_add)| after_add || !below_site[reads(site)]).collect())
}

/// For each site whether one of the globs matches its name; every glob must match some site.
fn matched(globs: &[String], sites: &[SiteInfo]) -> Result<Vec<bool>> {
    let mut any = vec![false; sites.len()];
    for glob in globs {
        let matcher: GlobMatcher = Glob::new(glob)
            .map_err(|e| Error::Glob { glob: glob.clone(), reason: e.kind().to_string() })?
            .compile_matcher();
        let mut found = false;
        for (any, site) in any.iter_mut().zip(sites) {
            if matcher.is_match(&site.name) {
                found = true;
                *any = true;
            }
        }
        if !found {
            let sites = sites.iter().map(|site| site.name.clone()).collect();
            return Err(Error::NoMatch { glob: glob.clone(), sites });
        }
    }
    Ok(any)
}
