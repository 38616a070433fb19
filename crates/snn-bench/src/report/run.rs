//! The report of a run.

use super::activity::of_sample;
use super::chart::{Axes, Line, bars, lines, matrix};
use super::converted::{self, Converted};
use super::page::{Section, facts, folded, page, table};
use crate::energy::Figures;
use crate::files::{self, Trained};
use crate::table::counted;
use anyhow::{Context, Result, bail};
use maud::{Markup, html};
use ndarray::Axis as ArrayAxis;
use snn_core::{Network, Pixels};
use snn_data::Source;
use snn_ir::{Form, Model};
use snn_train::{EpochMetrics, RunFolder, evaluation_batches, input};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Kind};

/// Samples of a batch of evaluation.
const BATCH: usize = 32;
/// Pairs of classes that are listed as taken for each other.
const PAIRS: usize = 12;
/// Classes above which the names of a confusion matrix are left to its table.
const NAMED: usize = 40;

/// What a report shows.
pub(crate) struct Chosen<'a> {
    /// Test samples that it measures.
    pub(crate) samples: Arc<dyn Source>,
    /// Places among them of those whose activity is drawn.
    pub(crate) drawn: &'a [usize],
    /// Converted models to measure.
    pub(crate) models: &'a [PathBuf],
}

/// A run with what was measured for its report.
pub(crate) struct RunReport<'a> {
    folder: RunFolder,
    trained: &'a Trained,
    chosen: Chosen<'a>,
    device: Device,
    /// Energy figures in place of the usual ones.
    energy: Option<Figures>,
}

impl<'a> RunReport<'a> {
    pub(crate) fn new(
        run: &Path,
        trained: &'a Trained,
        chosen: Chosen<'a>,
        device: Device,
        energy: Option<Figures>,
    ) -> Result<Self> {
        let samples = chosen.samples.len();
        if let Some(beyond) = chosen.drawn.iter().find(|place| **place >= samples) {
            bail!(
                "there is no sample {beyond}: the report measures {samples}, numbered from 0; \
                 raise --samples or choose others with --sample"
            );
        }
        Ok(Self { folder: RunFolder::open(run)?, trained, chosen, device, energy })
    }

    /// The page.
    pub(crate) fn html(&self) -> Result<String> {
        let model = &self.trained.model;
        let network = Network::new(model, self.device, Kind::Float)?;
        let metrics = self.folder.metrics()?;
        let mut sections = vec![Section { id: "summary", title: "Summary", body: self.summary()? }];
        if !metrics.is_empty() {
            let body = training(&metrics);
            sections.push(Section { id: "training", title: "Training", body });
        }
        let rates = firing_rates(&metrics, model);
        sections.extend(rates.map(|body| Section { id: "rates", title: "Firing rates", body }));
        let (confusion, drawn) = self.evaluated(&network)?;
        sections.push(Section { id: "samples", title: "Samples", body: drawn });
        sections.push(Section { id: "confusion", title: "Confusion", body: confusion });
        if !self.chosen.models.is_empty() {
            let body = self.converted()?;
            sections.push(Section { id: "converted", title: "As events", body });
        }
        let name = self.folder.path().file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(page(&format!("Run {}", name.unwrap_or_default()), &sections))
    }

    fn summary(&self) -> Result<Markup> {
        let model = &self.trained.model;
        let mut shown = Vec::new();
        if let Some(result) = self.folder.result()? {
            let percent = |share: f64| format!("{:.2} %", 100.0 * share);
            shown.push(("Data set", result.dataset.clone()));
            shown.push((
                "Test accuracy",
                format!("{} of {} samples", percent(result.test_accuracy), result.test_images),
            ));
            if let Some(validation) = result.validation_accuracy {
                shown.push(("Validation accuracy", percent(validation)));
            }
            if let Some(twin) = &result.twin {
                shown.push(("Test accuracy of its twin", percent(twin.test_accuracy)));
            }
            shown.push(("Neurons that are LIF", percent(1.0 - result.relu_share)));
            shown.push(("Policy", result.policy.to_string()));
            shown.push(("Learned values", result.parameters.to_string()));
            shown.push(("Epochs", result.final_epoch.to_string()));
            shown.push(("Training", format!("{:.0} s", result.wall_seconds)));
        } else {
            shown.push(("State", "not finished".to_string()));
        }
        shown.push(("Macro-steps T", model.time_steps().to_string()));
        let sites = model.graph().sites()?;
        shown.push(("Sites", sites.len().to_string()));
        if let Ok(info) = self.folder.info() {
            shown.push(("Device", format!("{}, {}", info.device, counted(info.threads, "thread"))));
            shown.push(("Version", info.version));
        }
        let config = self.folder.has_config().then(|| self.folder.config()).transpose()?;
        let text = config.map(|config| config.to_toml()).transpose()?;
        Ok(html! {
            (facts(&shown))
            p.note {
                "Test accuracy is that after the last epoch; nothing was chosen by it. Everything \
                 below that is measured is of the first or chosen " (self.chosen.samples.len())
                " test samples."
            }
            @if let Some(text) = text { (folded("The config", &html! { pre { (text) } })) }
        })
    }

