//! A site over all macro-steps: forward, backward, and through the batch norms before it.

use super::block_neuron::{BlockNeuron, Kept};
use super::lanes::{BLOCKS, Channels, LANES, Lanes, Sums, block_of, sum_in_groups};
use super::memory::{Parts, channels_last, empty, values};
use super::store::Store;
use super::terms::{LoadedTerm, Norm, Term, at, current};
use crate::autograd::{self, parallel};
use crate::error::{Error, Result};
use crate::neuron::real::Real;
use crate::tensor::int;
use snn_simd::{Available, Kernel, prefetch};
use std::ops::Range;
use tch::Tensor;

/// Axes of a site's input.
#[derive(Debug, Clone, Copy)]
struct Shape {
    channels: usize,
    /// Number of neurons of one macro-step.
    neurons: usize,
    time_steps: usize,
}

impl Shape {
    fn blocks(&self) -> usize {
        self.neurons.div_ceil(LANES)
    }
}

/// The output of `neuron` in `time_steps` macro-steps for the sum of `terms`, computed with
/// `instructions`, with gradients for them, for their batch norms and for the neuron's parameters:
/// as many tensors of the same memory as there will be `readers`, at least one. Each has a gradient
/// of its own, and the backward pass reads them all at once; of one tensor with several readers
/// libtorch would make the sum first, in memory.
///
/// # Errors
/// Shapes differ, or libtorch cannot allocate.
pub(super) fn run<S: Store, N: BlockNeuron<S::Real>>(
    instructions: Available,
    name: &str,
    neuron: N,
    parameters: &[Option<&Tensor>],
    terms: &[Term<'_>],
    (time_steps, readers): (usize, usize),
) -> Result<Vec<Tensor>> {
    let mut size = shape_of(terms, time_steps)?;
    let channels = usize::try_from(size[1]).unwrap_or_default();
    let numel: i64 = size.iter().product();
    let shape = Shape { channels, neurons: usize::try_from(numel).unwrap_or_default(), time_steps };
    size[0] *= int(time_steps);
    let mut out = empty(&size, terms[0].data)?;
    let data = terms.iter().map(|term| tch::no_grad(|| channels_last(&term.data.f_detach()?)));
    let data: Vec<Tensor> = data.collect::<Result<_>>()?;
    let norms = terms
        .iter()
        .map(|term| term.norm.as_ref().map(|norm| Norm::new(norm, channels)).transpose());
    let norms: Vec<Option<Norm<S::Real>>> = norms.collect::<Result<_>>()?;
    let steps: Vec<usize> = terms.iter().map(|term| term.steps).collect();
    let blocks = shape.blocks();
    let read = sources::<S>(&data, &steps, &norms)?;
    let written = Parts::new(&mut out)?;
    parallel(blocks, BLOCKS, |blocks| {
        instructions.run(ForwardKernel {
            neuron: &neuron,
            terms: &read,
            shape,
            out: &written,
            blocks,
        });
    });

    let mut inputs: Vec<&Tensor> = terms.iter().map(|term| term.data).collect();
    inputs.extend(
        terms
            .iter()
            .filter_map(|term| term.norm)
            .flat_map(|norm| norm.weight.into_iter().chain([norm.bias])),
    );
    inputs.extend(parameters.iter().flatten());
    let shapes: Vec<Option<Vec<i64>>> =
        parameters.iter().map(|parameter| parameter.map(Tensor::size)).collect();
    let kinds = inputs[terms.len()..]
        .iter()
        .map(|input| Ok(input.f_kind()?))
        .collect::<Result<Vec<_>>>()?;
    let count = inputs.len();
    let saved: Vec<&Tensor> = data.iter().collect();
    // Of the same memory, but each with a version of its own: nothing writes to what a site emits.
    let outputs = (1..readers).map(|_| out.f_data());
    let mut outputs = outputs.collect::<std::result::Result<Vec<_>, _>>()?;
    // The gradient of the last reader comes first.
    outputs.insert(0, out);
    let read: Vec<&Tensor> = outputs.iter().collect();
    autograd::record(name, &inputs, &read, &saved, move |backward| {
        let by_readers = backward.gradients.iter().flatten().map(channels_last);
        let by_readers = by_readers.collect::<Result<Vec<_>>>()?;
        if by_readers.is_empty() {
            return Ok((0..count).map(|_| None).collect());
        }
        let sources = sources::<S>(&backward.saved, &steps, &norms)?;
        let (by_terms, sums) =
            gradients(instructions, &neuron, &sources, &backward.saved, shape, &by_readers)?;
        let mut results: Vec<Option<Tensor>> = by_terms.into_iter().map(Some).collect();
        let mut kinds = kinds.iter();
        let mut vector = |values: &[f64], shape: &[i64]| -> Result<Option<Tensor>> {
            let kind = *kinds.next().ok_or_else(|| Error::Torch("one gradient too many".into()))?;
            Ok(Some(Tensor::f_from_slice(values)?.f_to_kind(kind)?.f_view(shape)?))
        };
        for (norm, [by_weight, by_bias]) in norms.iter().flatten().zip(&sums.norms) {
            let shape = [int(norm.factors.len())];
            if norm.scaled {
                results.push(vector(by_weight, &shape)?);
            }
            results.push(vector(by_bias, &shape)?);
        }
        for (shape, values) in shapes.iter().zip(&neuron.gradients(&sums.parameters)) {
            if let Some(shape) = shape {
                results.push(vector(values, shape)?);
            }
        }
        Ok(results)
    })?;
    Ok(outputs)
}

/// Checks the terms against each other; the shape of one macro-step.
fn shape_of(terms: &[Term<'_>], time_steps: usize) -> Result<Vec<i64>> {
    let mut common: Option<Vec<i64>> = None;
    for term in terms {
        let mut size = term.data.size();
        let steps = int(term.steps);
        let whole = size.len() >= 2
            && steps > 0
            && (term.steps == 1 || term.steps == time_steps)
            && size[0] % steps == 0;
        if !whole {
            let expected = format!("[{time_steps}·B, …] or [B, …]");
            return Err(Error::Shape { what: "currents", expected, found: size });
        }
        size[0] /= steps;
        match &common {
            Some(common) if *common != size => {
                let expected = format!("{common:?} a macro-step, as the first term");
                return Err(Error::Shape { what: "term of a sum", expected, found: size });
            }
            _ => common = Some(size),
        }
    }
    common.ok_or_else(|| Error::Torch("a sum of nothing".into()))
}

fn sources<'s, S: Store>(
    data: &'s [Tensor],
    steps: &[usize],
    norms: &'s [Option<Norm<S::Real>>],
) -> Result<Vec<LoadedTerm<'s, S>>> {
    if data.len() != steps.len() {
        return Err(Error::Torch(format!(
            "{} saved tensors for {} terms",
            data.len(),
            steps.len()
        )));
    }
    let source = |((data, &steps), norm): ((&'s Tensor, &usize), &'s Option<Norm<S::Real>>)| {
        Ok(LoadedTerm { data: values(data)?, steps, norm: norm.as_ref() })
    };
    data.iter().zip(steps).zip(norms).map(source).collect()
}

struct ForwardKernel<'k, N, S: Store> {
    neuron: &'k N,
    terms: &'k [LoadedTerm<'k, S>],
    shape: Shape,
    out: &'k Parts<'k, S>,
    blocks: Range<usize>,
}

