//! Operations on many tensors at once, by libtorch's own (`_fused_…`, `_foreach_…`): on a CPU a
//! step reads and writes every value once, and on a GPU each call is a launch or two for some
//! dozens of tensors.
//!
//! The tensors of each list are of one kind and on one device, and those of a place in all lists
//! have one shape. Parameters of a step fill their memory without gaps, and what is kept of them is
//! laid out as they are; else the step is an error. Nothing is recorded for gradients, and a
//! backward pass that saved a tensor before it was changed says so.

use crate::autograd::message;
use crate::error::{Error, Result};
use std::ffi::c_char;
use tch::Tensor;
use torch_sys::C_tensor;

type Raw = *const *const C_tensor;

unsafe extern "C" {
    fn snn_list_sgd(
        parameters: Raw,
        gradients: Raw,
        momenta: Raw,
        count: usize,
        rate: f64,
        momentum: f64,
        decay: f64,
        nesterov: bool,
    ) -> *mut c_char;
    fn snn_list_adamw(
        parameters: Raw,
        gradients: Raw,
        first: Raw,
        second: Raw,
        count: usize,
        rate: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        decay: f64,
        step: f64,
    ) -> *mut c_char;
    fn snn_list_lerp(from: Raw, to: Raw, count: usize, weight: f64) -> *mut c_char;
    fn snn_list_scale(tensors: Raw, count: usize, factor: f64) -> *mut c_char;
    fn snn_list_norm(tensors: Raw, count: usize, out: *mut f64) -> *mut c_char;
    fn snn_list_clear_gradients(parameters: Raw, count: usize) -> *mut c_char;
}

/// One step of stochastic gradient descent: `d = g + w·p`, `b ← m·b + d`, then `p ← p − r·b`, or
/// with Nesterov's momentum `p ← p − r·(d + m·b)` (libtorch's `_fused_sgd_`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate r.
    pub learning_rate: f64,
    /// Momentum m.
    pub momentum: f64,
    /// Weight decay w.
    pub weight_decay: f64,
    /// `true` if the momentum is Nesterov's.
    pub nesterov: bool,
}

impl Sgd {
    /// Moves parameters along their gradients, in place, with a buffer b for each, which without
    /// momentum stays as it is.
    ///
    /// # Errors
    /// The lists do not fit each other.
    pub fn step(
        &self,
        parameters: &[&Tensor],
        gradients: &[&Tensor],
        momenta: &[&Tensor],
    ) -> Result<()> {
        fit(parameters, &[gradients, momenta])?;
        let Self { learning_rate, momentum, weight_decay, nesterov } = *self;
        let [p, g, m] = [parameters, gradients, momenta].map(pointers);
        // SAFETY: tensors that live through the call, as many in each list.
        done(unsafe {
            snn_list_sgd(
                p.as_ptr(),
                g.as_ptr(),
                // libtorch takes no buffers where it needs none.
                if momentum > 0.0 { m.as_ptr() } else { std::ptr::null() },
                p.len(),
                learning_rate,
                momentum,
                weight_decay,
                nesterov,
            )
        })
    }
}

/// One step of Adam with decoupled weight decay: `p ← p − r·w·p`, `m ← β₁·m + (1 − β₁)·g`,
/// `v ← β₂·v + (1 − β₂)·g²`, `p ← p − r/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)` (libtorch's
/// `_fused_adamw_`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate r.
    pub learning_rate: f64,
    /// Decay β₁ of the mean of gradients.
    pub beta1: f64,
    /// Decay β₂ of the mean of their squares.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// Weight decay w.
    pub weight_decay: f64,
    /// Number t of the step, from 1.
    pub number: u32,
}

impl AdamW {
    /// Moves parameters along their gradients, in place, with the means m and v of each.
    ///
    /// # Errors
    /// The lists do not fit each other, or the step has number 0.
    pub fn step(
        &self,
        parameters: &[&Tensor],
        gradients: &[&Tensor],
        means: &[&Tensor],
        squares: &[&Tensor],
    ) -> Result<()> {
        fit(parameters, &[gradients, means, squares])?;
        if self.number == 0 {
            let (expected, found) = ("1 or more".into(), "0".into());
            return Err(Error::Argument { what: "number of a step", expected, found });
        }
        let Self { learning_rate, beta1, beta2, eps, weight_decay, number } = *self;
        let [p, g, m, v] = [parameters, gradients, means, squares].map(pointers);
        // SAFETY: tensors that live through the call, as many in each list.
        done(unsafe {
            snn_list_adamw(
                p.as_ptr(),
                g.as_ptr(),
                m.as_ptr(),
                v.as_ptr(),
                p.len(),
                learning_rate,
                beta1,
                beta2,
                eps,
                weight_decay,
                f64::from(number),
            )
        })
    }
}

