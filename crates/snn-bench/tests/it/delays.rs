//! The proof finds delays that are computed wrongly: by another step, or with what was left of the
//! sample before. And a recurrent network streams with the bits of a whole run.

use ndarray::{ArrayD, Axis, IxDyn, concatenate};
use snn_core::Libtorch;
use snn_ir::testing::pixels;
use snn_ir::{
    Code, Evaluate, Evaluation, Form, GraphBuilder, Input, Logits, Model, Naive, Op, Preprocessing,
    QuantRelu, Record, Signature, Site, SiteOutput,
};
use snn_reparam::proof::{Batch, Demands, Engine, EngineError, Engines, Proof, Tuning, difference};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_runtime::deploy::{Deployment, Options};
use snn_runtime::{Counting, Sums};
use std::cell::RefCell;
use tch::Device;

const SAMPLES: usize = 12;
const STEPS: usize = 4;

/// A recurrent LIF layer and a recurrent QuantRelu behind it, which reads the LIF layer's spikes of
/// now and of two macro-steps before.
fn trained() -> Model {
    let mut net = GraphBuilder::new([6]);
    net.linear("fc1", 8).recurrent_site("lif", None);
    net.delay("before", "lif", 2, [8]).concat("both", &["lif", "before"]).linear("fc2", 7);
    net.delay("back.delay", "quant", 1, [7]).linear("back", 7).add("sum", &["fc2", "back"]);
    let quant = QuantRelu { levels: 3, step: 0.2, ..QuantRelu::default() };
    net.site_of("quant", Site::QuantRelu(quant)).linear("fc3", 4);
    let graph = net.build().unwrap();
    let weights = graph.initial_weights(7).unwrap();
    let preprocessing = Preprocessing::new(vec![100; 6], vec![30.0; 6]);
    Model::new(Signature::new(Form::Trained, graph, STEPS, preprocessing), weights)
}

fn events(trained: &Model) -> Model {
    convert(trained, &Code::Unary.into()).unwrap().model
}

fn grid(trained: &Model) -> Model {
    to_grid(&events(trained), GridOptions::default()).unwrap().model
}

/// An interpreter that answers one batch.
struct Answer(Evaluation);

impl Evaluate for Answer {
    fn name(&self) -> &'static str {
        "answer"
    }

    fn evaluate(&mut self, _: &Input<'_>, _: Record) -> snn_ir::Result<Evaluation> {
        Ok(self.0.clone())
    }
}

/// The engines of `verify` with these in the place of the event runtimes.
struct Swapped {
    off_grid: RefCell<Option<Engine>>,
    on_grid: RefCell<Option<Engine>>,
}

impl Engines for Swapped {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        Ok(Box::new(Libtorch::new(model, Device::Cpu)?))
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        let cell = if model.form() == Form::Events { &self.off_grid } else { &self.on_grid };
        Ok(cell.take().expect("asked for once"))
    }
}

/// Why the proof fails with these event runtimes.
fn prove(off_grid: impl Evaluate + 'static, on_grid: impl Evaluate + 'static) -> Vec<String> {
    let (trained, file) = (trained(), grid(&trained()));
    let pixels = pixels(&trained, SAMPLES, 1);
    let classes = naive(&trained, &Input::Static(pixels.view())).logits.argmax();
    let labels: Vec<i64> = classes.into_iter().map(|class| i64::try_from(class).unwrap()).collect();
    let engines = Swapped {
        off_grid: RefCell::new(Some(Box::new(off_grid))),
        on_grid: RefCell::new(Some(Box::new(on_grid))),
    };
    let demands =
        Demands { max_drop: 100.0, naive_samples: SAMPLES, frame_samples: 0, ..Demands::default() };
    let mut proof = Proof::new(&trained, &file, &engines, demands).unwrap();
    proof.add(&Batch { input: Input::Static(pixels.view()), labels: &labels }).unwrap();
    proof.finish().failures
}

fn naive(model: &Model, input: &Input<'_>) -> Evaluation {
    Naive::new(model).unwrap().evaluate(input, Record::Sites).unwrap()
}

/// A runtime with this fault is found off the grid and on it.
fn assert_found(fault: impl Fn(&Model, &ArrayD<u8>) -> Evaluation) {
    let (events, grid) = (events(&trained()), grid(&trained()));
    let pixels = pixels(&events, SAMPLES, 1);
    let faulty = |model: &Model| Answer(fault(model, &pixels));
    let counting = |model: &Model| Counting::new(model).unwrap();
    for (failures, other) in [
        (prove(faulty(&events), counting(&grid)), "trained"),
        (prove(counting(&events), faulty(&grid)), "libtorch (grid)"),
    ] {
        let found = |failure: &String| failure.contains(other) && failure.contains("differ");
        assert!(failures.iter().any(found), "{other}: {failures:?}");
    }
}

