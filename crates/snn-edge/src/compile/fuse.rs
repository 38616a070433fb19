//! From nodes to stages: what one site reads is computed where the site is.

use super::parameters;
use super::range::{CURRENTS, lanes, ranges};
use crate::format::{Finish, MAX_TERMS, Operation, Pool, Readout, Stage, Term, Window};
use snn_ir::{
    Checked, Conv, Geometry, MASKED, Model, Node, Op, PoolKind, Result, Site, StreamKind,
};
use std::vec::Vec;

/// A stage without its place in memory and in the program.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) stage: Stage,
    /// Parameters of its site.
    pub(super) parameters: Vec<u8>,
    /// Terms with their parameters.
    pub(super) terms: Vec<(Term, Vec<u8>)>,
}

/// The nodes of a model on their way to stages.
pub(super) struct Fusion<'m> {
    model: &'m Model,
    checked: &'m Checked,
    kinds: &'m [StreamKind],
    ranges: Vec<(i64, i64)>,
    /// The node that alone reads each node.
    readers: Vec<Option<usize>>,
    /// The tensor of each node that is stored: 0 for the frame, else the stage and one.
    tensors: Vec<usize>,
    drafts: Vec<Draft>,
}

/// Terms of a stage, each with its parameters.
type Terms = Vec<(Term, Vec<u8>)>;

impl<'m> Fusion<'m> {
    /// The nodes of a model that [`super::check`] has passed.
    pub(super) fn of(model: &'m Model) -> Result<Self> {
        let checked = model.validate()?;
        let kinds = &checked.streams()?.kinds;
        let count = kinds.len();
        let (mut readers, mut reads) = (std::vec![None; count], std::vec![0; count]);
        for (index, node) in checked.nodes().iter().enumerate() {
            for &input in &node.inputs {
                readers[input] = Some(index);
                reads[input] += 1;
            }
        }
        for (reader, reads) in readers.iter_mut().zip(reads) {
            *reader = reader.filter(|_| reads == 1);
        }
        let ranges = ranges(model, checked, kinds);
        let (tensors, drafts) = (std::vec![0; count], Vec::new());
        Ok(Self { model, checked, kinds, ranges, readers, tensors, drafts })
    }

    /// The stages, in an order in which each reads those before it alone.
    pub(super) fn stages(mut self) -> Result<Vec<Draft>> {
        for index in 0..self.kinds.len() {
            if !matches!(self.op(index), Op::Input { .. }) && !self.is_inlined(index) {
                self.store(index)?;
            }
        }
        // A delay may read a later site, so it holds the node until all stages are known.
        for index in 0..self.drafts.len() {
            for number in 0..self.drafts[index].terms.len() {
                let term = &mut self.drafts[index].terms[number].0;
                let Operation::Delay { steps } = term.operation else { continue };
                term.source = self.tensors[term.source];
                let site = term.source - 1;
                let history = &mut self.drafts[site].stage.history;
                *history = (steps + 1).max(*history);
            }
        }
        Ok(self.drafts)
    }

