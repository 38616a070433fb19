//! Interpreters that several proofs share: what one gave for a batch, the next proof need not
//! compute again.

use ndarray::ArrayD;
use snn_ir::{Evaluate, Evaluation, Input, Model, Neurons, Record};
use snn_reparam::proof::{Engine, EngineError, Engines, Way};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Results that are kept: a proof shows a batch as it is, with noise, and as frames that vary.
const KEPT: usize = 3;

/// Interpreters for proofs that run batch by batch side by side. Those of equal models are one: the
/// trained network, which all have in common, and its conversion off the grid, which those of one
/// code have. Ways to run a file are its own.
pub(crate) struct SharedEngines<'a> {
    engines: &'a dyn Engines,
    dense: RefCell<Vec<Shared>>,
    events: RefCell<Vec<Shared>>,
}

struct Shared {
    model: Model,
    interpreter: Rc<RefCell<Remembering>>,
}

impl<'a> SharedEngines<'a> {
    pub(crate) fn new(engines: &'a dyn Engines) -> Self {
        Self { engines, dense: RefCell::default(), events: RefCell::default() }
    }
}

impl Engines for SharedEngines<'_> {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        shared(&self.dense, model, || self.engines.dense(model))
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        shared(&self.events, model, || self.engines.events(model))
    }

    fn ways(&self, model: &Model) -> Result<Vec<Way>, EngineError> {
        self.engines.ways(model)
    }

    fn self_test(&self, model: &Model) -> Result<(), EngineError> {
        self.engines.self_test(model)
    }

    fn neurons(&self) -> Neurons {
        self.engines.neurons()
    }
}

/// The interpreter of an equal model among these, or a new one.
fn shared(
    all: &RefCell<Vec<Shared>>,
    model: &Model,
    make: impl FnOnce() -> Result<Engine, EngineError>,
) -> Result<Engine, EngineError> {
    let mut all = all.borrow_mut();
    if let Some(known) = all.iter().find(|known| known.model == *model) {
        return Ok(Box::new(Handle::new(&known.interpreter)));
    }
    let engine = make()?;
    let interpreter = Rc::new(RefCell::new(Remembering { engine, results: VecDeque::new() }));
    let handle = Handle::new(&interpreter);
    all.push(Shared { model: model.clone(), interpreter });
    Ok(Box::new(handle))
}

/// An interpreter and its last results.
struct Remembering {
    engine: Engine,
    results: VecDeque<Remembered>,
}

struct Remembered {
    input: Pixels,
    record: Record,
    result: Evaluation,
}

#[derive(PartialEq)]
enum Pixels {
    Static(ArrayD<u8>),
    Frames(ArrayD<u8>),
}

impl Pixels {
    fn of(input: &Input<'_>) -> Self {
        match input {
            Input::Static(pixels) => Self::Static(pixels.to_owned()),
            Input::Frames(frames) => Self::Frames(frames.to_owned()),
        }
    }
}

/// What one proof has of an interpreter.
struct Handle {
    name: String,
    interpreter: Rc<RefCell<Remembering>>,
}

impl Handle {
    fn new(interpreter: &Rc<RefCell<Remembering>>) -> Self {
        let name = interpreter.borrow().engine.name().to_string();
        Self { name, interpreter: Rc::clone(interpreter) }
    }

    /// `true` if another proof may ask the same: one owner is the list of all interpreters.
    fn is_shared(&self) -> bool {
        Rc::strong_count(&self.interpreter) > 2
    }
}

impl Evaluate for Handle {
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        let is_shared = self.is_shared();
        let Remembering { engine, results } = &mut *self.interpreter.borrow_mut();
        if !is_shared {
            return engine.evaluate(input, record);
        }
        let pixels = Pixels::of(input);
        if let Some(known) = results.iter().find(|k| k.record == record && k.input == pixels) {
            return Ok(known.result.clone());
        }
        let result = engine.evaluate(input, record)?;
        if results.len() == KEPT {
            results.pop_front();
        }
        results.push_back(Remembered { input: pixels, record, result: result.clone() });
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ArrayD, IxDyn};
    use snn_ir::Logits;
    use std::cell::Cell;

    /// Counts how often its interpreters run.
    #[derive(Default)]
    struct Counted {
        runs: Rc<Cell<usize>>,
    }

    struct Runs(Rc<Cell<usize>>);

    impl Evaluate for Runs {
        fn name(&self) -> &'static str {
            "runs"
        }

        fn evaluate(&mut self, input: &Input<'_>, _: Record) -> snn_ir::Result<Evaluation> {
            self.0.set(self.0.get() + 1);
            let first = input.frame(0).first().copied().unwrap_or(0);
            let logits = Logits::Integer(Array2::from_elem((1, 1), i64::from(first)));
            Ok(Evaluation { logits, sites: Vec::new() })
        }
    }

    impl Engines for Counted {
        fn dense(&self, _: &Model) -> Result<Engine, EngineError> {
            Ok(Box::new(Runs(Rc::clone(&self.runs))))
        }

        fn events(&self, _: &Model) -> Result<Engine, EngineError> {
            Ok(Box::new(Runs(Rc::clone(&self.runs))))
        }
    }

    fn pixels(value: u8) -> ArrayD<u8> {
        ArrayD::from_elem(IxDyn(&[1, 1, 2, 2]), value)
    }

    #[test]
    fn what_one_proof_asked_is_not_computed_for_the_next() {
        let engines = Counted::default();
        let shared = SharedEngines::new(&engines);
        let model = snn_ir::testing::trained(1, snn_ir::testing::Numbers::Dyadic);
        let mut other = model.clone();
        other.signature_mut().time_steps += 1;
        let mut first = shared.dense(&model).unwrap();
        let ask = |engine: &mut Engine, value: u8, record| {
            let pixels = pixels(value);
            let logits = engine.evaluate(&Input::Static(pixels.view()), record).unwrap().logits;
            let Logits::Integer(logits) = logits else { panic!("integers were given") };
            assert_eq!(logits[[0, 0]], i64::from(value));
            engines.runs.get()
        };
        // Nobody shares it yet, so nothing is kept.
        assert_eq!(ask(&mut first, 1, Record::Sites), 1);
        assert_eq!(ask(&mut first, 1, Record::Sites), 2);
        let mut second = shared.dense(&model).unwrap();
        assert_eq!(ask(&mut first, 1, Record::Sites), 3);
        assert_eq!(ask(&mut second, 1, Record::Sites), 3);
        assert_eq!(ask(&mut second, 1, Record::Logits), 4, "less was recorded");
        assert_eq!(ask(&mut second, 2, Record::Sites), 5, "other pixels");
        assert_eq!(ask(&mut second, 1, Record::Sites), 5, "three results are kept");
        assert_eq!(ask(&mut second, 3, Record::Sites), 6);
        assert_eq!(ask(&mut first, 1, Record::Sites), 7, "the fourth took its place");
        let mut third = shared.dense(&other).unwrap();
        assert_eq!(ask(&mut third, 3, Record::Sites), 8, "another model");
        let mut events = shared.events(&model).unwrap();
        assert_eq!(ask(&mut events, 3, Record::Sites), 9, "another interpreter");
    }

    #[test]
    fn frames_are_not_taken_for_images() {
        let images = pixels(1);
        let (a, b) = (Input::Static(images.view()), Input::Frames(images.view()));
        assert!(Pixels::of(&a) != Pixels::of(&b));
    }
}
