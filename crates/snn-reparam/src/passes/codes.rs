//! Every site gets its code, every learned leak its value.

use crate::error::Result;
use crate::graph_edit::Draft;
use crate::plan::{Action, Plan, Refusal};
use snn_ir::{
    Code, CodeChoice, Graph, Leak, Lif, Neurons, Op, Site, Spike, logistic, unknown_neuron,
};

/// Refuses a code for a node that does not exist, or for one that has no choice: a mistake.
pub(crate) fn refuse_unknown_sites(graph: &Graph, codes: &CodeChoice, plan: &mut Plan) {
    for name in codes.sites.keys() {
        match graph.node(name).map(|node| &node.op) {
            Some(Op::Activation { site, .. }) if has_choice(site) => {}
            Some(op) => plan.refuse(name, op.label(), Refusal::NoChoice),
            None => plan.refuse(name, "?", Refusal::NoSuchNode),
        }
    }
}

/// `true` if a site can have more than one code.
pub(crate) fn has_choice(site: &Site) -> bool {
    !matches!(site.spike(), Some(Spike::Binary | Spike::Ternary))
}

/// Gives every site its code and every learned leak its value.
pub(crate) fn sites(
    draft: &mut Draft,
    codes: &CodeChoice,
    neurons: &Neurons,
    plan: &mut Plan,
) -> Result<()> {
    let sites: Vec<usize> = (0..draft.graph.nodes.len())
        .filter(|index| matches!(draft.graph.nodes[*index].op, Op::Activation { .. }))
        .collect();
    for index in sites {
        let name = draft.graph.nodes[index].name.clone();
        let label = draft.graph.nodes[index].op.label();
        let learned =
            if draft.has(&name, "leak") { Some(draft.real(&name, "leak")?[[0]]) } else { None };
        let Op::Activation { site, code } = &mut draft.graph.nodes[index].op else { continue };
        if let (Site::Lif(Lif { leak: leak @ Leak::Learned { .. }, .. }), Some(learned)) =
            (&mut *site, learned)
        {
            *leak = Leak::Factor { factor: logistic(learned) };
            draft.weights.remove(&format!("{name}.leak"));
        }
        match coded(site, codes.of(&name), neurons) {
            Ok((chosen, action)) => {
                *code = Some(chosen);
                plan.note(&name, label, action);
            }
            Err(reason) => plan.refuse(&name, label, reason),
        }
    }
    Ok(())
}

/// The code of a site with what the plan says of it, or why it has none.
fn coded(
    site: &Site,
    wanted: Code,
    neurons: &Neurons,
) -> std::result::Result<(Code, Action), Refusal> {
    match site {
        Site::Custom(custom) if !neurons.contains(&custom.name) => {
            let message = unknown_neuron(&custom.name, neurons.names());
            return Err(Refusal::UnknownNeuron { message });
        }
        Site::GridLif(_) | Site::GridQuantRelu { .. } => return Err(Refusal::GridSite),
        Site::Lif(_) | Site::Relu { .. } | Site::QuantRelu(_) | Site::Custom(_) => {}
    }
    let in_code = |code: Code, levels: u32| {
        (code, Action::Coded { code, micro_steps: code.micro_steps(levels) })
    };
    match site.spike() {
        Some(Spike::Binary) => Ok(in_code(Code::Binary, 1)),
        Some(Spike::Ternary) => Ok(in_code(Code::Ternary, 1)),
        Some(levels @ Spike::Integer { .. }) if wanted.carries(levels) => {
            Ok(in_code(wanted, u32::from(levels.levels())))
        }
        Some(Spike::Integer { .. }) => Err(Refusal::CodeWithoutLevels { code: wanted }),
        None if wanted == Code::Graded => Ok((wanted, Action::RealPayload)),
        None => Err(Refusal::UnquantisedRelu),
    }
}
