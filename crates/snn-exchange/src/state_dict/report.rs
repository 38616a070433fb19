//! What was found of a network in a state dict.

use crate::pixels::Remainder;
use serde::Serialize;
use std::fmt;

/// Names that a refusal lists at most.
const MAX_NAMED: usize = 6;

/// Which tensor became which weight. [`Display`](fmt::Display) prints all of it,
/// [`Report::summary`] what counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// The file.
    pub source: String,
    /// The layout that was recognised, in words; empty where the graph was given.
    pub layout: String,
    /// Choices that were made, each a sentence without its end.
    pub notes: Vec<String>,
    /// Weights with their tensors, in the order of the graph.
    pub matched: Vec<Matched>,
    /// Weights that the file need not have: they are fixed by the layout, as those of a shortcut
    /// that subsamples, or frozen in the graph at values that it names.
    pub fixed: Vec<String>,
    /// Weights that the file lacks because PyTorch has no such neurons, as steps and thresholds:
    /// their first values stand.
    pub initial: Vec<String>,
    /// Weights without a tensor.
    pub missing: Vec<Unmatched>,
    /// Tensors without a weight.
    pub left_over: Vec<Unmatched>,
    /// Number of counters of batch norms, which are no weights.
    pub counters: usize,
    /// What integer means left over.
    pub remainder: Remainder,
}

/// A weight and the tensor it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Name of the weight.
    pub ours: String,
    /// Name of the tensor in the file.
    pub theirs: String,
    /// Shape of the weight.
    pub shape: Vec<usize>,
    /// How the tensor's axes became the weight's.
    pub axes: Axes,
    /// `true` if the names say nothing and the place in the order of layers was taken.
    pub by_order: bool,
}

/// A weight or a tensor that nothing was found for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// How the axes of a tensor became those of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axes {
    /// They are the same.
    Same,
    /// Inputs and outputs changed places.
    Transposed,
    /// Axes of length 1 were added or removed: a linear layer is a 1×1 convolution.
    Reshaped,
}

impl Report {
    /// `true` if every weight has a tensor and every tensor a weight.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty()
    }

    /// The account in a few lines: the file, the layout, how many weights were found and how, and
    /// what integer means left over.
    pub fn summary(&self) -> String {
        let layout = match self.layout.as_str() {
            "" => "the network that was given",
            layout => layout,
        };
        let changed = |axes| self.matched.iter().filter(|matched| matched.axes == axes).count();
        let counts = [
            (changed(Axes::Transposed), "transposed"),
            (changed(Axes::Reshaped), "reshaped"),
            (self.matched.iter().filter(|matched| matched.by_order).count(), "matched by order"),
            (self.fixed.len(), "fixed by the network"),
            (self.initial.len(), "of neurons at their first values"),
            (self.missing.len(), "missing"),
            (self.left_over.len(), "tensors left over"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let mut weights = vec![format!("{} weights have a tensor", self.matched.len())];
        weights.extend(counts.map(|(count, what)| format!("{count} {what}")));
        format!("{}: {layout}\n{}\n{}", self.source, weights.join(", "), self.remainder)
    }

    /// Why the match is not complete, in a line.
    pub(super) fn refusal(&self) -> String {
        let mut causes = Vec::new();
        if !self.missing.is_empty() {
            causes.push(format!("no tensor for {}", listed(&self.missing)));
        }
        if !self.left_over.is_empty() {
            causes.push(format!("no weight for {}", listed(&self.left_over)));
        }
        format!(
            "{}: fits the network only in part ({} weights have a tensor): {}; give the graph that \
             it was made for, or allow a partial match",
            self.source,
            self.matched.len(),
            causes.join("; ")
        )
    }
}

/// The first names with their shapes, and the number of the others.
fn listed(names: &[Unmatched]) -> String {
    let shown = names.iter().take(MAX_NAMED);
    let shown: Vec<String> =
        shown.map(|Unmatched { name, shape }| format!("`{name}` {shape:?}")).collect();
    let rest = names.len().saturating_sub(MAX_NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.source)?;
        if !self.layout.is_empty() {
            writeln!(f, "  {}", self.layout)?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        writeln!(f, "  {}", self.remainder)?;
        let widest = self.matched.iter().map(|matched| matched.ours.len()).max().unwrap_or(0);
        writeln!(f, "matched: {}", self.matched.len())?;
        for Matched { ours, theirs, shape, axes, by_order } in &self.matched {
            let axes = match axes {
                Axes::Same => "",
                Axes::Transposed => ", transposed",
                Axes::Reshaped => ", reshaped",
            };
            let order = if *by_order { ", by order" } else { "" };
            writeln!(f, "  {ours:widest$} <- {theirs} {shape:?}{axes}{order}")?;
        }
        let names = |f: &mut fmt::Formatter<'_>, title: &str, names: &[String]| {
            if names.is_empty() {
                return Ok(());
            }
            writeln!(f, "{title}: {}", names.len())?;
            names.iter().try_for_each(|name| writeln!(f, "  {name}"))
        };
        names(f, "fixed by the network", &self.fixed)?;
        names(f, "at their first values", &self.initial)?;
        for (title, list) in [("missing", &self.missing), ("left over", &self.left_over)] {
            writeln!(f, "{title}: {}", list.len())?;
            for Unmatched { name, shape } in list {
                writeln!(f, "  {name} {shape:?}")?;
            }
        }
        if self.counters > 0 {
            writeln!(f, "counters that are no weights: {}", self.counters)?;
        }
        Ok(())
    }
}
