//! Converted networks of a run: proof, operations, energy.

use super::chart::{Axes, Point, bars, scatter, short};
use super::page::{folded, table};
use crate::commands::infer::{Inference, infer};
use crate::commands::verify::{Shown, batch_of, prove};
use crate::deployed::{ProgramEngines, Ways};
use crate::energy::{FP32, Figures, INT8};
use anyhow::{Context, Result};
use maud::{Markup, html};
use snn_data::Source;
use snn_ir::{Form, Model};
use snn_reparam::proof::{Demands, Report, Tuning};
use std::sync::Arc;
use tch::Device;

/// Samples of each proof that the naive evaluator runs on.
const NAIVE: usize = 2;

/// A converted network with what was measured of it.
pub(super) struct Converted {
    pub(super) name: String,
    figures: Figures,
    report: Report,
    inference: Inference,
}

impl Converted {
    /// Proves, counts and times a converted model on these samples.
    pub(super) fn measured(
        name: String,
        trained: &Model,
        model: &Model,
        samples: &Arc<dyn Source>,
        (device, figures): (Device, Option<Figures>),
    ) -> Result<Self> {
        let engines = ProgramEngines { device, ways: Ways::default() };
        let shown =
            Shown { source: Arc::clone(samples), of: samples.len(), batch: batch_of([model])? };
        let demands = Demands {
            max_drop: 100.0,
            naive_samples: NAIVE,
            frame_samples: NAIVE,
            ..Demands::default()
        };
        let reports = prove(trained, &[(model, Tuning::None)], &shown, &engines, &demands)
            .with_context(|| format!("the proof of {name}"))?;
        let report = reports.into_iter().next().context("one file has one report")?;
        let report = report.with_context(|| format!("the proof of {name}"))?;
        let mut inference = infer(model, samples, true)?;
        let usual = if matches!(model.form(), Form::Grid { .. }) { INT8 } else { FP32 };
        let figures = figures.unwrap_or(usual);
        inference.counted = inference.counted.map(|counted| counted.with(figures));
        Ok(Self { name, figures, report, inference })
    }

    /// A count of one sample.
    fn each(&self, value: u64) -> f64 {
        let samples = self.inference.counted.as_ref().map_or(1, |c| c.counts.samples);
        value as f64 / samples.max(1) as f64
    }
}

/// The section of all of them.
pub(super) fn section(all: &[Converted]) -> Markup {
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let headings = [
        "network",
        "proof",
        "samples",
        "accuracy",
        "same class",
        "weights not nearest",
        "events",
        "additions",
        "multiplications",
        "energy",
        "samples/s",
    ];
    let points: Vec<Point> = all.iter().filter_map(point).collect();
    html! {
        (table("Converted networks, a sample", &headings, &rows))
        p.note {
            "Energy is counted, not measured: figures of an addition and a multiply-accumulate (of \
             45 nm, unless others were given), without memory. The proof of a file compares every \
             interpreter with every other on these samples."
        }
        div.charts {
            @if points.len() > 1 {
                (scatter("Accuracy against additions",
                    Axes { x: "additions of a sample, millions", y: "accuracy, %" }, &points))
            }
            @for converted in all { (energy(converted)) }
        }
        @for converted in all {
            (folded(&format!("{}: operations of each layer", converted.name), &layers(converted)))
        }
        @for converted in all.iter().filter(|c| !c.report.failures.is_empty()) {
            h3 { (converted.name) ": what failed" }
            ul { @for failure in &converted.report.failures { li { (failure) } } }
        }
    }
}

fn row(converted: &Converted) -> Vec<String> {
    let Converted { name, report, inference, .. } = converted;
    let counted = inference.counted.as_ref();
    let total = counted.map(|c| c.counts.total()).unwrap_or_default();
    vec![
        name.clone(),
        report.verdict.to_string(),
        report.samples.to_string(),
        format!("{:.2} %", report.accuracy_converted),
        format!("{:.2} %", report.kept_classes()),
        format!("{} of {}", report.changed_weights, report.weights),
        short(converted.each(total.events)),
        short(converted.each(total.additions)),
        short(converted.each(total.multiplications)),
        counted.map_or(String::new(), |c| format!("{:.3} µJ", c.energy_microjoules)),
        format!("{:.0}", inference.images_per_second),
    ]
}

fn point(converted: &Converted) -> Option<Point> {
    let total = converted.inference.counted.as_ref()?.counts.total();
    Some(Point {
        name: converted.name.clone(),
        x: converted.each(total.additions) * 1e-6,
        y: converted.report.accuracy_converted,
    })
}

/// Energy of each layer that takes any.
fn energy(converted: &Converted) -> Markup {
    let Some(counted) = &converted.inference.counted else { return html! {} };
    let rows: Vec<(String, f64, usize)> = counted
        .counts
        .nodes
        .iter()
        .map(|node| {
            let (macs, additions) = (node.tally.multiplications, node.tally.additions);
            let energy =
                converted.figures.microjoules(converted.each(macs), converted.each(additions));
            (node.node.clone(), energy, usize::from(macs > additions))
        })
        .filter(|(_, energy, _)| *energy > 0.0)
        .collect();
    bars(&format!("{}: energy of each layer", converted.name), " µJ", &rows)
}

fn layers(converted: &Converted) -> Markup {
    let Some(counted) = &converted.inference.counted else { return html! {} };
    let each = |value| short(converted.each(value));
    let rows: Vec<Vec<String>> = counted
        .counts
        .nodes
        .iter()
        .map(|node| {
            let tally = &node.tally;
            vec![
                node.node.clone(),
                node.op.clone(),
                node.firing_rate().map_or(String::new(), |rate| format!("{rate:.3}")),
                each(tally.events),
                each(tally.additions),
                each(tally.multiplications),
                each(tally.comparisons),
            ]
        })
        .collect();
    let headings = [
        "node",
        "operation",
        "firing rate",
        "events",
        "additions",
        "multiplications",
        "comparisons",
    ];
    table("Operations of one sample", &headings, &rows)
}
