//! Windows of convolutions and poolings: strides, padding of each side, whole positions.

use super::super::fold::{axes, position};
use super::{Edge, Importer, Inputs, Outcome, Stream};
use crate::onnx::file::SourceNode;
use crate::onnx::report::Became;
use snn_ir::{Op, PoolKind, Window};

/// A window over the positions of a stream.
pub(super) struct Placed {
    pub(super) stride: Vec<usize>,
    pub(super) dilation: Vec<usize>,
    /// Zeros before the first position of each axis.
    before: Vec<usize>,
    /// Zeros behind the last.
    after: Vec<usize>,
}

impl Placed {
    /// As our operations say it: one list for both sides where they are equal.
    pub(super) fn padding(&self) -> Vec<usize> {
        if self.before == self.after {
            self.before.clone()
        } else {
            [self.before.as_slice(), &self.after].concat()
        }
    }

    /// The same over the last axis alone, of a signal that was given rows of one.
    fn along_row(self) -> Outcome<Self> {
        if self.before[0] != 0 || self.after[0] != 0 {
            return Err("it pads the rows of a signal".into());
        }
        let last = |axes: Vec<usize>| axes[1..].to_vec();
        Ok(Self {
            stride: last(self.stride),
            dilation: last(self.dilation),
            before: last(self.before),
            after: last(self.after),
        })
    }

    /// `ceil_mode` of a pooling: padding is added for a last window that is partly outside, where
    /// that changes nothing, as of a maximum.
    fn round_up(&mut self, kernel: &[usize], positions: &[usize], is_max: bool) -> Outcome<()> {
        for (axis, (size, kernel)) in positions.iter().zip(kernel).enumerate() {
            let padded = size.saturating_add(self.before[axis].saturating_add(self.after[axis]));
            let room = padded.checked_sub(*kernel).ok_or("its kernel is too large")?;
            let over = room % self.stride[axis];
            if over == 0 {
                continue;
            }
            // A last window that begins in the image or before it, and ends behind it.
            let begins = room - over + self.stride[axis];
            if !is_max || begins >= self.before[axis] + size {
                return Err(
                    "ceil_mode adds windows that are partly outside; export the network without \
                     it, with padding in its place"
                        .into(),
                );
            }
            self.after[axis] += self.stride[axis] - over;
        }
        Ok(())
    }

    pub(super) fn has_padding(&self) -> bool {
        self.before.iter().chain(&self.after).any(|pad| *pad > 0)
    }
}

/// Positions, sizes and steps are far below this.
const LIMIT: usize = snn_ir::MAX_VALUES;

fn sizes(named: Option<&[i64]>, rank: usize, default: usize, what: &str) -> Outcome<Vec<usize>> {
    let Some(named) = named else { return Ok(vec![default; rank]) };
    let sizes = named.iter().map(|n| usize::try_from(*n).ok().filter(|n| *n <= LIMIT));
    sizes
        .collect::<Option<Vec<_>>>()
        .filter(|sizes| sizes.len() == rank)
        .ok_or_else(|| format!("its {what} must be {rank} sizes, found {named:?}"))
}

impl<'s> Importer<'s> {
    /// The window of a node, together with a `Pad` before it, where `zeros` says that the padding
    /// of that one and the node's own are both zeros.
    pub(super) fn window(
        inputs: &Inputs<'s>,
        stream: &Stream,
        kernel: &[usize],
        zeros: bool,
    ) -> Outcome<Placed> {
        let node = inputs.node;
        let rank = kernel.len();
        let axes = stream.shape.len();
        let is_row = is_row(stream, kernel);
        let fits = stream.onnx.len() == rank + 2 && (axes == rank + 1 || axes == 1 || is_row);
        if !fits || stream.channel_axis != 1 {
            return Err(format!(
                "its kernel {kernel:?} needs an input [N, C, …] of {rank} axes of positions, found \
                 {:?}",
                stream.onnx
            ));
        }
        let stride = sizes(node.ints("strides")?, rank, 1, "strides")?;
        let dilation = sizes(node.ints("dilations")?, rank, 1, "dilations")?;
        if stride.iter().chain(&dilation).chain(kernel).any(|n| *n == 0) {
            return Err("its kernel, strides and dilations must be at least 1".into());
        }
        let auto = node.string("auto_pad")?.unwrap_or_else(|| "NOTSET".into());
        let (mut before, mut after) = match auto.as_str() {
            "NOTSET" | "" => {
                let pads = sizes(node.ints("pads")?, 2 * rank, 0, "pads")?;
                let (before, after) = pads.split_at(rank);
                (before.to_vec(), after.to_vec())
            }
            "VALID" => (vec![0; rank], vec![0; rank]),
            "SAME_UPPER" | "SAME_LOWER" => {
                let total: Vec<usize> = (0..rank)
                    .map(|axis| {
                        let (size, stride) = (stream.onnx[axis + 2], stride[axis]);
                        let extent = extent(kernel[axis], dilation[axis]);
                        ((size.div_ceil(stride).max(1) - 1).saturating_mul(stride))
                            .saturating_add(extent)
                            .saturating_sub(size)
                    })
                    .collect();
                let less: Vec<usize> = total.iter().map(|total| total / 2).collect();
                let more = total.iter().zip(&less).map(|(total, less)| total - less).collect();
                if auto == "SAME_UPPER" { (less, more) } else { (more, less) }
            }
            other => return Err(format!("its auto_pad `{other}` is unknown")),
        };
        if !stream.pad.is_empty() {
            let own = before.iter().chain(&after).any(|pad| *pad > 0);
            if own && !zeros {
                return Err(
                    "it pads what a Pad has padded with zeros, by something else; pad once".into(),
                );
            }
            for (axis, [first, last]) in stream.pad.iter().enumerate() {
                before[axis] = before[axis].saturating_add(*first);
                after[axis] = after[axis].saturating_add(*last);
            }
        }
        let placed = Placed { stride, dilation, before, after };
        if is_row { placed.along_row() } else { Ok(placed) }
    }

