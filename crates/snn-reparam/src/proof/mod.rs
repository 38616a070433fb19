//! The proof that a file is its trained network.
//!
//! [`prove`] compares the file with what conversion makes of the run, its integers with an
//! independent bound, and then, image by image, the trained network with its conversion (every
//! decision), the file in one interpreter with the file in all others (every bit), and the trained
//! network with the file (what rounding changed). Interpreters come from the caller by the trait
//! [`Engines`]: libtorch, the event runtime, deployments, a user's own.

mod compare;
mod link;
mod report;
mod rounding;
mod stimulus;

pub use compare::{Comparison, LOGIT_TOLERANCE, SiteComparison, Strictness};
pub use link::{Difference, Tuning, difference, options_of};
pub use report::{Findings, LEAST_FINETUNED_IMAGES, Noise, Report, Verdict};
pub use rounding::{LayerRounding, check_rounding};

use crate::convert::{ConvertOptions, convert};
use crate::error::{Error, Result};
use crate::grid::to_grid;
use snn_ir::Naive;
use snn_ir::{Evaluate, Evaluation, Form, Input, Logits, Model, Neurons, Record};
use snn_ir::{SiteInfo, SiteOutput};
use stimulus::{first, noisy, time_varying};

/// An interpreter of one model.
pub type Engine = Box<dyn Evaluate>;

/// The naive evaluator of a model, which knows every form and is slow.
///
/// # Errors
/// The model is not valid, or has a neuron that is not among these.
pub fn naive(model: &Model, neurons: &Neurons) -> std::result::Result<Engine, EngineError> {
    Naive::with_neurons(model, neurons)?;
    Ok(Box::new(OwnedNaive { model: model.clone(), neurons: neurons.clone() }))
}

struct OwnedNaive {
    model: Model,
    neurons: Neurons,
}

impl Evaluate for OwnedNaive {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        Naive::with_neurons(&self.model, &self.neurons)?.evaluate(input, record)
    }
}

/// Where the interpreters of a proof come from. All errors are boxed: back ends differ.
pub trait Engines {
    /// A dense interpreter in f64 of a trained network, and of one on the grid.
    ///
    /// # Errors
    /// The model cannot be run.
    fn dense(&self, model: &Model) -> std::result::Result<Engine, EngineError>;

    /// An event-driven interpreter of a converted network, in f64 off the grid.
    ///
    /// # Errors
    /// The model cannot be run.
    fn events(&self, model: &Model) -> std::result::Result<Engine, EngineError>;

    /// All further ways to run a network on the grid, each of which must give the bits that the
    /// event-driven interpreter gives.
    ///
    /// # Errors
    /// The model cannot be run.
    fn ways(&self, _model: &Model) -> std::result::Result<Vec<Way>, EngineError> {
        Ok(Vec::new())
    }

    /// `true` if the dense interpreter is exact on this machine, for a network on the grid.
    ///
    /// # Errors
    /// It is not; the error says where.
    fn self_test(&self, _model: &Model) -> std::result::Result<(), EngineError> {
        Ok(())
    }

    /// Neurons of a user's own that the trained network has.
    fn neurons(&self) -> Neurons {
        Neurons::default()
    }
}

/// Error of an interpreter.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// One way to run a network on the grid: instructions, threads, kernels, streaming.
#[allow(missing_debug_implementations, reason = "interpreters need not be printable")]
pub struct Way {
    /// How it runs, for reports.
    pub name: String,
    /// Record that the interpreter supports: with [`Record::Logits`] only logits are compared.
    pub record: Record,
    /// The first images that it runs on; `None` for all.
    pub samples: Option<usize>,
    /// The interpreter.
    pub engine: Engine,
}

