//! Custom autograd functions, through libtorch's engine.

use snn_core::tch::{Kind, Tensor, no_grad};
use snn_core::{Error, Result, autograd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).set_requires_grad(true)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor).unwrap()
}

/// `a·b`, with both saved.
fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = no_grad(|| a.f_mul(b))?;
    autograd::record("product", &[a, b], &[&y], &[a, b], |backward| {
        let [a, b] = backward.saved.try_into().unwrap();
        let [gradient] = backward.gradients.try_into().unwrap();
        let by =
            |other: &Tensor| gradient.as_ref().map(|gradient| gradient.f_mul(other)).transpose();
        Ok(vec![by(&b)?, by(&a)?])
    })?;
    Ok(y)
}

/// A function of one input whose backward pass is `backward`.
fn custom(
    x: &Tensor,
    saved: &[&Tensor],
    backward: impl FnMut(autograd::Backward) -> Result<Vec<Option<Tensor>>> + Send + 'static,
) -> Tensor {
    let y = no_grad(|| x.f_square()).unwrap();
    autograd::record("custom", &[x], &[&y], saved, backward).unwrap();
    y
}

fn backward_error(y: &Tensor) -> String {
    y.sum(Kind::Double).f_backward().unwrap_err().to_string()
}

#[test]
fn gradients_are_those_of_libtorch_in_a_graph_that_shares_and_branches() {
    let run = |product: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
        let (a, b) = (leaf(&[1.0, -2.0, 3.0]), leaf(&[0.5, 4.0, -1.0]));
        let c = product(&a, &b);
        let d = product(&c, &a).sin();
        (product(&d, &c) + &c).sum(Kind::Double).backward();
        (values(&a.grad()), values(&b.grad()))
    };
    assert_eq!(run(&|a, b| product(a, b).unwrap()), run(&|a, b| a * b));
}

#[test]
fn only_what_requires_a_gradient_gets_one() {
    let (a, b) = (leaf(&[2.0]), Tensor::from_slice(&[5.0]));
    product(&a, &b).unwrap().backward();
    assert_eq!(values(&a.grad()), [5.0]);
    assert!(!b.grad().defined());
    assert!(!product(&b, &b).unwrap().requires_grad());
    assert!(!no_grad(|| product(&a, &b).unwrap()).requires_grad());
}

#[test]
fn an_output_that_nothing_reached_has_no_gradient() {
    let x = leaf(&[3.0]);
    let (used, unused) = no_grad(|| (&x * 2.0, &x * 3.0));
    autograd::record("two", &[&x], &[&used, &unused], &[], |backward| {
        assert!(backward.gradients[1].is_none());
        Ok(vec![backward.gradients[0].as_ref().map(|gradient| gradient * 2.0)])
    })
    .unwrap();
    used.backward();
    assert_eq!(values(&x.grad()), [2.0]);
}

