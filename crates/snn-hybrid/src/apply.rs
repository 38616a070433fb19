//! Policy × graph → graph, with a printable account of what was done.

use crate::choose::Network;
use crate::{Decision, Error, PlacedSite, Placement, Policy, Replacement, Result};
use snn_ir::{Graph, Op, Site, SiteInfo};

/// Replaces the sites that `policy` chooses, and changes nothing else.
///
/// Only LIF sites are candidates (IF and PLIF are LIF sites). A chosen site of another kind is kept
/// as it is, and so is one whose spikes are a mask ([`snn_ir::Graph::makes_masks`]), which must be
/// binary; the placement says so. Hence applying a policy twice gives what applying it once gives.
///
/// # Errors
/// The graph is invalid or converted; a glob is malformed, or it or a stage matches no site;
/// `inner` or `outer` on a network whose sites read no residual addition; more sites or a larger
/// share wanted than there is; a composition of nothing; a replacement with settings out of range.
pub fn apply(
    graph: &Graph,
    policy: &Policy,
    replacement: &Replacement,
) -> Result<(Graph, Placement)> {
    let resolved = graph.resolve()?;
    let sites = graph.sites()?;
    refuse_converted(graph, &sites)?;
    let network = Network { graph, resolved: &resolved, sites: &sites };
    let chosen = network.choose(policy)?;
    let replaced = replacement.sites(&network)?;
    let masks = graph.makes_masks();
    let mut hybrid = graph.clone();
    let mut placed = Vec::with_capacity(sites.len());
    for ((info, chosen), replaced) in sites.iter().zip(chosen).zip(replaced) {
        let decision = match (&info.site, chosen) {
            (Site::Lif(_), true) if masks[info.index] => Decision::KeptAsMask,
            (Site::Lif(_), true) => Decision::Changed,
            (_, true) => Decision::KeptAsReplaced,
            (_, false) => Decision::Kept,
        };
        let after = if decision == Decision::Changed { replaced } else { info.site.clone() };
        placed.push(PlacedSite {
            site: info.name.clone(),
            shape: info.shape.clone(),
            neurons: info.neurons(),
            before: info.site.label().to_string(),
            after: after.label().to_string(),
            spiking: after.is_stateful(),
            decision,
        });
        if let Some(Op::Activation { site, .. }) =
            hybrid.nodes.get_mut(info.index).map(|node| &mut node.op)
        {
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
