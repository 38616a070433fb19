//! Counted operations as a table.

use crate::output;
use crate::table::{Table, count};
use anyhow::Result;
use snn_runtime::counting::Counts;

/// Prints the operations of each node for one image.
pub(super) fn print_counts(counts: &Counts) -> Result<()> {
    let each = |value: u64| count(value as f64 / counts.samples.max(1) as f64);
    let mut table = Table::new(
        2,
        [
            "node",
            "op",
            "neurons",
            "firing rate",
            "events",
            "additions",
            "multiplications",
            "comparisons",
        ],
    );
    for node in &counts.nodes {
        let tally = &node.tally;
        table.row([
            node.node.clone(),
            node.op.clone(),
            if node.neurons > 0 { node.neurons.to_string() } else { String::new() },
            node.firing_rate().map_or(String::new(), |rate| format!("{rate:.3}")),
            each(tally.events),
            each(tally.additions),
            each(tally.multiplications),
            each(tally.comparisons),
        ]);
    }
    let total = counts.total();
    table.row([
        "total".to_string(),
        String::new(),
        counts.nodes.iter().map(|n| n.neurons).sum::<u64>().to_string(),
        String::new(),
        each(total.events),
        each(total.additions),
        each(total.multiplications),
        each(total.comparisons),
    ]);
    output::line(format_args!(
        "Operations for one image, T = {} macro-steps:\n\n{table}",
        counts.time_steps
    ))
}
