//! Sites off the grid (eqs. 8 to 11), for all macro-steps at once.

use crate::device::{self, Machine, Statistics};
use crate::error::{Error, Result};
use crate::fused::{self, Term};
use crate::network::stateless::per_channel;
use crate::network::value::{Value, merge, over_time};
use crate::neuron::lif::{self, LifParameters, LifState};
use crate::neuron::near_threshold;
use crate::neuron::quant_relu::{quant_levels, quant_relu, relu};
use crate::neuron::registry::{Registry, TensorParameters};
use crate::neuron::threshold_fn::Theta;
use crate::observe::observer::{Emission, Observer, Requested};
use snn_ir::Custom;
use snn_ir::{Leak, Lif, QuantRelu, ResolvedNode, Site, Threshold};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Channels stand after the merged axis of time and samples.
const CHANNEL_AXIS: usize = 1;

/// What a site reads.
pub(crate) enum Inputs<'t> {
    /// For the kernels of the CPU; or one term without a norm, for the operations of libtorch.
    Terms(Vec<Term<'t>>),
    /// For the kernels of a device.
    OnDevice {
        machine: &'t Arc<dyn Machine>,
        terms: Vec<device::Term<'t>>,
        // By value: small, and the same for all terms.
        statistics: Statistics,
    },
}

impl Inputs<'_> {
    /// Macro-steps of the input that has most of them.
    fn steps(&self) -> usize {
        match self {
            Self::Terms(terms) => terms.iter().map(|term| term.steps).max(),
            Self::OnDevice { terms, .. } => terms.iter().map(|term| term.steps).max(),
        }
        .unwrap_or(1)
    }

    /// The output of a neuron by kernels of the device; `None` without one.
    fn on_device(&self, neuron: device::Neuron<'_>, steps: usize) -> Result<Option<Tensor>> {
        match self {
            Self::Terms(_) => Ok(None),
            Self::OnDevice { machine, terms, statistics } => {
                device::run(machine, neuron, terms, steps, *statistics)
            }
        }
    }
}

/// Finds a weight of a node.
pub(crate) type FindParameter<'p, 'f> = &'f dyn Fn(&str) -> Result<&'p Tensor>;

/// Context of a site besides its input.
pub(crate) struct SiteContext<'p, 'f> {
    pub(crate) info: &'f ResolvedNode,
    pub(crate) coded: bool,
    pub(crate) time_steps: usize,
    /// How many tensors the output is wanted as, for readers with a gradient each.
    pub(crate) readers: usize,
    pub(crate) parameter: FindParameter<'p, 'f>,
    pub(crate) registry: &'f Registry,
}

/// Result of a site: its output, and what observers are told.
struct Outcome {
    data: Tensor,
    /// The same for further readers.
    spare: Vec<Tensor>,
    /// Levels, where they are not what it emits.
    levels: Option<Tensor>,
    values: bool,
    membranes: Option<Tensor>,
    steps: usize,
    ties: u64,
}

impl Outcome {
    /// That of kernels, with a tensor for each reader.
    fn of_readers(data: Vec<Tensor>, steps: usize) -> Result<Self> {
        let mut data = data.into_iter();
        let last = data.next().ok_or_else(|| Error::Torch("a site without an output".into()))?;
        Ok(Self { spare: data.collect(), ..Self::plain(last, steps) })
    }

    fn plain(data: Tensor, steps: usize) -> Self {
        Self {
            data,
            spare: Vec::new(),
            levels: None,
            values: false,
            membranes: None,
            steps,
            ties: 0,
        }
    }
}

/// State of a site between the macro-steps of a recurrence, and what observers will be told.
#[derive(Default)]
pub(crate) struct SiteMemory {
    lif: Option<LifState>,
    own: Option<Vec<Tensor>>,
    seen: Seen,
}

/// What observers are told of a site.
#[derive(Default)]
struct Seen {
    /// One for each macro-step of a recurrence, or one for all.
    outputs: Vec<Tensor>,
    membranes: Vec<Tensor>,
    probes: Vec<Tensor>,
    values: bool,
    steps: usize,
    ties: u64,
}

impl Seen {
    /// Adds an outcome; the tensor that the rest of the network reads.
    fn add(&mut self, outcome: Outcome, observer: &mut dyn Observer) -> Result<Tensor> {
        // What is passed on may be another tensor.
        let Outcome { data, spare: _, levels, values, membranes, steps, ties } = outcome;
        self.outputs.push(levels.unwrap_or_else(|| data.shallow_clone()));
        self.membranes.extend(membranes);
        self.values = values;
        self.steps += steps;
        self.ties += ties;
        let (data, probe) = observer.passed_on(data)?;
        self.probes.extend(probe);
        Ok(data)
    }

    fn tell(self, info: &ResolvedNode, observer: &mut dyn Observer) -> Result<()> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        let Self { outputs, membranes, probes, values, steps, ties } = self;
        let membranes = if membranes.is_empty() { None } else { Some(merge(membranes)?) };
        observer.site(Emission {
            site: &info.name,
            output: &merge(outputs)?,
            values,
            membranes,
            probes,
            steps,
            shape: &info.shape,
            ties,
        })
    }
}