/// Demands of a proof, and how much of it is tried on a sample of the images.
#[derive(Debug, Clone)]
pub struct Demands {
    /// The most accuracy that conversion may cost, in points.
    pub max_drop: f64,
    /// What may have changed the weights of the file. Those of a calibrated file may be calibrated
    /// ([`Tuning::Calibration`]) without being asked for.
    pub tuning: Tuning,
    /// Number of images of the whole test set, where it is known.
    pub test_samples: Option<usize>,
    /// Images on which the naive evaluator runs as well.
    pub naive_samples: usize,
    /// Samples of frames that vary over time, made from the images; the naive evaluator runs on at
    /// most `naive_samples` of them.
    pub frame_samples: usize,
    /// Images whose pixels are changed by one of 255, to measure what that does to classes.
    pub noise_samples: usize,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            max_drop: 1.0,
            tuning: Tuning::None,
            test_samples: None,
            naive_samples: 20,
            frame_samples: 20,
            noise_samples: 256,
        }
    }
}

/// Labelled samples.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// Raw pixels.
    pub input: Input<'a>,
    /// One class a sample.
    pub labels: &'a [i64],
}

/// Most samples of a batch that [`batch_size`] gives.
const LARGEST_BATCH: usize = 50;

/// Decisions of a batch that [`batch_size`] gives. A proof holds a batch in two interpreters at
/// once, in f64 in the dense one: about 80 bytes a decision of ResNet-34, 4 GiB in all.
const DECISIONS_OF_A_BATCH: usize = 50_000_000;

/// Samples of a batch of a proof whose results fit into about 4 GiB of memory: 50, or fewer of a
/// network with more than a million decisions (levels of all sites at all macro-steps) a sample.
///
/// # Errors
/// The graph is not valid.
pub fn batch_size(model: &Model) -> Result<usize> {
    let neurons: usize = model.graph().sites()?.iter().map(SiteInfo::neurons).sum();
    let decisions = neurons.saturating_mul(model.time_steps()).max(1);
    Ok((DECISIONS_OF_A_BATCH / decisions).clamp(1, LARGEST_BATCH))
}

/// The comparisons of one kind of input.
#[derive(Debug)]
struct Comparisons {
    /// The trained network against its conversion off the grid.
    conversion: Comparison,
    /// On the grid: dense against event-driven.
    grid: Option<Comparison>,
    /// On the grid: the trained network against the file. Bitwise equality on the grid says nothing
    /// of it. It is measured and no demand is made: one decision that falls the other way shifts
    /// the currents of all that follow, so that a deep network changes many decisions, and classes,
    /// at no cost in accuracy.
    rounding: Option<Comparison>,
    /// Event-driven against every way.
    ways: Vec<Comparison>,
    /// The naive evaluator against event-driven.
    naive: Comparison,
}

/// A proof in progress: every batch that is added runs in all interpreters.
#[allow(missing_debug_implementations, reason = "interpreters need not be printable")]
pub struct Proof {
    running: Option<Running>,
    findings: Findings,
    demands: Demands,
    images: Option<Comparisons>,
    frames: Option<Comparisons>,
    correct_trained: usize,
    correct_converted: usize,
}

/// Interpreters at work.
struct Running {
    trained: Engine,
    events: Engine,
    naive: Engine,
    time_steps: usize,
    grid: Option<OnGrid>,
}

struct OnGrid {
    dense: Engine,
    events: Engine,
    ways: Vec<Way>,
}

/// Runs the whole proof.
///
/// # Errors
/// The first model is not trained, the second not converted, or off the grid though it should be
/// fine-tuned; an interpreter failed; a batch could not be read.
pub fn prove<'b, E>(
    trained: &Model,
    file: &Model,
    engines: &dyn Engines,
    demands: Demands,
    batches: impl IntoIterator<Item = std::result::Result<Batch<'b>, E>>,
) -> std::result::Result<Report, E>
where
    E: From<Error>,
{
    let mut proof = Proof::new(trained, file, engines, demands)?;
    if proof.is_running() {
        for batch in batches {
            proof.add(&batch?)?;
        }
    }
    Ok(proof.finish())
}

