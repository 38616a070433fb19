//! Rounding by what layers read (eq. G6), in place of rounding to the nearest.

use ndarray::{Array1, Array2, ArrayView1, s};
use snn_ir::InputMoments;

/// Share of the mean variance of the inputs that is added to each, so that inputs which hardly vary
/// decide nothing (Frantar 2023, section 3.3).
const DAMPING: f64 = 0.01;

/// The inputs of a group of channels of a layer, ready for the rounding of its rows.
///
/// With e the errors of a row of weights, in steps, the error of its current varies by `eᵀ·C·e`, C
/// the covariance of the inputs; where no bias takes up the mean error, C has the mean products.
/// With `C = L·Lᵀ`, L lower triangular, that is `Σ_k (Σ_{i≥k} e_i·L_ik)²`, whose k-th term depends
/// on no error before the k-th. So weights are chosen from the last to the first, each so that its
/// own term is least: the nearest plane of Babai (1986), which is what GPTQ does (Frantar 2023).
/// Inputs that vary most come last and are chosen first.
pub(super) struct Rounding {
    /// Where each of the ordered inputs stands in a row.
    order: Vec<usize>,
    /// Row k has `L_ik / L_kk` for i > k.
    feedback: Array2<f64>,
    mean: Array1<f64>,
}

impl Rounding {
    pub(super) fn new(inputs: &InputMoments, has_bias: bool) -> Self {
        let covariance = if has_bias { inputs.covariance() } else { inputs.mean_products() };
        let size = covariance.nrows();
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| covariance[[a, a]].total_cmp(&covariance[[b, b]]).then(a.cmp(&b)));
        let damping = DAMPING * covariance.diag().mean().unwrap_or(0.0);
        let damping = if damping > 0.0 { damping } else { 1.0 };
        let lower = cholesky(&Array2::from_shape_fn((size, size), |(i, j)| {
            covariance[[order[i], order[j]]] + if i == j { damping } else { 0.0 }
        }));
        let feedback = Array2::from_shape_fn((size, size), |(k, i)| {
            if i > k { lower[[i, k]] / lower[[k, k]] } else { 0.0 }
        });
        Self { order, feedback, mean: inputs.mean() }
    }

    /// Integers within one step of a row of weights, given in steps, and within `±largest`.
    pub(super) fn row(&self, weights: &[f64], largest: f64) -> Vec<f64> {
        let size = self.order.len();
        let mut errors = vec![0.0; size];
        let mut integers = vec![0.0; size];
        for k in (0..size).rev() {
            let weight = weights[self.order[k]];
            let after = self.feedback.row(k);
            let correction = dot(&errors[k + 1..], &after.slice(s![k + 1..]));
            let n = (weight + correction)
                .round()
                .clamp(weight.floor(), weight.ceil())
                .clamp(-largest, largest);
            errors[k] = weight - n;
            integers[self.order[k]] = n;
        }
        integers
    }

    /// The mean of what a row of errors, in steps, takes from a current, in steps.
    pub(super) fn mean_error(&self, errors: &[f64]) -> f64 {
        dot(errors, &self.mean.view())
    }
}

/// The lower triangular L with `L·Lᵀ = matrix`, for a positive definite matrix.
fn cholesky(matrix: &Array2<f64>) -> Array2<f64> {
    let size = matrix.nrows();
    let mut lower = Array2::<f64>::zeros((size, size));
    for i in 0..size {
        for j in 0..=i {
            let (row, other) = (lower.row(i), lower.row(j));
            let sum = matrix[[i, j]] - row.slice(s![..j]).dot(&other.slice(s![..j]));
            let diagonal = lower[[j, j]];
            // Rounding alone can make a pivot of a damped covariance vanish.
            lower[[i, j]] = if i == j { sum.max(f64::MIN_POSITIVE).sqrt() } else { sum / diagonal };
        }
    }
    lower
}

