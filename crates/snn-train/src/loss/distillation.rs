//! Loss of a student against its teacher, and against what it knows itself.

use crate::error::Result;
use tch::{Kind, Tensor};

/// Cross entropy between softened class probabilities of a teacher and of its student, less the
/// teacher's entropy, times τ² (Hinton 2015, section 2):
/// `τ² · KL(softmax(teacher/τ) ‖ softmax(student/τ))`, the mean over the batch.
///
/// # Shapes
/// Both are `[B, K]`; the result is a scalar.
///
/// # Errors
/// The shapes do not fit.
pub fn distillation(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    let log_soft =
        |logits: &Tensor| logits.f_div_scalar(temperature)?.f_log_softmax(-1, None::<Kind>);
    let (student, teacher) =
        (log_soft(student)?, log_soft(&teacher.f_to_kind(student.f_kind()?)?)?);
    let gap = teacher.f_exp()?.f_mul(&teacher.f_sub(&student)?)?;
    let mean =
        gap.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?.f_mean(None::<Kind>)?;
    Ok(mean.f_mul_scalar(temperature * temperature)?)
}

/// [`distillation`] at every macro-step, `mean_t KD_τ(o_t, teacher)` (Yu et al. 2025,
/// "Efficient Logit-based Knowledge Distillation of Deep Spiking Neural Networks for Full-Range
/// Timestep Deployment").
///
/// # Shapes
/// `steps` is `[T, B, K]`, `teacher` `[B, K]`; the result is a scalar.
///
/// # Errors
/// The shapes do not fit.
pub fn step_distillation(steps: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    let classes = steps.size().last().copied().unwrap_or(1);
    let teacher = teacher.f_expand_as(steps)?.f_reshape([-1, classes])?;
    distillation(&steps.f_reshape([-1, classes])?, &teacher, temperature)
}

/// The mean of the class scores of those macro-steps at which a sample is classified right, without
/// gradient; zeros, so that all classes are equal, where none is (Yu et al. 2025, as in their
/// code).
///
/// # Shapes
/// `steps` is `[T, B, K]`, `labels` `[B]`, i64; the result is `[B, K]`.
///
/// # Errors
/// The shapes do not fit.
pub fn right_steps(steps: &Tensor, labels: &Tensor) -> Result<Tensor> {
    tch::no_grad(|| {
        let right = steps.f_argmax(-1, false)?.f_eq_tensor(&labels.f_unsqueeze(0)?)?;
        let right = right.f_to_kind(steps.f_kind()?)?.f_unsqueeze(-1)?;
        let sum =
            |tensor: &Tensor| tensor.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>);
        let count = sum(&right)?.f_clamp_min(1.0)?;
        Ok(sum(&steps.f_detach()?.f_mul(&right)?)?.f_div(&count)?)
    })
}
