//! Layers without state.

use super::{Stream, Writer, full, pool_name, rounded};
use crate::error::{Error, Result};
use crate::op::{Conv, Op, Padding, Pool};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use snn_ir::{self as ir, Norm, PoolKind, Tensor, Window};

impl<'m> Writer<'m> {
    pub(super) fn linear(&mut self, name: &'m str, input: &'m str) -> Result<Stream> {
        let weight = self.weight(name, "weight")?;
        let bias = self.bias(name, weight.shape()[0])?;
        let op = Op::Affine { weight: rounded(&weight), bias: rounded(&bias) };
        self.push(name, input, op)
    }

    /// The bias of a layer, zeros where it has none.
    fn bias(&self, name: &str, outputs: usize) -> Result<ArrayD<f64>> {
        if self.model.weights().contains_key(&format!("{name}.bias")) {
            return self.weight(name, "bias");
        }
        Ok(ArrayD::zeros(IxDyn(&[outputs])))
    }

    pub(super) fn conv(
        &mut self,
        name: &'m str,
        input: &'m str,
        conv: &ir::Conv,
    ) -> Result<Stream> {
        let weight = self.weight(name, "weight")?;
        let bias = self.bias(name, weight.shape()[0])?;
        let op = self.convolution(name, self.shapes[input], conv, weight, &bias)?;
        self.push(name, input, op)
    }

    /// A convolution of these weights.
    fn convolution(
        &mut self,
        name: &str,
        input: &[usize],
        conv: &ir::Conv,
        weight: ArrayD<f64>,
        bias: &ArrayD<f64>,
    ) -> Result<Op> {
        let axes = conv.kernel.len();
        let (weight, padding) = lengthened(name, conv, weight)?;
        if weight.shape()[2..] != conv.kernel {
            self.note(name, "taps of zero stand for a padding that differs between sides");
        }
        if conv.groups > 1 || weight.shape()[2..].iter().any(|&size| size != weight.shape()[2]) {
            self.note(
                name,
                "Python's `nir.read` computes the shape of a convolution with groups, or of a \
                 kernel that is not square, wrongly: read the file with `type_check=False`",
            );
        }
        let fields = Conv {
            input_shape: Some(input[1..].to_vec()),
            weight: rounded(&weight),
            bias: rounded(bias),
            stride: conv.stride.clone(),
            padding: Padding::Zeros(padding),
            dilation: conv.dilation.clone(),
            groups: conv.groups,
        };
        Ok(if axes == 1 { Op::Conv1d(fields) } else { Op::Conv2d(fields) })
    }

    /// Folds a batch norm into the layer before it.
    pub(super) fn batch_norm(
        &mut self,
        name: &'m str,
        input: &'m str,
        norm: &Norm,
    ) -> Result<Stream> {
        let readers = self.model.graph().readers(input).count();
        let layer = self.stream(input)?.nodes;
        let foldable = readers == 1
            && matches!(
                self.model.graph().node(input).map(|node| &node.op),
                Some(ir::Op::Conv(_) | ir::Op::Linear { .. })
            );
        let ([layer], true) = (layer.as_slice(), foldable) else {
            return Err(Error::refused(
                name,
                "NIR has no batch norm, and this one does not stand behind a layer that it alone \
                 reads: convert the model to events, which folds it, and export that",
            ));
        };
        let mean = self.weight(name, "running_mean")?;
        let variance = self.weight(name, "running_var")?;
        let shift = self.weight(name, "bias")?;
        let factor = variance.mapv(|variance| 1.0 / (variance + norm.eps).sqrt());
        let factor = if norm.scale { factor * self.weight(name, "weight")? } else { factor };
        let mut weight = self.weight(input, "weight")?;
        let mut bias = self.bias(input, weight.shape()[0])?;
        for (mut row, factor) in weight.axis_iter_mut(Axis(0)).zip(&factor) {
            row.mapv_inplace(|value| value * factor);
        }
        for (channel, value) in bias.iter_mut().enumerate() {
            *value = (*value - mean[[channel]]) * factor[[channel]] + shift[[channel]];
        }
        let padded = match self.model.graph().node(input).map(|node| &node.op) {
            Some(ir::Op::Conv(conv)) => lengthened(input, conv, weight)?.0,
            _ => weight,
        };
        match self.graph.nodes.get_mut(layer).map(|node| &mut node.op) {
            Some(Op::Affine { weight, bias: old }) => {
                (*weight, *old) = (rounded(&padded), rounded(&bias));
            }
            Some(Op::Conv1d(conv) | Op::Conv2d(conv)) => {
                (conv.weight, conv.bias) = (rounded(&padded), rounded(&bias));
            }
            _ => return Err(Error::refused(name, "the layer before it was not written")),
        }
        self.note(name, format!("folded into `{layer}`, in f64, and rounded to f32"));
        Ok(Stream::of(layer))
    }

    pub(super) fn flatten(&mut self, name: &'m str, input: &'m str) -> Result<Stream> {
        let shape = self.shapes[input].to_vec();
        if shape.len() == 1 {
            return self.stream(input);
        }
        let op = Op::Flatten { input_shape: Some(shape), start_dim: 0, end_dim: -1 };
        self.push(name, input, op)
    }

