//! First weights that are computed from the training data: the whitening convolution.

use crate::error::Result;
use crate::evaluate::input;
use snn_core::{Pixels, arrays};
use snn_data::{LoaderConfig, Source};
use snn_ir::{Conv, InitialWeights, Model, Op, Preprocessing, Tensor, WHITENING_EPS, chw};
use std::sync::Arc;
use tch::{Device, Kind, Tensor as Torch};

/// Training images whose patches are whitened (Jordan 2024); all of them where there are fewer.
pub(crate) const IMAGES: usize = 5_000;
/// Images that are measured at a time.
const BATCH: usize = 100;

/// `true` if a convolution of a model begins with [`InitialWeights::Whitening`].
pub(crate) fn is_needed(model: &Model) -> bool {
    model.graph().nodes.iter().any(|node| node.initial == Some(InitialWeights::Whitening))
}

/// Gives the convolutions of a model that ask for it their whitening weights, and returns a line
/// about each.
///
/// The filters are `±e_i/√(λ_i + ε)`, ε = 5·10⁻⁴, of the eigenvectors `e_i` and eigenvalues `λ_i`
/// (largest first) of `Σ p pᵀ / n` over all patches `p` of the kernel's size in the preprocessed
/// images, computed in f64. The sign of `e_i` is that with which its largest entry is positive.
/// `source` holds the training samples as the network sees them in evaluation; they are taken in
/// the order of epoch 0 of a loader with `seed`, so that they do not depend on the order of
/// classes.
pub(crate) fn whiten(
    model: &mut Model,
    source: &Arc<dyn Source>,
    seed: u64,
) -> Result<Vec<String>> {
    let convolutions: Vec<(String, Conv)> = { model.graph().nodes.iter() }
        .filter(|node| node.initial == Some(InitialWeights::Whitening))
        .filter_map(|node| match &node.op {
            Op::Conv(conv) => Some((node.name.clone(), conv.clone())),
            _ => None,
        })
        .collect();
    let mut told = Vec::new();
    for (name, conv) in convolutions {
        let images = source.len().min(IMAGES);
        let moments = second_moments(source, model.preprocessing(), &conv, images, seed)?;
        let (values, vectors) = moments.f_linalg_eigh("U")?;
        // Largest first; whose sign libtorch leaves open.
        let (values, vectors) = (values.f_flip([0])?, vectors.f_transpose(0, 1)?.f_flip([0])?);
        let largest = vectors.f_abs()?.f_argmax(1, true)?;
        let vectors = vectors.f_mul(&vectors.f_gather(1, &largest, false)?.f_sign()?)?;
        let deviations = values.f_clamp_min(0.0)?.f_add_scalar(WHITENING_EPS)?.f_sqrt()?;
        let filters = vectors.f_div(&deviations.f_unsqueeze(1)?)?;
        let filters = Torch::f_cat(&[&filters, &filters.f_neg()?], 0)?;
        let weight = format!("{name}.weight");
        let shape = model.weights().get(&weight).map(|weight| weight.shape().to_vec());
        let filters = arrays::array::<f32>(&filters)?;
        let filters = filters
            .into_shape_with_order(shape.unwrap_or_default())
            .map_err(|error| snn_ir::Error::Graph(format!("`{weight}`: {error}")))?;
        let values = arrays::array::<f64>(&values)?;
        let (most, least) = (values.first().copied(), values.last().copied());
        told.push(format!(
            "`{weight}` whitens patches of {images} training images, eigenvalues {:.4e} to {:.4e}",
            most.unwrap_or_default(),
            least.unwrap_or_default()
        ));
        model.weights_mut().insert(weight, Tensor::F32(filters));
    }
    Ok(told)
}

/// `Σ p pᵀ / n` over the patches of the first images, `[fan_in, fan_in]`.
fn second_moments(
    source: &Arc<dyn Source>,
    preprocessing: &Preprocessing,
    conv: &Conv,
    images: usize,
    seed: u64,
) -> Result<Torch> {
    let loader =
        LoaderConfig { batch_size: BATCH.min(images), seed, threads: 0, ..LoaderConfig::default() }
            .init_source(Arc::clone(source), None)?;
    let constant = |values: &[f64]| Torch::f_from_slice(values)?.f_view([1, -1, 1, 1]);
    let mean: Vec<f64> = preprocessing.mean.iter().map(|&mean| f64::from(mean)).collect();
    let (mean, deviation) = (constant(&mean)?, constant(&preprocessing.std)?);
    let kernel = conv.as_2d().kernel.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let (mut sum, mut patches, mut left) = (None::<Torch>, 0, images);
    for batch in loader.epoch(0)? {
        if left == 0 {
            break;
        }
        let batch = batch?;
        let pixels = Pixels::new(&input(&batch.samples), Device::Cpu)?;
        let leading = if pixels.varies() { 2 } else { 1 };
        let size = pixels.tensor().size();
        let taken = batch.len().min(left);
        left -= taken;
        let pixels = pixels.tensor().f_narrow(leading - 1, 0, i64::try_from(taken).unwrap_or(0))?;
        let shape: Vec<usize> = { size.iter().skip(usize::try_from(leading).unwrap_or(1)) }
            .map(|&size| usize::try_from(size).unwrap_or(0))
            .collect();
        let [channels, height, width] = chw(&shape).map(|size| i64::try_from(size).unwrap_or(0));
        let images = pixels.f_reshape([-1, channels, height, width])?.f_to_kind(Kind::Double)?;
        let images = images.f_sub(&mean)?.f_div(&deviation)?;
        let columns = images.f_im2col(kernel, [1, 1], [0, 0], [1, 1])?;
        patches += columns.size()[0] * columns.size()[2];
        let columns = columns.f_transpose(0, 1)?.f_flatten(1, -1)?;
        let product = columns.f_matmul(&columns.f_transpose(0, 1)?)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&product)?,
            None => product,
        });
    }
    let fan_in = i64::try_from(preprocessing.mean.len()).unwrap_or(0) * kernel[0] * kernel[1];
    let sum = match sum {
        Some(sum) => sum,
        None => Torch::f_zeros([fan_in, fan_in], (Kind::Double, Device::Cpu))?,
    };
    #[expect(clippy::cast_precision_loss, reason = "a count of patches")]
    let count = patches.max(1) as f64;
    Ok(sum.f_div_scalar(count)?)
}
