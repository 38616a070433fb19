//! A site on a device: what its kernels are given, forward and backward.

use super::geometry::Geometry;
use super::machine::{Launch, Machine};
use super::specialisation::{QUANT_RELU, RELU, Specialisation};
use crate::autograd;
use crate::error::{Error, Result};
use crate::fused::{channels_last, empty};
use crate::neuron::derivative::Derivative;
use crate::tensor::int;
use snn_ir::{FirstMembrane, Leak, Lif, Spike, Threshold};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Most terms of a sum, and most macro-steps.
pub(crate) const MOST_TERMS: usize = 4;
pub(crate) const MOST_STEPS: usize = 64;

/// A term of a site's input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term<'t> {
    /// `[steps·B, C, H, W]` or `[steps·B, F]`, macro-steps first.
    pub(crate) data: &'t Tensor,
    /// T, or 1 for what does not vary over time.
    pub(crate) steps: usize,
    /// A batch norm between the data and the sum.
    pub(crate) norm: Option<Norm<'t>>,
}

/// A batch norm (eq. 4): tensors `[C]` in single precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm<'t> {
    /// γ; without one it is 1.
    pub(crate) weight: Option<&'t Tensor>,
    /// β.
    pub(crate) bias: &'t Tensor,
    pub(crate) running_mean: &'t Tensor,
    pub(crate) running_variance: &'t Tensor,
    pub(crate) eps: f64,
    pub(crate) momentum: f64,
}

/// Which statistics batch norms have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// Those of the batch; `updates` takes the running ones a step on.
    Batch { updates: bool },
    /// The running ones.
    Running,
}

/// The neuron of a site.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Neuron<'t> {
    Relu,
    QuantRelu { step: &'t Tensor, levels: u8 },
    Lif { lif: &'t Lif, leak: Option<&'t Tensor>, threshold: Option<&'t Tensor> },
}

/// `Norm` of `site.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct RawNorm {
    factor: *mut c_void,
    summand: *mut c_void,
    mean: *mut c_void,
    inverse: *mut c_void,
    weight: *mut c_void,
    bias: *mut c_void,
    running_mean: *mut c_void,
    running_variance: *mut c_void,
    eps: f64,
    momentum: f64,
    count: f64,
    center: *mut c_void,
    slope: *mut c_void,
    by_weight: *mut c_void,
    by_bias: *mut c_void,
    by_term: *mut c_void,
}

/// `Site` of `site.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RawSite {
    terms: [*mut c_void; MOST_TERMS],
    norms: [RawNorm; MOST_TERMS],
    value: *mut c_void,
    learned_leak: *mut c_void,
    leak: f32,
    rest: f32,
    share: f32,
    first: f32,
    top: f32,
    constant: f32,
    surrogate: [f32; 2],
    positions: i64,
    channels: i32,
}

const NO_NORM: RawNorm = RawNorm {
    factor: null_mut(),
    summand: null_mut(),
    mean: null_mut(),
    inverse: null_mut(),
    weight: null_mut(),
    bias: null_mut(),
    running_mean: null_mut(),
    running_variance: null_mut(),
    eps: 0.0,
    momentum: 0.0,
    count: 1.0,
    center: null_mut(),
    slope: null_mut(),
    by_weight: null_mut(),
    by_bias: null_mut(),
    by_term: null_mut(),
};

/// A neuron's numbers and tensors.
#[derive(Debug)]
struct Numbers {
    /// Threshold or step; `constant` where there is none.
    value: Option<Tensor>,
    /// λ of a learned leak.
    learned_leak: Option<Tensor>,
    leak: f32,
    rest: f32,
    share: f32,
    first: f32,
    top: f32,
    constant: f32,
    surrogate: [f32; 2],
    /// Factor of the gradient of the value.
    value_scale: f64,
}

/// All that is the same in the forward and the backward pass of a site.
#[derive(Debug)]
struct Plan {
    machine: Arc<dyn Machine>,
    of: Specialisation,
    geometry: Geometry,
    numbers: Numbers,
    steps: Vec<usize>,
    norms: Vec<Option<OwnNorm>>,
    /// `[norms, 5, C]`: factor, summand, mean, center, slope.
    constants: Tensor,
    /// `[norms, C]`.
    inverses: Tensor,
}

