//! The forward pass on the grid (eqs. 12 and 13).
//!
//! Only convolutions, linear layers and sums over windows may run in single precision, on the CPU
//! and only where every partial sum is proved to stay below 2²⁴; all else runs in double precision,
//! where 2⁵³ is out of reach. So every value is an exact integer whatever the order of summation.

use crate::tensor::{Pixels, int, weight};
pub(crate) mod finetune;
pub(crate) mod inputs;
pub(crate) mod operations;
mod scale;
pub(crate) mod self_test;
mod site;

use crate::error::{Error, Result};
use crate::grid::site::{GridLifState, LifIntegers, WIDE, grid_lif, grid_quant_relu};
use crate::network::schedule::{Compute, Step, Walk, every_node};
use crate::network::stateless::{
    convolve, merged_pixels, per_channel, refused, split_time, stateless,
};
use crate::network::value::{Value, merge};
use crate::neuron::registry::Registry;
use crate::neuron::surrogate::SurrogateGradient;
use crate::observe::observer::{Emission, Observer};
use snn_ir::GRID_WEIGHT_MAX;
use snn_ir::{Encoder, Form, Graph, Model, Op, Readout, Resolved, Role, Site, Surrogate};
use snn_ir::{F32_EXACT, StreamKind, Streams};
use tch::{Device, Kind, Tensor};

/// A model on the grid, as tensors of integers.
#[derive(Debug)]
pub(crate) struct GridInterpreter {
    pub(crate) graph: Graph,
    pub(crate) resolved: Resolved,
    pub(crate) time_steps: usize,
    pub(crate) device: Device,
    mean: Tensor,
    encoder: Encoder,
    constants: Vec<Constants>,
    /// Kind of what each node yields.
    kinds: Vec<Kind>,
    /// Kind in which each node sums.
    sums: Vec<Kind>,
    surrogate: SurrogateGradient,
}

/// The integers of one node.
#[derive(Debug)]
enum Constants {
    None,
    /// A convolution or linear layer; the multiplier is absent if it is 1 everywhere.
    Synapse {
        weight: Tensor,
        bias: Option<Tensor>,
        multiplier: Option<Tensor>,
    },
    Scale(Tensor),
    /// Those of a LIF site.
    Lif(LifIntegers),
    Thresholds(Vec<Tensor>),
}

/// The narrowest kind in which a device sums integers below 2²⁴ exactly. A GPU's single precision
/// may be fewer bits inside (TF32), or a transform (Winograd): which of them it is depends on
/// settings and sizes.
pub(crate) fn narrow_kind(device: Device) -> Kind {
    if device == Device::Cpu { Kind::Float } else { WIDE }
}

/// Use of the loaded weights: integers already (inference), or rounded to integers in each forward
/// pass (fine-tuning).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightUse {
    /// The weights are fixed integers; bounds of sums follow from them.
    Inference,
    /// The weights change, within ±127; bounds of sums hold for any such weights.
    FineTuning,
}

/// State of a site between the macro-steps of a recurrence, and what observers will be told.
#[derive(Default)]
struct GridMemory {
    state: GridLifState,
    outputs: Vec<Tensor>,
}

/// A pass over the nodes.
struct GridPass<'g, 'o, 'r, 's> {
    grid: &'g GridInterpreter,
    observer: &'r mut Option<&'o mut dyn Observer>,
    substitutes: &'r dyn Fn(usize) -> Option<&'s Substitute>,
}

impl Compute for GridPass<'_, '_, '_, '_> {
    type Memory = GridMemory;

    fn at_once(&mut self, step: &Step, inputs: &[Value], _: usize) -> Result<Value> {
        self.grid.node(step, inputs, self.substitutes, self.observer, None)
    }

    fn macro_step(
        &mut self,
        step: &Step,
        inputs: &[Value],
        memory: &mut GridMemory,
    ) -> Result<Value> {
        self.grid.node(step, inputs, self.substitutes, self.observer, Some(memory))
    }