impl Proof {
    /// Begins a proof: compares the file with what conversion makes of the run, and its integers
    /// with the independent bound, and makes the interpreters. Where form, graph, T, preprocessing
    /// or classes differ there is nothing to run, and [`is_running`](Self::is_running) is false.
    ///
    /// # Errors
    /// The first model is not trained, the second not converted, or off the grid though it should
    /// be fine-tuned; an interpreter cannot be made.
    pub fn new(
        trained: &Model,
        file: &Model,
        engines: &dyn Engines,
        demands: Demands,
    ) -> Result<Self> {
        if file.form() == Form::Trained {
            return Err(Error::Form { expected: "events or grid", found: file.form().label() });
        }
        if demands.tuning == Tuning::Weights && file.form() == Form::Events {
            return Err(Error::FineTuned { found: file.form().label() });
        }
        let options = options_of(file);
        let neurons = engines.neurons();
        let codes = ConvertOptions { codes: options.codes.clone(), neurons: neurons.clone() };
        let on_grid = options.grid.filter(|_| matches!(file.form(), Form::Grid { .. }));
        let converted = convert(trained, &codes).map(|events| events.model).and_then(|events| {
            let expected = match on_grid {
                Some(grid) => to_grid(&events, grid)?.model,
                None => events.clone(),
            };
            Ok((events, expected))
        });
        let (events, expected) = match converted {
            Ok(models) => models,
            // The file has a site that the run has not, a code that a site of the run cannot have,
            // or a grid that the run cannot be put on: it is another network's.
            Err(error @ (Error::Refused(_) | Error::Overflow { .. })) => {
                let why = match error {
                    Error::Refused(plan) => plan.refusals(),
                    error => error.to_string(),
                };
                return Ok(Self::refuted(
                    demands,
                    vec![format!(
                        "the file is not the conversion of the run: with its options the run \
                         cannot be converted\n{why}"
                    )],
                ));
            }
            Err(error) => return Err(error),
        };
        let is_calibrated = on_grid.is_some_and(|grid| grid.calibration > 0);
        let tuning = match demands.tuning {
            Tuning::None if is_calibrated => Tuning::Calibration,
            tuning => tuning,
        };
        let link = difference(&expected, file, tuning);
        let mut findings = Findings {
            on_grid: on_grid.is_some(),
            tuning,
            test_samples: demands.test_samples,
            max_drop: demands.max_drop,
            changed_weights: link.changed,
            weights: link.tunable,
            failures: link.causes(),
            ..Findings::default()
        };
        if !link.signature.is_empty() {
            return Ok(Self { findings, ..Self::refuted(demands, Vec::new()) });
        }
        if let Some(grid) = on_grid {
            let (layers, causes) = check_rounding(&events, &expected, grid)?;
            findings.rounding = layers;
            findings.failures.extend(causes);
        }
        // Off the grid the file itself is compared with the trained network, so that a wrong one
        // shows in its spikes as well.
        let off_grid = if on_grid.is_some() { &events } else { file };
        let failed = Error::Engine;
        let grid = match on_grid {
            Some(_) => {
                if let Err(error) = engines.self_test(file) {
                    let text = format!("the dense interpreter is not exact here: {error}");
                    findings.failures.push(text);
                }
                Some(OnGrid {
                    dense: engines.dense(file).map_err(failed)?,
                    events: engines.events(file).map_err(failed)?,
                    ways: engines.ways(file).map_err(failed)?,
                })
            }
            None => None,
        };
        let running = Running {
            trained: engines.dense(trained).map_err(failed)?,
            events: engines.events(off_grid).map_err(failed)?,
            naive: naive(file, &neurons).map_err(failed)?,
            time_steps: file.time_steps(),
            grid,
        };
        Ok(Self { running: Some(running), findings, ..Self::refuted(demands, Vec::new()) })
    }

    /// A proof that has failed before anything ran.
    fn refuted(demands: Demands, failures: Vec<String>) -> Self {
        let findings = Findings {
            tuning: demands.tuning,
            test_samples: demands.test_samples,
            max_drop: demands.max_drop,
            failures,
            ..Findings::default()
        };
        Self {
            running: None,
            findings,
            demands,
            images: None,
            frames: None,
            correct_trained: 0,
            correct_converted: 0,
        }
    }

