//! Values of spikes, moved into the weights around them.

use super::SpikingFit;
use crate::error::Result;
use snn_ir::{
    Adaptation, FirstMembrane, Graph, Lif, Model, Op, PoolKind, Reset, Resolved, Site, Tensor,
    Threshold, Weights,
};
use std::collections::BTreeMap;

/// Units that differ by less are one.
const SAME: f64 = 1e-9;

/// Puts fits into a model; a line for each site and for each place that cannot be kept.
pub(super) fn apply(fits: &BTreeMap<String, SpikingFit>, model: &mut Model) -> Result<Vec<String>> {
    let resolved = model.graph().resolve()?;
    // A site that a delay reads may stand behind it. The unit of a LIF site is the value of its
    // spike; that of a ReLU site depends on what it reads, and a further pass knows it.
    let value = |site: &str| fits.get(site).map_or(1.0, |fit| fit.value);
    let delayed: BTreeMap<usize, f64> = { model.graph().nodes.iter().zip(&resolved.nodes) }
        .filter(|(node, _)| matches!(node.op, Op::Delay { .. }))
        .map(|(_, info)| (info.inputs[0], value(&resolved.nodes[info.inputs[0]].name)))
        .collect();
    let passes = delayed.len();
    let mut pass = Pass::over(model, &resolved, fits, delayed);
    for _ in 0..passes {
        if pass.wrong().is_empty() {
            break;
        }
        let found = pass.delayed.keys().map(|&site| (site, pass.units[site])).collect();
        pass = Pass::over(model, &resolved, fits, found);
    }
    for site in pass.wrong() {
        let name = format!("{}, through a delay", resolved.nodes[site].name);
        pass.cannot(&name, pass.units[site] / pass.delayed[&site]);
    }
    let Pass { graph, weights, told, .. } = pass;
    *model.weights_mut() = weights;
    model.signature_mut().graph = graph;
    model.validate()?;
    Ok(told)
}

fn differs(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() > SAME
}

fn readers(resolved: &Resolved) -> Vec<usize> {
    let mut readers = vec![0; resolved.nodes.len()];
    for &input in resolved.nodes.iter().flat_map(|node| &node.inputs) {
        readers[input] += 1;
    }
    readers
}

/// The node with a bias that reaches a site as it is, and no other node: that of a batch norm or
/// layer, through sums, maxima, means and dropout.
pub(super) fn shift_holder(graph: &Graph, resolved: &Resolved, site: usize) -> Option<usize> {
    let readers = readers(resolved);
    let mut open = resolved.nodes[site].inputs.clone();
    while let Some(node) = open.pop() {
        if readers[node] != 1 {
            continue;
        }
        let inputs = || resolved.nodes[node].inputs.iter().rev();
        match &graph.nodes[node].op {
            Op::BatchNorm(_) | Op::Linear { bias: true, .. } => return Some(node),
            Op::Conv(conv) if conv.bias => return Some(node),
            Op::Add
            | Op::Flatten
            | Op::GlobalPool { pool: PoolKind::Max | PoolKind::Average }
            | Op::Dropout { .. }
            | Op::DropPath { .. } => open.extend(inputs()),
            Op::Pool { pool, window }
                if *pool == PoolKind::Max
                    || *pool == PoolKind::Average && window.padding.iter().all(|&p| p == 0) =>
            {
                open.extend(inputs());
            }
            _ => {}
        }
    }
    None
}

/// What a stored value of 1 is worth at each node: the twin's values are the unit times the stored
/// ones.
struct Pass {
    graph: Graph,
    readers: Vec<usize>,
    inputs: Vec<Vec<usize>>,
    weights: Weights,
    units: Vec<f64>,
    /// Units of the sites that delays read, as they are known beforehand.
    delayed: BTreeMap<usize, f64>,
    told: Vec<String>,
}

impl Pass {
    /// A pass over all nodes of a model.
    fn over(
        model: &Model,
        resolved: &Resolved,
        fits: &BTreeMap<String, SpikingFit>,
        delayed: BTreeMap<usize, f64>,
    ) -> Self {
        let mut pass = Self {
            graph: model.graph().clone(),
            readers: readers(resolved),
            inputs: resolved.nodes.iter().map(|node| node.inputs.clone()).collect(),
            weights: model.weights().clone(),
            units: vec![1.0; resolved.nodes.len()],
            delayed,
            told: Vec::new(),
        };
        for node in 0..resolved.nodes.len() {
            let holder = shift_holder(&pass.graph, resolved, node);
            pass.node(node, fits, holder);
        }
        pass
    }

    /// The sites that delays read whose units are others than those known beforehand.
    fn wrong(&self) -> Vec<usize> {
        let known = self.delayed.iter();
        known.filter(|(site, unit)| differs(self.units[**site], **unit)).map(|(s, _)| *s).collect()
    }

