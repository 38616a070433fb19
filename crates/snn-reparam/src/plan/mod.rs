//! The plan of a conversion: every node with what becomes of it and why, as data.

mod action;
mod refusal;
mod text;

pub use action::{Action, Effect, Fraction};
pub use refusal::Refusal;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that a conversion does, node by node in the order of the graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// One or more entries for each node.
    pub entries: Vec<Entry>,
}

/// Action of one pass on one node.
///
/// As JSON an entry has the text of its action beside it: `node`, `op`, `action` (the effect),
/// `detail` (the text) and `what` (the data that the text is made of, which alone is read back).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Written")]
pub struct Entry {
    /// Name of the node.
    pub node: String,
    /// Operation of the node; `?` where no node has the name.
    pub op: String,
    /// Action of the pass.
    pub action: Action,
}

/// The JSON form of an entry.
#[derive(Serialize, Deserialize)]
struct Written {
    node: String,
    op: String,
    action: Effect,
    detail: String,
    what: Action,
}

impl From<Entry> for Written {
    fn from(Entry { node, op, action }: Entry) -> Self {
        Self { node, op, action: action.effect(), detail: action.to_string(), what: action }
    }
}

impl From<Written> for Entry {
    fn from(Written { node, op, what, .. }: Written) -> Self {
        Self { node, op, action: what }
    }
}

impl Entry {
    /// The refusal of this entry, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.action {
            Action::Refused { reason } => Some(reason),
            _ => None,
        }
    }
}

impl Plan {
    /// Adds an entry.
    pub(crate) fn note(&mut self, node: &str, op: &str, action: Action) {
        self.entries.push(Entry { node: node.into(), op: op.into(), action });
    }

    /// Refuses a node, once for one reason.
    pub(crate) fn refuse(&mut self, node: &str, op: &str, reason: Refusal) {
        let entry = Entry { node: node.into(), op: op.into(), action: Action::Refused { reason } };
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// This plan and then another one, of the conversion that followed.
    #[must_use]
    pub fn then(mut self, next: Plan) -> Self {
        self.entries.extend(next.entries);
        self
    }

    /// Entries that refuse a node.
    pub fn refused(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.refusal().is_some())
    }

    /// `true` if anything was refused.
    pub fn is_refused(&self) -> bool {
        self.refused().next().is_some()
    }

    /// The refused nodes with their reasons, one a line.
    pub fn refusals(&self) -> String {
        let line = |entry: &Entry| format!("  {} ({}): {}", entry.node, entry.op, entry.action);
        self.refused().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Counts of actions: one line for each kind of action, in the order in which they were first
    /// taken.
    pub fn summary(&self) -> String {
        let mut lines: Vec<(String, usize)> = Vec::new();
        for heading in self.entries.iter().filter_map(|entry| entry.action.heading()) {
            match lines.iter_mut().find(|(line, _)| *line == heading) {
                Some((_, count)) => *count += 1,
                None => lines.push((heading, 1)),
            }
        }
        let width = lines.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or(0);
        let line = |(line, count): &(String, usize)| format!("{count:>width$}  {line}\n");
        lines.iter().map(line).collect::<Vec<_>>().concat()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Entry) -> &str| {
            self.entries.iter().map(|e| text(e).chars().count()).max().unwrap_or(0)
        };
        let (node, op) = (width(|e| &e.node), width(|e| &e.op));
        for entry in &self.entries {
            let line = format!(
                "{:node$}  {:op$}  {:9}  {}",
                entry.node,
                entry.op,
                entry.action.effect(),
                entry.action
            );
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