    pub(super) fn pool(
        &mut self,
        name: &'m str,
        input: &'m str,
        kind: PoolKind,
        window: &Window,
    ) -> Result<Stream> {
        let geometry = window.as_2d();
        let pool = Pool {
            kernel_size: geometry.kernel,
            stride: geometry.stride,
            padding: geometry.padding,
        };
        if window.kernel.len() == 2 && !geometry.is_lopsided() {
            return self.pooled(name, input, kind, &pool);
        }
        // NIR's poolings have two axes and the same padding on both sides: a convolution that sums
        // each channel has any.
        let shape = self.shapes[input];
        let size = match kind {
            PoolKind::Average => window.size() as f64,
            PoolKind::Sum | PoolKind::Max => 1.0,
        };
        let conv = ir::Conv {
            channels: shape[0],
            kernel: window.kernel.clone(),
            stride: window.stride.clone(),
            padding: window.padding.clone(),
            dilation: vec![1; window.kernel.len()],
            groups: shape[0],
            bias: false,
        };
        let weight = [vec![shape[0], 1], window.kernel.clone()].concat();
        let weight = ArrayD::from_elem(IxDyn(&weight), 1.0 / size);
        let op =
            self.convolution(name, shape, &conv, weight, &ArrayD::zeros(IxDyn(&[shape[0]])))?;
        self.note(name, format!("its {} is a convolution of each channel", pool_name(kind)));
        if kind == PoolKind::Max {
            let output = self.shapes[name].to_vec();
            return self.any(name, input, &op, &output);
        }
        self.push(name, input, op)
    }

    fn pooled(
        &mut self,
        name: &'m str,
        input: &'m str,
        kind: PoolKind,
        pool: &Pool,
    ) -> Result<Stream> {
        let [height, width] = pool.kernel_size;
        if height != width {
            self.note(
                name,
                "Python's `nir.read` may compute the shape of a window that is not square \
                 wrongly: read the file with `type_check=False` then",
            );
        }
        match kind {
            PoolKind::Average => self.push(name, input, Op::AvgPool2d(pool.clone())),
            PoolKind::Sum => self.push(name, input, Op::SumPool2d(pool.clone())),
            PoolKind::Max => self.max_pool(name, input, pool),
        }
    }

    fn max_pool(&mut self, name: &'m str, input: &'m str, pool: &Pool) -> Result<Stream> {
        // The shape of the windows, which a global pooling has flattened.
        let shape = self.windows(input, pool);
        self.any(name, input, &Op::SumPool2d(pool.clone()), &shape)
    }

    /// The maximum of spikes is 1 where their sum is above ½, and that of levels the sum of the
    /// maxima of their thermometer's.
    fn any(
        &mut self,
        name: &'m str,
        input: &'m str,
        sum_of: &Op,
        shape: &[usize],
    ) -> Result<Stream> {
        let stream = self.stream(input)?;
        if !stream.thermometer {
            return Err(Error::refused(
                name,
                "NIR has no max pooling; that of spikes and of levels of one site is a sum pooling \
                 and a threshold, that of other values is not",
            ));
        }
        let several = stream.nodes.len() > 1;
        let mut nodes = Vec::new();
        for (plane, from) in stream.nodes.iter().enumerate() {
            let of = if several { format!("{name}.{}", plane + 1) } else { name.to_owned() };
            let sum = self.fresh(&format!("{of}.sum"));
            let any = if several { self.fresh(&of) } else { of };
            self.graph.push(sum.clone(), sum_of.clone());
            self.graph.connect(from, &sum);
            self.graph.push(any.clone(), Op::Threshold { threshold: full(shape, 0.5) });
            self.graph.connect(sum, &any);
            nodes.push(any);
        }
        self.note(name, "a sum and a threshold of ½: the same maximum of spikes");
        Ok(Stream { nodes, ..stream })
    }

    fn windows(&self, input: &str, pool: &Pool) -> Vec<usize> {
        let shape = self.shapes[input];
        let size = |axis: usize| {
            let padded = shape[axis + 1] + 2 * pool.padding[axis];
            (padded - pool.kernel_size[axis]) / pool.stride[axis] + 1
        };
        vec![shape[0], size(0), size(1)]
    }

    pub(super) fn global_pool(
        &mut self,
        name: &'m str,
        input: &'m str,
        kind: PoolKind,
    ) -> Result<Stream> {
        let [channels, height, width] = *self.shapes[input] else {
            return Err(Error::refused(
                name,
                format!("NIR has no {} pooling over one axis", pool_name(kind)),
            ));
        };
        let size = [height, width];
        let pool = Pool { kernel_size: size, stride: size, padding: [0; 2] };
        // The pooled image is flattened under the name of the node.
        let shape = Some(vec![channels, 1, 1]);
        let flat = |shape| Op::Flatten { input_shape: shape, start_dim: 0, end_dim: -1 };
        let stream = self.pooled(name, input, kind, &pool)?;
        let mut nodes = Vec::new();
        for node in &stream.nodes {
            let flattened = self.fresh(&format!("{node}.flatten"));
            self.graph.push(flattened.clone(), flat(shape.clone()));
            self.graph.connect(node, &flattened);
            nodes.push(flattened);
        }
        Ok(Stream { nodes, ..stream })
    }