    /// `true` if there is anything to run: false where the file is so different from the conversion
    /// of the run that spikes cannot be compared.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Runs all interpreters on one batch.
    ///
    /// # Errors
    /// An interpreter failed, results cannot be compared, or there are not as many labels as
    /// samples.
    pub fn add(&mut self, batch: &Batch<'_>) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let input = &batch.input;
        let count = input.batch();
        if count != batch.labels.len() {
            let labels = batch.labels.len();
            return Err(Error::Comparison(format!("{count} samples with {labels} labels")));
        }
        let images = self.images.get_or_insert_with(|| running.comparisons(""));
        let seen = images.conversion.samples;
        let left = |samples: usize| samples.saturating_sub(seen).min(count);
        let naive = left(self.demands.naive_samples);
        let (trained, converted) = running.compare(images, input, naive)?;
        self.correct_trained += trained.logits.correct(batch.labels);
        self.correct_converted += converted.logits.correct(batch.labels);
        let (before, after) = (trained.logits.argmax(), converted.logits.argmax());
        self.findings.class_changes += changed(&before, &after);
        let noise = left(self.demands.noise_samples);
        // One step of a pixel is invisible in an image; in a frame it is a whole spike or event.
        if noise > 0 && !input.varies() {
            let pixels = noisy(input, noise, seen as u64);
            let shown = Input::Static(pixels.view());
            let classes = running.trained.evaluate(&shown, Record::Logits)?.logits.argmax();
            let so_far = self.findings.noise.get_or_insert(Noise { samples: 0, class_changes: 0 });
            so_far.samples += noise;
            so_far.class_changes += changed(&before[..noise], &classes);
        }
        let frames = left(self.demands.frame_samples);
        if frames > 0 && !input.varies() {
            let pixels = time_varying(input, frames, running.time_steps, seen as u64);
            let shown = Input::Frames(pixels.view());
            let comparisons =
                self.frames.get_or_insert_with(|| running.comparisons(", varying frames"));
            running.compare(comparisons, &shown, naive.min(frames))?;
        }
        Ok(())
    }

    /// The verdict.
    pub fn finish(mut self) -> Report {
        let running = self.running.take();
        let mut findings = self.findings;
        let samples = self.images.as_ref().map_or(0, |images| images.conversion.samples);
        let percent = |correct: usize| 100.0 * correct as f64 / samples as f64;
        findings.accuracy_reference = percent(self.correct_trained);
        findings.accuracy_converted = percent(self.correct_converted);
        let images = self.images.or_else(|| running.map(|running| running.comparisons("")));
        let made = self.frames.map(|frames| (frames, true));
        for (set, is_made) in images.map(|images| (images, false)).into_iter().chain(made) {
            let (mut conversion, rounding) = (set.conversion, set.rounding);
            // The first decision that differs in f64 is a tie, and the grid decides as the trained
            // network does, everywhere: it is proved against that network itself.
            let tied = conversion.sites.iter().find(|site| site.flips > 0);
            if let (Some(direct), Some(site)) = (&rounding, tied)
                && site.ties > 0
                && direct.flips == 0
                && direct.class_changes == 0
                && direct.samples == conversion.samples
            {
                findings.notes.push(format!(
                    "{}: {} of {} decisions differ in f64, the first at site `{}`, where {} are \
                     ties; the grid takes every one of them as the trained network does",
                    conversion.pair(),
                    conversion.flips,
                    conversion.decisions,
                    site.site,
                    site.ties
                ));
                conversion.strictness = Strictness::Agreement;
            }
            let comparisons =
                if is_made { &mut findings.made_frames } else { &mut findings.comparisons };
            comparisons.push(conversion);
            comparisons.extend(set.grid.into_iter().chain(rounding).chain(set.ways));
            if set.naive.samples > 0 {
                comparisons.push(set.naive);
            }
        }
        Report::new(findings)
    }
}