    fn finish(&mut self, step: &Step, memory: GridMemory) -> Result<()> {
        match self.observer {
            Some(observer) if !memory.outputs.is_empty() => {
                let steps = memory.outputs.len();
                let value = Value::new(merge(memory.outputs)?, steps);
                self.grid.note(step.node, &value, *observer)
            }
            _ => Ok(()),
        }
    }
}

/// Weight and bias that replace a node's integers in fine-tuning: integers with a gradient.
pub(crate) struct Substitute {
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
}

impl GridInterpreter {
    /// Takes a model to a device.
    pub(crate) fn new(model: &Model, device: Device, weights: WeightUse) -> Result<Self> {
        if !matches!(model.form(), Form::Grid { .. }) {
            return Err(Error::Argument {
                what: "form",
                expected: "grid".into(),
                found: model.form().label().into(),
            });
        }
        let checked = model.validate()?;
        let (resolved, streams) = (checked.resolved(), checked.streams()?);
        let narrow = |bound: f64| if bound < F32_EXACT { narrow_kind(device) } else { WIDE };
        let kinds: Vec<Kind> = streams
            .kinds
            .iter()
            .zip(&streams.bounds)
            .map(|(kind, bounds)| match kind {
                StreamKind::Current => WIDE,
                StreamKind::Pixels | StreamKind::Events => {
                    narrow(bounds.iter().copied().fold(0.0, f64::max))
                }
            })
            .collect();
        let sums: Vec<Kind> = match weights {
            WeightUse::Inference => streams.sums.iter().map(|&sum| narrow(sum)).collect(),
            WeightUse::FineTuning => {
                (0..kinds.len()).map(|i| narrow(largest_sum(model, resolved, streams, i))).collect()
            }
        };
        let mean: Vec<f64> = model.preprocessing().mean.iter().map(|&m| f64::from(m)).collect();
        let mut grid = Self {
            graph: model.graph().clone(),
            resolved: resolved.clone(),
            time_steps: model.time_steps(),
            device,
            mean: Tensor::f_from_slice(&mean)?.f_to(device)?,
            encoder: model.encoder(),
            constants: Vec::new(),
            kinds,
            sums,
            surrogate: SurrogateGradient::new(&Surrogate::default(), &Registry::default())?,
        };
        grid.constants = (0..grid.graph.nodes.len())
            .map(|index| grid.load(model, index))
            .collect::<Result<Vec<_>>>()?;
        Ok(grid)
    }

    pub(crate) fn set_surrogate(&mut self, surrogate: SurrogateGradient) {
        self.surrogate = surrogate;
    }

    /// Kind in which a synapse sums.
    pub(crate) fn sum_kind(&self, index: usize) -> Kind {
        self.sums[index]
    }

