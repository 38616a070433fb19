//! Training passes that keep what each block reads, and compute the rest again when its gradients
//! are due (Chen 2016, "Training deep nets with sublinear memory cost").

use crate::autograd;
use crate::error::{Error, Result};
use crate::fused::Bits;
use crate::network::interpreter::{Interpreter, Pass, Running};
use crate::network::schedule::Stage;
use crate::network::stateless::has_fused_pool;
use crate::network::value::Value;
use crate::options::{Checkpointing, Mode};
use snn_ir::{Op, PoolKind};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

const FIRST: Pass = Pass { mode: Mode::Train, recomputed: false };
const AGAIN: Pass = Pass { mode: Mode::Train, recomputed: true };

/// Returns what the head reads.
pub(crate) fn run(interpreter: &Interpreter, input: Value) -> Result<Value> {
    let stages = interpreter.stages(Mode::Train, false);
    let blocks = blocks(interpreter, stages)?;
    let recomputed = recomputed(interpreter, &blocks, &input)?;
    let mut value = input;
    for (block, recomputed) in blocks.into_iter().zip(recomputed) {
        value = if recomputed {
            kept_input(interpreter, &block, &value)?
        } else {
            compute(interpreter, &block, value, FIRST)?
        };
    }
    Ok(value)
}

/// Stages that read nothing but one value and each other's.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    stages: Range<usize>,
    /// The node that they read.
    from: usize,
    /// The node whose value is read after them.
    to: usize,
}

/// All stages between input and head, cut after each at which the value of one site is all that is
/// read later.
fn blocks(interpreter: &Interpreter, stages: &[Stage]) -> Result<Vec<Block>> {
    let [Stage::AtOnce(input), _, .., Stage::AtOnce(head)] = stages else {
        return Err(Error::Torch("a graph without a layer".into()));
    };
    let mut last_reader = vec![0; interpreter.graph.nodes.len()];
    for (at, stage) in stages.iter().enumerate() {
        stage.reads().for_each(|node| last_reader[node] = at);
    }
    let last = stages.len() - 1;
    let mut blocks: Vec<Block> = Vec::new();
    let (mut begin, mut from) = (1, input.node);
    // The nodes so far that are read later.
    let mut live = vec![input.node];
    for (at, stage) in stages.iter().enumerate().take(last).skip(1) {
        live.extend(stage.steps().iter().map(|step| step.node));
        live.retain(|&node| last_reader[node] > at);
        let site = |node: usize| matches!(interpreter.graph.nodes[node].op, Op::Activation { .. });
        let to = match live[..] {
            _ if at + 1 == last => head.reads[0].node,
            [alone] if site(alone) => alone,
            _ => continue,
        };
        blocks.push(Block { stages: begin..at + 1, from, to });
        (begin, from) = (at + 1, to);
    }
    Ok(blocks)
}

/// Which blocks are computed again in the backward pass; the last one, which ends in no site, is
/// kept.
fn recomputed(interpreter: &Interpreter, blocks: &[Block], input: &Value) -> Result<Vec<bool>> {
    let nodes = &interpreter.graph.nodes;
    let can_be = |block: &Block| matches!(nodes[block.to].op, Op::Activation { .. });
    match interpreter.training.checkpointing {
        Checkpointing::Off => Ok(vec![false; blocks.len()]),
        Checkpointing::Blocks => Ok(blocks.iter().map(can_be).collect()),
        Checkpointing::Within(budget) => {
            let stages = interpreter.stages(Mode::Train, false);
            let bytes = output_bytes(interpreter, input);
            let work = interpreter.graph.multiply_adds()?;
            let sizes = blocks.iter().map(|block| {
                let nodes = || stages[block.stages.clone()].iter().flat_map(Stage::steps);
                Size {
                    all: nodes().map(|step| bytes[step.node]).sum(),
                    out: bytes[block.to],
                    work: nodes().map(|step| work[step.node]).sum(),
                    can_be_recomputed: can_be(block),
                }
            });
            within(&sizes.collect::<Vec<_>>(), budget)
        }
    }
}

