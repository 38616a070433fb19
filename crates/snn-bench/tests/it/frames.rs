//! Frames from end to end: a source that is made here trains, is killed and goes on to the same
//! bytes, converts in three codes and is proved bitwise.

use snn_core::Libtorch;
use snn_data::{SampleMut, SampleRng, SampleShape, Source};
use snn_hybrid::{Policy, Replacement};
use snn_ir::{Code, Conv, Form, Graph, GraphBuilder, Model, Preprocessing, Record, Signature};
use snn_reparam::proof::{Batch, Demands, Engine, EngineError, Engines, Verdict, Way, prove};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_runtime::{Counting, Deployment};
use snn_train::{Options, Outcome, Recipe, Start, Trainer, evaluation_batches, input};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tch::Device;

const STEPS: usize = 4;
/// Tells the killed process where to train.
const FOLDER: &str = "SNN_FRAMES_FOLDER";

/// A bar that moves left or right over time, or stands: only the order of the frames tells the
/// first two apart.
#[derive(Debug)]
struct Bars {
    samples: usize,
    first: usize,
}

impl Source for Bars {
    fn len(&self) -> usize {
        self.samples
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Frames([STEPS, 2, 8, 8])
    }

    fn load(
        &self,
        index: usize,
        sample: &mut SampleMut<'_>,
        _: &mut SampleRng,
    ) -> snn_data::Result<u16> {
        let number = self.first + index;
        let (label, start) = (number % 3, number / 3 % 8);
        for (t, mut frame) in sample.frames().outer_iter_mut().enumerate() {
            let column = match label {
                0 => start + t,
                1 => start + 8 - t,
                _ => start,
            };
            for row in 0..8 {
                frame[[number % 2, row, column % 8]] = u8::try_from(1 + number % 3).unwrap();
            }
        }
        Ok(u16::try_from(label).unwrap())
    }
}

pub(crate) fn bars(samples: usize, first: usize) -> Arc<dyn Source> {
    Arc::new(Bars { samples, first })
}

fn network() -> Graph {
    let mut net = GraphBuilder::new([2, 8, 8]);
    net.conv_site("conv1", Conv::square(6, 3, 1)).conv_site("conv2", Conv::square(8, 3, 2));
    let graph = net.flatten("flat").linear("fc1", 16).site("act").linear("fc2", 3).build().unwrap();
    // The first site is quantised ReLU, which the three codes send each in another way.
    snn_hybrid::apply(&graph, &Policy::Stem, &Replacement::default()).unwrap().0
}

fn trainer() -> Trainer {
    trainer_of(network(), 8)
}

/// A trainer of a network on the bars.
pub(crate) fn trainer_of(graph: Graph, epochs: usize) -> Trainer {
    let weights = graph.initial_weights(1).unwrap();
    let preprocessing = Preprocessing::new(vec![0; 2], vec![1.0; 2]);
    let model = Model::new(Signature::new(Form::Trained, graph, STEPS, preprocessing), weights);
    let recipe = Recipe { epochs, batch: 16, threads: 1, checkpoint_every: 1, ..Recipe::default() };
    Trainer::new(model, bars(240, 0), recipe)
        .with_validation(bars(48, 240))
        .with_test(bars(96, 300))
}

fn fit(folder: &Path) {
    let start = if folder.join("trainer.json").exists() { Start::Resume } else { Start::New };
    let options = Options { start, ..Options::default() };
    let outcome = trainer().fit(folder, &options, &mut |_| {}).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "the process that the test below starts and kills"]
fn train_in_a_process_of_its_own() {
    fit(Path::new(&std::env::var_os(FOLDER).expect("says where")));
}

/// Kills a process that trains as soon as it has written a checkpoint.
fn train_and_kill(folder: &Path) {
    let checkpoint = folder.join("checkpoint.safetensors");
    let before = std::fs::read(&checkpoint).ok();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "frames::train_in_a_process_of_its_own"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        if std::fs::read(&checkpoint).ok().is_some_and(|now| Some(now) != before) {
            std::thread::sleep(Duration::from_millis(30));
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(checkpoint.exists(), "a process that trains writes checkpoints");
}

/// All interpreters.
pub(crate) struct All;

impl Engines for All {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Libtorch::new(model, Device::Cpu)?))
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Counting::new(model)?))
    }

    fn ways(&self, model: &Model) -> Result<Vec<Way>, EngineError> {
        let engine: Engine = Box::new(Deployment::new(model, &snn_runtime::Options::default())?);
        Ok(vec![Way { name: "deployment".into(), record: Record::Logits, samples: None, engine }])
    }
}

#[test]
fn frames_train_are_killed_and_resumed_convert_in_three_codes_and_are_proved_bitwise() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, killed) = (parent.path().join("whole"), parent.path().join("killed"));
    fit(&whole);
    for _ in 0..3 {
        train_and_kill(&killed);
    }
    fit(&killed);
    let bytes = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(bytes(&killed), bytes(&whole));

    let trained = Model::load(whole.join("model.safetensors")).unwrap();
    let test = bars(96, 300);
    let batches: Vec<_> = evaluation_batches(&test, 32).unwrap().collect::<Result<_, _>>().unwrap();
    for code in [Code::Unary, Code::BitPlane, Code::Graded] {
        let events = convert(&trained, &code.into()).unwrap().model;
        let grid = to_grid(&events, GridOptions::default()).unwrap().model;
        let file = parent.path().join(format!("{}.safetensors", code.label()));
        grid.save(&file).unwrap();
        let demands = Demands { max_drop: 5.0, test_samples: Some(96), ..Demands::default() };
        let batches = batches.iter().map(|batch| {
            let labels = batch.targets.labels.as_slice();
            Ok::<_, snn_reparam::Error>(Batch { input: input(&batch.samples), labels })
        });
        let report = prove(&trained, &Model::load(&file).unwrap(), &All, demands, batches).unwrap();
        assert_eq!(report.verdict, Verdict::Bitwise, "{code:?}: {report:?}");
        assert!(report.verdict_line().contains("96 of 96"), "{}", report.verdict_line());
    }
}