    /// Gives the output of a window over a signal the row of one that its input has.
    pub(super) fn as_row(&mut self, node: &SourceNode) {
        if let Some(Edge::Stream(stream)) =
            node.outputs.first().and_then(|output| self.edges.get_mut(output.as_str()))
        {
            stream.onnx.insert(2, 1);
        }
    }

    pub(super) fn pool(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.any_stream(0)?;
        let named = node.ints("kernel_shape")?.ok_or("it has no kernel_shape")?;
        let kernel = sizes(Some(named), named.len(), 1, "kernel_shape")?;
        let is_max = node.operator == "MaxPool";
        if self.readers(node, 1) > 0 {
            return Err("its indices are read, which is not taken over".into());
        }
        if stream.shape.len() == 1 {
            return Err("it pools one position; leave it out of the export".into());
        }
        let counts_padding = node.is_on("count_include_pad")?;
        let mut placed = Self::window(inputs, stream, &kernel, !is_max && counts_padding)?;
        let row = is_row(stream, &kernel);
        let kernel = if row { kernel[1..].to_vec() } else { kernel };
        if placed.dilation.iter().any(|n| *n != 1) {
            return Err("a pooling with dilation is not taken over".into());
        }
        if is_max && !stream.pad.is_empty() && !stream.positive {
            return Err(
                "it takes maxima over a Pad's zeros of values that may be negative; pad in \
                        the pooling, or behind a Relu"
                    .into(),
            );
        }
        if node.is_on("ceil_mode")? {
            placed.round_up(&kernel, &stream.shape[1..], is_max)?;
        }
        // Averages of padding that a Pad made count it, whatever the pooling says of its own.
        let own_padding = placed.has_padding() && stream.pad.is_empty();
        if !is_max && own_padding && !counts_padding {
            return Err("it averages over what lies inside of the image alone \
                        (count_include_pad = 0); export the network with count_include_pad = 1 or \
                        without padding"
                .into());
        }
        let pool = if is_max { PoolKind::Max } else { PoolKind::Average };
        let window = Window { padding: placed.padding(), stride: placed.stride, kernel };
        let positive = stream.positive;
        let op = Op::Pool { pool, window };
        let became = self.push_plain(node, None, op, &[stream], positive)?;
        if row {
            self.as_row(node);
        }
        Ok(became)
    }

    pub(super) fn global_pool(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.stream(0)?;
        let rank = stream.onnx.len();
        let (pool, keeps) = match node.operator.as_str() {
            "GlobalAveragePool" => (PoolKind::Average, true),
            "GlobalMaxPool" => (PoolKind::Max, true),
            reduction => {
                let pool = match reduction {
                    "ReduceMean" => PoolKind::Average,
                    "ReduceMax" => PoolKind::Max,
                    _ => PoolKind::Sum,
                };
                let named = axes(node, inputs.constant(1)?)?;
                let named = named.ok_or("it names no axes; name those of the positions")?;
                let mut named =
                    named.iter().map(|a| position(*a, rank)).collect::<Outcome<Vec<_>>>()?;
                named.sort_unstable();
                if named != (2..rank).collect::<Vec<_>>() || named.is_empty() {
                    return Err(format!(
                        "only all positions together can be reduced, axes 2 to {} of {:?}, not \
                         {named:?}",
                        rank - 1,
                        stream.onnx
                    ));
                }
                (pool, node.int("keepdims")?.unwrap_or(1) != 0)
            }
        };
        let mut onnx = stream.onnx[..2].to_vec();
        if keeps {
            onnx.resize(rank, 1);
        }
        if stream.shape.len() == 1 {
            // One position is its own mean, sum and maximum.
            let stream = Stream { onnx, ..stream.clone() };
            return Ok(self.pass(node, stream, Became::Passed));
        }
        let positive = stream.positive;
        let op = Op::GlobalPool { pool };
        let label = op.label();
        let (name, shape) = self.push(node, None, op, &[stream])?;
        self.yields(node, &name, shape, onnx, positive);
        Ok(Became::Node { name, op: label })
    }
}

/// `true` of a window over two axes on a signal `[C, L]` that was given rows of one, of which the
/// window takes one.
pub(super) fn is_row(stream: &Stream, kernel: &[usize]) -> bool {
    stream.shape.len() == 2
        && stream.onnx.len() == 4
        && stream.onnx[2] == 1
        && kernel.first() == Some(&1)
}

fn extent(kernel: usize, dilation: usize) -> usize {
    (kernel - 1).saturating_mul(dilation).saturating_add(1)
}