    /// The sum of channels is a layer of weights 1.
    pub(super) fn channel_sum(
        &mut self,
        name: &'m str,
        input: &'m str,
        groups: usize,
    ) -> Result<Stream> {
        let shape = self.shapes[input].to_vec();
        let each = shape[0] / groups;
        let axes = shape.len() - 1;
        let mut weight =
            ArrayD::<f64>::zeros(IxDyn(&[vec![groups, shape[0]], vec![1; axes]].concat()));
        for (group, mut row) in weight.axis_iter_mut(Axis(0)).enumerate() {
            row.slice_axis_mut(Axis(0), Slice::from(group * each..(group + 1) * each)).fill(1.0);
        }
        let (weight, bias): (Tensor, _) = (rounded(&weight), full(&[groups], 0.0));
        if axes == 0 {
            return self.push(name, input, Op::Affine { weight, bias });
        }
        let conv = Conv {
            input_shape: Some(shape[1..].to_vec()),
            weight,
            bias,
            stride: vec![1; axes],
            padding: Padding::Zeros(vec![0; axes]),
            dilation: vec![1; axes],
            groups: 1,
        };
        self.push(name, input, if axes == 1 { Op::Conv1d(conv) } else { Op::Conv2d(conv) })
    }

    /// The product of spikes is 1 where their sum is above 1½.
    pub(super) fn mask(
        &mut self,
        name: &'m str,
        mask: &'m str,
        input: &'m str,
        inverted: bool,
    ) -> Result<Stream> {
        let (gate, stream) = (self.stream(mask)?, self.stream(input)?);
        let shape = self.shapes[input];
        let (true, [gate]) = (stream.thermometer, gate.nodes.as_slice()) else {
            return Err(Error::refused(
                name,
                "NIR has no product of two streams; that of spikes and levels of one site is a \
                 threshold of their sum, that of other values is not",
            ));
        };
        if self.shapes[mask] != shape {
            return Err(Error::refused(
                name,
                format!(
                    "its mask has the shape {:?} and what it masks {shape:?}; NIR has nothing that \
                     spreads values over channels or positions",
                    self.shapes[mask]
                ),
            ));
        }
        let mut gate = gate.clone();
        if inverted {
            let negated = self.fresh(&format!("{name}.negated"));
            self.graph.push(negated.clone(), Op::Scale { scale: full(shape, -1.0) });
            self.graph.connect(gate, &negated);
            gate = negated;
        }
        let edge = if inverted { 0.5 } else { 1.5 };
        let several = stream.nodes.len() > 1;
        let mut nodes = Vec::new();
        for (plane, from) in stream.nodes.iter().enumerate() {
            let of =
                if several { self.fresh(&format!("{name}.{}", plane + 1)) } else { name.into() };
            if *from == gate {
                return Err(Error::refused(name, "it masks a stream by itself: leave it out"));
            }
            self.graph.push(of.clone(), Op::Threshold { threshold: full(shape, edge) });
            self.graph.connect(from, &of);
            self.graph.connect(&gate, &of);
            nodes.push(of);
        }
        self.note(name, format!("a threshold of {edge} on the sum: the same product of spikes"));
        Ok(Stream { nodes, ..stream })
    }
}

/// A kernel with taps of zero, so that of two paddings of an axis the larger may stand on both
/// sides; and the paddings.
fn lengthened(
    name: &str,
    conv: &ir::Conv,
    mut weight: ArrayD<f64>,
) -> Result<(ArrayD<f64>, Vec<usize>)> {
    let axes = conv.kernel.len();
    let geometry = conv.as_2d();
    let (before, after) = (&geometry.padding[2 - axes..], &geometry.padding_after[2 - axes..]);
    let mut padding = Vec::new();
    for axis in 0..axes {
        let (before, after, dilation) = (before[axis], after[axis], conv.dilation[axis]);
        padding.push(before.max(after));
        let more = before.abs_diff(after);
        if !more.is_multiple_of(dilation) {
            return Err(Error::refused(
                name,
                format!(
                    "its padding is {before} before and {after} behind an axis; NIR has the same \
                     on both sides, and taps of zero make up for it only where the dilation \
                     {dilation} divides the difference"
                ),
            ));
        }
        let taps = more / dilation;
        if taps == 0 {
            continue;
        }
        let mut shape = weight.shape().to_vec();
        let old = shape[axis + 2];
        shape[axis + 2] += taps;
        let mut longer = ArrayD::zeros(IxDyn(&shape));
        // Taps in front where the padding grows there, else behind.
        let start = if before > after { 0 } else { taps };
        longer.slice_axis_mut(Axis(axis + 2), Slice::from(start..start + old)).assign(&weight);
        weight = longer;
    }
    Ok((weight, padding))
}