/// `a ← a + weight·(b − a)` for each tensor a of a list and b of another, in place.
///
/// # Errors
/// The lists do not fit each other.
pub fn lerp(from: &[&Tensor], to: &[&Tensor], weight: f64) -> Result<()> {
    fit(from, &[to])?;
    let [from, to] = [from, to].map(pointers);
    // SAFETY: tensors that live through the call, as many in each list.
    done(unsafe { snn_list_lerp(from.as_ptr(), to.as_ptr(), from.len(), weight) })
}

/// `a ← factor·a` for each tensor a of a list, in place.
///
/// # Errors
/// libtorch fails.
pub fn scale(tensors: &[&Tensor], factor: f64) -> Result<()> {
    let tensors = pointers(tensors);
    // SAFETY: tensors that live through the call.
    done(unsafe { snn_list_scale(tensors.as_ptr(), tensors.len(), factor) })
}

/// The Euclidean norm of all values of a list together.
///
/// # Errors
/// libtorch fails.
pub fn norm(tensors: &[&Tensor]) -> Result<f64> {
    let (tensors, mut norm) = (pointers(tensors), 0.0);
    // SAFETY: tensors that live through the call, and room for a number.
    done(unsafe { snn_list_norm(tensors.as_ptr(), tensors.len(), &raw mut norm) })?;
    Ok(norm)
}

/// Takes the gradients of parameters away: the next backward pass puts its own in their place
/// instead of adding to zeros.
///
/// # Errors
/// libtorch fails.
pub fn clear_gradients(parameters: &[&Tensor]) -> Result<()> {
    let parameters = pointers(parameters);
    // SAFETY: tensors that live through the call.
    done(unsafe { snn_list_clear_gradients(parameters.as_ptr(), parameters.len()) })
}

fn pointers(tensors: &[&Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr()).collect()
}

/// Checks that the tensors of a place are alike.
fn fit(first: &[&Tensor], others: &[&[&Tensor]]) -> Result<()> {
    let describe = |x: &Tensor| -> Result<_> { Ok((x.size(), x.f_kind()?, x.device())) };
    for other in others {
        if other.len() != first.len() {
            let (expected, found) = (format!("{} tensors", first.len()), other.len().to_string());
            return Err(Error::Argument { what: "a list of tensors", expected, found });
        }
        for (a, b) in first.iter().zip(*other) {
            let (expected, found) = (describe(a)?, describe(b)?);
            if expected != found {
                let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
                return Err(Error::Argument { what: "a tensor of a list", expected, found });
            }
        }
    }
    Ok(())
}