    fn node(&mut self, node: usize, fits: &BTreeMap<String, SpikingFit>, holder: Option<usize>) {
        let name = self.graph.nodes[node].name.clone();
        let unit = match (&self.graph.nodes[node].op, self.inputs[node].as_slice()) {
            // A mask is spikes, whatever they are worth: it lets its other input pass.
            (Op::Mask { .. }, [_, passed]) => self.units[*passed],
            (Op::Delay { .. }, [site]) => self.delayed[site],
            _ => self.joined(node),
        };
        self.units[node] = match &self.graph.nodes[node].op {
            Op::Input { .. } => 1.0,
            Op::Conv(_) | Op::Linear { .. } | Op::Scale => {
                self.scale(&name, "weight", unit);
                1.0
            }
            Op::BatchNorm(norm) => {
                let eps = norm.eps;
                self.scale(&name, "running_mean", 1.0 / unit);
                let variance = |v: f64| ((v + eps) / (unit * unit) - eps).max(0.0);
                self.change(&name, "running_var", variance);
                1.0
            }
            Op::Activation { site, .. } => match (site.clone(), fits.get(&name)) {
                (Site::Lif(_), Some(fit)) => {
                    let shifted = holder.filter(|_| fit.shift > 0.0);
                    if let Some(holder) = shifted {
                        let (at, by) = (&self.graph.nodes[holder].name, self.units[holder]);
                        let at = at.clone();
                        self.change(&at, "bias", |bias| bias + fit.shift / by);
                    }
                    self.potentials(node, unit, |_| fit.threshold);
                    self.told.push(format!(
                        "swap `{name}`: threshold {:.4}, currents {:+.4}, a spike for {:.4}, error \
                         {:.1} %",
                        fit.threshold / unit,
                        fit.shift / unit,
                        fit.value,
                        100.0 * fit.error
                    ));
                    fit.value
                }
                (Site::Lif(_), None) => {
                    self.potentials(node, unit, |threshold| threshold);
                    1.0
                }
                (Site::QuantRelu(_), _) => {
                    self.scale(&name, "step", 1.0 / unit);
                    unit
                }
                (Site::Relu { limit: None }, _) => unit,
                (_, _) => {
                    self.cannot(&name, unit);
                    1.0
                }
            },
            Op::TimeMean | Op::TimeLast | Op::TimeMax => {
                self.cannot(&name, unit);
                1.0
            }
            _ => unit,
        };
    }

    /// The one unit of what a node reads: sums of several make those of layers follow.
    fn joined(&mut self, node: usize) -> f64 {
        let inputs = self.inputs[node].clone();
        let fixed = inputs.iter().find(|&&input| !self.is_free(input));
        let Some(&lead) = fixed.or(inputs.first()) else { return 1.0 };
        let unit = self.units[lead];
        for input in inputs {
            if differs(self.units[input], unit) {
                if self.is_free(input) {
                    self.rescale(input, self.units[input] / unit);
                } else {
                    let name = self.graph.nodes[node].name.clone();
                    self.cannot(&name, self.units[input] / unit);
                }
            }
        }
        unit
    }

    /// `true` if the output of a node can have another unit: it comes from weights, and its only
    /// reader is the one that asks.
    fn is_free(&self, node: usize) -> bool {
        self.readers[node] == 1
            && match &self.graph.nodes[node].op {
                Op::Conv(_) | Op::Linear { .. } | Op::Scale => true,
                Op::BatchNorm(norm) => norm.scale,
                Op::Add
                | Op::Concat
                | Op::Flatten
                | Op::Pool { .. }
                | Op::GlobalPool { .. }
                | Op::Dropout { .. }
                | Op::DropPath { .. } => self.inputs[node].iter().all(|&input| self.is_free(input)),
                _ => false,
            }
    }

    /// Multiplies the stored output of a free node.
    fn rescale(&mut self, node: usize, factor: f64) {
        self.units[node] /= factor;
        let name = self.graph.nodes[node].name.clone();
        match &self.graph.nodes[node].op {
            Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::BatchNorm(_) => {
                self.scale(&name, "weight", factor);
                self.scale(&name, "bias", factor);
            }
            _ => {
                for input in self.inputs[node].clone() {
                    self.rescale(input, factor);
                }
            }
        }
    }

    /// Changes the threshold of a LIF site, fixed or learned, and puts it and everything else that
    /// is compared with the membrane into the unit of what the site reads.
    fn potentials(&mut self, node: usize, unit: f64, threshold: impl Fn(f64) -> f64) {
        let name = self.graph.nodes[node].name.clone();
        let Op::Activation { site: Site::Lif(lif), .. } = &mut self.graph.nodes[node].op else {
            return;
        };
        let Lif { reset, adaptation, initial, .. } = lif;
        if let Reset::Hard { potential } = reset {
            *potential /= unit;
        }
        if let Adaptation::Threshold { strength, .. } = adaptation {
            *strength /= unit;
        }
        if let FirstMembrane::Potential(potential) = initial {
            *potential /= unit;
        }
        let change = |value: f64| threshold(value) / unit;
        match &mut lif.threshold {
            Threshold::Fixed(threshold) => *threshold = change(*threshold),
            Threshold::Learned { initial, .. } => {
                *initial = change(*initial);
                self.change(&name, "threshold", change);
            }
        }
    }

    fn scale(&mut self, node: &str, part: &str, factor: f64) {
        if factor.to_bits() != 1.0_f64.to_bits() {
            self.change(node, part, |value| value * factor);
        }
    }

    /// Changes the values of a weight, if there is one.
    fn change(&mut self, node: &str, part: &str, change: impl Fn(f64) -> f64) {
        match self.weights.get_mut(&format!("{node}.{part}")) {
            #[expect(clippy::cast_possible_truncation, reason = "weights in training are f32")]
            Some(Tensor::F32(values)) => {
                values.mapv_inplace(|value| change(f64::from(value)) as f32);
            }
            Some(Tensor::F64(values)) => values.mapv_inplace(change),
            _ => {}
        }
    }

    /// Says that a factor could not go into weights.
    fn cannot(&mut self, node: &str, factor: f64) {
        if (factor - 1.0).abs() > SAME {
            self.told.push(format!(
                "swap: values that reach `{node}` are {:.4} times those of the twin, which no \
                 weights before it take in",
                1.0 / factor
            ));
        }
    }
}