impl SiteMemory {
    /// Tells an observer of the macro-steps so far.
    pub(crate) fn observe(self, info: &ResolvedNode, observer: &mut dyn Observer) -> Result<()> {
        self.seen.tell(info, observer)
    }
}

/// Output of a site, with a memory that of one macro-step; `None` for a site that exists on the
/// grid only.
pub(crate) fn real_site(
    site: &Site,
    context: &SiteContext<'_, '_>,
    inputs: &Inputs<'_>,
    observer: &mut Option<&mut dyn Observer>,
    mut memory: Option<&mut SiteMemory>,
) -> Result<Option<Value>> {
    let requested = observer.as_ref().map(|observer| observer.requested()).unwrap_or_default();
    let carried = memory.as_deref_mut();
    let outcome = match site {
        Site::Lif(neuron) => lif_site(neuron, context, inputs, requested, carried)?,
        Site::Relu { limit } => relu_site(*limit, context, inputs)?,
        Site::QuantRelu(q) => quant_site(q, context, inputs, requested)?,
        Site::Custom(custom) => custom_site(custom, context, &only(inputs)?, requested, carried)?,
        Site::GridLif(_) | Site::GridQuantRelu { .. } => return Ok(None),
    };
    let steps = outcome.steps;
    let data = match (observer, memory) {
        (None, _) => {
            let Outcome { data, spare, .. } = outcome;
            return Ok(Some(Value { data, steps, spare }));
        }
        (Some(observer), Some(memory)) => memory.seen.add(outcome, *observer)?,
        (Some(observer), None) => {
            let mut seen = Seen::default();
            let data = seen.add(outcome, *observer)?;
            seen.tell(context.info, *observer)?;
            data
        }
    };
    Ok(Some(Value::new(data, steps)))
}