fn dot(a: &[f64], b: &ArrayView1<'_, f64>) -> f64 {
    ArrayView1::from(a).dot(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Inputs that fire together as the pixels of an image do, by the share of what they have in
    /// common.
    fn moments(random: &mut ChaCha8Rng, inputs: usize, shared: f64) -> InputMoments {
        let mut moments = InputMoments::new(inputs);
        for _ in 0..400 {
            let common: f64 = random.random();
            let x: Array1<f64> = (0..inputs)
                .map(|_| shared * common + (1.0 - shared) * random.random::<f64>())
                .map(|drive| f64::from(u8::from(drive > 0.5)))
                .collect();
            moments.count += 1.0;
            for i in 0..inputs {
                moments.sums[i] += x[i];
                for j in 0..inputs {
                    moments.products[[i, j]] += x[i] * x[j];
                }
            }
        }
        moments
    }

    fn variance(moments: &InputMoments, errors: &Array1<f64>) -> f64 {
        errors.dot(&moments.covariance().dot(errors))
    }

    #[test]
    fn a_factor_times_its_transpose_is_the_matrix() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let matrix = moments(&mut random, 12, 0.6).covariance() + Array2::<f64>::eye(12) * 0.01;
        let lower = cholesky(&matrix);
        let product = lower.dot(&lower.t());
        assert!((&product - &matrix).iter().all(|error| error.abs() < 1e-12));
    }

    /// Against all 2ᴷ roundings of a row the error is far below that of the nearest, and every
    /// integer is next to its weight.
    #[test]
    fn currents_vary_less_than_by_rounding_to_the_nearest() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let (mut of_nearest, mut of_row, mut of_best) = (0.0, 0.0, 0.0);
        for _ in 0..30 {
            let moments = moments(&mut random, 10, 0.6);
            let rounding = Rounding::new(&moments, true);
            let weights: Vec<f64> = (0..10).map(|_| 6.0 * random.random::<f64>() - 3.0).collect();
            let integers = rounding.row(&weights, 127.0);
            for (w, n) in weights.iter().zip(&integers) {
                assert!((w - n).abs() < 1.0 && n.fract() == 0.0, "{w} {n}");
            }
            let error = |integers: &[f64]| {
                let errors = weights.iter().zip(integers).map(|(w, n)| w - n).collect();
                variance(&moments, &errors)
            };
            let nearest: Vec<f64> = weights.iter().map(|w| w.round()).collect();
            let best = (0..1 << 10)
                .map(|bits: usize| {
                    let up = |k: usize| f64::from(u8::from(bits >> k & 1 == 1));
                    let all: Vec<f64> =
                        weights.iter().enumerate().map(|(k, w)| w.floor() + up(k)).collect();
                    error(&all)
                })
                .fold(f64::INFINITY, f64::min);
            of_nearest += error(&nearest);
            of_row += error(&integers);
            of_best += best;
        }
        assert!(of_best <= of_row && of_row < 0.6 * of_nearest, "{of_best} {of_row} {of_nearest}");
    }

    /// Without a bias errors of one sign would move the mean of the current. Independent inputs
    /// have a diagonal covariance, which is the nearest; only their mean products join them.
    #[test]
    fn without_a_bias_the_mean_counts() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut with, mut without) = (0.0, 0.0);
        for _ in 0..100 {
            let moments = moments(&mut random, 10, 0.0);
            let weights: Vec<f64> = (0..10).map(|_| 6.0 * random.random::<f64>() - 3.0).collect();
            let mean_error = |has_bias: bool| {
                let rounding = Rounding::new(&moments, has_bias);
                let integers = rounding.row(&weights, 127.0);
                let errors: Vec<f64> = weights.iter().zip(integers).map(|(w, n)| w - n).collect();
                rounding.mean_error(&errors).abs()
            };
            with += mean_error(true);
            without += mean_error(false);
        }
        assert!(without < 0.5 * with, "{without} {with}");
    }

    #[test]
    fn inputs_that_never_vary_are_rounded_to_the_nearest() {
        let mut moments = InputMoments::new(4);
        moments.count = 7.0;
        let rounding = Rounding::new(&moments, true);
        assert_eq!(rounding.row(&[0.4, -1.6, 200.0, 2.0], 127.0), [0.0, -2.0, 127.0, 2.0]);
    }
}
