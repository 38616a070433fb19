//! Muon: steps along orthogonalised gradients.

use crate::config::check::{check, within};
use crate::config::kind::DefaultKind;
use crate::error::Result;
use crate::optim::adamw::AdamWConfig;
use crate::optim::sgd::SgdConfig;
use crate::optim::slot::Slot;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::{Kind, Tensor};

/// Learning rate (airbench94\_muon).
pub const DEFAULT_LEARNING_RATE: f64 = 0.24;
/// Momentum (airbench94\_muon).
pub const DEFAULT_MOMENTUM: f64 = 0.6;
/// Newton–Schulz iterations (airbench94\_muon; Jordan 2024 takes 5).
pub const DEFAULT_ITERATIONS: usize = 3;
/// Coefficients of the quintic iteration (Jordan 2024).
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// Added to the norm before it divides (airbench94\_muon).
const EPS: f64 = 1e-7;
/// More iterations change nothing but the time.
const MOST_ITERATIONS: usize = 20;

/// Muon (Jordan 2024, "Muon: an optimizer for hidden layers in neural networks"; defaults and order
/// of operations those of airbench94\_muon): for the weights of convolutions and linear layers, as
/// matrices of one row an output, `b ← m·b + g`, `d = g + m·b` with Nesterov's momentum and `d = b`
/// without, and then
///
/// - with `normalise`: `p ← p·√rows/‖p‖`, `p ← p − r·O(d)`,
/// - without: `p ← p − r·w·p`, `p ← p − r·√max(1, rows/columns)·O(d)`,
///
/// where `O` is [`orthogonalised`]. Biases, norms, steps and leaks, and the classifier (the last
/// convolution or linear layer of the graph), are left to [`others`](Self::others), and so are
/// groups that say so ([`GroupConfig::others`](crate::GroupConfig::others)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MuonConfig {
    /// Learning rate r, the largest of the schedule.
    pub learning_rate: f64,
    /// Momentum m, 0 to below 1.
    pub momentum: f64,
    /// `true` if the momentum is Nesterov's.
    pub nesterov: bool,
    /// Newton–Schulz iterations, 1 to 20.
    pub iterations: usize,
    /// `true` if each step begins by giving the weight the norm √rows; weight decay has no effect
    /// on such weights.
    pub normalise: bool,
    /// Weight decay w, where weights are not normalised.
    pub weight_decay: f64,
    /// The optimiser of all other weights. Its learning rate follows the same schedule.
    pub others: OthersConfig,
}

/// The optimiser of the weights that Muon does not move; a table without `kind` is that of
/// [`SgdConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "lowercase")]
pub enum OthersConfig {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig),
    /// Adam with decoupled weight decay.
    AdamW(AdamWConfig),
}

impl Default for OthersConfig {
    fn default() -> Self {
        Self::Sgd(SgdConfig::default())
    }
}

impl Serialize for OthersConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for OthersConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(DefaultKind { deserializer, kind: "sgd" })
    }
}

impl OthersConfig {
    /// The largest learning rate of the schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.learning_rate,
            Self::AdamW(adamw) => adamw.learning_rate,
        }
    }

    fn validate(&self) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.ranges(),
            Self::AdamW(adamw) => adamw.ranges(),
        }
    }
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self {
            learning_rate: DEFAULT_LEARNING_RATE,
            momentum: DEFAULT_MOMENTUM,
            nesterov: true,
            iterations: DEFAULT_ITERATIONS,
            normalise: true,
            weight_decay: 0.0,
            others: OthersConfig::default(),
        }
    }
}

impl MuonConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        within("optimiser", self.ranges())?;
        within("optimiser.others", self.others.validate())
    }

    fn ranges(&self) -> Result<()> {
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        check("learning_rate", rate.is_finite() && rate > 0.0, "positive", rate)?;
        check("momentum", (0.0..1.0).contains(&self.momentum), "0 to below 1", self.momentum)?;
        let known = (1..=MOST_ITERATIONS).contains(&self.iterations);
        check("iterations", known, "1 to 20", self.iterations)?;
        check("weight_decay", decay.is_finite() && decay >= 0.0, "at least 0", decay)?;
        let alone = !self.normalise || decay <= 0.0;
        check("weight_decay", alone, "0 beside `normalise`, which undoes it", decay)
    }

    /// One step of one weight.
    pub(crate) fn update(
        &self,
        slot: &mut Slot,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let Self { momentum, nesterov, iterations, normalise, .. } = *self;
        let [buffer] = slot.moments.as_mut_slice() else { return Ok(()) };
        let _ = buffer.f_mul_scalar_(momentum)?.f_add_(gradient)?;
        let direction = if nesterov {
            gradient.f_add(&buffer.f_mul_scalar(momentum)?)?
        } else {
            buffer.shallow_clone()
        };
        let shape = direction.size();
        let rows = shape.first().copied().unwrap_or(1);
        let matrix = direction.f_reshape([rows, -1])?;
        let columns = matrix.size().last().copied().unwrap_or(1).max(1);
        let step = orthogonalised(&matrix, iterations)?.f_reshape(shape.as_slice())?;
        let rows = rows as f64;
        let length = if normalise {
            // A weight of zeros has no direction, and stays what it is.
            let norm = slot.tensor.f_norm()?;
            let factor = norm.f_reciprocal()?.f_mul_scalar(rows.sqrt())?;
            let factor = factor.f_masked_fill(&norm.f_eq(0.0)?, 1.0)?;
            let _ = slot.tensor.f_mul_(&factor)?;
            1.0
        } else {
            if slot.decay > 0.0 {
                let _ = slot.tensor.f_mul_scalar_(1.0 - learning_rate * slot.decay)?;
            }
            (rows / columns as f64).max(1.0).sqrt()
        };
        let _ = slot.tensor.f_add_(&step.f_mul_scalar(-learning_rate * length)?)?;
        Ok(())
    }
}

/// A matrix with its singular vectors and singular values near 1 (about 0.7 to 1.2 after five
/// iterations): `X₀ = G/‖G‖`, `A = X·Xᵀ`, `X ← a·X + (b·A + c·A²)·X` with a = 3.4445, b = −4.775,
/// c = 2.0315 (Jordan 2024). A matrix with more rows than columns is iterated transposed.
///
/// It computes in the precision of the matrix, at least f32; airbench rounds to bf16.
///
/// # Shapes
/// `[R, C]` in and out.
///
/// # Errors
/// It is not a matrix, or libtorch cannot allocate.
pub fn orthogonalised(matrix: &Tensor, iterations: usize) -> Result<Tensor> {
    let [a, b, c] = COEFFICIENTS;
    let (rows, columns) = matrix.size2()?;
    let kind = match matrix.f_kind()? {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    let x = matrix.f_to_kind(kind)?;
    let mut x = x.f_div(&x.f_norm()?.f_add_scalar(EPS)?)?;
    if rows > columns {
        x = x.f_transpose(0, 1)?;
    }
    for _ in 0..iterations {
        let squares = x.f_matmul(&x.f_transpose(0, 1)?)?;
        let cubic = squares.f_mul_scalar(b)?;
        let quintic = squares.f_matmul(&squares)?.f_mul_scalar(c)?;
        x = x.f_mul_scalar(a)?.f_add(&cubic.f_add(&quintic)?.f_matmul(&x)?)?;
    }
    if rows > columns {
        x = x.f_transpose(0, 1)?;
    }
    Ok(x.f_to_kind(matrix.f_kind()?)?)
}