impl<S: Store, N: BlockNeuron<S::Real>> Kernel for ForwardKernel<'_, N, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { neuron, terms, shape: Shape { channels, neurons, time_steps }, out, blocks } =
            self;
        let zero = [S::Real::ZERO; LANES];
        let (mut room, mut kept, mut emitted) = ([zero; 2], zero, zero);
        for block in blocks {
            let next = block_of(block + 1, neurons);
            let block = block_of(block, neurons);
            let channel = block.start % channels;
            for term in terms {
                term.prefetch(&next, neurons);
            }
            let mut state = neuron.first(channel);
            for t in 0..time_steps {
                let current = current(terms, &block, channel, t, neurons, &mut room);
                neuron.step(channel, current, &mut state, &mut kept, &mut emitted);
                // SAFETY: each block of each macro-step is written by one thread, here.
                S::store(&emitted, unsafe { out.part(at(&block, t, time_steps, neurons)) });
            }
        }
    }
}

/// Gradients that are sums over the neurons of a layer.
struct Summed {
    parameters: Vec<Vec<f64>>,
    /// For weight and bias of each batch norm.
    norms: Vec<[Vec<f64>; 2]>,
}

/// Gradients for the terms' data, and those for parameters.
fn gradients<S: Store, N: BlockNeuron<S::Real>>(
    instructions: Available,
    neuron: &N,
    terms: &[LoadedTerm<'_, S>],
    data: &[Tensor],
    shape: Shape,
    by_readers: &[Tensor],
) -> Result<(Vec<Tensor>, Summed)> {
    // The gradient for the sum of the terms, and its sum over time for those that do not vary.
    let varies = |term: &LoadedTerm<'_, S>| term.steps == shape.time_steps;
    let like = |wanted: bool| {
        let term = terms.iter().position(|term| varies(term) == wanted);
        term.map(|term| empty(&data[term].size(), &data[term])).transpose()
    };
    let (mut by_sum, mut by_static) = (like(true)?, like(false)?);
    let mut counts = neuron.parameters();
    let parameters = counts.len();
    counts.extend(terms.iter().filter_map(|term| term.norm).flat_map(|_| [shape.channels; 2]));
    let mut sums = {
        let by_sum = by_sum.as_mut().map(Parts::new).transpose()?;
        let by_static = by_static.as_mut().map(Parts::new).transpose()?;
        let by_readers = by_readers.iter().map(values).collect::<Result<Vec<_>>>()?;
        sum_in_groups(shape.blocks(), &counts, |blocks, sums| {
            let (by_sum, by_static) = (by_sum.as_ref(), by_static.as_ref());
            instructions.run(BackwardKernel {
                neuron,
                terms,
                first_norm: parameters,
                shape,
                by_readers: &by_readers,
                by_sum,
                by_static,
                blocks,
                sums,
            });
        })
    };
    let mut norm_sums = sums.split_off(parameters).into_iter();
    let mut norm_sums = std::iter::from_fn(|| Some([norm_sums.next()?, norm_sums.next()?]));

    let (mut results, mut norms) = (Vec::new(), Vec::new());
    for (position, (term, data)) in terms.iter().zip(data).enumerate() {
        let gradient = if varies(term) { &by_sum } else { &by_static };
        let gradient =
            gradient.as_ref().ok_or_else(|| Error::Torch("a term without gradient".into()))?;
        let Some(norm) = term.norm else {
            results.push(gradient.shallow_clone());
            continue;
        };
        let [by_bias, by_distance] =
            norm_sums.next().ok_or_else(|| Error::Torch("a batch norm without sums".into()))?;
        // The last reader of a gradient writes over it, unless a term takes it as it is.
        let others = || terms.iter().enumerate().filter(|(_, other)| varies(other) == varies(term));
        let shared = others().any(|(other, source)| other > position || source.norm.is_none());
        let mut out = if shared { empty(&data.size(), data)? } else { gradient.shallow_clone() };
        let from = if shared { Some(values::<S>(gradient)?) } else { None };
        let [all_by_bias, all_by_distance] =
            norm.over_all([by_bias.clone(), by_distance.clone()])?;
        through_norm(
            instructions,
            norm,
            term.data,
            from,
            &Parts::new(&mut out)?,
            [&all_by_bias, &all_by_distance],
        );
        results.push(out);
        let by_weight = by_distance
            .iter()
            .zip(&norm.inverse_deviations)
            .map(|(sum, inverse)| sum * inverse)
            .collect();
        norms.push([by_weight, by_bias]);
    }
    Ok((results, Summed { parameters: sums, norms }))
}

struct BackwardKernel<'k, N, S: Store> {
    neuron: &'k N,
    terms: &'k [LoadedTerm<'k, S>],
    /// Position of the first sum for a norm.
    first_norm: usize,
    shape: Shape,
    /// For what was emitted, by each reader of it.
    by_readers: &'k [&'k [S]],
    /// For the sum of the terms.
    by_sum: Option<&'k Parts<'k, S>>,
    /// The gradient's sum over time.
    by_static: Option<&'k Parts<'k, S>>,
    blocks: Range<usize>,
    sums: &'k mut Sums,
}