/// The one term of a site that is not fused with what stands before it, which computes at least in
/// single precision.
fn only(inputs: &Inputs<'_>) -> Result<Value> {
    let one = match inputs {
        Inputs::Terms(terms) => match terms[..] {
            [Term { data, steps, norm: None }] => Some((data, steps)),
            _ => None,
        },
        Inputs::OnDevice { terms, .. } => match terms[..] {
            [device::Term { data, steps, norm: None }] => Some((data, steps)),
            _ => None,
        },
    };
    let Some((data, steps)) = one else {
        return Err(Error::Torch(
            "a site without a fused form reads a sum or through a norm".into(),
        ));
    };
    let kind = match data.f_kind()? {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    Ok(Value::new(data.f_to_kind(kind)?, steps))
}

fn relu_site(
    limit: Option<f64>,
    context: &SiteContext<'_, '_>,
    inputs: &Inputs<'_>,
) -> Result<Outcome> {
    let steps = inputs.steps();
    let fused = match inputs {
        _ if limit.is_some() => None,
        Inputs::Terms(terms) => fused::relu_for_readers(context.readers, terms)?,
        Inputs::OnDevice { .. } => {
            inputs.on_device(device::Neuron::Relu, steps)?.map(|data| vec![data])
        }
    };
    let outcome = match fused {
        Some(data) => Outcome::of_readers(data, steps)?,
        None => Outcome::plain(relu(&only(inputs)?.data, limit)?, steps),
    };
    Ok(Outcome { values: true, ..outcome })
}

fn lif_site(
    neuron: &Lif,
    context: &SiteContext<'_, '_>,
    inputs: &Inputs<'_>,
    requested: Requested,
    memory: Option<&mut SiteMemory>,
) -> Result<Outcome> {
    let leak = match neuron.leak {
        Leak::Learned { .. } if !context.coded => Some((context.parameter)("leak")?),
        Leak::Learned { .. } | Leak::Factor { .. } => None,
    };
    let threshold = match neuron.threshold {
        Threshold::Learned { .. } => Some((context.parameter)("threshold")?),
        Threshold::Fixed(_) => None,
    };
    if !requested.ties && !requested.membranes && memory.is_none() {
        let steps = context.time_steps;
        let fused = match inputs {
            Inputs::Terms(terms) => {
                let parameters = LifParameters { leak, threshold, registry: None };
                fused::lif_for_readers(context.readers, neuron, parameters, terms, steps)?
            }
            Inputs::OnDevice { .. } => {
                let lif = device::Neuron::Lif { lif: neuron, leak, threshold };
                inputs.on_device(lif, steps)?.map(|levels| vec![levels])
            }
        };
        if let Some(levels) = fused {
            return Outcome::of_readers(levels, context.time_steps);
        }
    }
    let x = only(inputs)?;
    let threshold = threshold.map(|threshold| per_channel(threshold, &x.data)).transpose()?;
    let parameters =
        LifParameters { leak, threshold: threshold.as_ref(), registry: Some(context.registry) };
    let slices = over_time(&x.data, x.steps)?;
    let (mut ties, mut membranes) = (0, Vec::new());
    let mut watch = |u: &Tensor, theta: &Theta| {
        if requested.ties {
            ties += near_threshold::of_spikes(u, theta, neuron.spike)?;
        }
        if requested.membranes {
            membranes.push(u.f_detach()?);
        }
        Ok(())
    };
    let watch: Option<lif::Watch<'_>> =
        if requested.ties || requested.membranes { Some(&mut watch) } else { None };
    let currents = lif::cycle(&slices, context.time_steps);
    let before = memory.as_ref().and_then(|memory| memory.lif.as_ref());
    let carries = memory.is_some();
    let (levels, after) = lif::run(neuron, parameters, currents, before, carries, watch)?;
    if let Some(memory) = memory {
        memory.lif = after;
    }
    let membranes = if requested.membranes { Some(merge(membranes)?) } else { None };
    Ok(Outcome { membranes, ties, ..Outcome::plain(merge(levels)?, context.time_steps) })
}

fn quant_site(
    q: &QuantRelu,
    context: &SiteContext<'_, '_>,
    inputs: &Inputs<'_>,
    requested: Requested,
) -> Result<Outcome> {
    let step = (context.parameter)("step")?;
    if context.coded || requested.ties {
        let x = only(inputs)?;
        let ties = if requested.ties {
            near_threshold::of_levels(&x.data, &per_channel(step, &x.data)?, q.levels)?
        } else {
            0
        };
        let levels = quant_levels(&x.data, step, q.levels, CHANNEL_AXIS)?;
        if context.coded {
            return Ok(Outcome { ties, ..Outcome::plain(levels, x.steps) });
        }
        let values = quant_relu(&x.data, step, q.levels, CHANNEL_AXIS)?;
        return Ok(Outcome { levels: Some(levels), ties, ..Outcome::plain(values, x.steps) });
    }
    let steps = inputs.steps();
    let fused = match inputs {
        Inputs::Terms(terms) => {
            fused::quant_relu_for_readers(context.readers, step, q.levels, terms)?
        }
        Inputs::OnDevice { .. } => {
            let neuron = device::Neuron::QuantRelu { step, levels: q.levels };
            inputs.on_device(neuron, steps)?.map(|values| vec![values])
        }
    };
    let outcome = if let Some(values) = fused {
        Outcome::of_readers(values, steps)?
    } else {
        let values = quant_relu(&only(inputs)?.data, step, q.levels, CHANNEL_AXIS)?;
        Outcome::plain(values, steps)
    };
    let values = &outcome.data;
    // o = s·q rounded once, so o/s is q but for rounding.
    let levels = if requested.levels {
        Some(tch::no_grad(|| {
            values.f_div(&per_channel(step, values)?)?.f_round_().map_err(Error::from)
        })?)
    } else {
        None
    };
    Ok(Outcome { levels, ..outcome })
}

fn custom_site(
    custom: &Custom,
    context: &SiteContext<'_, '_>,
    x: &Value,
    requested: Requested,
    mut memory: Option<&mut SiteMemory>,
) -> Result<Outcome> {
    let node = &context.info.name;
    let refuse =
        |reason: String| Error::Model(snn_ir::Error::Refused { node: node.clone(), reason });
    let neuron = context
        .registry
        .neuron(&custom.name)
        .ok_or_else(|| refuse(snn_ir::unknown_neuron(&custom.name, std::iter::empty())))?;
    let learned = custom
        .learned
        .keys()
        .map(|part| Ok((part.as_str(), per_channel((context.parameter)(part)?, &x.data)?)))
        .collect::<Result<_>>()?;
    let parameters = TensorParameters { neuron: &custom.name, numbers: &custom.params, learned };
    let (least, most) = custom.spike.range();
    let slices = over_time(&x.data, x.steps)?;
    let mut state = memory.as_mut().and_then(|memory| memory.own.take());
    let (mut all, mut membranes) = (Vec::new(), Vec::new());
    for current in lif::cycle(&slices, context.time_steps) {
        let stepped = neuron.step(&parameters, current, state);
        let (levels, next) =
            stepped.map_err(|error| refuse(format!("neuron `{}`: {error}", custom.name)))?;
        if levels.size() != current.size() {
            let found = levels.size();
            let expected = current.size();
            return Err(refuse(format!(
                "neuron `{}` gave shape {found:?} for a current of {expected:?}",
                custom.name
            )));
        }
        if requested.ties {
            let inside =
                levels.f_ge(f64::from(least))?.f_logical_and(&levels.f_le(f64::from(most))?)?;
            if inside.f_all()?.f_int64_value(&[])? == 0 {
                let expected = format!("levels of {least} to {most}, as the graph says");
                return Err(refuse(format!(
                    "neuron `{}` must emit {expected}; it emitted others",
                    custom.name
                )));
            }
        }
        if let (true, Some(membrane)) = (requested.membranes, next.first()) {
            membranes.push(membrane.f_detach()?);
        }
        all.push(levels);
        state = Some(next);
    }
    if let Some(memory) = memory {
        memory.own = state;
    }
    let membranes = if membranes.len() == all.len() { Some(merge(membranes)?) } else { None };
    Ok(Outcome { membranes, ..Outcome::plain(merge(all)?, context.time_steps) })
}