    fn load(&self, model: &Model, index: usize) -> Result<Constants> {
        let node = &self.graph.nodes[index];
        // A part that the node may lack.
        let optional = |part: &str, kind| {
            let values = model.weights().get(&format!("{}.{part}", node.name));
            values.map(|values| weight(values, kind, self.device)).transpose()
        };
        let part = |part: &str, kind| {
            let values = snn_ir::weights::get(model.weights(), &format!("{}.{part}", node.name))?;
            weight(values, kind, self.device)
        };
        // In a shape that broadcasts over what the node reads or yields.
        let channels = |values: &Tensor| -> Result<Tensor> {
            let spatial = self.resolved.nodes[index].shape.len() > 1;
            Ok(values.f_view(if spatial { &[1, -1, 1, 1][..] } else { &[1, -1][..] })?)
        };
        let each_channel = |values: Option<Tensor>| values.as_ref().map(channels).transpose();
        Ok(match (node.op.role(), &node.op) {
            (Role::Synapse, Op::Scale) => Constants::Scale(channels(&part("weight", WIDE)?)?),
            (Role::Synapse, _) => {
                let multiplier = part("multiplier", WIDE)?;
                let unit = multiplier.f_eq(1.0)?.f_all()?.f_int64_value(&[])? != 0;
                Constants::Synapse {
                    weight: part("weight", self.sums[index])?,
                    bias: each_channel(optional("bias", WIDE)?)?,
                    multiplier: each_channel((!unit).then_some(multiplier))?,
                }
            }
            (_, Op::Activation { site: Site::GridLif(_), .. }) => Constants::Lif(LifIntegers {
                threshold: channels(&part("threshold", WIDE)?)?,
                jump: each_channel(optional("adaptation", WIDE)?)?,
                first: each_channel(optional("initial", WIDE)?)?,
            }),
            (_, Op::Activation { site: Site::GridQuantRelu { .. }, .. }) => {
                let levels = part("thresholds", WIDE)?.f_unbind(0)?;
                Constants::Thresholds(levels.iter().map(channels).collect::<Result<_>>()?)
            }
            _ => Constants::None,
        })
    }

    /// What the head holds (`Σ_t J[t]` of a mean), `[B, classes]`, without gradient.
    pub(crate) fn evaluate(
        &self,
        pixels: &Pixels,
        observer: Option<&mut dyn Observer>,
    ) -> Result<Tensor> {
        tch::no_grad(|| self.run(pixels, observer, &|_| None))
    }