impl<S: Store, N: BlockNeuron<S::Real>> Kernel for BackwardKernel<'_, N, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { neuron, terms, first_norm, shape, by_readers, by_sum, by_static, blocks, sums } =
            self;
        let Shape { channels, neurons, time_steps } = shape;
        let zero = [S::Real::ZERO; LANES];
        let mut kept = vec![Kept { kept: zero, emitted: zero }; time_steps];
        let mut room = [zero; 2];
        let normed = terms.iter().filter_map(|term| Some((term, term.norm?)));
        // For each norm: the gradient, and the gradient times the distance from the mean.
        let mut norm_sums = vec![[zero; 2]; normed.clone().count()];
        for block in blocks {
            let next = block_of(block + 1, neurons);
            let block = block_of(block, neurons);
            let channel = block.start % channels;
            for term in terms {
                term.prefetch(&next, neurons);
            }
            for by_reader in by_readers {
                for t in 0..time_steps {
                    prefetch(&by_reader[at(&next, t, time_steps, neurons)]);
                }
            }
            let mut state = neuron.first(channel);
            for (t, Kept { kept, emitted }) in kept.iter_mut().enumerate() {
                let current = current(terms, &block, channel, t, neurons, &mut room);
                neuron.step(channel, current, &mut state, kept, emitted);
            }
            let (mut by_current, mut over_time) = (zero, zero);
            norm_sums.fill([zero; 2]);
            for t in (0..time_steps).rev() {
                let part = at(&block, t, time_steps, neurons);
                let mut upstream = *S::load(&by_readers[0][part.clone()], &mut room[0]);
                for by_reader in &by_readers[1..] {
                    let more = S::load(&by_reader[part.clone()], &mut room[0]);
                    for i in 0..LANES {
                        upstream[i] = upstream[i] + more[i];
                    }
                    // As libtorch has their sum.
                    S::rounded(&mut upstream);
                }
                let before = t.checked_sub(1).map(|before| &kept[before]);
                neuron.back(channel, &kept[t], before, &mut upstream, &mut by_current, sums);
                if let Some(by_sum) = by_sum {
                    // SAFETY: each block of each macro-step is written by one thread, here.
                    S::store(&by_current, unsafe {
                        by_sum.part(at(&block, t, time_steps, neurons))
                    });
                    for ((term, norm), norm_sums) in normed.clone().zip(&mut norm_sums) {
                        if term.steps == time_steps {
                            let x = term.load(&block, t, neurons, &mut room[0]);
                            add_norm_sums(norm_sums, &by_current, x, norm.mean.at(channel));
                        }
                    }
                }
                if by_static.is_some() {
                    for i in 0..LANES {
                        over_time[i] = over_time[i] + by_current[i];
                    }
                }
            }
            if let Some(by_static) = by_static {
                // SAFETY: as above.
                S::store(&over_time, unsafe { by_static.part(block.clone()) });
                for ((term, norm), norm_sums) in normed.clone().zip(&mut norm_sums) {
                    if term.steps != time_steps {
                        let x = term.load(&block, 0, neurons, &mut room[0]);
                        add_norm_sums(norm_sums, &over_time, x, norm.mean.at(channel));
                    }
                }
            }
            for (position, [gradient, distance]) in norm_sums.iter().enumerate() {
                sums.add(first_norm + 2 * position, channel, gradient);
                sums.add(first_norm + 2 * position + 1, channel, distance);
            }
        }
    }
}