    /// The confusion of the classes, and the samples that are drawn.
    fn evaluated(&self, network: &Network) -> Result<(Markup, Markup)> {
        let model = &self.trained.model;
        let classes = model.validate()?.classes();
        let names: Vec<String> = match model.classes() {
            [] => (0..classes).map(|class| class.to_string()).collect(),
            names => names.to_vec(),
        };
        let mut counts = vec![vec![0; classes]; classes];
        let mut drawn = Vec::new();
        let mut first = 0;
        for batch in evaluation_batches(&self.chosen.samples, BATCH)? {
            let batch = batch?;
            let shown = input(&batch.samples);
            let pixels = Pixels::new(&shown, self.device)?;
            let forward = network.forward(&pixels, snn_core::Mode::Evaluate)?;
            let shares = forward.logits.softmax(-1, Kind::Double);
            let shares = snn_core::arrays::array::<f64>(&shares)?;
            for (place, label) in batch.targets.labels.iter().enumerate() {
                let row = shares.index_axis(ArrayAxis(0), place);
                let best = (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
                let label = usize::try_from(*label).ok().filter(|label| *label < classes);
                let label =
                    label.context("a label of the test samples is no class of the model")?;
                counts[label][best] += 1;
                if self.chosen.drawn.contains(&(first + place)) {
                    let scores: Vec<f64> = row.iter().copied().collect();
                    let one = only(&shown, place);
                    let sample = Sample { number: first + place, label, scores, names: &names };
                    drawn.push(sample.markup(network, model, &one, self.device)?);
                }
            }
            first += batch.targets.labels.len();
        }
        let body = html! { @for sample in drawn { (sample) } };
        Ok((confusion(&names, &counts), body))
    }

    fn converted(&self) -> Result<Markup> {
        let mut all = Vec::new();
        for path in self.chosen.models {
            let model = files::converted(path)?;
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = name.unwrap_or_else(|| path.display().to_string());
            let trained = &self.trained.model;
            let samples = &self.chosen.samples;
            all.push(Converted::measured(
                name,
                trained,
                &model,
                samples,
                (self.device, self.energy),
            )?);
        }
        Ok(converted::section(&all))
    }
}

/// One sample of a batch, as owned values.
struct One {
    values: ndarray::ArrayD<u8>,
    varies: bool,
}

fn only(shown: &snn_ir::Input<'_>, place: usize) -> One {
    match shown {
        snn_ir::Input::Static(pixels) => {
            let one = pixels.index_axis(ArrayAxis(0), place).insert_axis(ArrayAxis(0));
            One { values: one.to_owned(), varies: false }
        }
        snn_ir::Input::Frames(frames) => {
            let one = frames.index_axis(ArrayAxis(1), place).insert_axis(ArrayAxis(1));
            One { values: one.to_owned(), varies: true }
        }
    }
}

/// A sample that is drawn.
struct Sample<'a> {
    number: usize,
    label: usize,
    /// Share of each class, the softmax of the logits.
    scores: Vec<f64>,
    names: &'a [String],
}

impl Sample<'_> {
    fn markup(
        &self,
        network: &Network,
        model: &Model,
        one: &One,
        device: Device,
    ) -> Result<Markup> {
        let view = one.values.view();
        let shown =
            if one.varies { snn_ir::Input::Frames(view) } else { snn_ir::Input::Static(view) };
        let pixels = Pixels::new(&shown, device)?;
        let sites = of_sample(network, model, &pixels)?;
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]).then(a.cmp(&b)));
        let best = order[0];
        let rows: Vec<(String, f64, usize)> = order
            .iter()
            .take(5)
            .map(|&class| {
                let colour = if class == self.label { 2 } else { 1 };
                (self.names[class].clone(), 100.0 * self.scores[class], colour)
            })
            .collect();
        let verdict = if best == self.label { "right" } else { "wrong" };
        Ok(html! {
            div.sample {
                h3 {
                    "Sample " (self.number) ": " (self.names[self.label]) ", classified as "
                    (self.names[best]) " (" (verdict) ")"
                }
                div.row {
                    (picture(one, self.number, &self.names[self.label]))
                    (bars("Share of the best classes", " %", &rows))
                }
                (sites)
            }
        })
    }
}

/// The sample as a picture, where this build makes pictures.
#[cfg(feature = "data")]
fn picture(one: &One, number: usize, name: &str) -> Markup {
    let axis = ArrayAxis(usize::from(one.varies));
    let address = super::picture::address(&one.values.index_axis(axis, 0));
    html! {
        @if let Some(address) = address {
            img src=(address) alt=(format!("Sample {number}, {name}"));
        }
    }
}