fn done(text: *mut c_char) -> Result<()> {
    // SAFETY: null, or a message that is ours.
    match unsafe { message(text) } {
        None => Ok(()),
        Some(text) => Err(Error::Torch(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Tensors of several shapes, one of them channels last, on few values.
    fn some(seed: i64, kind: Kind) -> Vec<Tensor> {
        let numbers = |shape: &[i64]| {
            let count: i64 = shape.iter().product();
            let values = (0..count).map(|i| ((i * (37 + seed)) % 101) as f64 / 50.0 - 1.0);
            Tensor::from_slice(&values.collect::<Vec<_>>()).view(shape).to_kind(kind)
        };
        let image = numbers(&[4, 3, 3, 5]).permute([0, 3, 1, 2]);
        vec![numbers(&[7]), image, numbers(&[40, 33]), numbers(&[0]), numbers(&[1])]
    }

    fn refs(tensors: &[Tensor]) -> Vec<&Tensor> {
        tensors.iter().collect()
    }

    fn near(found: &[Tensor], expected: &[Tensor], kind: Kind) {
        let tolerance = if kind == Kind::Double { 1e-14 } else { 1e-6 };
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.allclose(expected, tolerance, tolerance, false), "{found} {expected}");
        }
    }

    #[test]
    fn steps_are_those_of_the_equations() {
        for kind in [Kind::Float, Kind::Double] {
            for (nesterov, weight_decay, momentum) in
                [(false, 0.0, 0.9), (true, 0.01, 0.9), (false, 0.01, 0.0)]
            {
                let [p, mut b] = [1, 3].map(|seed| some(seed, kind));
                // Gradients in another layout than their parameters.
                let g: Vec<Tensor> = some(2, kind).iter().map(Tensor::contiguous).collect();
                let mut expected = Vec::new();
                for ((p, g), b) in p.iter().zip(&g).zip(&b) {
                    let d = g + p * weight_decay;
                    let after = b * momentum + &d;
                    let step = if nesterov { &d + &after * momentum } else { after.copy() };
                    expected.push((p - step * 0.1, if momentum > 0.0 { after } else { b.copy() }));
                }
                let sgd = Sgd { learning_rate: 0.1, momentum, weight_decay, nesterov };
                sgd.step(&refs(&p), &refs(&g), &refs(&b)).unwrap();
                let (moved, buffers): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
                near(&p, &moved, kind);
                near(&b, &buffers, kind);

                let v: Vec<Tensor> = some(4, kind).iter().map(Tensor::square).collect();
                let (mut moved, mut means, mut squares) = (vec![], vec![], vec![]);
                for (((p, g), m), v) in p.iter().zip(&g).zip(&b).zip(&v) {
                    let m = m * 0.9 + g * (1.0 - 0.9);
                    let v = v * 0.99 + g.square() * (1.0 - 0.99);
                    let [by_m, by_v] = [0.9_f64, 0.99].map(|beta| 1.0 - beta.powi(3));
                    let root = v.sqrt() / by_v.sqrt() + 1e-8;
                    moved.push(p * (1.0 - 0.01 * weight_decay) - &m / root * (0.01 / by_m));
                    means.push(m);
                    squares.push(v);
                }
                let (beta1, beta2, eps) = (0.9, 0.99, 1e-8);
                let adamw =
                    AdamW { learning_rate: 0.01, beta1, beta2, eps, weight_decay, number: 3 };
                adamw.step(&refs(&p), &refs(&g), &refs(&b), &refs(&v)).unwrap();
                near(&p, &moved, kind);
                near(&b, &means, kind);
                near(&v, &squares, kind);

                let expected: Vec<Tensor> =
                    b.iter().zip(&p).map(|(a, b)| a + (b - a) * 0.3).collect();
                lerp(&refs(&b), &refs(&p), 0.3).unwrap();
                near(&b, &expected, kind);
                let total: f64 =
                    p.iter().map(|p| p.square().sum(Kind::Double).double_value(&[])).sum();
                assert!((norm(&refs(&p)).unwrap() - total.sqrt()).abs() < 1e-5 * total.sqrt());
                b = p.iter().map(|p| p * 0.5).collect();
                scale(&refs(&p), 0.5).unwrap();
                near(&p, &b, kind);
            }
        }
    }

    #[test]
    fn gradients_that_were_cleared_are_not_added_to() {
        let x = Tensor::from_slice(&[1.0_f32]).set_requires_grad(true);
        for factor in [3.0, 5.0] {
            (&x * factor).sum(Kind::Float).backward();
            assert!((x.grad().double_value(&[0]) - factor).abs() < 1e-6);
            clear_gradients(&[&x]).unwrap();
            assert!(!x.grad().defined());
        }
    }

    #[test]
    fn a_step_between_forward_and_backward_is_an_error_of_the_backward_pass() {
        let x = Tensor::from_slice(&[1.0_f32, 2.0]).set_requires_grad(true);
        let [g, m] = [(); 2].map(|()| Tensor::ones([2], (Kind::Float, Device::Cpu)));
        let y = x.square().sum(Kind::Float);
        let sgd = Sgd { learning_rate: 1.0, momentum: 0.5, weight_decay: 0.0, nesterov: false };
        sgd.step(&[&x], &[&g], &[&m]).unwrap();
        let error = y.f_backward().unwrap_err().to_string();
        assert!(error.contains("modified by an inplace operation"), "{error}");
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let [a, b] = [3, 4].map(|n| Tensor::zeros([n], (Kind::Float, Device::Cpu)));
        let error = lerp(&[&a], &[&b], 0.5).unwrap_err().to_string();
        assert!(error.contains("a tensor of a list must be ([3], Float, Cpu)"), "{error}");
        let error = lerp(&[&a], &[], 0.5).unwrap_err().to_string();
        assert!(error.contains("a list of tensors must be 1 tensors"), "{error}");
        assert!(norm(&[]).unwrap().abs() < f64::MIN_POSITIVE);
        let sgd = Sgd { learning_rate: 1.0, momentum: 0.5, weight_decay: 0.0, nesterov: false };
        let one = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        let many = one.expand([1000], false);
        let [g, m] = [(); 2].map(|()| Tensor::zeros([1000], (Kind::Float, Device::Cpu)));
        let error = sgd.step(&[&many], &[&g], &[&m]).unwrap_err().to_string();
        assert!(error.contains("must fill its memory without gaps"), "{error}");
        let rows = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
        let columns = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu)).tr();
        let error = sgd.step(&[&rows], &[&rows], &[&columns]).unwrap_err().to_string();
        assert!(error.contains("must have its strides [4, 1], found [1, 3]"), "{error}");
        let adamw = AdamW {
            learning_rate: 1.0,
            beta1: 0.5,
            beta2: 0.5,
            eps: 1e-8,
            weight_decay: 0.0,
            number: 0,
        };
        let error = adamw.step(&[&g], &[&m], &[&g], &[&m]).unwrap_err().to_string();
        assert!(error.contains("number of a step must be 1 or more"), "{error}");
        lerp(&[], &[], 0.5).unwrap();
    }
}
