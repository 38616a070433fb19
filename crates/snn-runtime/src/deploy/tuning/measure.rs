//! Measuring the two forms of a layer.

use super::{Inputs, Layer, LayerTimes, ModelLayer, SHARES, Tuning};
use crate::deploy::options::{Kernels, Options};
use crate::deploy::plan::Plan;
use crate::deploy::{Deployment, NodeStatistics, Session};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use snn_ir::{
    Code, Form, Graph, GridLif, GridReset, Model, Op, PoolKind, Preprocessing, Result, Signature,
    Site, Weights,
};
use snn_simd::InstructionSet;
use std::time::{Duration, Instant};

/// Least time for which both forms are measured at each share, and least number of runs, of which
/// the fastest counts: everything else that a machine does makes them slower.
const LEAST: Duration = Duration::from_millis(2);
const LEAST_RUNS: usize = 5;
/// Node whose time is taken: the layer's neurons, which sum its currents up.
const MEASURED: &str = "layer";
/// Mean of pixels that a layer reads.
const MEAN: u8 = 128;
/// Share of active inputs, of a thousand, for which neurons are given thresholds that some reach.
const USUAL_SHARE: f64 = 100.0;

impl Tuning {
    /// Measures the layers of a model that can run in both forms and were not measured yet, on this
    /// thread with the instruction set of the options, and says how many these were. A layer takes
    /// about a tenth of a second; inputs are drawn at random, weights as well. A model off the
    /// grid has no layer of two forms.
    ///
    /// # Errors
    /// The model cannot be deployed, or the instruction set is not available.
    pub fn measure(&mut self, model: &Model, options: &Options) -> Result<usize> {
        let set = options.instruction_set.unwrap_or_else(InstructionSet::best);
        if !matches!(model.form(), Form::Grid { .. }) {
            Deployment::new(model, options)?;
            return Ok(0);
        }
        let mut measured = 0;
        for (_, layer) in Plan::<i32>::layers(model, set)? {
            if self.of(&layer).is_some() {
                continue;
            }
            if let Some(times) = layer.times()? {
                self.layers.insert(layer.to_string(), times);
                measured += 1;
            }
        }
        Ok(measured)
    }

    /// The layers of a model on the grid that were measured with this instruction set, in the order
    /// of its graph.
    ///
    /// # Errors
    /// The model is not valid.
    pub fn of_model(&self, model: &Model, set: InstructionSet) -> Result<Vec<ModelLayer>> {
        if !matches!(model.form(), Form::Grid { .. }) {
            return Ok(Vec::new());
        }
        let name = |node: usize| model.graph().nodes[node].name.clone();
        let layers = Plan::<i32>::layers(model, set)?.into_iter().filter_map(|(node, layer)| {
            let (times, time_steps) = (*self.of(&layer)?, layer.steps);
            Some(ModelLayer { node: name(node), time_steps, layer: layer.to_string(), times })
        });
        Ok(layers.collect())
    }
}

impl Layer {
    /// Its times; `None` where it has no dense form.
    fn times(&self) -> Result<Option<LayerTimes>> {
        let model = self.model();
        let deployed = |kernels| {
            let set = Some(self.instruction_set);
            let options =
                Options { instruction_set: set, kernels, statistics: true, ..Options::default() };
            Deployment::new(&model, &options)
        };
        // Sums of weights that are drawn may be too large where those of the layer are not.
        let (Ok(events), Ok(dense)) = (deployed(Kernels::Events), deployed(Kernels::Dense)) else {
            return Ok(None);
        };
        if !dense.has_dense_form() {
            return Ok(None);
        }
        let (mut events, mut dense) = (events.session(), dense.session());
        let mut times = LayerTimes {
            added: [0; SHARES.len()],
            events: [0; SHARES.len()],
            dense: [0; SHARES.len()],
        };
        for (index, share) in SHARES.into_iter().enumerate() {
            let frames = self.frames(share);
            let [events, dense] = fastest([&mut events, &mut dense], &frames)?;
            let NodeStatistics { nanoseconds, added, inputs, .. } = events;
            times.events[index] = nanoseconds;
            times.added[index] = u16::try_from(added * 1000 / inputs.max(1)).unwrap_or(1000);
            times.dense[index] = dense.nanoseconds;
        }
        Ok(Some(times))
    }

