//! LIF sites in the place of the quantised `ReLU`s of a trained twin, so that the network still
//! computes nearly what the twin does.

mod fit;
mod units;

pub use fit::SpikingFit;

use crate::error::{Error, Result};
use crate::evaluate::input;
use ndarray::ArrayD;
use snn_core::{Mode, Monitor, Network, NetworkOptions, Pixels, TrainingOptions};
use snn_data::Loader;
use snn_ir::{Graph, Model, Op, QuantRelu, Site, Tensor};
use std::collections::BTreeMap;
use tch::{Device, Kind};

/// Training batches over which the activity of a twin is measured, and after the swap the
/// statistics of batch norm; fewer where an epoch has fewer.
pub const SWAP_BATCHES: usize = 20;

/// How often each level 0 to D of each quantised `ReLU` occurred.
pub(crate) type Activity = BTreeMap<String, Vec<f64>>;

/// Turns a network with the weights of a trained twin (by name) into one that computes nearly what
/// the twin does, although sites that are quantised `ReLU`s there are LIF neurons here.
///
/// For each such site, with step s and levels D (of steps per channel the mean), let `p_q` be the
/// share of its outputs that have level q, and `n(x)` the mean over the T macro-steps of what the
/// neuron emits (eq. 8) for a constant current x. Threshold θ, shift b and value v are those for
/// which the mean square of `s·q − v·n(x + b)` is least, x uniform in the interval of level q
/// ([`SpikingFit`]): θ near s·D where all levels are used, below it where activity is low, and b
/// near θ/(2T), half a threshold over all macro-steps, with a soft reset and λ near 1.
///
/// A spike is 1, and not v (eq. 8): v goes into the weights of what reads the site, through
/// poolings and sums; other terms of such sums, and the thresholds and steps of the sites that read
/// them, are divided by it. b goes into the bias of the batch norm or layer before the site, where
/// there is one. Thresholds of the graph change, its structure does not.
///
/// Returns a line for each site, and one for each place where a value could not go into weights.
///
/// # Errors
/// A graph is invalid, the twin lacks a weight or has too few time steps for a delay, or a site
/// cannot be simulated.
pub(crate) fn swap_sites(
    twin: &Model,
    activity: &Activity,
    model: &mut Model,
) -> Result<Vec<String>> {
    refuse_silent_delays(twin)?;
    let fits = fits(twin, activity, model)?;
    let mut told = relevel(twin, model)?;
    if fits.is_empty() && told.is_empty() {
        return Err(Error::Mismatch {
            what: "`start_from.swap`, which a run with a `twin` has",
            expected: "sites that are quantised ReLUs there (by `policy` and `replacement` of the \
                       twin) and LIF neurons here, or of other levels (by those of the run)"
                .into(),
            found: "none".into(),
        });
    }
    told.extend(units::apply(&fits, model)?);
    Ok(told)
}

/// Gives sites that are quantised `ReLU`s in both, with other numbers of levels, the twin's steps,
/// as many times larger as they have fewer levels, so that the largest output stays. Returns a line
/// for each.
fn relevel(twin: &Model, model: &mut Model) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let own: Vec<(String, QuantRelu)> = { model.graph().nodes.iter() }
        .filter_map(|node| Some((node.name.clone(), quantised(model.graph(), &node.name)?.clone())))
        .collect();
    for (site, relu) in own {
        let Some(other) = quantised(twin.graph(), &site).filter(|o| o.levels != relu.levels) else {
            continue;
        };
        let factor = f64::from(other.levels) / f64::from(relu.levels);
        let name = format!("{site}.step");
        let steps = snn_ir::weights::get(twin.weights(), &name)?.to_f64();
        let shape = snn_ir::weights::get(model.weights(), &name)?.shape().to_vec();
        let scaled = if steps.shape() == shape {
            steps.mapv(|step| step * factor)
        } else {
            ArrayD::from_elem(shape, steps.mean().unwrap_or(relu.step) * factor)
        };
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let scaled = scaled.mapv(|step| step as f32);
        model.weights_mut().insert(name, Tensor::F32(scaled));
        let (before, after) = (other.levels, relu.levels);
        told.push(format!("swap `{site}`: {before} levels become {after}, step times {factor:.3}"));
    }
    Ok(told)
}

