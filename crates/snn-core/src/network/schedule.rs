//! Walks a graph once, in order, and frees every value after its last reader. Every node computes
//! all macro-steps at once, but for the nodes of a recurrence, which go through them one by one.

use crate::error::{Error, Result};
use crate::fused;
use crate::network::value::{Value, merge, over_time};
use crate::tensor::{int, ints};
use snn_ir::{Graph, Op, Resolved, Site, Stage as Order};
use std::collections::HashMap;
use tch::Tensor;

/// A node to compute.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) node: usize,
    pub(crate) reads: Vec<Read>,
}

/// Input of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) node: usize,
    /// A batch norm that stands between, and that the reader computes too.
    pub(crate) norm: Option<usize>,
}

/// Steps that are computed together.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// All macro-steps of a node at once.
    AtOnce(Step),
    /// The nodes of a recurrence, one macro-step after another.
    Loop(Vec<Step>),
}

impl Stage {
    pub(crate) fn steps(&self) -> &[Step] {
        match self {
            Stage::AtOnce(step) => std::slice::from_ref(step),
            Stage::Loop(steps) => steps,
        }
    }

    /// The nodes whose values the stage reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = usize> {
        self.steps().iter().flat_map(|step| &step.reads).map(|read| read.node)
    }
}

/// Every node of a graph by itself.
pub(crate) fn every_node(resolved: &Resolved) -> Vec<Stage> {
    staged(resolved, plain(resolved).into_iter().map(Some).collect())
}

fn plain(resolved: &Resolved) -> Vec<Step> {
    let plain = |&node: &usize| Read { node, norm: None };
    let step = |(node, info): (usize, &snn_ir::ResolvedNode)| Step {
        node,
        reads: info.inputs.iter().map(plain).collect(),
    };
    resolved.nodes.iter().enumerate().map(step).collect()
}

/// The steps of nodes in the order in which they can be computed.
fn staged(resolved: &Resolved, mut steps: Vec<Option<Step>>) -> Vec<Stage> {
    let order = resolved.stages().into_iter();
    let stage = |order| match order {
        Order::AtOnce(node) => steps[node].take().map(Stage::AtOnce),
        Order::Loop(nodes) => {
            Some(Stage::Loop(nodes.into_iter().filter_map(|node| steps[node].take()).collect()))
        }
    };
    order.filter_map(stage).collect()
}

/// Sites together with the batch norms and the sum before them, where nothing else reads those:
/// [`fused`] computes them in one pass. Those of a recurrence stay apart.
pub(crate) fn fused_sites(graph: &Graph, resolved: &Resolved) -> Vec<Stage> {
    let mut readers = vec![0_usize; graph.nodes.len()];
    for &read in resolved.nodes.iter().flat_map(|node| &node.inputs) {
        readers[read] += 1;
    }
    let mut looped = vec![false; graph.nodes.len()];
    for stage in resolved.stages() {
        if let Order::Loop(nodes) = stage {
            for node in nodes {
                looped[node] = true;
            }
        }
    }
    let mut absorbed = vec![false; graph.nodes.len()];
    let mut steps = plain(resolved);
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| !looped[*index]) {
        let Op::Activation { site, code: None } = &node.op else { continue };
        let fusible = match site {
            Site::Lif(lif) => fused::has_form(lif),
            Site::QuantRelu(_) | Site::Relu { limit: None } => true,
            Site::Relu { limit: Some(_) }
            | Site::Custom(_)
            | Site::GridLif(_)
            | Site::GridQuantRelu { .. } => false,
        };
        if !fusible {
            continue;
        }
        let alone = |node: usize| readers[node] == 1;
        let mut reads = Vec::new();
        for &input in &resolved.nodes[index].inputs {
            let terms = match &graph.nodes[input].op {
                Op::Add if alone(input) => {
                    absorbed[input] = true;
                    resolved.nodes[input].inputs.clone()
                }
                _ => vec![input],
            };
            for term in terms {
                reads.push(match &graph.nodes[term].op {
                    Op::BatchNorm { .. } if alone(term) => {
                        absorbed[term] = true;
                        Read { node: resolved.nodes[term].inputs[0], norm: Some(term) }
                    }
                    _ => Read { node: term, norm: None },
                });
            }
        }
        steps[index].reads = reads;
    }
    let kept = steps.into_iter().map(|step| (!absorbed[step.node]).then_some(step));
    staged(resolved, kept.collect())
}

/// The computation of nodes.
pub(crate) trait Compute {
    /// What a node carries from one macro-step of a recurrence to the next.
    type Memory: Default;

    /// All macro-steps of a node that so many others read.
    fn at_once(&mut self, step: &Step, inputs: &[Value], readers: usize) -> Result<Value>;

    /// One macro-step of a node of a recurrence.
    fn macro_step(
        &mut self,
        step: &Step,
        inputs: &[Value],
        memory: &mut Self::Memory,
    ) -> Result<Value>;

