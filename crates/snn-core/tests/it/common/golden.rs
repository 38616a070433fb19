//! Fixtures of `fixtures/golden`, and how tensors are compared with them.

use ndarray::{ArrayD, IxDyn};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use snn_core::tch::{Kind, Tensor};
use std::path::Path;

/// A tensor in a fixture.
#[derive(Deserialize, Clone)]
pub struct Grid {
    pub shape: Vec<i64>,
    pub values: Vec<f64>,
}

impl Grid {
    /// One axis.
    pub fn row(values: &[f64]) -> Self {
        Self { shape: vec![i64::try_from(values.len()).unwrap()], values: values.to_vec() }
    }

    pub fn tensor(&self, kind: Kind) -> Tensor {
        Tensor::from_slice(&self.values).to_kind(kind).view(self.shape.as_slice())
    }

    pub fn leaf(&self, kind: Kind) -> Tensor {
        self.tensor(kind).set_requires_grad(true)
    }

    pub fn array<A>(&self, value: impl FnMut(&f64) -> A) -> ArrayD<A> {
        let shape: Vec<usize> = self.shape.iter().map(|&n| usize::try_from(n).unwrap()).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), self.values.iter().map(value).collect()).unwrap()
    }
}

/// A file of `fixtures/golden`.
pub fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn fixture<Whole: DeserializeOwned>(name: &str) -> Whole {
    serde_json::from_str(&text(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn cases<Case: DeserializeOwned>(name: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct Fixture<Case> {
        cases: Vec<Case>,
    }
    let Fixture { cases } = fixture(name);
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

/// Position of a flat index.
fn position(mut flat: i64, shape: &[i64]) -> Vec<i64> {
    let mut position = vec![0; shape.len()];
    for (axis, &length) in position.iter_mut().zip(shape).rev() {
        *axis = flat % length;
        flat /= length;
    }
    position
}

/// Compares shapes and values; the message names the worst position.
pub fn compare(what: &str, found: &Tensor, expected: &Grid, tolerance: f64) -> Result<(), String> {
    if found.size() != expected.shape {
        return Err(format!("{what}: shape {:?}, expected {:?}", found.size(), expected.shape));
    }
    let found = values(found);
    // Whatever is not a number is infinitely wrong.
    let error = |i: usize| {
        let (a, b) = (found[i], expected.values[i]);
        let error = (a - b).abs() / b.abs().max(1.0);
        if error.is_nan() { f64::INFINITY } else { error }
    };
    let wrong = (0..found.len()).filter(|&i| error(i) > tolerance).count();
    match (0..found.len()).max_by(|&i, &j| error(i).total_cmp(&error(j))) {
        Some(worst) if wrong > 0 => Err(format!(
            "{what}: {wrong} of {} values differ, worst at {:?}: found {:e}, expected {:e}, off by \
             {:.1e} where {tolerance:.0e} is allowed",
            found.len(),
            position(i64::try_from(worst).unwrap(), &expected.shape),
            found[worst],
            expected.values[worst],
            error(worst),
        )),
        _ => Ok(()),
    }
}

#[track_caller]
pub fn check(what: &str, found: &Tensor, expected: &Grid, tolerance: f64) {
    if let Err(message) = compare(what, found, expected, tolerance) {
        panic!("{message}");
    }
}