/// Bytes that the output of each node has in a training pass, with what its own backward pass
/// keeps beside it.
fn output_bytes(interpreter: &Interpreter, input: &Value) -> Vec<u64> {
    let size: u64 = match interpreter.activations(Mode::Train) {
        Kind::BFloat16 => 2,
        Kind::Double => 8,
        _ => 4,
    };
    let batch = input.data.size()[0].unsigned_abs() / input.steps.max(1) as u64;
    let mut varies = Vec::with_capacity(interpreter.graph.nodes.len());
    let mut bytes = Vec::with_capacity(varies.capacity());
    for (node, info) in interpreter.graph.nodes.iter().zip(&interpreter.resolved.nodes) {
        let stateful = match &node.op {
            Op::Activation { site, .. } => site.is_stateful(),
            Op::Delay { .. } => true,
            Op::Input { .. } => input.steps > 1,
            _ => false,
        };
        // A delay alone reads a later node.
        let of_inputs = info.inputs.iter().any(|&input| varies.get(input).copied().unwrap_or(true));
        varies.push(stateful || of_inputs);
        let steps = if stateful || of_inputs { interpreter.time_steps as u64 } else { 1 };
        let values =
            info.shape.iter().map(|&length| length as u64).product::<u64>() * batch * steps;
        // The places of maxima.
        let beside = match &node.op {
            Op::Pool { pool: PoolKind::Max, window } => {
                let on_cpu = interpreter.device == Device::Cpu;
                if on_cpu && has_fused_pool(window.as_2d()) { 1 } else { 8 }
            }
            _ => 0,
        };
        bytes.push(values * (size + beside));
    }
    bytes
}

/// What a block costs.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Bytes of all its outputs.
    all: u64,
    /// Bytes of its last one, which the next block reads.
    out: u64,
    /// Multiplications of a sample and macro-step.
    work: u64,
    can_be_recomputed: bool,
}

/// Bytes that a training pass keeps: all outputs of the blocks that are kept, the last one of the
/// others, and those of one block while it is computed again.
fn kept_bytes(sizes: &[Size], recomputed: &[bool]) -> u64 {
    let pairs = || sizes.iter().zip(recomputed);
    let kept: u64 = pairs().map(|(size, &again)| if again { size.out } else { size.all }).sum();
    let again = pairs().filter(|(_, again)| **again).map(|(size, _)| size.all).max();
    kept + again.unwrap_or(0)
}

/// The blocks to recompute so that at most so many bytes are kept, those first that save most bytes
/// for their work.
fn within(sizes: &[Size], budget: u64) -> Result<Vec<bool>> {
    let mut recomputed = vec![false; sizes.len()];
    while kept_bytes(sizes, &recomputed) > budget {
        let saving =
            |at: &usize| (sizes[*at].all - sizes[*at].out) as f64 / (1 + sizes[*at].work) as f64;
        let next = (0..sizes.len())
            .filter(|&at| sizes[at].can_be_recomputed && !recomputed[at])
            .max_by(|a, b| saving(a).total_cmp(&saving(b)));
        let Some(next) = next else {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            return Err(Error::Argument {
                what: "memory",
                expected: format!(
                    "at least {} MiB for the activations of this batch, every block recomputed; \
                     or a smaller batch",
                    mib(kept_bytes(sizes, &recomputed))
                ),
                found: format!("{} MiB", mib(budget)),
            });
        };
        recomputed[next] = true;
    }
    Ok(recomputed)
}

fn compute(interpreter: &Interpreter, block: &Block, value: Value, pass: Pass) -> Result<Value> {
    let stages = &interpreter.stages(Mode::Train, false)[block.stages.clone()];
    let mut running = Running { interpreter, pass, observer: &mut None };
    interpreter.walk().part(stages, (block.from, value), block.to, &mut running)
}

