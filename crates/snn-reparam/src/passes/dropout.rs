//! Dropout and drop-path do nothing but in training, and go.

use crate::graph_edit::Draft;
use crate::plan::{Action, Plan};
use snn_ir::Role;

/// Removes every dropout; its readers read what it reads.
pub(crate) fn remove(draft: &mut Draft, plan: &mut Plan) {
    let dropouts = draft.graph.nodes.iter().filter(|node| node.op.role() == Role::Dropout);
    let names: Vec<String> = dropouts.map(|node| node.name.clone()).collect();
    for name in names {
        // Looked up now: the node that it reads may just have been removed.
        let Some(node) = draft.graph.node(&name).cloned() else { continue };
        let Some(input) = node.inputs.first() else { continue };
        draft.remove(&name, input);
        plan.note(&name, node.op.label(), Action::TrainingOnly);
    }
}