    /// The last macro-step of the node is done.
    fn finish(&mut self, step: &Step, memory: Self::Memory) -> Result<()>;
}

/// A graph to walk, and its number of macro-steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) time_steps: usize,
}

impl Walk<'_> {
    /// Computes every stage but the input and the head from `input`. Returns what the head reads.
    pub(crate) fn whole<C: Compute>(
        self,
        stages: &[Stage],
        input: Value,
        compute: &mut C,
    ) -> Result<Value> {
        match stages {
            [Stage::AtOnce(first), body @ .., Stage::AtOnce(head)] => {
                self.part(body, (first.node, input), head.reads[0].node, compute)
            }
            _ => Err(Error::Torch("a graph of less than an input and a head".into())),
        }
    }

    /// Computes `stages`, which read nothing but the value of a node `from` and each other's;
    /// returns the value of the node `to`.
    pub(crate) fn part<C: Compute>(
        self,
        stages: &[Stage],
        from: (usize, Value),
        to: usize,
        compute: &mut C,
    ) -> Result<Value> {
        let count = self.graph.nodes.len();
        let mut values = Values {
            graph: self.graph,
            readers: vec![0; count],
            kept: (0..count).map(|_| None).collect(),
        };
        for node in stages.iter().flat_map(Stage::reads) {
            values.readers[node] += 1;
        }
        values.readers[to] += 1;
        let like = from.1.one_step()?;
        values.kept[from.0] = Some(from.1);
        for stage in stages {
            match stage {
                Stage::AtOnce(step) => {
                    let mut inputs = Vec::with_capacity(step.reads.len());
                    for read in &step.reads {
                        inputs.push(values.read(read.node)?);
                    }
                    let value = match &self.graph.nodes[step.node].op {
                        Op::Delay { steps, shape } => {
                            self.delayed(&inputs[0], *steps, &silence(shape, &like)?)?
                        }
                        _ => compute.at_once(step, &inputs, values.readers[step.node])?,
                    };
                    values.kept[step.node] = Some(value);
                }
                Stage::Loop(steps) => self.recurrence(steps, &mut values, &like, compute)?,
            }
        }
        values.read(to)
    }

    /// Eq. D1 for all macro-steps: `silence` before those of the value.
    fn delayed(self, value: &Value, delay: usize, silence: &Tensor) -> Result<Value> {
        let slices = over_time(&value.data, value.steps)?;
        let silent = std::iter::repeat_n(silence, delay.min(self.time_steps));
        let parts: Vec<Tensor> = silent
            .chain(crate::neuron::lif::cycle(&slices, self.time_steps))
            .take(self.time_steps)
            .map(Tensor::shallow_clone)
            .collect();
        Ok(Value::new(merge(parts)?, self.time_steps))
    }

    /// The nodes of a recurrence, macro-step by macro-step.
    fn recurrence<C: Compute>(
        self,
        steps: &[Step],
        values: &mut Values<'_>,
        like: &Tensor,
        compute: &mut C,
    ) -> Result<()> {
        let place: HashMap<usize, usize> =
            steps.iter().enumerate().map(|(place, step)| (step.node, place)).collect();
        // What comes from before the recurrence, one tensor a macro-step or one for all.
        let mut before: HashMap<usize, Vec<Tensor>> = HashMap::new();
        for node in steps.iter().flat_map(|step| &step.reads).map(|read| read.node) {
            if place.contains_key(&node) {
                values.readers[node] -= 1;
            } else {
                let value = values.read(node)?;
                before.insert(node, over_time(&value.data, value.steps)?);
            }
        }
        let outside = |node: usize, t: usize| -> Result<Tensor> {
            let slices = before.get(&node).ok_or_else(|| lost(self.graph, node))?;
            Ok(slices[t.min(slices.len() - 1)].shallow_clone())
        };
        // The value of each node at every macro-step so far, where another macro-step or what
        // stands behind the recurrence reads it; else at the present one.
        let mut all: Vec<Vec<Tensor>> = steps.iter().map(|_| Vec::new()).collect();
        let mut keeps: Vec<bool> = steps.iter().map(|step| values.readers[step.node] > 0).collect();
        for step in steps {
            if matches!(self.graph.nodes[step.node].op, Op::Delay { .. })
                && let Some(&site) = place.get(&step.reads[0].node)
            {
                keeps[site] = true;
            }
        }
        let mut memories: Vec<C::Memory> = steps.iter().map(|_| C::Memory::default()).collect();
        for t in 0..self.time_steps {
            for (at, step) in steps.iter().enumerate() {
                let data =
                    if let Op::Delay { steps: delay, shape } = &self.graph.nodes[step.node].op {
                        let site = step.reads[0].node;
                        match (t.checked_sub(*delay), place.get(&site)) {
                            (None, _) => silence(shape, like)?,
                            (Some(then), Some(&site)) => all[site][then].shallow_clone(),
                            (Some(then), None) => outside(site, then)?,
                        }
                    } else {
                        let mut inputs = Vec::with_capacity(step.reads.len());
                        for &Read { node, .. } in &step.reads {
                            let data = match place.get(&node).map(|&place| all[place].last()) {
                                Some(Some(data)) => data.shallow_clone(),
                                Some(None) => return Err(lost(self.graph, node)),
                                None => outside(node, t)?,
                            };
                            inputs.push(Value::new(data, 1));
                        }
                        compute.macro_step(step, &inputs, &mut memories[at])?.data
                    };
                if !keeps[at] {
                    all[at].clear();
                }
                all[at].push(data);
            }
        }
        for ((step, memory), all) in steps.iter().zip(memories).zip(all) {
            compute.finish(step, memory)?;
            if values.readers[step.node] > 0 {
                let all = all.iter().map(channels_last).collect::<Result<Vec<_>>>()?;
                // A tensor of its own, also of one macro-step.
                let data = Tensor::f_cat(&all, 0)?;
                values.kept[step.node] = Some(Value::new(data, self.time_steps));
            }
        }
        Ok(())
    }
}