/// Counts its drops.
struct Token(Arc<AtomicUsize>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_closure_is_dropped_once_after_use_and_where_it_is_not_needed() {
    let drops = Arc::new(AtomicUsize::new(0));
    let function = |x: &Tensor| {
        let token = Token(Arc::clone(&drops));
        custom(x, &[], move |backward| {
            let _held = &token;
            Ok(backward.gradients)
        })
    };
    let x = leaf(&[1.0]);
    let y = function(&x);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    y.backward();
    assert_eq!(drops.load(Ordering::SeqCst), 1, "after the backward pass, though `y` lives");
    drop(y);
    assert_eq!(drops.load(Ordering::SeqCst), 1, "not again");
    drop(function(&x));
    assert_eq!(drops.load(Ordering::SeqCst), 2, "with a graph that is never run");
    let _no_graph = no_grad(|| function(&x));
    assert_eq!(drops.load(Ordering::SeqCst), 3, "where nothing is recorded");
}

#[test]
fn an_output_that_is_saved_does_not_keep_itself_alive() {
    let drops = Arc::new(AtomicUsize::new(0));
    let x = leaf(&[1.0]);
    let y = no_grad(|| x.exp());
    let token = Token(Arc::clone(&drops));
    autograd::record("exp", &[&x], &[&y], &[&y], move |backward| {
        let _held = &token;
        Ok(vec![backward.gradients[0].as_ref().map(|gradient| gradient * &backward.saved[0])])
    })
    .unwrap();
    let z = y.shallow_clone();
    z.f_backward().unwrap();
    assert_eq!(values(&x.grad()), values(&y));
    let (again, token) = (no_grad(|| x.exp()), Token(Arc::clone(&drops)));
    autograd::record("exp", &[&x], &[&again], &[&again], move |backward| {
        let _held = &token;
        Ok(backward.gradients)
    })
    .unwrap();
    drop(again);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn a_second_backward_pass_is_an_error_unless_the_graph_is_kept() {
    let (a, b) = (leaf(&[2.0]), leaf(&[5.0]));
    let y = product(&a, &b).unwrap();
    let kept = Tensor::f_run_backward(&[&y], &[&a], true, false).unwrap();
    assert_eq!(values(&kept[0]), [5.0]);
    y.f_backward().unwrap();
    let error = backward_error(&y);
    assert!(error.contains("product: a second backward pass"), "{error}");
}

#[test]
fn double_backward_is_an_error() {
    let (a, b) = (leaf(&[2.0]), leaf(&[5.0]));
    let y = product(&a, &b).unwrap();
    let first = Tensor::f_run_backward(&[&y], &[&a], true, true).unwrap();
    assert_eq!(values(&first[0]), [5.0]);
    let error = backward_error(&first[0]);
    assert!(error.contains("product: its gradient has no gradient"), "{error}");
}

#[test]
fn what_was_saved_and_then_changed_is_an_error() {
    let (a, b) = (leaf(&[2.0]), leaf(&[5.0]));
    let half = &a * 0.5;
    let y = product(&half, &b).unwrap();
    let _changed = no_grad(|| half.shallow_clone().zero_());
    let error = backward_error(&y);
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

#[test]
fn errors_and_panics_of_the_closure_are_errors_of_the_backward_pass() {
    let x = leaf(&[1.0, 2.0]);
    let error = backward_error(&custom(&x, &[], |_| panic!("not {}", "today")));
    assert!(error.contains("custom: the backward pass panicked: not today"), "{error}");
    let error = backward_error(&custom(&x, &[], |_| Err(Error::Torch("no".into()))));
    assert!(error.contains("custom: libtorch: no"), "{error}");
    let error = backward_error(&custom(&x, &[], |_| Ok(Vec::new())));
    assert!(error.contains("custom: the backward pass gave 0 gradients for 1 inputs"), "{error}");
    let error =
        backward_error(&custom(&x, &[], |_| Ok(vec![Some(Tensor::from_slice(&[1.0, 2.0, 3.0]))])));
    assert!(error.contains("shape"), "{error}");
    assert!(!x.grad().defined(), "nothing was half-written");
    custom(&x, &[], |backward| Ok(backward.gradients)).sum(Kind::Double).backward();
    assert_eq!(values(&x.grad()), [1.0, 1.0], "and the thread goes on");
}

#[test]
fn outputs_that_have_a_history_are_refused() {
    let x = leaf(&[1.0, 2.0]);
    let refused = |y: &Tensor| {
        autograd::record("bad", &[&x], &[y], &[], |_| Ok(vec![None])).unwrap_err().to_string()
    };
    let graph = &x * 2.0;
    let view = no_grad(|| x.square()).narrow(0, 0, 1);
    let integers = Tensor::from_slice(&[1_i64, 2]);
    for (what, y) in [("graph", &graph), ("view", &view), ("integers", &integers)] {
        let error = refused(y);
        assert!(
            error.contains("bad: output 0 must be a fresh floating-point tensor"),
            "{what}: {error}"
        );
    }
}

#[test]
fn it_works_from_many_threads() {
    let x = leaf(&[1.0, 2.0]);
    let found: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let x = x.detach().set_requires_grad(true);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let y = product(&x, &(&x + f64::from(i))).unwrap();
                        y.sum(Kind::Double).backward();
                    }
                    values(&x.grad())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (i, gradient) in (0_u8..).zip(found) {
        let expected: Vec<f64> =
            [1.0, 2.0].iter().map(|x| 200.0 * (2.0 * x + f64::from(i))).collect();
        assert_eq!(gradient, expected);
    }
}