#[test]
fn the_control_holds() {
    let (events, grid) = (events(&trained()), grid(&trained()));
    let counting = |model: &Model| Counting::new(model).unwrap();
    assert_eq!(prove(counting(&events), counting(&grid)), Vec::<String>::new());
}

#[test]
fn a_delay_that_is_off_by_a_step_is_found() {
    for delay in ["lif.delay", "before", "back.delay"] {
        let later = |model: &Model| {
            let mut wrong = model.clone();
            if let Op::Delay { steps, .. } = &mut wrong.graph_mut().node_mut(delay).unwrap().op {
                *steps += 1;
            }
            wrong
        };
        assert_found(|model, pixels| naive(&later(model), &Input::Static(pixels.view())));
        let right = grid(&trained());
        assert!(!difference(&right, &later(&right), Tuning::None).is_none(), "{delay}: the file");
    }
}

#[test]
fn state_that_is_left_of_the_sample_before_is_found() {
    // Each sample is shown after the one before it; what is taken is its own part.
    assert_found(|model, pixels| {
        let longer = model.clone().with_time_steps(2 * STEPS);
        let mut order: Vec<usize> = (0..SAMPLES).collect();
        order.rotate_right(1);
        let before = pixels.select(Axis(0), &order);
        let steps = |images: &ArrayD<u8>, times: usize| {
            let frame = images.view().insert_axis(Axis(0));
            concatenate(Axis(0), &vec![frame; times]).unwrap()
        };
        let frames =
            concatenate(Axis(0), &[steps(&before, STEPS).view(), steps(pixels, STEPS).view()]);
        let both = naive(&longer, &Input::Frames(frames.unwrap().view()));
        let right = naive(model, &Input::Static(pixels.view()));
        let first = naive(model, &Input::Static(before.view()));
        let mut wrong = right;
        wrong.logits = match (both.logits, first.logits) {
            (Logits::Integer(both), Logits::Integer(first)) => Logits::Integer(both - first),
            (Logits::Real(both), Logits::Real(first)) => Logits::Real(both * 2.0 - first),
            _ => panic!("logits of two kinds"),
        };
        for (wrong, both) in wrong.sites.iter_mut().zip(&both.sites) {
            let SiteOutput::Levels(levels) = &both.output else { panic!("levels") };
            let own = levels.slice_axis(Axis(0), (STEPS..).into()).to_owned();
            wrong.output = SiteOutput::Levels(own);
        }
        wrong
    });
}

#[test]
fn streams_have_the_bits_of_whole_runs() {
    let trained = trained();
    for code in [Code::Unary, Code::BitPlane, Code::Graded] {
        let events = convert(&trained, &code.into()).unwrap().model;
        let grid = to_grid(&events, GridOptions::default()).unwrap().model;
        let frames = pixels(&grid, STEPS * SAMPLES, 5);
        let frames = frames.into_shape_with_order(IxDyn(&[STEPS, SAMPLES, 6])).unwrap();
        let expected = naive(&grid, &Input::Frames(frames.view()));
        let active = expected.sites.iter().all(|site| site.output.active() > 0);
        assert!(active, "a silent site proves nothing");
        let Logits::Integer(expected) = expected.logits else { panic!("integers") };
        let deployment = Deployment::new(&grid, &Options::default()).unwrap();
        // Two sessions share states; states take turns, and one is used again.
        let mut sessions = [deployment.session(), deployment.session()];
        let mut reused = sessions[0].rest();
        for sample in 0..SAMPLES {
            let mut fresh = sessions[1].rest();
            reused.clear();
            assert_eq!(reused, fresh, "a cleared state is at rest");
            for t in 0..STEPS {
                let frame = frames.index_axis(Axis(0), t);
                let frame: Vec<u8> = frame.index_axis(Axis(0), sample).iter().copied().collect();
                sessions[t % 2].push(&mut fresh, &frame).unwrap();
                sessions[(t + 1) % 2].push(&mut reused, &frame).unwrap();
                assert_eq!(reused, fresh, "after step {t}");
            }
            let sums = expected.row(sample).to_vec();
            assert_eq!(fresh.scores().sums(), Sums::Integer(&sums), "{code:?}, sample {sample}");
        }
        // Membranes of 8 LIF neurons, and levels of three delays: 8, 2·8 and 7.
        assert!(reused.bytes() >= 4 * (8 + 8 + 16 + 7), "{} bytes", reused.bytes());
    }
}
