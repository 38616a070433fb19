//! The figures of a run folder.

use crate::run::chart::{Bars, Lines, Series, bars, panels};
use crate::run::metrics::EpochMetrics;

const TRAIN: &str = "#1f6fb4";
const VALIDATION: &str = "#d95f02";
const SPIKING: &str = "#1b8a6b";

/// Loss, and accuracy in training and on held-out images, over epochs.
pub(crate) fn curves(metrics: &[EpochMetrics]) -> String {
    let over_epochs = |name, colour, value: &dyn Fn(&EpochMetrics) -> Option<f64>| Series {
        name,
        colour,
        points: metrics.iter().filter_map(|m| Some((m.epoch as f64, value(m)?))).collect(),
    };
    let loss = over_epochs("training", TRAIN, &|m| Some(m.train_loss));
    let mut accuracies = vec![over_epochs("training", TRAIN, &|m| Some(100.0 * m.train_accuracy))];
    let validation = over_epochs("validation", VALIDATION, &|m| {
        m.validation_accuracy.map(|share| 100.0 * share)
    });
    if !validation.points.is_empty() {
        accuracies.push(validation);
    }
    let charts = [
        Lines { title: "Loss", x_label: "epoch", unit: "", series: vec![loss] },
        Lines { title: "Accuracy", x_label: "epoch", unit: " %", series: accuracies },
    ];
    panels(&charts, charts.len())
}

/// Firing rate of each site after the last epoch, those in `sites` in that order; `None` if none
/// was measured.
pub(crate) fn firing_rates(metrics: &[EpochMetrics], sites: &[(&str, bool)]) -> Option<String> {
    let last = metrics.last().filter(|metrics| !metrics.firing_rates.is_empty())?;
    let bar = |(site, spiking): &(&str, bool)| {
        let rate = last.firing_rates.get(*site)?;
        Some((site.to_string(), if *spiking { SPIKING } else { VALIDATION }, *rate))
    };
    let legend: &[(&'static str, &'static str)] = &[("spiking", SPIKING), ("ReLU", VALIDATION)];
    let used = |spiking: bool| sites.iter().any(|site| site.1 == spiking);
    Some(bars(&Bars {
        title: format!("Outputs that are not zero, epoch {}", last.epoch),
        rows: sites.iter().filter_map(bar).collect(),
        legend: legend
            .iter()
            .zip([used(true), used(false)])
            .filter(|(_, used)| *used)
            .map(|(entry, _)| *entry)
            .collect(),
    }))
}
