//! The nodes of a graph on tensors, off the grid.

use crate::convolution;
use crate::device::{self, Machine, Statistics};
use crate::error::{Error, Result};
use crate::fused::{BatchNorm, BatchStatistics, Term};
use crate::network::dropout::{self, DropoutKey};
use crate::network::parameter::Parameter;
use crate::network::schedule::{Compute, Read, Stage, Step, Walk, every_node, fused_sites};
use crate::network::site::{Inputs, SiteContext, SiteMemory, real_site};
use crate::network::stateless::{convolve, per_channel, refused, stateless};
use crate::network::synchronised;
use crate::network::value::Value;
use crate::neuron::registry::Registry;
use crate::observe::observer::Observer;
use crate::options::{Mode, TrainingOptions, multiplies_bf16};
use crate::ranks::Ranks;
use crate::tensor::{array, int};
use ndarray::ArrayD;
use snn_ir::{Form, Graph, Norm, Op, Resolved};
use std::collections::HashMap;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A graph with its weights.
#[derive(Debug)]
pub(crate) struct Interpreter {
    pub(crate) form: Form,
    pub(crate) graph: Arc<Graph>,
    pub(crate) resolved: Arc<Resolved>,
    pub(crate) time_steps: usize,
    pub(crate) device: Device,
    /// Number type of the parameters.
    pub(crate) kind: Kind,
    pub(crate) parameters: Vec<Parameter>,
    index: Arc<HashMap<String, usize>>,
    registry: Registry,
    pub(crate) training: TrainingOptions,
    /// What the masks of training passes are drawn from.
    pub(crate) dropout_key: Option<DropoutKey>,
    /// The replicas that it is one of.
    pub(crate) ranks: Option<Arc<dyn Ranks>>,
    /// `true` if training passes take the running statistics on: not in a replica that has those
    /// of another.
    pub(crate) keeps_statistics: bool,
    /// What runs kernels on the device, where they know all sites.
    pub(crate) machine: Option<Arc<dyn Machine>>,
    every_node: Arc<[Stage]>,
    fused_sites: Arc<[Stage]>,
}

/// Purpose of a pass over nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) mode: Mode,
    /// `true` for a pass that repeats an earlier one (checkpointing): running statistics stay.
    pub(crate) recomputed: bool,
}

/// Parts of an interpreter.
pub(crate) struct Setup {
    pub(crate) form: Form,
    pub(crate) graph: Graph,
    pub(crate) resolved: Resolved,
    pub(crate) time_steps: usize,
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) registry: Registry,
    pub(crate) training: TrainingOptions,
}

impl Interpreter {
    pub(crate) fn new(setup: Setup) -> Self {
        let parameters = setup.parameters;
        let index =
            parameters.iter().enumerate().map(|(position, p)| (p.name.clone(), position)).collect();
        Self {
            form: setup.form,
            time_steps: setup.time_steps,
            device: setup.device,
            kind: setup.kind,
            parameters,
            index: Arc::new(index),
            registry: setup.registry,
            training: setup.training,
            dropout_key: None,
            ranks: None,
            keeps_statistics: true,
            machine: None,
            every_node: every_node(&setup.resolved).into(),
            fused_sites: fused_sites(&setup.graph, &setup.resolved).into(),
            graph: Arc::new(setup.graph),
            resolved: Arc::new(setup.resolved),
        }
    }

    /// Computes sites by kernels of a device from here on, if these know all of them.
    pub(crate) fn set_machine(&mut self, machine: Arc<dyn Machine>) {
        let is_known = |step: &Step| {
            !matches!(self.graph.nodes[step.node].op, Op::Activation { .. })
                || step.reads.len() <= device::MOST_TERMS
        };
        let all = self.fused_sites.iter().flat_map(Stage::steps).all(is_known);
        if all && self.kind == Kind::Float && self.time_steps <= device::MOST_STEPS {
            self.machine = Some(machine);
        }
    }

