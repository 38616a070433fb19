//! What the sites of a trained network do with one sample: rasters and membranes.

use super::chart::{Axes, Line, lines, raster};
use anyhow::Result;
use maud::{Markup, html};
use ndarray::{ArrayD, Axis};
use snn_core::{Mode, Monitor, Network, Pixels, SiteMonitor, arrays};
use snn_ir::{Model, Op, Site, Threshold};

/// Neurons of a raster, evenly spread over the site.
const NEURONS: usize = 48;
/// Neurons whose membranes are drawn.
const MEMBRANES: usize = 4;

/// The sites of a pass over one sample.
pub(super) fn of_sample(network: &Network, model: &Model, pixels: &Pixels) -> Result<Markup> {
    let monitor = Monitor { levels: true, membranes: true, gradients: false };
    let (_, sites) = network.forward_monitored(pixels, Mode::Evaluate, monitor)?;
    let drawn = sites.iter().map(|site| of_site(site, model)).collect::<Result<Vec<_>>>()?;
    let (rasters, membranes): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
    let membranes: Vec<Markup> = membranes.into_iter().flatten().collect();
    Ok(html! {
        h4 { "What each site emits (a row a neuron, a column a macro-step)" }
        div.rasters { @for figure in rasters { (figure) } }
        @if !membranes.is_empty() {
            details {
                summary { "Membranes before the reset" }
                div.charts { @for figure in membranes { (figure) } }
            }
        }
    })
}

/// The raster of a site, and the membranes of a few of its neurons if it has any.
fn of_site(site: &SiteMonitor, model: &Model) -> Result<(Markup, Option<Markup>)> {
    let kind = model.graph().node(&site.site).map(|node| &node.op);
    let Some(Op::Activation { site: kind, .. }) = kind else { return Ok((html! {}, None)) };
    let Some(levels) = &site.levels else { return Ok((html! {}, None)) };
    let levels = over_time(&arrays::array(&levels.to_kind(tch::Kind::Double))?);
    let largest = match kind.levels() {
        Some(levels) => f64::from(levels),
        None => levels.iter().copied().fold(1e-9, f64::max),
    };
    let neurons = levels.len_of(Axis(1));
    let chosen: Vec<usize> =
        (0..neurons.min(NEURONS)).map(|place| place * neurons / neurons.min(NEURONS)).collect();
    let rows: Vec<Vec<f64>> = chosen
        .iter()
        .map(|&neuron| levels.column(neuron).iter().map(|level| level / largest).collect())
        .collect();
    let title = format!("{} ({}), {:.1} %", site.site, kind.label(), 100.0 * site.firing_rate);
    let drawn = raster(&title, &rows);
    let Some(membranes) = &site.membranes else { return Ok((drawn, None)) };
    let membranes = over_time(&arrays::array(&membranes.to_kind(tch::Kind::Double))?);
    let thresholds = thresholds(kind, &site.site, model);
    // Those that vary most of the neurons of the raster.
    let range = |neuron: usize| {
        let values = membranes.column(neuron);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        high - values.iter().copied().fold(f64::INFINITY, f64::min).min(0.0)
    };
    let mut by_range = chosen;
    by_range.sort_by(|&a, &b| range(b).total_cmp(&range(a)).then(a.cmp(&b)));
    let line = |neuron: usize| {
        let threshold = thresholds.as_ref().map_or(1.0, |all| {
            // Channels stand first in a sample.
            all[neuron * all.len() / neurons.max(1)]
        });
        let values = membranes.column(neuron);
        let points = values.iter().enumerate().map(|(t, u)| ((t + 1) as f64, u / threshold));
        Line { name: format!("neuron {neuron}"), points: points.collect() }
    };
    let mut drawn_lines: Vec<Line> = by_range.into_iter().take(MEMBRANES).map(line).collect();
    let steps = membranes.len_of(Axis(0)).max(1) as f64;
    drawn_lines.push(Line { name: "threshold".into(), points: vec![(1.0, 1.0), (steps, 1.0)] });
    let axes = Axes { x: "macro-step", y: "membrane / threshold" };
    Ok((drawn, Some(lines(&site.site, axes, &drawn_lines))))
}

/// `[T, neurons]` of `[T, 1, …]`.
fn over_time(values: &ArrayD<f64>) -> ndarray::Array2<f64> {
    let steps = values.shape().first().copied().unwrap_or(1).max(1);
    let neurons = values.len() / steps;
    let flat: Vec<f64> = values.iter().copied().collect();
    ndarray::Array2::from_shape_vec((steps, neurons), flat)
        .unwrap_or_else(|_| ndarray::Array2::zeros((steps, 0)))
}

/// The threshold of each channel, or the one of all.
fn thresholds(kind: &Site, site: &str, model: &Model) -> Option<Vec<f64>> {
    let Site::Lif(lif) = kind else { return None };
    match lif.threshold {
        Threshold::Fixed(threshold) => Some(vec![threshold]),
        Threshold::Learned { .. } => {
            let learned = model.weights().get(&format!("{site}.threshold"))?;
            Some(learned.to_f64().iter().copied().collect())
        }
    }
}
