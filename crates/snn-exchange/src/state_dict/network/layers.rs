//! A graph that grows layer by layer, each as its tensors say.

use super::super::names::Names;
use super::options::NetworkOptions;
use snn_ir::{Conv, GraphBuilder, Norm, Op, PoolKind, Site, Weights, Window};

/// A `ReLU`.
pub(super) fn site(net: &mut GraphBuilder, name: &str) {
    net.site_of(name, Site::RELU);
}

/// The tensors of a state dict, and what is known beside them.
pub(super) struct Layers<'s> {
    names: &'s Names<'s>,
    pub(super) options: &'s NetworkOptions,
    /// Weights that the layout fixes.
    pub(super) fixed: Weights,
}

impl<'s> Layers<'s> {
    pub(super) fn new(names: &'s Names<'s>, options: &'s NetworkOptions) -> Self {
        Self { names, options, fixed: Weights::new() }
    }

    /// The shape of a tensor.
    pub(super) fn shape(&self, name: &str) -> Option<&'s [usize]> {
        self.names.shape(name)
    }

    /// Names of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &'s str> {
        self.names.tensors.iter().map(|tensor| tensor.name)
    }

    /// `true` if a layer of this name has a weight of so many axes.
    pub(super) fn has(&self, layer: &str, axes: usize) -> bool {
        self.shape(&format!("{layer}.weight")).is_some_and(|shape| shape.len() == axes)
    }

    /// `true` if a layer of this name is a batch norm.
    pub(super) fn has_norm(&self, layer: &str) -> bool {
        self.shape(&format!("{layer}.running_mean")).is_some()
    }

    /// The axes of a convolution's weight: outputs, inputs of a group, height, width.
    pub(super) fn conv_shape(&self, name: &str) -> Result<[usize; 4], String> {
        let shape = self.shape(&format!("{name}.weight"));
        match shape {
            Some(&[outputs, inputs, height, width])
                if shape.is_some_and(|all| !all.contains(&0)) =>
            {
                Ok([outputs, inputs, height, width])
            }
            _ => Err(format!(
                "`{name}.weight`: expected the four axes of a convolution, found {}",
                found(shape)
            )),
        }
    }

    /// A convolution that keeps the size but for its stride; its groups are those that its inputs
    /// need.
    pub(super) fn conv(
        &self,
        net: &mut GraphBuilder,
        name: &str,
        stride: usize,
    ) -> Result<(), String> {
        let [outputs, inputs, height, width] = self.conv_shape(name)?;
        let channels = net.shape().map_or(inputs, |shape| shape[0]);
        if !channels.is_multiple_of(inputs) {
            return Err(format!(
                "`{name}.weight`: expected {channels} input channels or a part of them, found \
                 {inputs}"
            ));
        }
        net.conv(
            name,
            Conv {
                channels: outputs,
                kernel: vec![height, width],
                stride: vec![stride; 2],
                padding: vec![height / 2, width / 2],
                dilation: vec![1; 2],
                groups: channels / inputs,
                bias: self.shape(&format!("{name}.bias")).is_some(),
            },
        );
        Ok(())
    }

    /// A batch norm, with the scale that it has.
    pub(super) fn norm(&self, net: &mut GraphBuilder, name: &str) -> Result<(), String> {
        if !self.has_norm(name) {
            return Err(format!("expected a batch norm `{name}`, found none"));
        }
        let scale = self.shape(&format!("{name}.weight")).is_some();
        net.norm_of(name, Norm { eps: self.options.eps, scale, ..Norm::default() });
        Ok(())
    }

    /// A convolution and its batch norm.
    pub(super) fn conv_norm(
        &self,
        net: &mut GraphBuilder,
        conv: &str,
        norm: &str,
        stride: usize,
    ) -> Result<(), String> {
        self.conv(net, conv, stride)?;
        self.norm(net, norm)
    }

    /// A linear layer on a vector.
    pub(super) fn linear(&self, net: &mut GraphBuilder, name: &str) -> Result<(), String> {
        let shape = self.shape(&format!("{name}.weight"));
        let (Some(&[outputs, inputs]), Some(&[features])) = (shape, net.shape()) else {
            return Err(format!(
                "`{name}.weight`: expected the two axes of a linear layer, found {}",
                found(shape)
            ));
        };
        if inputs != features {
            return Err(format!(
                "`{name}.weight`: expected {features} inputs, as what it reads has, found {inputs}"
            ));
        }
        let bias = self.shape(&format!("{name}.bias")).is_some();
        net.op(name, Op::Linear { features: outputs, bias });
        Ok(())
    }
}

/// A max pooling of overlapping windows, 3×3 of stride 2.
pub(super) fn stem_pool(net: &mut GraphBuilder, name: &str) {
    let window = Window { kernel: vec![3; 2], stride: vec![2; 2], padding: vec![1; 2] };
    net.op(name, Op::Pool { pool: PoolKind::Max, window });
}

/// A shape, or that there is none.
pub(super) fn found(shape: Option<&[usize]>) -> String {
    shape.map_or_else(|| "none".into(), |shape| format!("{shape:?}"))
}

/// The graph of a builder, or what does not fit in words.
pub(super) fn graph(net: &mut GraphBuilder) -> Result<snn_ir::Graph, String> {
    net.build().map_err(|error| error.to_string())
}