    /// The same one, with the same tensors: for another thread, since tensors are not shared
    /// between threads by reference.
    pub(crate) fn share(&self) -> Self {
        let share = |p: &Parameter| Parameter {
            name: p.name.clone(),
            tensor: p.tensor.shallow_clone(),
            learned: p.learned,
            range: p.range,
            decays: p.decays,
        };
        Self {
            form: self.form,
            graph: Arc::clone(&self.graph),
            resolved: Arc::clone(&self.resolved),
            time_steps: self.time_steps,
            device: self.device,
            kind: self.kind,
            parameters: self.parameters.iter().map(share).collect(),
            index: Arc::clone(&self.index),
            registry: self.registry.clone(),
            training: self.training,
            dropout_key: self.dropout_key,
            ranks: self.ranks.clone(),
            keeps_statistics: self.keeps_statistics,
            machine: self.machine.clone(),
            every_node: Arc::clone(&self.every_node),
            fused_sites: Arc::clone(&self.fused_sites),
        }
    }

    /// The kind of activations.
    pub(crate) fn activations(&self, mode: Mode) -> Kind {
        if mode != Mode::Evaluate && self.kind == Kind::Float {
            self.training.precision.kind()
        } else {
            self.kind
        }
    }

    /// Returns what the head reads.
    pub(crate) fn run(
        &self,
        input: Value,
        mode: Mode,
        mut observer: Option<&mut dyn Observer>,
    ) -> Result<Value> {
        let pass = Pass { mode, recomputed: false };
        let requested = observer.as_ref().map(|observer| observer.requested()).unwrap_or_default();
        let stages = self.stages(mode, requested.ties || requested.membranes);
        let mut pass = Running { interpreter: self, pass, observer: &mut observer };
        self.walk().whole(stages, input, &mut pass)
    }

    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { graph: &self.graph, time_steps: self.time_steps }
    }

    /// `true` for passes whose sites are computed by kernels of this crate.
    fn is_fused(&self, mode: Mode) -> bool {
        // What replicas sum passes through the host.
        let on_device = self.machine.is_some() && self.ranks.is_none();
        mode != Mode::Evaluate && (self.device == Device::Cpu || on_device)
    }

    /// The nodes to compute; `plain` by the operations of libtorch, each by itself.
    pub(crate) fn stages(&self, mode: Mode, plain: bool) -> &[Stage] {
        if self.is_fused(mode) && !plain { &self.fused_sites } else { &self.every_node }
    }

    /// Output of a node that so many others read; with a memory that of one macro-step.
    fn node(
        &self,
        step: &Step,
        inputs: &[Value],
        (pass, readers): (Pass, usize),
        observer: &mut Option<&mut dyn Observer>,
        memory: Option<&mut SiteMemory>,
    ) -> Result<Value> {
        let (node, info) = (&self.graph.nodes[step.node], &self.resolved.nodes[step.node]);
        let x = &inputs[0];
        let kind = self.activations(pass.mode);
        match &node.op {
            Op::Conv(conv) => {
                let bias = if conv.bias { Some(self.part(&node.name, "bias")?) } else { None };
                let weight = self.part(&node.name, "weight")?;
                if kind == Kind::BFloat16
                    && let Some(data) = convolution::convolve(&x.data, weight, conv)?
                {
                    return Ok(x.with(data));
                }
                let data = self.multiply(&x.data, weight, bias, kind, |x, weight, bias| {
                    convolve(x, weight, bias, conv)
                })?;
                Ok(x.with(data))
            }
            Op::Linear { bias, .. } => {
                let bias = if *bias { Some(self.part(&node.name, "bias")?) } else { None };
                let weight = self.part(&node.name, "weight")?;
                let linear = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>| {
                    Ok(x.f_linear(weight, bias)?)
                };
                Ok(x.with(self.multiply(&x.data, weight, bias, kind, linear)?))
            }
            Op::Scale => {
                let scale = per_channel(self.part(&node.name, "weight")?, &x.data)?;
                Ok(x.with(x.data.f_mul(&scale)?.f_to_kind(kind)?))
            }
            Op::BatchNorm(_) if memory.is_some() && pass.mode == Mode::Train => {
                Err(refused(node, NORM_IN_RECURRENCE))
            }
            Op::BatchNorm(norm) => Ok(x.with(self.batch_norm(&node.name, &x.data, pass, *norm)?)),
            Op::Activation { site, code } => {
                let context = SiteContext {
                    info,
                    coded: code.is_some(),
                    time_steps: if memory.is_some() { 1 } else { self.time_steps },
                    // More gradients than two would take more memory than their sum.
                    readers: if pass.mode == Mode::Train { readers.clamp(1, 2) } else { 1 },
                    parameter: &|part| self.part(&node.name, part),
                    registry: &self.registry,
                };
                let machine = self.machine.as_ref().filter(|_| {
                    // Those of a pass by plain operations read one plain value.
                    memory.is_none() && self.is_fused(pass.mode)
                });
                let statistics;
                let inputs = if let Some(machine) = machine {
                    let terms = step.reads.iter().zip(inputs);
                    let terms = terms.map(|(read, value)| self.device_term(read, value, pass));
                    let updates = self.keeps_statistics && !pass.recomputed;
                    Inputs::OnDevice {
                        machine,
                        terms: terms.collect::<Result<_>>()?,
                        statistics: match pass.mode {
                            Mode::Train => Statistics::Batch { updates },
                            Mode::Evaluate | Mode::EvaluateFast => Statistics::Running,
                        },
                    }
                } else {
                    let of = step.reads.iter().zip(inputs);
                    let of = of.map(|(read, value)| self.statistics(read, value, pass));
                    statistics = of.collect::<Result<Vec<_>>>()?;
                    let terms = step.reads.iter().zip(inputs).zip(&statistics);
                    let terms = terms.map(|((read, value), statistics)| {
                        let norm = read
                            .norm
                            .zip(statistics.as_ref())
                            .map(|(norm, statistics)| self.norm(norm, statistics));
                        Ok(Term { data: &value.data, steps: value.steps, norm: norm.transpose()? })
                    });
                    Inputs::Terms(terms.collect::<Result<_>>()?)
                };
                let value = real_site(site, &context, &inputs, observer, memory)?;
                let mut value = value.ok_or_else(|| refused(node, "is a site of the grid"))?;
                value.data = value.data.f_to_kind(kind)?;
                Ok(value)
            }
            Op::Dropout { .. } | Op::DropPath { .. } if pass.mode != Mode::Train => {
                Ok(x.with(x.data.shallow_clone()))
            }
            Op::Dropout { rate } => {
                dropout::drop(x, *rate, dropout::Unit::Value, &node.name, self.dropout_key)
            }
            Op::DropPath { rate } => {
                dropout::drop(x, *rate, dropout::Unit::Sample, &node.name, self.dropout_key)
            }
            op if op.role().is_stateless() => stateless(node, inputs),
            _ => Err(refused(node, "can only stand at an end of the graph")),
        }
    }

    /// A convolution or linear layer with a weight rounded to the kind of the activations.
    fn multiply(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        kind: Kind,
        multiply: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if kind == self.kind {
            return multiply(x, weight, bias);
        }
        let round = |tensor: &Tensor| tensor.f_to_kind(kind);
        let (weight, bias) = (round(weight)?, bias.map(round).transpose()?);
        if self.device != Device::Cpu || multiplies_bf16() {
            return multiply(x, &weight, bias.as_ref());
        }
        let widen = |tensor: &Tensor| tensor.f_to_kind(self.kind);
        let bias = bias.as_ref().map(widen).transpose()?;
        Ok(multiply(&widen(x)?, &widen(&weight)?, bias.as_ref())?.f_to_kind(kind)?)
    }

    /// A term of a site for the kernels of a device.
    fn device_term<'v>(
        &'v self,
        read: &Read,
        value: &'v Value,
        pass: Pass,
    ) -> Result<device::Term<'v>> {
        let norm = |index: usize| -> Result<device::Norm<'v>> {
            let node = &self.graph.nodes[index].name;
            let Norm { eps, scale, momentum } = self.norm_attributes(index)?;
            if pass.mode == Mode::Train {
                enough_for_statistics(&value.data, None)?;
            }
            Ok(device::Norm {
                weight: if scale { Some(self.part(node, "weight")?) } else { None },
                bias: self.part(node, "bias")?,
                running_mean: self.part(node, "running_mean")?,
                running_variance: self.part(node, "running_var")?,
                eps,
                momentum,
            })
        };
        Ok(device::Term {
            data: &value.data,
            steps: value.steps,
            norm: read.norm.map(norm).transpose()?,
        })
    }

    /// The statistics of what a site reads through a batch norm: in training those of the batch,
    /// which take the running ones a step on, in evaluation the running ones.
    fn statistics(
        &self,
        read: &Read,
        value: &Value,
        pass: Pass,
    ) -> Result<Option<BatchStatistics>> {
        let Some(norm) = read.norm else { return Ok(None) };
        if pass.mode != Mode::Train {
            let node = &self.graph.nodes[norm].name;
            let running = |part| -> Result<Vec<f64>> {
                let values: ArrayD<f64> = array(&self.part(node, part)?.f_to_kind(Kind::Double)?)?;
                Ok(values.into_iter().collect())
            };
            let (mean, variance) = (running("running_mean")?, running("running_var")?);
            // Gradients alone, of which there are none, depend on the count.
            return Ok(Some(BatchStatistics { mean, variance, count: 1 }));
        }
        let Norm { momentum, .. } = self.norm_attributes(norm)?;
        enough_for_statistics(&value.data, self.ranks.as_deref())?;
        let node = &self.graph.nodes[norm].name;
        let statistics = BatchStatistics::of_all(node, &value.data, self.ranks.as_deref())?
            .ok_or_else(|| Error::Torch("statistics of other than floats".into()))?;
        if !pass.recomputed {
            self.take_on(node, &statistics, momentum)?;
        }
        Ok(Some(statistics))
    }

    /// Takes the running statistics of a batch norm a step on.
    fn take_on(&self, node: &str, statistics: &BatchStatistics, momentum: f64) -> Result<()> {
        if !self.keeps_statistics {
            return Ok(());
        }
        let unbiased = statistics.count as f64 / (statistics.count as f64 - 1.0);
        let variance: Vec<f64> =
            statistics.variance.iter().map(|variance| variance * unbiased).collect();
        for (part, batch) in [("running_mean", &statistics.mean), ("running_var", &variance)] {
            let running = self.part(node, part)?;
            let batch = Tensor::f_from_slice(batch)?.f_to_kind(running.f_kind()?)?;
            let batch = batch.f_to(running.device())?;
            let _same_tensor = tch::no_grad(|| running.shallow_clone().f_lerp_(&batch, momentum))?;
        }
        Ok(())
    }

    fn norm<'n>(&'n self, index: usize, statistics: &'n BatchStatistics) -> Result<BatchNorm<'n>> {
        let node = &self.graph.nodes[index];
        let Norm { eps, scale, .. } = self.norm_attributes(index)?;
        Ok(BatchNorm {
            weight: if scale { Some(self.part(&node.name, "weight")?) } else { None },
            bias: self.part(&node.name, "bias")?,
            eps,
            statistics,
            ranks: self.ranks.as_ref(),
        })
    }

    fn norm_attributes(&self, index: usize) -> Result<Norm> {
        let node = &self.graph.nodes[index];
        let Op::BatchNorm(norm) = node.op else { return Err(refused(node, "is no batch norm")) };
        Ok(norm)
    }

    /// Eq. 4.
    fn batch_norm(&self, node: &str, x: &Tensor, pass: Pass, norm: Norm) -> Result<Tensor> {
        let Norm { eps, scale, momentum } = norm;
        let part = |part| self.part(node, part).map(Some);
        let train = pass.mode == Mode::Train;
        if train {
            enough_for_statistics(x, self.ranks.as_deref())?;
        }
        let (weight, bias) = (if scale { part("weight")? } else { None }, part("bias")?);
        if let (true, Some(ranks), Some(bias)) = (train, &self.ranks, bias) {
            let sums = synchronised::sums(x)?;
            let count = x.numel() / sums[0].len().max(1);
            let statistics = BatchStatistics::of_sums(node, sums, count, Some(ranks.as_ref()))?;
            if !pass.recomputed {
                self.take_on(node, &statistics, momentum)?;
            }
            let norm = BatchNorm { weight, bias, eps, statistics: &statistics, ranks: Some(ranks) };
            return synchronised::batch_norm(x, &norm);
        }
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let (mean, variance) = if pass.recomputed { (None, None) } else { (mean, variance) };
        Ok(x.f_batch_norm(weight, bias, mean, variance, train, momentum, eps, true)?)
    }

    /// The parameters of what a step computes that have gradients.
    pub(crate) fn learned(&self, step: &Step) -> impl Iterator<Item = &Tensor> {
        let nodes =
            std::iter::once(step.node).chain(step.reads.iter().filter_map(|read| read.norm));
        let names = nodes.map(|node| self.graph.nodes[node].name.as_str()).collect::<Vec<_>>();
        let read = move |p: &&Parameter| p.learned && names.contains(&p.node());
        self.parameters.iter().filter(read).map(|p| &p.tensor)
    }

    fn part(&self, node: &str, part: &str) -> Result<&Tensor> {
        self.parameter(&format!("{node}.{part}"))
    }

    /// The tensor of a parameter by its whole name.
    pub(crate) fn parameter(&self, name: &str) -> Result<&Tensor> {
        match self.index.get(name) {
            Some(&position) => Ok(&self.parameters[position].tensor),
            None => Err(snn_ir::Error::MissingWeight {
                name: name.to_string(),
                expected: format!("form {}", self.form.label()),
            }
            .into()),
        }
    }
}