/// Refuses a twin with weights that were never trained: what a delay yields is zero in as many
/// macro-steps as it is long.
fn refuse_silent_delays(twin: &Model) -> Result<()> {
    let silent = twin.graph().nodes.iter().filter_map(|node| match node.op {
        Op::Delay { steps, .. } if steps >= twin.time_steps() => Some((&node.name, steps)),
        _ => None,
    });
    silent.max_by_key(|(_, steps)| *steps).map_or(Ok(()), |(delay, steps)| {
        Err(Error::Mismatch {
            what: "time steps of the twin",
            expected: format!(
                "more than {steps}: the delay `{delay}` yields nothing in the first {steps}, so \
                 that the weights which read it would never be trained; give `twin.time_steps` \
                 (`time_steps` of the run that `start_from` names)"
            ),
            found: twin.time_steps().to_string(),
        })
    })
}

/// The fit of each site that changes.
pub(crate) fn fits(
    twin: &Model,
    activity: &Activity,
    model: &Model,
) -> Result<BTreeMap<String, SpikingFit>> {
    let mut fits = BTreeMap::new();
    let resolved = model.graph().resolve()?;
    for (position, node) in model.graph().nodes.iter().enumerate() {
        let Op::Activation { site: Site::Lif(lif), .. } = &node.op else { continue };
        let Some(relu) = quantised(twin.graph(), &node.name) else { continue };
        let steps = snn_ir::weights::get(twin.weights(), &format!("{}.step", node.name))?;
        let steps = steps.to_f64();
        let step = steps.mean().unwrap_or(relu.step);
        let uniform = vec![1.0; usize::from(relu.levels) + 1];
        let levels = activity.get(&node.name).unwrap_or(&uniform);
        let shifts = units::shift_holder(model.graph(), &resolved, position).is_some();
        let fit = SpikingFit::new(lif, model.time_steps(), step, levels, shifts)?;
        fits.insert(node.name.clone(), fit);
    }
    Ok(fits)
}

fn quantised<'g>(twin: &'g Graph, name: &str) -> Option<&'g QuantRelu> {
    match &twin.node(name)?.op {
        Op::Activation { site: Site::QuantRelu(relu), .. } => Some(relu),
        _ => None,
    }
}

/// Measures the activity of a twin on batches of training samples.
///
/// # Errors
/// A sample cannot be read, or libtorch fails.
pub(crate) fn activity(twin: &Model, loader: &Loader, device: Device) -> Result<Activity> {
    let network = Network::with_options(twin, &NetworkOptions::new(device))?;
    let monitor = Monitor { levels: true, ..Monitor::default() };
    let mut activity = Activity::new();
    for batch in loader.epoch(0)?.take(SWAP_BATCHES) {
        let pixels = Pixels::new(&input(&batch?.samples), device)?;
        let (_, sites) = network.forward_monitored(&pixels, Mode::Evaluate, monitor)?;
        for site in sites {
            let (Some(relu), Some(levels)) = (quantised(twin.graph(), &site.site), site.levels)
            else {
                continue;
            };
            let count = i64::from(relu.levels) + 1;
            let levels = levels.f_to_kind(Kind::Int64)?.f_flatten(0, -1)?;
            let counts = levels.f_bincount(None::<tch::Tensor>, count)?.f_to_kind(Kind::Double)?;
            let counts: Vec<f64> = Vec::try_from(counts)?;
            let sums = activity.entry(site.site).or_insert_with(|| vec![0.0; counts.len()]);
            sums.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
        }
    }
    Ok(activity)
}

/// Measures the running statistics of batch norm for a network whose sites were swapped.
///
/// # Errors
/// A sample cannot be read, or libtorch fails.
pub(crate) fn settle(model: &mut Model, loader: &Loader, options: &NetworkOptions) -> Result<()> {
    let options = NetworkOptions { training: TrainingOptions::default(), ..options.clone() };
    let mut network = Network::with_options(model, &options)?;
    let batches = loader.epoch(0)?.take(SWAP_BATCHES);
    network.reestimate_batch_norm(
        batches.map(|batch| Ok::<_, Error>(Pixels::new(&input(&batch?.samples), options.device)?)),
    )?;
    *model.weights_mut() = network.weights()?;
    Ok(())
}