impl Running {
    /// Empty comparisons of these interpreters, for inputs of one kind.
    fn comparisons(&self, kind: &str) -> Comparisons {
        let named = |engine: &Engine, form: &str| format!("{} ({form}){kind}", engine.name());
        let trained = || named(&self.trained, "trained, f64");
        let converted = named(&self.events, "converted, f64");
        let grid = self.grid.as_ref();
        let events = grid.map(|grid| named(&grid.events, "grid"));
        let ways = |grid: &OnGrid| {
            let of = |way: &Way| {
                Comparison::new(
                    Strictness::Bitwise,
                    named(&grid.events, "grid"),
                    format!("{}{kind}", way.name),
                )
            };
            grid.ways.iter().map(of).collect()
        };
        let (strictness, form, file) = match &events {
            Some(events) => (Strictness::Bitwise, "grid", events),
            None => (Strictness::ZeroFlips, "converted, f64", &converted),
        };
        Comparisons {
            naive: Comparison::new(strictness, format!("naive ({form}){kind}"), file),
            conversion: Comparison::new(Strictness::ZeroFlips, trained(), &converted),
            rounding: events
                .as_ref()
                .map(|events| Comparison::new(Strictness::Agreement, trained(), events)),
            grid: grid.zip(events.as_ref()).map(|(grid, events)| {
                Comparison::new(Strictness::Bitwise, named(&grid.dense, "grid"), events)
            }),
            ways: grid.map_or_else(Vec::new, ways),
        }
    }

    /// Runs all interpreters on one input, the naive one on its first samples. Returns what the
    /// trained network did and what the file did.
    fn compare(
        &mut self,
        comparisons: &mut Comparisons,
        input: &Input<'_>,
        naive: usize,
    ) -> Result<(Evaluation, Evaluation)> {
        let trained = self.trained.evaluate(input, Record::Sites)?;
        let mut converted = self.events.evaluate(input, Record::Sites)?;
        let seen = comparisons.conversion.samples;
        comparisons.conversion.add(&trained, &converted)?;
        if let (Some(comparison), Some(rounding), Some(grid)) =
            (&mut comparisons.grid, &mut comparisons.rounding, &mut self.grid)
        {
            let on_grid = grid.events.evaluate(input, Record::Sites)?;
            comparison.add(&grid.dense.evaluate(input, Record::Sites)?, &on_grid)?;
            rounding.add_decisions(&trained, &on_grid)?;
            for (comparison, way) in comparisons.ways.iter_mut().zip(&mut grid.ways) {
                let limit = way.samples.unwrap_or(usize::MAX);
                let count = limit.saturating_sub(seen).min(input.batch());
                if count == 0 {
                    continue;
                }
                let found = way.engine.evaluate(&first(input, count), way.record)?;
                let expected = first_of(&on_grid, count);
                match way.record {
                    Record::Sites => comparison.add(&expected, &found)?,
                    Record::Logits => comparison.add_logits(&expected.logits, &found.logits)?,
                }
            }
            converted = on_grid;
        }
        if naive > 0 {
            let found = self.naive.evaluate(&first(input, naive), Record::Sites)?;
            comparisons.naive.add(&found, &first_of(&converted, naive))?;
        }
        Ok((trained, converted))
    }
}

/// Result of an interpreter for the first samples of a batch.
fn first_of(evaluation: &Evaluation, count: usize) -> Evaluation {
    let logits = match &evaluation.logits {
        Logits::Integer(a) => Logits::Integer(a.slice(ndarray::s![..count, ..]).to_owned()),
        Logits::Real(a) => Logits::Real(a.slice(ndarray::s![..count, ..]).to_owned()),
    };
    let samples = (..count).into();
    let mut sites = evaluation.sites.clone();
    for site in &mut sites {
        site.output = match &site.output {
            SiteOutput::Levels(a) => {
                SiteOutput::Levels(a.slice_axis(ndarray::Axis(1), samples).to_owned())
            }
            SiteOutput::Values(a) => {
                SiteOutput::Values(a.slice_axis(ndarray::Axis(1), samples).to_owned())
            }
        };
    }
    Evaluation { logits, sites }
}

fn changed(before: &[usize], after: &[usize]) -> usize {
    before.iter().zip(after).filter(|(a, b)| a != b).count()
}