/// Why a batch norm of a recurrence does not train.
pub(crate) const NORM_IN_RECURRENCE: &str = "\
     it stands in a recurrence, where the statistics of a batch are those of one macro-step alone \
     and not of all of them, as in evaluation; normalise the current before the sum with what \
     comes back through the delay";

/// A pass over the nodes.
pub(crate) struct Running<'i, 'o, 'r> {
    pub(crate) interpreter: &'i Interpreter,
    pub(crate) pass: Pass,
    pub(crate) observer: &'r mut Option<&'o mut dyn Observer>,
}

impl Compute for Running<'_, '_, '_> {
    type Memory = SiteMemory;

    fn at_once(&mut self, step: &Step, inputs: &[Value], readers: usize) -> Result<Value> {
        self.interpreter.node(step, inputs, (self.pass, readers), self.observer, None)
    }

    fn macro_step(
        &mut self,
        step: &Step,
        inputs: &[Value],
        memory: &mut SiteMemory,
    ) -> Result<Value> {
        self.interpreter.node(step, inputs, (self.pass, 1), self.observer, Some(memory))
    }

    fn finish(&mut self, step: &Step, memory: SiteMemory) -> Result<()> {
        let info = &self.interpreter.resolved.nodes[step.node];
        match self.observer {
            Some(observer) => memory.observe(info, *observer),
            None => Ok(()),
        }
    }
}

fn enough_for_statistics(x: &Tensor, ranks: Option<&dyn Ranks>) -> Result<()> {
    let size = x.size();
    let replicas = ranks.map_or(1, Ranks::count);
    if int(x.numel() * replicas) >= 2 * size[1] {
        return Ok(());
    }
    let expected = "two values or more of each channel, for the statistics of a batch".into();
    Err(Error::Shape { what: "input of batch norm", expected, found: size })
}