    fn node(&self, index: usize) -> &'m Node {
        &self.model.graph().nodes[index]
    }

    fn op(&self, index: usize) -> &'m Op {
        &self.node(index).op
    }

    fn inputs(&self, index: usize) -> &'m [usize] {
        &self.checked.nodes()[index].inputs
    }

    fn shape(&self, index: usize) -> [usize; 3] {
        self.checked.nodes()[index].chw()
    }

    /// `true` if a node is computed where its only reader is, and not stored.
    fn is_inlined(&self, index: usize) -> bool {
        let is_source = matches!(self.op(index), Op::Input { .. } | Op::Activation { .. });
        let Some(reader) = self.readers[index].filter(|_| !is_source) else { return false };
        match self.op(reader) {
            Op::Activation { .. }
            | Op::Add
            | Op::Concat
            | Op::TimeMean
            | Op::TimeLast
            | Op::TimeMax => true,
            // A linear layer reads what was flattened as a convolution of the whole image.
            Op::Linear { .. } => matches!(self.op(index), Op::Flatten),
            Op::Pool { .. } | Op::GlobalPool { .. } => self.is_fused_pool(reader),
            _ => false,
        }
    }

    /// `true` if a pooling pools the terms of its stage, which then need not be stored: windows
    /// must not overlap, since every position is computed once a window, and nothing may be added
    /// behind.
    fn is_fused_pool(&self, index: usize) -> bool {
        let Some((_, window)) = self.pooling(index) else { return false };
        let input = self.inputs(index)[0];
        let added = self.readers[index]
            .is_some_and(|reader| matches!(self.op(reader), Op::Add | Op::Concat));
        let apart = (0..2).all(|axis| window.stride[axis] >= window.kernel[axis]);
        let computed =
            matches!(self.op(input), Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::Add);
        apart && !added && computed && self.readers[input].is_some()
    }

    /// `true` for a maximum, and the window of a pooling.
    fn pooling(&self, index: usize) -> Option<(bool, Window)> {
        match self.op(index) {
            Op::Pool { pool, window } => Some((*pool == PoolKind::Max, window_of(window.as_2d()))),
            Op::GlobalPool { pool } => {
                let [_, height, width] = self.shape(self.inputs(index)[0]);
                let mut window = window_of(Geometry::whole([height, width]));
                // One window overlaps none, whatever its stride.
                window.stride = window.kernel;
                Some((*pool == PoolKind::Max, window))
            }
            _ => None,
        }
    }

    /// Makes the stage of a node.
    fn store(&mut self, index: usize) -> Result<()> {
        let node = self.node(index);
        let weights = self.model.weights();
        let (finish, parameters) = match &node.op {
            Op::Activation { site: Site::GridQuantRelu { levels }, .. } => {
                let levels = usize::from(*levels);
                (Finish::Thresholds { levels }, parameters::thresholds(weights, &node.name)?)
            }
            Op::Activation { site: Site::GridLif(lif), .. } => {
                let (lif, bytes) = parameters::lif(weights, &node.name, lif)?;
                (Finish::Lif(lif), bytes)
            }
            Op::TimeMean => (Finish::Readout(Readout::Sum), Vec::new()),
            Op::TimeLast => (Finish::Readout(Readout::Last), Vec::new()),
            Op::TimeMax => (Finish::Readout(Readout::Max), Vec::new()),
            _ => (Finish::Store, Vec::new()),
        };
        // What the accumulators are: the current that a site or head reads, or the node itself.
        let is_reader = !matches!(finish, Finish::Store);
        let body = if is_reader { self.inputs(index)[0] } else { index };
        let (mut pool, mut inner) = (None, self.shape(body));
        let mut terms = if is_reader && !self.is_inlined(body) {
            std::vec![self.copy(body, 0)]
        } else if let Some((max, window)) = self.pooling(body)
            && self.is_fused_pool(body)
        {
            let input = self.inputs(body)[0];
            (pool, inner) = (Some(Pool { max, window }), self.shape(input));
            self.terms(input)?
        } else {
            self.terms(body)?
        };
        while terms.len() > MAX_TERMS {
            let rest = terms.split_off(MAX_TERMS);
            let stage = self.push(Finish::Store, Vec::new(), terms, inner);
            terms = std::vec![(term(Operation::Copy, stage, 0, inner[0]), Vec::new())];
            terms.extend(rest);
        }
        let shape = self.shape(index);
        self.tensors[index] = self.push(finish, parameters, terms, shape);
        if let Some(draft) = self.drafts.last_mut() {
            (draft.stage.pool, draft.stage.inner) = (pool, [inner[1], inner[2]]);
            if self.kinds[index] != StreamKind::Current {
                draft.stage.lanes = lanes(self.ranges[index]);
            }
        }
        Ok(())
    }

    /// Appends a stage of currents without pooling; yields its tensor.
    fn push(
        &mut self,
        finish: Finish,
        parameters: Vec<u8>,
        terms: Terms,
        shape: [usize; 3],
    ) -> usize {
        let changes = |tensor: usize| {
            tensor.checked_sub(1).is_some_and(|stage| self.drafts[stage].stage.varies)
        };
        let reads_change = terms.iter().any(|(term, _)| match term.operation {
            Operation::Mask { mask, .. } => changes(term.source) || changes(mask),
            Operation::Delay { .. } => true,
            _ => changes(term.source),
        });
        let stage = Stage {
            shape,
            inner: [shape[1], shape[2]],
            terms: terms.len(),
            pool: None,
            finish,
            parameters: 0,
            lanes: CURRENTS,
            varies: reads_change || matches!(finish, Finish::Lif(_)),
            history: 1,
            slots: [0; 3],
            states: 0,
        };
        self.drafts.push(Draft { stage, parameters, terms });
        self.drafts.len()
    }

    fn copy(&self, index: usize, first: usize) -> (Term, Vec<u8>) {
        let outputs = self.shape(index)[0];
        (term(Operation::Copy, self.tensors[index], first, outputs), Vec::new())
    }

    /// The terms of a node, in an order that changes no integer.
    fn terms(&self, index: usize) -> Result<Terms> {
        let mut terms = Terms::new();
        // Nodes and their first accumulators; no recursion, since a model may nest sums deeply.
        let mut pending = std::vec![(index, 0)];
        while let Some((index, mut first)) = pending.pop() {
            if !matches!(self.op(index), Op::Add | Op::Concat) {
                terms.push(self.term(index, first)?);
                continue;
            }
            for &input in self.inputs(index) {
                if self.is_inlined(input) {
                    pending.push((input, first));
                } else {
                    terms.push(self.copy(input, first));
                }
                if matches!(self.op(index), Op::Concat) {
                    first += self.shape(input)[0];
                }
            }
        }
        Ok(terms)
    }

    /// The term of a node that is neither a sum nor a concatenation, with its parameters.
    fn term(&self, index: usize, first: usize) -> Result<(Term, Vec<u8>)> {
        let node = self.node(index);
        let mut input = self.inputs(index)[0];
        let (operation, bytes) = match &node.op {
            Op::Conv(conv) => self.synapse(node, conv)?,
            Op::Linear { features, bias } => {
                let mut conv = Conv::from_linear(*features, *bias);
                if matches!(self.op(input), Op::Flatten) && self.is_inlined(input) {
                    input = self.inputs(input)[0];
                    let [_, height, width] = self.shape(input);
                    conv.kernel = std::vec![height, width];
                }
                self.synapse(node, &conv)?
            }
            Op::Scale => {
                let weight = parameters::integers(self.model.weights(), &node.name, "weight")?;
                (Operation::Scale, parameters::bytes_of(&weight))
            }
            Op::Flatten => (Operation::Flatten, Vec::new()),
            Op::Delay { steps, .. } => (Operation::Delay { steps: *steps }, Vec::new()),
            Op::Mask { inverted } => {
                let mask = self.tensors[input];
                input = self.inputs(index)[MASKED];
                (Operation::Mask { mask, inverted: *inverted }, Vec::new())
            }
            _ => match self.pooling(index) {
                Some((true, window)) => (Operation::MaxPool(window), Vec::new()),
                Some((false, window)) => (Operation::SumPool(window), Vec::new()),
                None => return Err(foreign(node)),
            },
        };
        // The site of a delay may have no stage yet.
        let is_delay = matches!(node.op, Op::Delay { .. });
        let source = if is_delay { input } else { self.tensors[input] };
        Ok((term(operation, source, first, self.shape(index)[0]), bytes))
    }

    fn synapse(&self, node: &Node, conv: &Conv) -> Result<(Operation, Vec<u8>)> {
        let window = window_of(conv.as_2d());
        let bytes = parameters::synapse(self.model.weights(), &node.name, conv)?;
        Ok((Operation::Synapse { groups: conv.groups, window }, bytes))
    }
}

/// The error of an operation that no model on the grid has.
fn foreign(node: &Node) -> snn_ir::Error {
    let reason = "it does not exist on the grid; convert the model again".into();
    snn_ir::Error::Refused { node: node.name.clone(), reason }
}

fn term(operation: Operation, source: usize, first: usize, outputs: usize) -> Term {
    Term { operation, source, first, outputs, parameters: 0 }
}

fn window_of(geometry: Geometry) -> Window {
    // What stands behind the last position follows from the number of outputs.
    let Geometry { kernel, stride, padding, padding_after: _, dilation } = geometry;
    Window { kernel, stride, padding, dilation }
}