    /// A network whose first sites emit the pixels as levels, and whose second ones are the layer;
    /// or whose first sites are.
    fn model(&self) -> Model {
        let [inputs, height, width] = self.input;
        let outputs = self.conv.channels;
        let mut graph = Graph::default();
        let mut weights = Weights::new();
        graph.push("image", Op::Input { shape: vec![inputs, height, width] }, &[]);
        let (source, mean, level) = match self.reads {
            Inputs::Pixels => ("image", MEAN, f64::from(MEAN) / 2.0),
            Inputs::Levels(levels) => {
                graph.push("stem", Op::Scale, &["image"]);
                let site = Site::GridQuantRelu { levels };
                graph.push("in", Op::Activation { site, code: Some(Code::Graded) }, &["stem"]);
                let thresholds =
                    Array2::from_shape_fn((usize::from(levels), inputs), |(level, _)| {
                        i32::try_from(level + 1).unwrap_or(i32::MAX)
                    });
                weights.insert("stem.weight".into(), Array1::<i32>::ones(inputs).into());
                weights.insert("in.thresholds".into(), thresholds.into());
                ("in", 0, f64::midpoint(1.0, f64::from(levels)))
            }
        };
        graph.push("conv", Op::Conv(self.conv.clone()), &[source]);
        let neurons = Site::GridLif(GridLif::new(1, 1, 0, GridReset::Hard));
        let code = Some(Code::Binary);
        graph.push(MEASURED, Op::Activation { site: neurons, code }, &["conv"]);
        graph.push("pool", Op::GlobalPool { pool: PoolKind::Sum }, &[MEASURED]);
        graph.push("scores", Op::Scale, &["pool"]);
        graph.push("mean", Op::TimeMean, &["scores"]);

        let mut random = Random(1);
        let shape: Vec<usize> = [outputs, inputs / self.conv.groups]
            .into_iter()
            .chain(self.conv.kernel.clone())
            .collect();
        // Weights as a trained layer has them: few large ones.
        let weight = || (0..4).map(|_| random.weight()).sum::<i8>();
        let weight = ArrayD::from_shape_simple_fn(IxDyn(&shape), weight);
        let window = weight.len() / outputs.max(1);
        let deviation = 20.0 * level * (window as f64 * USUAL_SHARE / 1000.0).sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "far below 2³¹")]
        let threshold = (1.3 * deviation).ceil() as i32;
        let ones = |count| Array1::<i32>::ones(count);
        let layer = [
            ("conv.weight", weight.into()),
            ("conv.multiplier", ones(outputs).into()),
            ("layer.threshold", Array1::from_elem(outputs, threshold).into()),
            ("scores.weight", ones(outputs).into()),
        ];
        weights.extend(layer.map(|(name, tensor)| (name.to_owned(), tensor)));
        let pixels = Preprocessing::new(vec![mean; inputs], vec![1.0; inputs]);
        let form = Form::Grid { logit_unit: 1.0 };
        Model::new(Signature::new(form, graph, self.steps, pixels), weights)
    }

    /// Frames of which a share of the pixels, of a thousand, is active.
    fn frames(&self, share: u16) -> Vec<u8> {
        let mut random = Random(2);
        let size = self.steps * self.input.iter().product::<usize>();
        let (idle, largest) = match self.reads {
            Inputs::Levels(levels) => (0, levels),
            Inputs::Pixels => (MEAN, u8::MAX),
        };
        let mut pixel = || {
            if random.below(1000) < u32::from(share) { random.level(largest) } else { idle }
        };
        (0..size).map(|_| pixel()).collect()
    }
}

/// The measured node of two deployments in their fastest runs. They take turns, so that a machine
/// that changes its speed changes it for both.
fn fastest(mut sessions: [&mut Session; 2], frames: &[u8]) -> Result<[NodeStatistics; 2]> {
    let slowest = || NodeStatistics { nanoseconds: u64::MAX, ..NodeStatistics::default() };
    let mut best = [slowest(), slowest()];
    let (began, mut runs) = (Instant::now(), 0);
    while runs <= LEAST_RUNS || began.elapsed() < LEAST {
        for (session, best) in sessions.iter_mut().zip(&mut best) {
            session.reset_statistics();
            session.run_frames(frames)?;
            let node = session.statistics().iter().find(|node| node.node == MEASURED);
            // The first run warms up.
            let faster = |node: &&NodeStatistics| runs > 0 && node.nanoseconds < best.nanoseconds;
            if let Some(node) = node.filter(faster) {
                best.clone_from(node);
            }
        }
        runs += 1;
    }
    Ok(best)
}

/// `SplitMix64` (Steele, Lea and Flood 2014): inputs and weights that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// 0 to `end` − 1.
    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(((self.next() >> 32) * u64::from(end)) >> 32).unwrap_or(0)
    }

    /// 1 to `levels`.
    fn level(&mut self, levels: u8) -> u8 {
        u8::try_from(self.below(levels.into())).unwrap_or(0) + 1
    }

    /// −16 to 16.
    fn weight(&mut self) -> i8 {
        i8::try_from(self.below(33)).unwrap_or(0) - 16
    }
}