    /// What the head holds, `[B, classes]`, with `substitutes` in place of the weights of the
    /// nodes it knows.
    pub(crate) fn run<'s>(
        &self,
        pixels: &Pixels,
        mut observer: Option<&mut dyn Observer>,
        substitutes: &dyn Fn(usize) -> Option<&'s Substitute>,
    ) -> Result<Tensor> {
        let input = self.input(pixels)?;
        let stages = every_node(&self.resolved);
        let walk = Walk { graph: &self.graph, time_steps: self.time_steps };
        let mut pass = GridPass { grid: self, observer: &mut observer, substitutes };
        let scores = walk.whole(&stages, input, &mut pass)?;
        let steps = scores.steps;
        let scores = split_time(&scores.data, steps)?;
        match self.graph.readout() {
            Readout::Mean => {
                let sum = scores.f_sum_dim_intlist([0_i64].as_slice(), false, WIDE)?;
                let repeats = self.time_steps / steps;
                Ok(if repeats == 1 { sum } else { sum.f_mul_scalar(repeats as f64)? })
            }
            Readout::Last => Ok(scores.f_select(0, int(steps - 1))?.f_to_kind(WIDE)?),
            Readout::Max => Ok(scores.f_max_dim(0, false)?.0.f_to_kind(WIDE)?),
        }
    }

    /// Output of a node; with a memory that of one macro-step.
    fn node<'s>(
        &self,
        step: &Step,
        inputs: &[Value],
        substitutes: &dyn Fn(usize) -> Option<&'s Substitute>,
        observer: &mut Option<&mut dyn Observer>,
        mut memory: Option<&mut GridMemory>,
    ) -> Result<Value> {
        let index = step.node;
        let node = &self.graph.nodes[index];
        let x = &inputs[0];
        match (&node.op, &self.constants[index]) {
            (Op::Conv(_) | Op::Linear { .. }, Constants::Synapse { weight, bias, multiplier }) => {
                let (weight, bias) = match substitutes(index) {
                    Some(substitute) => (&substitute.weight, substitute.bias.as_ref()),
                    None => (weight, bias.as_ref()),
                };
                if let Some(observer) = observer {
                    observer.layer(index, x)?;
                }
                let events = x.data.f_to_kind(self.sums[index])?;
                let sum = match &node.op {
                    Op::Conv(conv) => convolve(&events, weight, None, conv)?,
                    _ => events.f_linear::<&Tensor>(weight, None)?,
                };
                let mut current = sum.f_to_kind(WIDE)?;
                if let Some(multiplier) = multiplier {
                    current = current.f_mul(multiplier)?;
                }
                if let Some(bias) = bias {
                    current = current.f_add(bias)?;
                }
                Ok(x.with(current))
            }
            (Op::Scale, Constants::Scale(scale)) => {
                Ok(x.with(x.data.f_to_kind(WIDE)?.f_mul(scale)?))
            }
            (Op::Activation { site: Site::GridLif(lif), .. }, Constants::Lif(integers)) => {
                let kind = self.kinds[index];
                let mut rest = GridLifState::default();
                let (state, time_steps) = match &mut memory {
                    Some(memory) => (&mut memory.state, 1),
                    None => (&mut rest, self.time_steps),
                };
                let value = grid_lif(*lif, integers, x, time_steps, &self.surrogate, kind, state)?;
                self.seen(index, &value, observer, memory)?;
                Ok(value)
            }
            (
                Op::Activation { site: Site::GridQuantRelu { .. }, .. },
                Constants::Thresholds(thresholds),
            ) => {
                let value = grid_quant_relu(thresholds, x, self.kinds[index])?;
                self.seen(index, &value, observer, memory)?;
                Ok(value)
            }
            (op, _) if op.role().is_stateless() => {
                let kind = self.kinds[index];
                let same = inputs.iter().map(|value| Ok(value.with(value.data.f_to_kind(kind)?)));
                stateless(node, &same.collect::<Result<Vec<_>>>()?)
            }
            _ => Err(refused(node, "does not exist on the grid")),
        }
    }

    /// Tells an observer of a site, or keeps a macro-step of it to tell of later.
    fn seen(
        &self,
        index: usize,
        value: &Value,
        observer: &mut Option<&mut dyn Observer>,
        memory: Option<&mut GridMemory>,
    ) -> Result<()> {
        match (observer, memory) {
            (None, _) => Ok(()),
            (Some(_), Some(memory)) => {
                memory.outputs.push(value.data.shallow_clone());
                Ok(())
            }
            (Some(observer), None) => self.note(index, value, *observer),
        }
    }

    fn note(&self, index: usize, value: &Value, observer: &mut dyn Observer) -> Result<()> {
        let info = &self.resolved.nodes[index];
        observer.site(Emission {
            site: &info.name,
            output: &value.data,
            values: false,
            membranes: None,
            probes: Vec::new(),
            steps: value.steps,
            shape: &info.shape,
            ties: 0,
        })
    }

    /// Eq. 1 with deviation 1.
    fn input(&self, pixels: &Pixels) -> Result<Value> {
        let shape = &self.resolved.nodes[0].shape;
        pixels.check_encoded(self.encoder)?;
        pixels.check(shape, self.time_steps)?;
        let merged =
            merged_pixels(pixels.tensor(), shape)?.f_to(self.device)?.f_to_kind(self.kinds[0])?;
        let mean = per_channel(&self.mean.f_to_kind(self.kinds[0])?, &merged)?;
        let steps = if pixels.varies() { self.time_steps } else { 1 };
        Ok(Value::new(merged.f_sub(&mean)?, steps))
    }
}

/// Bound of `|Σ n·x|` of a synapse for any weights within ±127.
fn largest_sum(model: &Model, resolved: &Resolved, streams: &Streams, index: usize) -> f64 {
    let Some(&read) = resolved.nodes[index].inputs.first() else { return 0.0 };
    let inputs = resolved.nodes[read].shape[0];
    let fan_in = match &model.graph().nodes[index].op {
        Op::Conv(conv) => inputs / conv.groups * conv.kernel.iter().product::<usize>(),
        _ => inputs,
    };
    fan_in as f64
        * f64::from(GRID_WEIGHT_MAX)
        * streams.bounds[read].iter().copied().fold(0.0, f64::max)
}
