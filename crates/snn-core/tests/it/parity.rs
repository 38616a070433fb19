//! Neurons against other libraries over 1,000 random macro-steps: `fixtures/golden/parity.json` has
//! what they computed, the table in `fixtures/golden/README.md` what was measured.

use crate::common::Random;
use crate::common::golden::{Grid, compare, fixture, text, values};
use serde::Deserialize;
use snn_core::tch::{Kind, Tensor, no_grad};
use snn_core::{LifParameters, lif};
use snn_ir::ResetGradient;
use snn_ir::{Leak, Lif, Spike, Surrogate, Threshold};
use std::collections::BTreeMap;

/// Rows by peer: those that are the same, those that differ. A row that is lost fails.
const ROWS: [(&str, [usize; 2]); 3] =
    [("Norse", [34, 4]), ("SpikingJelly", [58, 6]), ("snnTorch", [30, 10])];
/// What a gradient that is said to differ differs by at least.
const APPARENT: f64 = 1e-3;

#[derive(Deserialize)]
struct Parity {
    time_steps: usize,
    neurons: usize,
    /// Flat positions of the gradients that are held one by one.
    positions: Vec<i64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    neuron: Lif,
    seed: u64,
    /// Currents are `low..=high`, in units of `1/denominator`.
    low: i64,
    high: i64,
    denominator: f64,
    spikes: String,
    rows: Vec<Row>,
}

/// A peer on the currents of a case.
#[derive(Deserialize)]
struct Row {
    peer: String,
    /// Its line of the table.
    line: String,
    reset_gradient: ResetGradient,
    surrogate: Surrogate,
    tolerance: f64,
    /// How many of the peer's spikes are not ours.
    differ: usize,
    /// The peer's; where it differs, those of eq. 8.
    gradients: Gradients,
    /// The peer's, where it differs.
    theirs: Option<Theirs>,
}

#[derive(Deserialize)]
struct Theirs {
    spikes: String,
    gradients: Gradients,
}

#[derive(Deserialize)]
struct Gradients {
    samples: Vec<f64>,
    /// For each neuron, the weighted sum over all macro-steps.
    sums: Vec<f64>,
    leak: Option<Vec<f64>>,
    threshold: Option<Vec<f64>>,
}

/// Gradients by name, as [`Gradients`] has them.
type Found = BTreeMap<&'static str, Tensor>;

impl Gradients {
    fn compare(&self, what: &str, found: &Found, tolerance: f64) -> Result<(), String> {
        let held = [
            ("samples", Some(&self.samples)),
            ("sums", Some(&self.sums)),
            ("leak", self.leak.as_ref()),
            ("threshold", self.threshold.as_ref()),
        ];
        assert_eq!(held.iter().filter(|(_, held)| held.is_some()).count(), found.len(), "{what}");
        held.into_iter().filter_map(|(name, held)| Some((name, held?))).try_for_each(
            |(name, held)| {
                compare(&format!("{name} of {what}"), &found[name], &Grid::row(held), tolerance)
            },
        )
    }
}

/// Levels in macro-step order: binary spikes four in a hexadecimal digit, the first highest; others
/// one in a digit, modulo 16.
fn unpacked(digits: &str, spike: Spike) -> Vec<f64> {
    let digits = digits.chars().map(|digit| digit.to_digit(16).unwrap());
    match spike {
        Spike::Binary => digits
            .flat_map(|digit| [8, 4, 2, 1].map(|bit| f64::from(u8::from(digit & bit != 0))))
            .collect(),
        Spike::Ternary | Spike::Integer { .. } => {
            digits.map(|digit| f64::from(digit) - if digit > 7 { 16.0 } else { 0.0 }).collect()
        }
    }
}

impl Parity {
    /// `[T, neurons]` of multiples of `1/denominator`.
    fn tensor(&self, seed: u64, low: i64, high: i64, denominator: f64) -> Tensor {
        let mut random = Random::new(seed);
        let drawn: Vec<f64> = (0..self.time_steps * self.neurons)
            .map(|_| random.int(low, high) as f64 / denominator)
            .collect();
        Tensor::from_slice(&drawn).view([-1, i64::try_from(self.neurons).unwrap()])
    }

