//! Training passes that keep what each block reads, and compute the rest again when its gradients
//! are due (Chen 2016, "Training deep nets with sublinear memory cost").

use crate::autograd;
use crate::error::{Error, Result};
use crate::fused::Bits;
use crate::network::interpreter::{Interpreter, Pass};
use crate::network::schedule::{Step, Value, walk_part};
use crate::options::Mode;
use snn_ir::Op;
use std::ops::Range;
use tch::{Kind, Tensor};

const FIRST: Pass = Pass { mode: Mode::Train, recomputed: false };
const AGAIN: Pass = Pass { mode: Mode::Train, recomputed: true };

/// Returns what the head reads.
pub(crate) fn run(interpreter: &Interpreter, input: Value) -> Result<Value> {
    let steps = interpreter.steps(Mode::Train, false);
    let mut value = input;
    for block in blocks(interpreter, steps) {
        value = if matches!(interpreter.graph.nodes[block.to].op, Op::Activation { .. }) {
            kept_input(interpreter, &block, &value)?
        } else {
            compute(interpreter, &block, value, FIRST)?
        };
    }
    Ok(value)
}

/// Steps that read nothing but one value and each other's.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    steps: Range<usize>,
    /// The node that they read.
    from: usize,
    /// The node whose value is read after them.
    to: usize,
}

/// All steps between input and head, cut after each site whose value is the only one that is read
/// later.
fn blocks(interpreter: &Interpreter, steps: &[Step]) -> Vec<Block> {
    let (first, last) = (1, steps.len() - 1);
    let mut blocks: Vec<Block> = Vec::new();
    let mut begin = first;
    let mut from = steps[0].node;
    for at in first..last {
        let node = steps[at].node;
        let alone =
            steps[at + 1..].iter().flat_map(|step| &step.reads).all(|read| read.node >= node);
        let site = matches!(interpreter.graph.nodes[node].op, Op::Activation { .. });
        let end = at + 1 == last;
        if end || (alone && site) {
            let to = if end { steps[last].reads[0].node } else { node };
            blocks.push(Block { steps: begin..at + 1, from, to });
            (begin, from) = (at + 1, node);
        }
    }
    blocks
}

fn compute(interpreter: &Interpreter, block: &Block, value: Value, pass: Pass) -> Result<Value> {
    let steps = &interpreter.steps(Mode::Train, false)[block.steps.clone()];
    walk_part(&interpreter.graph, steps, (block.from, value), block.to, |step, inputs| {
        interpreter.node(step, inputs, pass, &mut None)
    })
}

/// A block whose backward pass begins with the block itself.
fn kept_input(interpreter: &Interpreter, block: &Block, value: &Value) -> Result<Value> {
    let detached = Value { data: value.data.f_detach()?, steps: value.steps };
    let out = tch::no_grad(|| compute(interpreter, block, detached, FIRST))?;
    let steps = &interpreter.steps(Mode::Train, false)[block.steps.clone()];
    let learned: Vec<Tensor> = steps
        .iter()
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
