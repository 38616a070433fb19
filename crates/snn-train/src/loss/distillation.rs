//! Loss of a student against its teacher.

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
