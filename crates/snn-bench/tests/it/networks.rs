//! Every built-in network, narrow and on small samples: a training step through the trainer, the
//! conversion in three codes, and the proof of every bit on random images.

use snn_core::{Libtorch, tch::Device};
use snn_data::{Result as DataResult, SampleMut, SampleRng, SampleShape, Source};
use snn_hybrid::{Policy, Replacement};
use snn_ir::networks::{BuiltIn, NETWORKS, Row};
use snn_ir::testing::pixels;
use snn_ir::{Code, Evaluate, Evaluation, Form, InitialWeights, Input, Leak, Lif, Model, Op};
use snn_ir::{Preprocessing, Record, Role, Signature, Tensor};
use snn_reparam::proof::{Batch, Demands, Engine, EngineError, Engines, Way, prove};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_runtime::Counting;
use snn_runtime::deploy::{Deployment, Kernels, Options as DeployOptions};
use snn_train::{BatchNormReestimationConfig, Options, Outcome, Recipe, Trainer};
use std::sync::Arc;

const CLASSES: usize = 3;
const BATCH: usize = 8;
const CODES: [Code; 3] = [Code::Unary, Code::BitPlane, Code::Graded];

/// Networks with other keys, which are other structures.
const OTHERS: &[(&str, &str)] = &[
    ("sew_resnet18", r#"{"width": 3, "stem": "imagenet", "join": "iand"}"#),
    ("sew_resnet18", r#"{"width": 3, "blocks": [1, 1], "join": "and"}"#),
    ("resnet18", r#"{"width": 2, "stem": "cifar", "blocks": [1, 1], "inner_width": 2}"#),
    ("vgg11", r#"{"stages": [[4], [4]], "hidden": [12, 8], "pool": "average"}"#),
];

/// Random images.
#[derive(Debug)]
struct Noise([usize; 3]);

impl Source for Noise {
    fn len(&self) -> usize {
        BATCH
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Static(self.0)
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> DataResult<u16> {
        let mut state = index as u64 + 1;
        for mut frame in sample.frames().outer_iter_mut() {
            for pixel in &mut frame {
                // Knuth's generator.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *pixel = u8::try_from(state >> 56).unwrap_or(0);
            }
        }
        Ok(u16::try_from(index % CLASSES).unwrap_or(0))
    }
}

/// Libtorch, the counting interpreter and deployments of every kernel.
struct All;

struct Deployed(Deployment);

impl Evaluate for Deployed {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        self.0.run(input, record)
    }
}

impl Engines for All {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Libtorch::new(model, Device::Cpu)?))
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Counting::new(model)?))
    }

    fn ways(&self, model: &Model) -> Result<Vec<Way>, EngineError> {
        let kernels = [Kernels::default(), Kernels::Events, Kernels::Dense];
        let way = |kernels| {
            let deployment =
                Deployment::new(model, &DeployOptions { kernels, ..Default::default() })?;
            Ok(Way {
                name: format!("deployment, {kernels:?}"),
                record: Record::Sites,
                samples: None,
                engine: Box::new(Deployed(deployment)) as Engine,
            })
        };
        kernels.into_iter().map(way).collect()
    }
}

/// The narrow twin of a network after one step of training, every other site a QuantRelu.
fn trained(row: &Row) -> Model {
    let keys = serde_json::from_str(row.narrow).unwrap();
    let network = BuiltIn::with_keys(row.kind, keys).unwrap();
    let neuron = Lif { leak: Leak::Learned { initial: 0.5 }, ..Lif::default() };
    let spiking = network.graph(row.small, CLASSES, &neuron);
    let (graph, _) = snn_hybrid::apply(&spiking, &Policy::Alternate, &Replacement::default())
        .unwrap_or_else(|error| panic!("{}: {error}", row.kind));
    let mut weights = graph.initial_weights(1).unwrap();
    // No norm keeps a linear layer before a site from leaving it silent.
    for site in graph.nodes.iter().filter(|node| node.op.role() == Role::Site) {
        let layer = graph.node(&site.inputs[0]).filter(|node| !node.frozen);
        if let Some(layer) = layer.filter(|node| matches!(node.op, Op::Linear { .. }))
            && let Some(Tensor::F32(weight)) = weights.get_mut(&format!("{}.weight", layer.name))
        {
            weight.mapv_inplace(|value| 6.0 * value);
        }
    }
    let channels = row.small[0];
    let preprocessing = Preprocessing::new(vec![128; channels], vec![74.0; channels]);
    let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    // Statistics of batch norm that fit, so that no site is silent.
    let recipe = Recipe {
        epochs: 1,
        batch: BATCH,
        threads: 1,
        batch_norm_reestimation: BatchNormReestimationConfig { batches: 1 },
        ..Recipe::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trainer = Trainer::new(model, Arc::new(Noise(row.small)), recipe).with_computed_weights();
    let outcome = trainer.fit(&run, &Options::default(), &mut |_| {});
    let outcome = outcome.unwrap_or_else(|error| panic!("{}: {error}", row.kind));
    assert!(matches!(outcome, Outcome::Finished(_)), "{}: {outcome:?}", row.kind);
    let after = Model::load(run.join("model.safetensors")).unwrap();
    let mut moved = 0;
    for node in after.graph().nodes.iter().filter(|node| node.op.role() == Role::Synapse) {
        let weight = format!("{}.weight", node.name);
        let same = after.weights()[&weight] == trainer.model().weights()[&weight];
        if node.frozen && node.initial != Some(InitialWeights::Whitening) {
            assert!(same, "{}: {weight} is frozen", row.kind);
        }
        moved += usize::from(!same);
    }
    assert!(moved > 0, "{}: nothing learns", row.kind);
    after
}

#[test]
fn every_network_trains_converts_and_gives_the_same_bits() {
    let others = OTHERS.iter().map(|&(kind, narrow)| {
        let row = NETWORKS.iter().find(|row| row.kind == kind).unwrap();
        Row { narrow, small: [3, 16, 16], ..*row }
    });
    for row in NETWORKS.iter().copied().chain(others) {
        let row = &row;
        let model = trained(row);
        let pixels = pixels(&model, BATCH, 7);
        let labels = vec![0_i64; BATCH];
        let batch = Batch { input: Input::Static(pixels.view()), labels: &labels };
        for code in CODES {
            let events = convert(&model, &code.into())
                .unwrap_or_else(|error| panic!("{}: {error}", row.kind))
                .model;
            let grid = to_grid(&events, GridOptions::default()).unwrap().model;
            // Accuracy means nothing on noise.
            let demands = Demands {
                max_drop: 100.0,
                naive_samples: 1,
                frame_samples: 2,
                noise_samples: 0,
                ..Demands::default()
            };
            let batches = [Ok::<_, snn_reparam::Error>(batch.clone())];
            let report = prove(&model, &grid, &All, demands, batches).unwrap();
            assert!(report.holds(), "{} {code:?}: {:?}", row.kind, report.failures);
        }
    }
}
