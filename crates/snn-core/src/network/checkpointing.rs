//! Training passes that keep what each block reads, and compute the rest again when its gradients
//! are due (Chen 2016, "Training deep nets with sublinear memory cost").

use crate::autograd;
use crate::error::{Error, Result};
use crate::fused::Bits;
use crate::network::interpreter::{Interpreter, Pass, Running};
use crate::network::schedule::{Stage, Value};
use crate::options::Mode;
use snn_ir::Op;
use std::ops::Range;
use tch::{Kind, Tensor};

const FIRST: Pass = Pass { mode: Mode::Train, recomputed: false };
const AGAIN: Pass = Pass { mode: Mode::Train, recomputed: true };

/// Returns what the head reads.
pub(crate) fn run(interpreter: &Interpreter, input: Value) -> Result<Value> {
    let stages = interpreter.stages(Mode::Train, false);
    let mut value = input;
    for block in blocks(interpreter, stages)? {
        value = if matches!(interpreter.graph.nodes[block.to].op, Op::Activation { .. }) {
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

fn compute(interpreter: &Interpreter, block: &Block, value: Value, pass: Pass) -> Result<Value> {
    let stages = &interpreter.stages(Mode::Train, false)[block.stages.clone()];
    let mut running = Running { interpreter, pass, observer: &mut None };
    interpreter.walk().part(stages, (block.from, value), block.to, &mut running)
}

/// A block whose backward pass begins with the block itself.
fn kept_input(interpreter: &Interpreter, block: &Block, value: &Value) -> Result<Value> {
    let detached = Value { data: value.data.f_detach()?, steps: value.steps };
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
            let value = Value { data: input.shallow_clone(), steps: time };
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