#[cfg(not(feature = "data"))]
fn picture(_: &One, _: usize, _: &str) -> Markup {
    html! {}
}

/// Loss and accuracy over epochs.
fn training(metrics: &[EpochMetrics]) -> Markup {
    let over = |name: &str, value: &dyn Fn(&EpochMetrics) -> Option<f64>| Line {
        name: name.into(),
        points: metrics.iter().filter_map(|m| Some((m.epoch as f64, value(m)?))).collect(),
    };
    let loss = [over("training", &|m| Some(m.train_loss))];
    let mut accuracies = vec![over("training", &|m| Some(100.0 * m.train_accuracy))];
    let validation = over("validation", &|m| m.validation_accuracy.map(|share| 100.0 * share));
    if !validation.points.is_empty() {
        accuracies.push(validation);
    }
    let rate = [over("learning rate", &|m| Some(m.learning_rate))];
    let rows: Vec<Vec<String>> = metrics
        .iter()
        .map(|m| {
            let validation = m
                .validation_accuracy
                .map_or(String::new(), |share| format!("{:.2} %", 100.0 * share));
            vec![
                m.epoch.to_string(),
                format!("{:.4}", m.train_loss),
                format!("{:.2} %", 100.0 * m.train_accuracy),
                validation,
                format!("{:.3e}", m.learning_rate),
                format!("{:.0}", m.images_per_second),
            ]
        })
        .collect();
    let headings =
        ["epoch", "loss", "training", "validation", "learning rate at its end", "samples/s"];
    html! {
        div.charts {
            (lines("Loss", Axes { x: "epoch", y: "loss" }, &loss))
            (lines("Accuracy", Axes { x: "epoch", y: "%" }, &accuracies))
            (lines("Learning rate at the end of each epoch",
                Axes { x: "epoch", y: "learning rate" }, &rate))
        }
        (folded("Every epoch", &table("Epochs", &headings, &rows)))
    }
}

/// Firing rates after the last epoch, and how they came to that.
fn firing_rates(metrics: &[EpochMetrics], model: &Model) -> Option<Markup> {
    let last = metrics.last().filter(|metrics| !metrics.firing_rates.is_empty())?;
    let sites = model.graph().sites().ok()?;
    let rows: Vec<(String, f64, usize)> = sites
        .iter()
        .filter_map(|info| {
            let rate = last.firing_rates.get(&info.name)?;
            Some((info.name.clone(), 100.0 * rate, if info.site.is_stateful() { 2 } else { 1 }))
        })
        .collect();
    let headings: Vec<&str> =
        std::iter::once("epoch").chain(sites.iter().map(|info| info.name.as_str())).collect();
    let history: Vec<Vec<String>> = metrics
        .iter()
        .map(|m| {
            let rate = |info: &snn_ir::SiteInfo| {
                m.firing_rates
                    .get(&info.name)
                    .map_or(String::new(), |r| format!("{:.1}", 100.0 * r))
            };
            std::iter::once(m.epoch.to_string()).chain(sites.iter().map(rate)).collect()
        })
        .collect();
    Some(html! {
        p.note {
            "Outputs that are not zero on the held-out samples: green of LIF neurons, orange of \
             ReLUs."
        }
        (bars("After the last epoch", " %", &rows))
        (folded("Every epoch", &table("Firing rates in percent", &headings, &history)))
    })
}

/// The matrix, and the pairs that are taken for each other most.
fn confusion(names: &[String], counts: &[Vec<usize>]) -> Markup {
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (label, row) in counts.iter().enumerate() {
        for (class, &count) in row.iter().enumerate() {
            if class != label && count > 0 {
                pairs.push((count, label, class));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let rows: Vec<Vec<String>> = pairs
        .iter()
        .take(PAIRS)
        .map(|&(count, label, class)| {
            vec![names[label].clone(), names[class].clone(), count.to_string()]
        })
        .collect();
    let right: usize = counts.iter().enumerate().map(|(class, row)| row[class]).sum();
    let all: usize = counts.iter().flatten().sum();
    let title = if names.len() > NAMED {
        "True class down, predicted class across; hover for names"
    } else {
        "True class down, predicted class across"
    };
    html! {
        p { (right) " of " (all) " samples are classified right by the trained network." }
        div.scroll tabindex="0" role="region" aria-label="Confusion matrix" {
            (matrix(title, names, counts))
        }
        @if !rows.is_empty() {
            (table("Taken for each other most", &["class", "taken for", "samples"], &rows))
        }
    }
}

/// Converted models that stand in a run folder.
pub(crate) fn converted_models(run: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(run)? {
        let path = entry?.path();
        let is_model = path.extension().is_some_and(|ending| ending == "safetensors");
        if is_model && Model::load(&path).is_ok_and(|model| model.form() != Form::Trained) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