/// Values of nodes that are still to be read.
struct Values<'g> {
    graph: &'g Graph,
    /// How often each is still to be read.
    readers: Vec<usize>,
    kept: Vec<Option<Value>>,
}

impl Values<'_> {
    /// The value of a node; freed where this was the last time.
    fn read(&mut self, node: usize) -> Result<Value> {
        self.readers[node] = self.readers[node].saturating_sub(1);
        let value = if self.readers[node] == 0 {
            self.kept[node].take()
        } else {
            self.kept[node].as_mut().map(Value::for_a_reader)
        };
        value.ok_or_else(|| lost(self.graph, node))
    }
}

fn lost(graph: &Graph, node: usize) -> Error {
    Error::Torch(format!("node `{}` has no value", graph.nodes[node].name))
}

/// Images channels last in memory, as everywhere: kernels of libtorch, and so roundings, depend on
/// it.
fn channels_last(x: &Tensor) -> Result<Tensor> {
    if x.dim() != 4 {
        return Ok(x.shallow_clone());
    }
    Ok(x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// Zeros of one macro-step, of a shape `[…]` and as many samples as `like`, channels last in
/// memory.
fn silence(shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let batch = like.size()[0];
    let options = (like.f_kind()?, like.device());
    if let [features] = *shape {
        return Ok(Tensor::f_zeros([batch, int(features)], options)?);
    }
    let [channels, height, width] = ints(snn_ir::chw(shape));
    let images = Tensor::f_zeros([batch, height, width, channels], options)?;
    Ok(images.f_permute([0, 3, 1, 2])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_ir::networks::ResNet;

    #[test]
    fn sites_take_in_the_norms_and_the_sum_before_them() {
        let graph = ResNet::default().build();
        let resolved = graph.resolve().unwrap();
        let steps = fused_sites(&graph, &resolved);
        let steps: Vec<Step> = steps.iter().flat_map(|stage| stage.steps().to_vec()).collect();
        let left: Vec<&str> = steps.iter().map(|step| graph.nodes[step.node].op.label()).collect();
        assert!(!left.contains(&"batch_norm") && !left.contains(&"add"), "{left:?}");
        let sites =
            steps.iter().filter(|step| matches!(graph.nodes[step.node].op, Op::Activation { .. }));
        // One term after the first convolution of a block; two after the second, of which a plain
        // shortcut has no norm.
        let terms: Vec<_> = sites
            .map(|s| (s.reads.len(), s.reads.iter().filter(|r| r.norm.is_some()).count()))
            .collect();
        assert_eq!(terms[..3], [(1, 1), (1, 1), (2, 1)]);
        assert_eq!(terms.iter().filter(|terms| **terms == (2, 2)).count(), 2, "{terms:?}");
    }

    #[test]
    fn a_norm_with_two_readers_stays() {
        let mut graph = ResNet::default().build();
        let site =
            graph.nodes.iter().position(|node| matches!(node.op, Op::Activation { .. })).unwrap();
        let reader = graph
            .nodes
            .iter()
            .position(|node| node.inputs.contains(&graph.nodes[site].name))
            .unwrap();
        let norm = graph.nodes[site].inputs[0].clone();
        graph.nodes[reader].inputs = vec![norm];
        let resolved = graph.resolve().unwrap();
        let stages = fused_sites(&graph, &resolved);
        let step = stages.iter().flat_map(Stage::steps).find(|step| step.node == site).unwrap();
        assert_eq!(step.reads, [Read { node: resolved.nodes[site].inputs[0], norm: None }]);
    }
}