#[inline(always)]
fn add_norm_sums<F: Real>(
    norm_sums: &mut [Lanes<F>; 2],
    gradient: &Lanes<F>,
    x: &Lanes<F>,
    mean: &Lanes<F>,
) {
    let [sum, distance] = norm_sums;
    for i in 0..LANES {
        sum[i] = sum[i] + gradient[i];
        distance[i] = distance[i] + gradient[i] * (x[i] - mean[i]);
    }
}

/// The gradient for the input of a batch norm,
/// `a·(dy − Σdy/N) − (x − μ)·a·Σ(dy·(x − μ))/(N·(σ² + ε))`, from that for its output: in `from`, or
/// in `out` itself.
fn through_norm<S: Store>(
    instructions: Available,
    norm: &Norm<S::Real>,
    x: &[S],
    from: Option<&[S]>,
    out: &Parts<'_, S>,
    [by_bias, by_distance]: [&[f64]; 2],
) {
    let count = norm.count as f64;
    let round = |value: f64| S::Real::of(value);
    let mean: Vec<_> = by_bias.iter().map(|sum| round(sum / count)).collect();
    let slope = by_distance.iter().zip(&norm.inverse_deviations);
    let slope: Vec<_> =
        slope.map(|(sum, inverse)| round(sum * inverse * inverse / count)).collect();
    let (mean, slope) = (Channels::new(&mean), Channels::new(&slope));
    parallel(x.len().div_ceil(LANES), BLOCKS, |blocks| {
        instructions.run(ThroughNorm { norm, x, from, out, mean: &mean, slope: &slope, blocks });
    });
}

struct ThroughNorm<'k, S: Store> {
    norm: &'k Norm<S::Real>,
    x: &'k [S],
    from: Option<&'k [S]>,
    out: &'k Parts<'k, S>,
    mean: &'k Channels<S::Real>,
    slope: &'k Channels<S::Real>,
    blocks: Range<usize>,
}

impl<S: Store> Kernel for ThroughNorm<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { norm, x, from, out, mean, slope, blocks } = self;
        let channels = norm.mean.count();
        let zero = [S::Real::ZERO; LANES];
        let (mut room, mut gradient_room, mut by_x) = (zero, zero, zero);
        for block in blocks {
            let block = block_of(block, x.len());
            let channel = block.start % channels;
            // SAFETY: each block is read and written by one thread, here.
            let out = unsafe { out.part(block.clone()) };
            let x = S::load(&x[block.clone()], &mut room);
            let gradient = S::load(from.map_or(&*out, |from| &from[block]), &mut gradient_room);
            let (factor, center) = (norm.factor.at(channel), norm.mean.at(channel));
            let (mean, slope) = (mean.at(channel), slope.at(channel));
            for i in 0..LANES {
                by_x[i] = factor[i] * (gradient[i] - mean[i] - (x[i] - center[i]) * slope[i]);
            }
            S::store(&by_x, out);
        }
    }
}
