//! The graph as text: one line a node, lanes at its left.

use super::{Lanes, Role, Shown};
use crate::table::Table;

/// Draws nodes in topological order; `header` names the columns of the facts.
pub(crate) fn text(nodes: &[Shown], header: &[&str]) -> String {
    let lanes = Lanes::of(nodes);
    let mut table = Table::new(header.len() + 2, ["", "node"].iter().chain(header).copied());
    for (row, node) in nodes.iter().enumerate() {
        if node.inputs.iter().any(|&input| lanes.columns[input] != lanes.columns[row]) {
            table.row([joints(&lanes, node, row)]);
        }
        let cells = (0..lanes.width).map(|column| {
            if column == lanes.columns[row] {
                node.role.symbol()
            } else if lanes.above(column, row + 1).is_some() {
                '│'
            } else {
                ' '
            }
        });
        let drawn: String = cells.flat_map(|cell| [cell, ' ']).collect();
        table.row(
            [drawn.trim_end(), &node.name].into_iter().chain(node.facts.iter().map(String::as_str)),
        );
    }
    let legend: Vec<String> = Role::ALL
        .into_iter()
        .filter(|role| nodes.iter().any(|node| node.role == *role))
        .map(|role| format!("{} {}", role.symbol(), role.label()))
        .collect();
    format!("{table}\n{}\n", legend.join("   "))
}

/// The line above a node that reads other columns than its own. A lane that is crossed and not read
/// stays unbroken.
fn joints(lanes: &Lanes, node: &Shown, row: usize) -> String {
    let own = lanes.columns[row];
    let mut ends: Vec<usize> = node.inputs.iter().map(|&input| lanes.columns[input]).collect();
    ends.push(own);
    let (first, last) =
        (ends.iter().copied().min().unwrap_or(own), ends.iter().copied().max().unwrap_or(own));
    let mut line = String::new();
    for column in 0..lanes.width {
        let above = lanes.above(column, row);
        let up = above.is_some();
        let down = column == own || above.is_some_and(|value| lanes.last_readers[value] > row);
        let inside = column >= first && column < last;
        line.push(if ends.contains(&column) {
            corner((up, down), (column > first, inside))
        } else if up {
            '│'
        } else if inside && column > first {
            '─'
        } else {
            ' '
        });
        line.push(if inside { '─' } else { ' ' });
    }
    line.trim_end().to_string()
}

/// The character with arms in these directions; a joint has at least one of up and down, and one of
/// left and right.
fn corner((up, down): (bool, bool), (left, right): (bool, bool)) -> char {
    match (up, down, left, right) {
        (true, true, true, true) => '┼',
        (true, true, true, false) => '┤',
        (true, true, false, true) => '├',
        (true, true, false, false) => '│',
        (true, false, true, true) => '┴',
        (true, false, true, false) => '╯',
        (true, false, false, _) => '╰',
        (false, _, true, true) => '┬',
        (false, _, true, false) => '╮',
        (false, _, false, _) => '╭',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, inputs; every node is a synapse.
    fn draw(nodes: &[(&str, &[usize])]) -> String {
        let shown = nodes.iter().map(|(name, inputs)| Shown {
            inputs: inputs.to_vec(),
            role: Role::Synapse,
            name: (*name).to_string(),
            facts: Vec::new(),
        });
        let text = text(&shown.collect::<Vec<_>>(), &[]);
        let lines: Vec<&str> = text.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        lines.join("\n")
    }

    #[test]
    fn a_chain_is_straight() {
        assert_eq!(draw(&[("a", &[]), ("b", &[0]), ("c", &[1])]), "●  a\n●  b\n●  c");
    }

    #[test]
    fn a_shortcut_runs_beside_its_block() {
        let identity = draw(&[("a", &[]), ("b", &[0]), ("c", &[1]), ("add", &[2, 0]), ("d", &[3])]);
        assert_eq!(identity, "●    a\n├─╮\n│ ●  b\n│ ●  c\n├─╯\n●    add\n●    d");
        // With a synapse of its own the shortcut's last reader stands on the stream.
        let projected = draw(&[("a", &[]), ("b", &[0]), ("short", &[0]), ("add", &[1, 2])]);
        assert_eq!(projected, "●    a\n├─╮\n│ ●  b\n● │  short\n├─╯\n●    add");
    }

    #[test]
    fn nested_shortcuts_cross_without_touching() {
        // a goes around everything, b around c.
        let nested =
            draw(&[("a", &[]), ("b", &[0]), ("c", &[1]), ("inner", &[1, 2]), ("outer", &[0, 3])]);
        assert_eq!(
            nested,
            "●      a\n├─╮\n│ ●    b\n│ ├─╮\n│ │ ●  c\n│ ├─╯\n│ ●    inner\n├─╯\n●      outer"
        );
        // The third reader of a stands right of b's lane, which is crossed.
        let crossed = draw(&[("a", &[]), ("b", &[0]), ("c", &[0]), ("d", &[0, 1, 2])]);
        assert_eq!(crossed, "●      a\n├─╮\n│ ●    b\n├─│─╮\n│ │ ●  c\n├─┴─╯\n●      d");
    }
}