/// The tensors of a batch norm.
#[derive(Debug)]
struct OwnNorm {
    weight: Option<Tensor>,
    bias: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    eps: f64,
    momentum: f64,
}

/// The output of a neuron in `time_steps` macro-steps for the sum of `terms`, with gradients for
/// them, for their batch norms and for its parameters. `None` where the kernels do not know the
/// neuron or the values: other than f32 and bf16, more than four terms or 64 macro-steps, a
/// synaptic current, adaptation, a custom surrogate.
///
/// # Errors
/// Shapes differ, libtorch cannot allocate, or a kernel cannot be started.
pub(crate) fn run(
    machine: &Arc<dyn Machine>,
    neuron: Neuron<'_>,
    terms: &[Term<'_>],
    time_steps: usize,
    statistics: Statistics,
) -> Result<Option<Tensor>> {
    let Some(size) = common_size(terms, time_steps)? else { return Ok(None) };
    let channels = usize::try_from(size[1]).unwrap_or_default();
    let bf16 = terms[0].data.f_kind()? == Kind::BFloat16;
    let bit = |condition: &dyn Fn(&Term<'_>) -> bool| -> u32 {
        terms.iter().enumerate().map(|(k, term)| u32::from(condition(term)) << k).sum()
    };
    let of = Specialisation {
        steps: u32::try_from(time_steps).unwrap_or_default(),
        bf16,
        terms: u32::try_from(terms.len()).unwrap_or_default(),
        static_terms: if time_steps == 1 { 0 } else { bit(&|term| term.steps == 1) },
        normed_terms: bit(&|term| term.norm.is_some()),
        ..Specialisation::default()
    };
    let Some((of, numbers)) = with_neuron(of, neuron, &size)? else { return Ok(None) };
    let data = terms.iter().map(|term| tch::no_grad(|| channels_last(&term.data.f_detach()?)));
    let data: Vec<Tensor> = data.collect::<Result<_>>()?;
    let neurons = usize::try_from(size.iter().product::<i64>()).unwrap_or_default();
    let positions = neurons / channels.max(1);
    let aligned = data.iter().map(aligned).min().unwrap_or(1);
    let geometry = Geometry::new(channels, positions, of.most_pack(), aligned);
    let of = Specialisation { pack: u32::try_from(geometry.pack).unwrap_or(1), ..of };
    let device = data[0].device();
    let norms = terms.iter().map(|term| term.norm.map(|norm| own(&norm, channels)).transpose());
    let plan = Plan {
        machine: Arc::clone(machine),
        of,
        geometry,
        numbers,
        steps: terms.iter().map(|term| term.steps).collect(),
        norms: norms.collect::<Result<_>>()?,
        constants: Tensor::f_empty([int(of.norms()), 5, int(channels)], (Kind::Float, device))?,
        inverses: Tensor::f_empty([int(of.norms()), int(channels)], (Kind::Double, device))?,
    };
    let mut whole = size;
    whole[0] *= int(time_steps);
    let out = empty(&whole, terms[0].data)?;
    plan.forward(&data, &out, statistics)?;

    let mut inputs: Vec<&Tensor> = terms.iter().map(|term| term.data).collect();
    for norm in terms.iter().filter_map(|term| term.norm.as_ref()) {
        inputs.extend(norm.weight.into_iter().chain([norm.bias]));
    }
    let parameters = match neuron {
        Neuron::Relu => [None, None],
        Neuron::QuantRelu { step, .. } => [None, Some(step)],
        Neuron::Lif { leak, threshold, .. } => [leak, threshold],
    };
    inputs.extend(parameters.iter().flatten());
    let shapes = parameters.map(|parameter| parameter.map(Tensor::size));
    let count = inputs.len();
    let saved: Vec<&Tensor> = data.iter().collect();
    autograd::record("site on a device", &inputs, &[&out], &saved, move |backward| match backward
        .gradients
        .as_slice()
    {
        [Some(gradient)] => plan.backward(&backward.saved, gradient, &shapes),
        _ => Ok((0..count).map(|_| None).collect()),
    })?;
    Ok(Some(out))
}

/// The shape of one macro-step; `None` for values that the kernels do not take.
fn common_size(terms: &[Term<'_>], time_steps: usize) -> Result<Option<Vec<i64>>> {
    let Some(first) = terms.first() else { return Ok(None) };
    let kind = first.data.f_kind()?;
    if terms.len() > MOST_TERMS
        || time_steps > MOST_STEPS
        || !matches!(kind, Kind::Float | Kind::BFloat16)
    {
        return Ok(None);
    }
    let mut common: Option<Vec<i64>> = None;
    for term in terms {
        let mut size = term.data.size();
        if size.len() < 2
            || term.data.f_kind()? != kind
            || term.data.device() != first.data.device()
        {
            return Ok(None);
        }
        let fits =
            (term.steps == 1 || term.steps == time_steps) && size[0] % int(term.steps.max(1)) == 0;
        size[0] /= int(term.steps.max(1));
        let expected = match &common {
            _ if !fits => format!("[{time_steps}·B, …] or [B, …]"),
            Some(common) if *common != size => {
                format!("{common:?} a macro-step, as the first term")
            }
            _ => {
                common = Some(size);
                continue;
            }
        };
        return Err(Error::Shape { what: "term of a sum", expected, found: term.data.size() });
    }
    Ok(common.filter(|size| size.iter().all(|&length| length > 0)))
}

/// What a neuron adds to a specialisation, and its numbers; `None` for one without kernels.
fn with_neuron(
    of: Specialisation,
    neuron: Neuron<'_>,
    size: &[i64],
) -> Result<Option<(Specialisation, Numbers)>> {
    let none = Numbers {
        value: None,
        learned_leak: None,
        leak: 0.0,
        rest: 0.0,
        share: 0.0,
        first: 0.0,
        top: 0.0,
        constant: 0.0,
        surrogate: [0.0; 2],
        value_scale: 1.0,
    };
    let per_channel = |what: &'static str, value: &Tensor| match *value.size() {
        [1] => Ok(false),
        [count] if count == size[1] => Ok(true),
        _ => {
            let expected = format!("[1] or [{}]", size[1]);
            Err(Error::Shape { what, expected, found: value.size() })
        }
    };
    Ok(Some(match neuron {
        Neuron::Relu => (Specialisation { neuron: RELU, ..of }, none),
        Neuron::QuantRelu { step, levels } => {
            if step.f_kind()? != Kind::Float {
                return Ok(None);
            }
            let per_channel = per_channel("step", step)?;
            let shared: i64 = size[if step.numel() > 1 { 2 } else { 1 }..].iter().product();
            let learns_value = step.requires_grad();
            let of = Specialisation { neuron: QUANT_RELU, per_channel, learns_value, ..of };
            let numbers = Numbers {
                value: Some(step.f_detach()?.f_contiguous()?),
                top: f32::from(levels),
                value_scale: 1.0 / (shared as f64 * f64::from(levels)).sqrt(),
                ..none
            };
            (of, numbers)
        }
        Neuron::Lif { lif, leak, threshold } => {
            if !crate::fused::has_form(lif) {
                return Ok(None);
            }
            let Some(surrogate) = Derivative::<f32>::new(&lif.surrogate) else { return Ok(None) };
            let (number, surrogate) = surrogate.numbers();
            let of = of.with_lif(lif, number);
            let is_share = matches!(lif.initial, FirstMembrane::Threshold { .. });
            let of = Specialisation {
                learns_leak: leak.is_some_and(Tensor::requires_grad),
                learns_value: threshold.is_some(),
                per_channel: threshold
                    .map_or(Ok(false), |theta| per_channel("threshold", theta))?,
                share: is_share && threshold.is_some(),
                ..of
            };
            for parameter in leak.into_iter().chain(threshold) {
                if parameter.f_kind()? != Kind::Float {
                    return Ok(None);
                }
            }
            let (Leak::Factor { factor } | Leak::Learned { initial: factor }) = lif.leak;
            let (Threshold::Fixed(theta) | Threshold::Learned { initial: theta, .. }) =
                lif.threshold;
            let rest = single(lif.rest());
            let numbers = Numbers {
                value: threshold.map(|theta| theta.f_detach()?.f_contiguous()).transpose()?,
                // As the plain form has it, to the bit.
                learned_leak: match leak {
                    Some(a) if a.requires_grad() => Some(tch::no_grad(|| a.f_sigmoid())?),
                    Some(_) | None => None,
                },
                leak: match leak {
                    Some(a) if !a.requires_grad() => {
                        single(snn_ir::logistic(a.f_double_value(&[0])?))
                    }
                    Some(_) | None => single(factor),
                },
                rest,
                share: match lif.initial {
                    FirstMembrane::Threshold { share } => single(share),
                    FirstMembrane::Rest | FirstMembrane::Potential(_) => 0.0,
                },
                first: single(lif.initial.of(lif.rest(), lif.threshold.initial())) - rest,
                top: match lif.spike {
                    Spike::Integer { levels } => f32::from(levels),
                    Spike::Binary | Spike::Ternary => 1.0,
                },
                constant: single(theta),
                surrogate,
                ..none
            };
            (of, numbers)
        }
    }))
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest")]
fn single(value: f64) -> f32 {
    value as f32
}

/// The tensors of a norm, checked.
fn own(norm: &Norm<'_>, channels: usize) -> Result<OwnNorm> {
    let checked = |what: &'static str, tensor: &Tensor| {
        if tensor.size() != [int(channels)] || tensor.f_kind()? != Kind::Float {
            let expected = format!("[{channels}] in single precision");
            return Err(Error::Shape { what, expected, found: tensor.size() });
        }
        Ok(tensor.f_detach()?)
    };
    Ok(OwnNorm {
        weight: norm.weight.map(|weight| checked("weight of batch norm", weight)).transpose()?,
        bias: checked("bias of batch norm", norm.bias)?,
        running_mean: checked("running mean", norm.running_mean)?,
        running_variance: checked("running variance", norm.running_variance)?,
        eps: norm.eps,
        momentum: norm.momentum,
    })
}

/// The largest power of two up to 8 values that divides the address of a tensor.
fn aligned(tensor: &Tensor) -> usize {
    let size = if tensor.kind() == Kind::BFloat16 { 2 } else { 4 };
    let address = tensor.data_ptr() as usize / size;
    [8, 4, 2].into_iter().find(|pack| address.is_multiple_of(*pack)).unwrap_or(1)
}

/// Places in `constants`.
const FACTOR: usize = 0;
const SUMMAND: usize = 1;
const MEAN: usize = 2;
const CENTER: usize = 3;
const SLOPE: usize = 4;

impl Plan {
    /// The arguments of all kernels, for these terms.
    fn raw(&self, data: &[Tensor]) -> RawSite {
        let numbers = &self.numbers;
        let optional =
            |tensor: &Option<Tensor>| tensor.as_ref().map_or(null_mut(), Tensor::data_ptr);
        let mut raw = RawSite {
            terms: [null_mut(); MOST_TERMS],
            norms: [NO_NORM; MOST_TERMS],
            value: optional(&numbers.value),
            learned_leak: optional(&numbers.learned_leak),
            leak: numbers.leak,
            rest: numbers.rest,
            share: numbers.share,
            first: numbers.first,
            top: numbers.top,
            constant: numbers.constant,
            surrogate: numbers.surrogate,
            positions: int(self.geometry.positions),
            channels: i32::try_from(self.geometry.channels).unwrap_or(i32::MAX),
        };
        let mut place = 0;
        for (term, ((data, norm), &steps)) in
            data.iter().zip(&self.norms).zip(&self.steps).enumerate()
        {
            raw.terms[term] = data.data_ptr();
            let Some(norm) = norm else { continue };
            raw.norms[term] = RawNorm {
                factor: self.constant(place, FACTOR),
                summand: self.constant(place, SUMMAND),
                mean: self.constant(place, MEAN),
                center: self.constant(place, CENTER),
                slope: self.constant(place, SLOPE),
                inverse: part(&self.inverses, place * self.geometry.channels),
                weight: optional(&norm.weight),
                bias: norm.bias.data_ptr(),
                running_mean: norm.running_mean.data_ptr(),
                running_variance: norm.running_variance.data_ptr(),
                eps: norm.eps,
                momentum: norm.momentum,
                count: (steps * self.geometry.positions) as f64,
                ..NO_NORM
            };
            place += 1;
        }
        raw
    }

    fn constant(&self, norm: usize, what: usize) -> *mut c_void {
        part(&self.constants, (5 * norm + what) * self.geometry.channels)
    }

    /// Partial sums of as many sums, of each row of blocks.
    fn partial(&self, sums: usize) -> Result<Tensor> {
        let count = sums * self.geometry.rows() * self.geometry.channels;
        Ok(Tensor::f_empty([int(count)], (Kind::Double, self.constants.device()))?)
    }

    /// Bytes that a kernel reads and writes of values of neurons, each once.
    fn bytes(&self, kernel: &str) -> usize {
        let steps = self.of.steps as usize;
        let all = |which: &dyn Fn(usize) -> bool| -> usize {
            self.steps.iter().enumerate().filter(|(term, _)| which(*term)).map(|(_, own)| own).sum()
        };
        // Macro-steps of the gradients for terms, those of the sum and those that do not vary.
        let gradients = |which: &dyn Fn(usize) -> bool| -> usize {
            let any = |own: usize| (0..self.steps.len()).any(|t| which(t) && self.steps[t] == own);
            let of_static = usize::from(steps > 1 && any(1));
            steps * usize::from(any(steps)) + of_static
        };
        let normed = |term: usize| self.norms[term].is_some();
        let read_or_written = match kernel {
            "site_moments" => all(&normed),
            "site_forward" => all(&|_| true) + steps,
            "site_backward" => all(&|_| true) + steps + gradients(&|_| true),
            "site_through_norms" => 2 * all(&normed) + gradients(&normed),
            _ => 0,
        };
        let size = if self.of.bf16 { 2 } else { 4 };
        read_or_written * self.geometry.positions * self.geometry.channels * size
    }

    fn launch(&self, launch: &Launch, arguments: &mut [*mut c_void]) -> Result<()> {
        let launch = &Launch { bytes: self.bytes(launch.kernel), ..launch.clone() };
        // SAFETY: the arguments of this kernel, as `site.cu` has them. Their tensors are kept until
        // it has ended: by the caller, or by the order of the stream, in which their memory is
        // given away.
        unsafe { self.machine.launch(&self.of, launch, arguments) }
    }

    fn forward(&self, data: &[Tensor], out: &Tensor, statistics: Statistics) -> Result<()> {
        let (mut site, geometry) = (self.raw(data), &self.geometry);
        let site = address(&mut site);
        if self.of.norms() > 0 {
            let partial = self.partial(2 * self.of.norms())?;
            let mut sums = partial.data_ptr();
            let (mut rows, mut updates) = match statistics {
                Statistics::Batch { updates } => {
                    let moments = geometry.summing("site_moments");
                    self.launch(&moments, &mut [site, address(&mut sums)])?;
                    (i32::try_from(geometry.rows()).unwrap_or(i32::MAX), i32::from(updates))
                }
                Statistics::Running => (0, 0),
            };
            self.launch(
                &geometry.by_channel("site_norms"),
                &mut [site, address(&mut sums), address(&mut rows), address(&mut updates)],
            )?;
        }
        let mut out = out.data_ptr();
        self.launch(&geometry.plain("site_forward"), &mut [site, address(&mut out)])
    }

    /// Gradients for the terms' data, the weights and biases of their norms, and the parameters.
    fn backward(
        &self,
        data: &[Tensor],
        gradient: &Tensor,
        shapes: &[Option<Vec<i64>>; 2],
    ) -> Result<Vec<Option<Tensor>>> {
        if data.len() != self.steps.len() {
            let found = data.len();
            return Err(Error::Torch(format!(
                "{found} saved tensors for {} terms",
                self.steps.len()
            )));
        }
        let geometry = &self.geometry;
        let (channels, device) = (geometry.channels, self.constants.device());
        let mut gradient = channels_last(gradient)?;
        if aligned(&gradient) < geometry.pack {
            gradient = gradient.f_add_scalar(0.0)?;
        }
        let time_steps = self.of.steps as usize;
        let varies = |term: usize| self.steps[term] == time_steps;
        let like = |wanted: bool| {
            let term = (0..data.len()).find(|&term| varies(term) == wanted);
            term.map(|term| empty(&data[term].size(), &data[term])).transpose()
        };
        let (by_sum, by_static) = (like(true)?, like(false)?);
        let floats = |count: usize| Tensor::f_empty([int(count)], (Kind::Float, device));
        let mut site = self.raw(data);
        let (mut by_terms, mut by_norms) = (Vec::new(), Vec::new());
        for term in 0..data.len() {
            let own = if varies(term) { &by_sum } else { &by_static };
            let own = own.as_ref().ok_or_else(|| Error::Torch("a term without gradient".into()))?;
            let Some(norm) = &self.norms[term] else {
                by_terms.push(own.shallow_clone());
                continue;
            };
            // The last term to read a gradient writes over it, unless one takes it as it is.
            let mut others = (0..data.len()).filter(|&other| varies(other) == varies(term));
            let is_shared = others.any(|other| self.norms[other].is_none() || other > term);
            let by_term = if is_shared {
                empty(&data[term].size(), &data[term])?
            } else {
                own.shallow_clone()
            };
            site.norms[term].by_term = by_term.data_ptr();
            by_terms.push(by_term);
            if norm.weight.is_some() {
                let by_weight = floats(channels)?;
                site.norms[term].by_weight = by_weight.data_ptr();
                by_norms.push(by_weight);
            }
            let by_bias = floats(channels)?;
            site.norms[term].by_bias = by_bias.data_ptr();
            by_norms.push(by_bias);
        }
        let values = shapes[1].as_ref().map_or(1, |shape| shape.iter().product::<i64>());
        let (by_leak, by_value) = (floats(1)?, floats(usize::try_from(values).unwrap_or(1))?);
        let totals = Tensor::f_empty([2 * int(channels)], (Kind::Double, device))?;
        let partial = self.partial(self.of.sums().max(1))?;

        let pointer =
            |tensor: &Option<Tensor>| tensor.as_ref().map_or(null_mut(), Tensor::data_ptr);
        let site = address(&mut site);
        let (mut by_emitted, mut sums) = (gradient.data_ptr(), partial.data_ptr());
        let (mut sum, mut over_time) = (pointer(&by_sum), pointer(&by_static));
        self.launch(
            &geometry.summing("site_backward"),
            &mut [
                site,
                address(&mut by_emitted),
                address(&mut sum),
                address(&mut over_time),
                address(&mut sums),
            ],
        )?;
        if self.of.sums() > 0 {
            let mut rows = i32::try_from(geometry.rows()).unwrap_or(i32::MAX);
            let (mut leak, mut value) = (by_leak.data_ptr(), by_value.data_ptr());
            let (mut scale, mut totals) = (self.numbers.value_scale, totals.data_ptr());
            self.launch(
                &geometry.alone("site_gradients"),
                &mut [
                    site,
                    address(&mut sums),
                    address(&mut rows),
                    address(&mut leak),
                    address(&mut value),
                    address(&mut scale),
                    address(&mut totals),
                ],
            )?;
        }
        if self.of.norms() > 0 {
            let arguments = &mut [site, address(&mut sum), address(&mut over_time)];
            self.launch(&geometry.plain("site_through_norms"), arguments)?;
        }
        let mut results: Vec<Option<Tensor>> =
            by_terms.into_iter().chain(by_norms).map(Some).collect();
        let learns = [self.of.learns_leak, self.of.learns_value];
        for ((shape, gradient), learns) in shapes.iter().zip([by_leak, by_value]).zip(learns) {
            if let Some(shape) = shape {
                let gradient = gradient.f_view(shape.as_slice())?;
                results.push(learns.then_some(gradient));
            }
        }
        Ok(results)
    }
}

/// The address of an argument.
fn address<V>(argument: &mut V) -> *mut c_void {
    std::ptr::from_mut(argument).cast()
}

/// The address of a value of a tensor.
fn part(tensor: &Tensor, value: usize) -> *mut c_void {
    let size = if tensor.kind() == Kind::Double { 8 } else { 4 };
    tensor.data_ptr().wrapping_byte_add(value * size)
}