/// A block whose backward pass begins with the block itself.
fn kept_input(interpreter: &Interpreter, block: &Block, value: &Value) -> Result<Value> {
    let detached = Value::new(value.data.f_detach()?, value.steps);
    let out = tch::no_grad(|| compute(interpreter, block, detached, FIRST))?;
    let stages = &interpreter.stages(Mode::Train, false)[block.stages.clone()];
    let learned: Vec<Tensor> = stages
        .iter()
        .flat_map(Stage::steps)
        .flat_map(|step| interpreter.learned(step))
        .map(Tensor::shallow_clone)
        .collect();
    let bits = Bits::pack(&value.data)?;
    // Parameters too: one that is changed before the backward pass would make it that of another
    // network, and is an error.
    let saved: Vec<&Tensor> = learned.iter().chain(bits.is_none().then_some(&value.data)).collect();
    let inputs: Vec<&Tensor> = std::iter::once(&value.data).chain(&learned).collect();
    let wanted: Vec<bool> = inputs.iter().map(|input| input.requires_grad()).collect();
    let (shared, again, time) = (interpreter.share(), block.clone(), value.steps);
    let parameters: Vec<Tensor> = learned.iter().map(Tensor::shallow_clone).collect();
    autograd::record("block", &inputs, &[&out.data], &saved, move |backward| {
        let input = match (&bits, backward.saved.get(parameters.len())) {
            (Some(bits), _) => bits.unpack()?,
            (None, Some(saved)) => saved.f_detach()?,
            (None, None) => return Err(Error::Torch("a block without its input".into())),
        };
        let [Some(gradient)] = backward.gradients.as_slice() else {
            return Ok(wanted.iter().map(|_| None).collect());
        };
        let input = input.f_set_requires_grad(wanted[0])?;
        let found = tch::with_grad(|| -> Result<Vec<Tensor>> {
            let value = Value::new(input.shallow_clone(), time);
            let out = compute(&shared, &again, value, AGAIN)?.data;
            // A loss that has this gradient.
            let loss = Tensor::f_zeros([1_i64], (Kind::Float, out.device()))?;
            let gradient = gradient.shallow_clone();
            autograd::record("block", &[&out], &[&loss], &[], move |_| {
                Ok(vec![Some(gradient.shallow_clone())])
            })?;
            let leaves: Vec<&Tensor> = std::iter::once(&input)
                .chain(&parameters)
                .zip(&wanted)
                .filter_map(|(leaf, &wanted)| wanted.then_some(leaf))
                .collect();
            Ok(Tensor::f_run_backward(&[loss], &leaves, false, false)?)
        })?;
        let mut found = found.into_iter();
        Ok(wanted.iter().map(|&wanted| if wanted { found.next() } else { None }).collect())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn size(all: u64, out: u64, work: u64) -> Size {
        Size { all, out, work, can_be_recomputed: true }
    }

    #[test]
    fn blocks_that_save_most_for_their_work_are_recomputed_first() {
        let last = Size { can_be_recomputed: false, ..size(50, 10, 1) };
        let sizes = [size(1000, 100, 900), size(1000, 100, 90), size(400, 100, 10), last];
        assert_eq!(kept_bytes(&sizes, &[false; 4]), 2450);
        assert_eq!(within(&sizes, 2450).unwrap(), [false; 4]);
        // One more is recomputed only where those before it do not save enough. While a block is
        // computed again its outputs are there.
        assert_eq!(kept_bytes(&sizes, &[false, false, true, false]), 2550);
        assert_eq!(kept_bytes(&sizes, &[false, true, true, false]), 2250);
        assert_eq!(within(&sizes, 2300).unwrap(), [false, true, true, false]);
        assert_eq!(within(&sizes, 1400).unwrap(), [true, true, true, false]);
        let error = within(&sizes, 1000).unwrap_err().to_string();
        assert!(error.contains("memory must be at least 1 MiB"), "{error}");
    }
}
