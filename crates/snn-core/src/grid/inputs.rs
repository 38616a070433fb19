//! Moments of what the layers of a network on the grid read.

use crate::error::{Error, Result};
use crate::grid::{GridInterpreter, WeightUse};
use crate::network::stateless::padded;
use crate::network::value::Value;
use crate::observe::observer::{Emission, Observer, Requested};
use crate::tensor::{Pixels, array, int, ints};
use ndarray::{Array1, Array2};
use snn_ir::{F32_EXACT, Geometry, Graph, InputMoments, LayerInputs, Model, Op};
use tch::{Device, Kind, Tensor};

/// Moments of the inputs of every convolution and linear layer of a network on the grid over these
/// samples, by which its weights can be rounded anew (`docs/semantics.md`, eq. G6).
///
/// Sums are exact integers up to 2⁵³, so that they do not depend on the order of the samples. They
/// take `8·K²` bytes for each group of K inputs: 42 MB for a 3×3 convolution of 256 channels.
///
/// # Errors
/// A sample could not be read, the model is not valid or not on the grid, samples do not fit it,
/// or libtorch fails.
pub fn layer_inputs<E: From<Error>>(
    model: &Model,
    device: Device,
    samples: impl IntoIterator<Item = std::result::Result<Pixels, E>>,
) -> std::result::Result<LayerInputs, E> {
    let grid = GridInterpreter::new(model, device, WeightUse::Inference)?;
    let mut moments = Moments { graph: &grid.graph, layers: LayerInputs::new() };
    for pixels in samples {
        let pixels = pixels?;
        let _scores = tch::no_grad(|| grid.run(&pixels, Some(&mut moments), &|_| None))?;
    }
    Ok(moments.layers)
}

/// Adds up what layers read.
struct Moments<'g> {
    graph: &'g Graph,
    layers: LayerInputs,
}

impl Observer for Moments<'_> {
    fn requested(&self) -> Requested {
        Requested::default()
    }

    fn site(&mut self, _: Emission<'_>) -> Result<()> {
        Ok(())
    }

    fn layer(&mut self, index: usize, input: &Value) -> Result<()> {
        let input = &input.data;
        let node = &self.graph.nodes[index];
        // `[N, groups·K, positions]`.
        let (columns, groups) = match &node.op {
            Op::Conv(conv) => {
                let geometry = conv.as_2d();
                let (x, padding) = padded(input, geometry, 0.0)?;
                let Geometry { kernel, stride, dilation, .. } = geometry;
                let columns =
                    x.f_im2col(ints(kernel), ints(dilation), ints(padding), ints(stride))?;
                (columns, conv.groups)
            }
            _ => (input.f_unsqueeze(-1)?, 1),
        };
        let inputs = usize::try_from(columns.size()[1]).unwrap_or(0) / groups.max(1);
        let known = self
            .layers
            .entry(node.name.clone())
            .or_insert_with(|| vec![InputMoments::new(inputs); groups]);
        for (group, moments) in known.iter_mut().enumerate() {
            let own = columns.f_narrow(1, int(group * inputs), int(inputs))?;
            add(moments, &own)?;
        }
        Ok(())
    }
}

/// Adds positions `[N, K, L]`.
fn add(moments: &mut InputMoments, columns: &Tensor) -> Result<()> {
    let size = columns.size();
    let (samples, positions) = (size[0] as f64, size[2] as f64);
    let largest = columns.f_abs()?.f_max()?.f_double_value(&[])?;
    // Single precision only where every sum of products is exact in it.
    let is_small = samples * positions * largest * largest < F32_EXACT;
    let on_cpu = columns.device() == Device::Cpu;
    let kind = if is_small && on_cpu { Kind::Float } else { Kind::Double };
    let rows = columns.f_transpose(0, 1)?.f_reshape([size[1], -1])?.f_to_kind(kind)?;
    let products = rows.f_matmul(&rows.f_transpose(0, 1)?)?.f_to_kind(Kind::Double)?;
    let sums = rows.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)?;
    let misfit = |error: ndarray::ShapeError| Error::Torch(error.to_string());
    let sums: Array1<f64> = array(&sums)?.into_dimensionality().map_err(misfit)?;
    let products: Array2<f64> = array(&products)?.into_dimensionality().map_err(misfit)?;
    moments.count += samples * positions;
    moments.sums += &sums;
    moments.products += &products;
    Ok(())
}
