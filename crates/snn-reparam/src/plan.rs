//! The plan of a conversion: every node with what becomes of it and why.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What becomes of every node, in graph order; printed before anything else is done with a
/// converted model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// One or more entries for each node.
    pub entries: Vec<Entry>,
}

/// What one pass does to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The node.
    pub node: String,
    /// Its operation.
    pub op: String,
    /// What becomes of it.
    pub action: Action,
    /// How, or why.
    pub detail: String,
}

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stays as it is.
    Kept,
    /// Is rewritten.
    Converted,
    /// Is absorbed by another node.
    Merged,
    /// Is new.
    Added,
    /// Has no exact event form; the conversion fails.
    Refused,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Action::Kept => "kept",
            Action::Converted => "converted",
            Action::Merged => "merged",
            Action::Added => "added",
            Action::Refused => "refused",
        })
    }
}

impl Plan {
    /// Adds an entry.
    pub(crate) fn note(&mut self, node: &str, op: &str, action: Action, detail: impl Into<String>) {
        self.entries.push(Entry {
            node: node.into(),
            op: op.into(),
            action,
            detail: detail.into(),
        });
    }

    /// Whether anything was refused.
    pub fn is_refused(&self) -> bool {
        self.entries.iter().any(|entry| entry.action == Action::Refused)
    }

    /// The refused nodes with their reasons, one a line.
    pub fn refusals(&self) -> String {
        let lines: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| entry.action == Action::Refused)
            .map(|entry| format!("  {} ({}): {}", entry.node, entry.op, entry.detail))
            .collect();
        lines.join("\n")
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Entry) -> &str| {
            self.entries.iter().map(|e| text(e).chars().count()).max().unwrap_or(0)
        };
        let (node, op) = (width(|e| &e.node), width(|e| &e.op));
        for entry in &self.entries {
            writeln!(
                formatter,
                "{:node$}  {:op$}  {:9}  {}",
                entry.node, entry.op, entry.action, entry.detail
            )?;
        }
        Ok(())
    }
}
