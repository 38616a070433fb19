//! What changes shapes alone: flattening in its many spellings, transpositions of the image, pads.

use super::super::fold::{axes, permutation, position, reshaped, squeezed};
use super::{Edge, Importer, Inputs, Outcome, Stream};
use crate::onnx::file::SourceNode;
use crate::onnx::report::Became;
use snn_ir::Op;

impl<'s> Importer<'s> {
    pub(super) fn reshape(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.stream(0)?;
        let from = &stream.onnx;
        let to = match node.operator.as_str() {
            "Flatten" => {
                let axis = position(node.int("axis")?.unwrap_or(1), from.len() + 1)?;
                vec![from[..axis].iter().product(), from[axis..].iter().product()]
            }
            "Reshape" => {
                let shape = match inputs.constant(1)? {
                    Some(shape) => shape.integers()?,
                    None => node.ints("shape")?.ok_or("it has no shape")?.to_vec(),
                };
                reshaped(from, &shape, node.is_on("allowzero")?)?
            }
            operator => {
                let axes = axes(node, inputs.constant(1)?)?;
                squeezed(operator, from, axes.as_deref())?
            }
        };
        if to.first() != Some(&self.batch) {
            return Err(format!("it makes {to:?} of {from:?}, which mixes the samples of a batch"));
        }
        self.give_shape(inputs, stream.clone(), to)
    }

    /// A stream in another shape: a flattening, or axes of size 1 more or less.
    fn give_shape(
        &mut self,
        inputs: &Inputs<'s>,
        mut stream: Stream,
        to: Vec<usize>,
    ) -> Outcome<Became> {
        let node = inputs.node;
        let vector = stream.shape.len() == 1;
        let features: usize = stream.shape.iter().product();
        let long = |shape: &[usize]| -> Vec<usize> {
            shape[1..].iter().copied().filter(|size| *size != 1).collect()
        };
        let is_flat = to.len() == 2 || long(&to) == [features] && to.get(1) == Some(&features);
        if is_flat && !vector && to.get(1) == Some(&features) {
            let (name, shape) = self.push(node, None, Op::Flatten, &[&stream])?;
            self.yields(node, &name, shape, to, stream.positive);
            return Ok(Became::Node { name, op: Op::Flatten.label() });
        }
        let kept = long(&to) == long(&stream.onnx) && to.get(1) == Some(&stream.shape[0]);
        if !kept {
            return Err(format!(
                "it makes {to:?} of {:?}; only a flattening to [N, F] before a linear layer is \
                 taken over, and axes of size 1 more or less",
                stream.onnx
            ));
        }
        stream.onnx = to;
        Ok(self.pass(node, stream, Became::Passed))
    }

    /// Gives the output of a linear layer as many axes of size 1 as a convolution would have.
    pub(super) fn with_positions(
        &mut self,
        node: &'s SourceNode,
        axes: usize,
        became: Became,
    ) -> Became {
        if let Some(Edge::Stream(stream)) =
            node.outputs.first().and_then(|output| self.edges.get_mut(output.as_str()))
        {
            stream.onnx.extend(std::iter::repeat_n(1, axes));
        }
        became
    }

    pub(super) fn transpose(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let mut stream = inputs.any_stream(0)?.clone();
        let axes = permutation(node, stream.onnx.len())?;
        if !stream.pad.is_empty() || axes.first() != Some(&0) {
            return Err("only axes of the image itself can be transposed, behind the batch".into());
        }
        let to: Vec<usize> = axes.iter().map(|axis| stream.onnx[*axis]).collect();
        if stream.channel_axis != 1 {
            // Found where the image was: channels come last, and first from here on.
            stream.channel_axis = 1;
            stream.onnx = to;
            return Ok(self.pass(node, stream, Became::Preprocessing));
        }
        // Axes of size 1 may go anywhere.
        let long = |axis: &&usize| stream.onnx[**axis] != 1 && **axis != 0;
        let moved: Vec<&usize> = axes.iter().filter(long).collect();
        if !moved.is_sorted() {
            return Err(format!(
                "it exchanges the axes {axes:?} of {:?}; only an image [N, H, W, C] can be \
                 transposed; export the network with channels first",
                stream.onnx
            ));
        }
        self.give_shape(inputs, stream, to)
    }

    pub(super) fn pad(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let mut stream = inputs.any_stream(0)?.clone();
        if stream.channel_axis != 1 {
            return Err(
                "it reads an image whose channels come last; transpose the image first".into()
            );
        }
        let rank = stream.onnx.len();
        let mode = node.string("mode")?.unwrap_or_else(|| "constant".into());
        let value = match inputs.constant(2)? {
            Some(value) => value.only().ok_or("its value must be one number")?,
            None => node.float("value")?.unwrap_or(0.0),
        };
        let pads = if let Some(pads) = inputs.constant(1)? {
            pads.integers()?
        } else {
            let named = if node.has("pads") { "pads" } else { "paddings" };
            node.ints(named)?.ok_or("it has no pads")?.to_vec()
        };
        let axes = match inputs.constant(3)? {
            Some(axes) => {
                axes.integers()?.iter().map(|a| position(*a, rank)).collect::<Outcome<_>>()?
            }
            None => (0..rank).collect::<Vec<_>>(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(format!("it has {} pads for {} axes", pads.len(), axes.len()));
        }
        let mut sides = vec![[0_usize; 2]; rank];
        for (i, &axis) in axes.iter().enumerate() {
            let side = |pad: i64| usize::try_from(pad).map_err(|_| "it cuts off (negative pads)");
            sides[axis] = [side(pads[i])?, side(pads[axes.len() + i])?];
        }
        if sides.iter().flatten().all(|pad| *pad == 0) {
            return Ok(self.pass(node, stream, Became::Passed));
        }
        if mode != "constant" || value != 0.0 {
            return Err(format!("only padding with zeros is taken over, not {mode} of {value}"));
        }
        if sides[..2].iter().flatten().any(|pad| *pad != 0) || stream.shape.len() == 1 {
            return Err("only positions can be padded, not the batch or channels".into());
        }
        let before = if stream.pad.is_empty() { vec![[0; 2]; rank - 2] } else { stream.pad };
        let limit = snn_ir::MAX_VALUES;
        stream.pad = before
            .iter()
            .zip(&sides[2..])
            .map(|(a, b)| [a[0].saturating_add(b[0]), a[1].saturating_add(b[1])])
            .collect();
        if stream.pad.iter().flatten().any(|pad| *pad > limit) {
            return Err(format!("it pads by more than {limit}"));
        }
        for (size, [before, after]) in stream.onnx.iter_mut().zip(&sides) {
            *size += before + after;
        }
        let name = "the node that reads it".to_string();
        Ok(self.pass(node, stream, Became::PartOf(name)))
    }
}