    fn currents(&self, case: &Case) -> Tensor {
        self.tensor(case.seed, case.low, case.high, case.denominator)
    }

    /// Our levels and gradients.
    fn evaluate(&self, case: &Case, row: &Row) -> (Vec<f64>, Found) {
        let neuron = Lif {
            reset_gradient: row.reset_gradient,
            surrogate: row.surrogate.clone(),
            ..case.neuron.clone()
        };
        let leaf = |values: &[f64]| Grid::row(values).leaf(Kind::Double);
        let leak = match neuron.leak {
            Leak::Learned { initial } => Some(leaf(&[(initial / (1.0 - initial)).ln()])),
            Leak::Factor { .. } => None,
        };
        let threshold = match neuron.threshold {
            Threshold::Learned { initial, .. } => Some(leaf(&vec![initial; self.neurons])),
            Threshold::Fixed(_) => None,
        };
        let parameters =
            LifParameters { leak: leak.as_ref(), threshold: threshold.as_ref(), registry: None };
        let currents = self.currents(case).set_requires_grad(true);
        let (spikes, _) =
            lif::sequence(&neuron, parameters, &currents, self.time_steps, None).unwrap();
        let weights = |offset| self.tensor(case.seed + offset, -64, 64, 64.0);
        (&spikes * weights(1)).sum(Kind::Double).backward();
        let gradient = currents.grad();
        let samples = gradient.view([-1]).index_select(0, &Tensor::from_slice(&self.positions));
        let sums = (gradient * weights(2)).sum_dim_intlist([0].as_slice(), false, Kind::Double);
        let mut found = Found::from([("samples", samples), ("sums", sums)]);
        found.extend(leak.map(|leak| ("leak", leak.grad())));
        found.extend(threshold.map(|threshold| ("threshold", threshold.grad())));
        (values(&spikes), found)
    }
}

#[test]
fn a_thousand_steps_as_other_libraries() {
    let parity: Parity = fixture("parity.json");
    assert_eq!((parity.time_steps, parity.neurons), (1000, 8));
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for case in &parity.cases {
        let expected = unpacked(&case.spikes, case.neuron.spike);
        assert_eq!(expected.len(), parity.time_steps * parity.neurons);
        for row in &case.rows {
            let what = &row.line;
            let (spikes, gradients) = parity.evaluate(case, row);
            assert!(spikes == expected, "spikes of {what}");
            row.gradients.compare(what, &gradients, row.tolerance).unwrap();
            if let Some(theirs) = &row.theirs {
                let their_spikes = unpacked(&theirs.spikes, case.neuron.spike);
                assert_eq!(
                    spikes
                        .iter()
                        .zip(&their_spikes)
                        .filter(|(a, b)| (*a - *b).abs() >= 1.0)
                        .count(),
                    row.differ,
                    "{what}"
                );
                assert!(theirs.gradients.compare(what, &gradients, APPARENT).is_err(), "{what}");
            } else {
                assert_eq!(row.differ, 0, "{what}");
            }
            counts.entry(&row.peer).or_default()[usize::from(row.theirs.is_some())] += 1;
        }
    }
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), ROWS);
}

/// No membrane is near a step: single precision fires the same.
#[test]
fn single_precision_has_the_same_spikes() {
    let parity: Parity = fixture("parity.json");
    for case in &parity.cases {
        let currents = parity.currents(case).to_kind(Kind::Float);
        let (spikes, _) = no_grad(|| {
            lif::sequence(
                &case.neuron,
                LifParameters::default(),
                &currents,
                parity.time_steps,
                None,
            )
        })
        .unwrap();
        assert!(
            values(&spikes) == unpacked(&case.spikes, case.neuron.spike),
            "{}",
            case.rows[0].line
        );
    }
}

#[test]
fn the_table_is_that_of_the_fixture() {
    let (readme, parity) = (text("README.md"), fixture::<Parity>("parity.json"));
    let (_, table) = readme.split_once("<!-- table of make_parity.py -->").unwrap();
    let (table, _) = table.split_once("<!-- end of the table -->").unwrap();
    let shown =
        table.lines().filter(|line| line.contains("| same |") || line.contains("| differs: "));
    assert!(shown.eq(parity.cases.iter().flat_map(|case| &case.rows).map(|row| &row.line)));
}
