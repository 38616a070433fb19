//! Columns of a drawing. A value runs down a lane of its own from the node that makes it to the
//! last that reads it, so no lane passes through another node.

use super::Shown;

/// For each node its column, and the last node that reads it (itself, if none does).
pub(crate) struct Lanes {
    pub(crate) columns: Vec<usize>,
    pub(crate) last_readers: Vec<usize>,
    pub(crate) width: usize,
}

impl Lanes {
    /// Puts every node under the leftmost of its inputs that it is the last to read, else into the
    /// first free column: a residual stream runs straight down and its branches stand to the right.
    pub(crate) fn of(nodes: &[Shown]) -> Self {
        let mut last_readers: Vec<usize> = (0..nodes.len()).collect();
        for (index, node) in nodes.iter().enumerate() {
            for &input in &node.inputs {
                last_readers[input] = index;
            }
        }
        let mut columns: Vec<usize> = Vec::with_capacity(nodes.len());
        // Whose value each lane holds.
        let mut lanes: Vec<Option<usize>> = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            for lane in &mut lanes {
                if lane.is_some_and(|value| {
                    node.inputs.contains(&value) && last_readers[value] == index
                }) {
                    *lane = None;
                }
            }
            let ended = node
                .inputs
                .iter()
                .filter(|input| last_readers[**input] == index)
                .map(|input| columns[*input]);
            let column = ended
                .min()
                .unwrap_or_else(|| lanes.iter().position(Option::is_none).unwrap_or(lanes.len()));
            if column == lanes.len() {
                lanes.push(None);
            }
            lanes[column] = (last_readers[index] > index).then_some(index);
            columns.push(column);
        }
        Self { columns, last_readers, width: lanes.len() }
    }

    /// The value that runs through a column between the nodes `row − 1` and `row`.
    pub(crate) fn above(&self, column: usize, row: usize) -> Option<usize> {
        (0..row)
            .rev()
            .find(|&node| self.columns[node] == column)
            .filter(|&node| self.last_readers[node] >= row)
    }
}
