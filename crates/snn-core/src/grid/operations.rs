//! Synaptic operations as NeuroBench counts them (Yik 2025, "The neurobench framework for
//! benchmarking neuromorphic computing algorithms and systems").

use crate::error::{Error, Result};
use crate::grid::{GridInterpreter, WeightUse};
use crate::network::stateless::convolve;
use crate::network::value::{Value, over_time};
use crate::observe::observer::{Emission, Observer, Requested};
use crate::tensor::{Pixels, weight};
use snn_ir::{Code, Graph, Model, Op, Resolved, Role, StreamKind};
use tch::{Device, Kind, Tensor};

/// Synaptic operations of a layer over all samples. Biases are none.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerOperations {
    /// Name of its node.
    pub node: String,
    /// Products of inputs and weights that are both not zero, of inputs other than −1, 0 and 1.
    pub effective_macs: f64,
    /// Products of inputs and weights that are both not zero, of inputs that are all −1, 0 or 1.
    pub effective_acs: f64,
    /// Products of all inputs and weights.
    pub dense: f64,
}

/// Counts the synaptic operations of a network on the grid over these samples, of every convolution
/// and linear layer in the order of the graph: each binary plane of a code is an input of its own,
/// payloads of the graded code are multiplied, and so are pixels and sums of events that a pooling
/// made. What does not vary over time is counted once.
///
/// # Errors
/// A sample could not be read, the model is not valid or not on the grid, samples do not fit it,
/// or libtorch fails.
pub fn synaptic_operations<E: From<Error>>(
    model: &Model,
    device: Device,
    samples: impl IntoIterator<Item = std::result::Result<Pixels, E>>,
) -> std::result::Result<Vec<LayerOperations>, E> {
    let grid = GridInterpreter::new(model, device, WeightUse::Inference)?;
    let checked = model.validate().map_err(Error::from)?;
    let streams = checked.streams().map_err(Error::from)?.kinds.clone();
    let layers = model.graph().nodes.iter().enumerate().filter_map(|(index, node)| {
        let is_layer = matches!(node.op, Op::Conv(_) | Op::Linear { .. });
        is_layer.then(|| -> Result<Layer> {
            let own = snn_ir::weights::get(model.weights(), &format!("{}.weight", node.name))?;
            let used = weight(own, Kind::Double, device)?.f_ne(0.0)?.f_to_kind(Kind::Double)?;
            let planes = planes(model.graph(), &grid.resolved, &streams, index);
            let all = used.f_ones_like()?;
            Ok(Layer { index, used, all, planes, counted: LayerOperations::none(&node.name) })
        })
    });
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let mut operations = Operations { graph: &grid.graph, layers };
    for pixels in samples {
        let pixels = pixels?;
        let _scores = tch::no_grad(|| grid.run(&pixels, Some(&mut operations), &|_| None))?;
    }
    Ok(operations.layers.into_iter().map(|layer| layer.counted).collect())
}

impl LayerOperations {
    fn none(node: &str) -> Self {
        Self { node: node.into(), effective_macs: 0.0, effective_acs: 0.0, dense: 0.0 }
    }
}

/// How what a layer reads is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planes {
    /// As it is: pixels, spikes, payloads, sums.
    Whole,
    /// Level q as ones in the first q of D planes.
    Unary(u8),
    /// Bit b of a level in plane b, of so many.
    Bits(u8),
}

struct Layer {
    index: usize,
    /// 1 where a weight is not 0.
    used: Tensor,
    /// 1 everywhere.
    all: Tensor,
    planes: Planes,
    counted: LayerOperations,
}

struct Operations<'g> {
    graph: &'g Graph,
    layers: Vec<Layer>,
}

impl Observer for Operations<'_> {
    fn requested(&self) -> Requested {
        Requested::default()
    }

    fn site(&mut self, _: Emission<'_>) -> Result<()> {
        Ok(())
    }

    fn layer(&mut self, index: usize, input: &Value) -> Result<()> {
        let op = &self.graph.nodes[index].op;
        let Some(layer) = self.layers.iter_mut().find(|layer| layer.index == index) else {
            return Ok(());
        };
        for step in over_time(&input.data, input.steps)? {
            let step = step.f_to_kind(Kind::Double)?;
            for plane in layer.planes.of(&step)? {
                layer.count(op, &plane)?;
            }
        }
        Ok(())
    }
}

impl Planes {
    /// The planes of the levels of a macro-step.
    fn of(self, levels: &Tensor) -> Result<Vec<Tensor>> {
        let plane = |number: u8| -> Result<Tensor> {
            Ok(match self {
                Self::Whole => levels.shallow_clone(),
                Self::Unary(_) => levels.f_ge(f64::from(number) + 1.0)?.f_to_kind(Kind::Double)?,
                Self::Bits(_) => {
                    let shifted = levels.f_div_scalar(2_f64.powi(i32::from(number)))?.f_floor()?;
                    shifted.f_remainder(2.0)?
                }
            })
        };
        let count = match self {
            Self::Whole => 1,
            Self::Unary(count) | Self::Bits(count) => count,
        };
        (0..count).map(plane).collect()
    }
}

impl Layer {
    fn count(&mut self, op: &Op, inputs: &Tensor) -> Result<()> {
        let products = |inputs: &Tensor, weights: &Tensor| -> Result<f64> {
            let sums = match op {
                Op::Conv(conv) => convolve(inputs, weights, None, conv)?,
                _ => inputs.f_linear::<&Tensor>(weights, None)?,
            };
            Ok(sums.f_sum(Kind::Double)?.f_double_value(&[])?)
        };
        let present = inputs.f_ne(0.0)?.f_to_kind(Kind::Double)?;
        let effective = products(&present, &self.used)?;
        let is_spiking = inputs.f_abs()?.f_eq_tensor(&present)?.f_all()?.f_int64_value(&[])? != 0;
        if is_spiking {
            self.counted.effective_acs += effective;
        } else {
            self.counted.effective_macs += effective;
        }
        self.counted.dense += products(&inputs.f_ones_like()?, &self.all)?;
        Ok(())
    }
}

/// The planes that a layer reads: those of the sites whose events reach it, where no pooling adds
/// them up on the way and all of them have one code.
fn planes(graph: &Graph, resolved: &Resolved, streams: &[StreamKind], layer: usize) -> Planes {
    let mut found: Option<Planes> = None;
    let mut open: Vec<usize> = resolved.nodes[layer].inputs.clone();
    let mut seen = vec![false; graph.nodes.len()];
    while let Some(index) = open.pop() {
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        let own = match (&graph.nodes[index].op, graph.nodes[index].op.role()) {
            (Op::Activation { site, code }, _) => match (code, site.levels()) {
                (Some(Code::Unary), Some(levels)) => Planes::Unary(levels),
                (Some(Code::BitPlane), Some(levels)) => {
                    Planes::Bits(u8::try_from(u8::BITS - levels.leading_zeros()).unwrap_or(8))
                }
                _ => Planes::Whole,
            },
            (Op::Pool { pool, .. } | Op::GlobalPool { pool }, _)
                if *pool != snn_ir::PoolKind::Max =>
            {
                return Planes::Whole;
            }
            (_, Role::Source) => return Planes::Whole,
            _ if streams[index] == StreamKind::Events => {
                open.extend(&resolved.nodes[index].inputs);
                continue;
            }
            _ => return Planes::Whole,
        };
        match found {
            None => found = Some(own),
            Some(other) if other == own => {}
            Some(_) => return Planes::Whole,
        }
    }
    found.unwrap_or(Planes::Whole)
}
