//! Whole numbers as weights of integers.

use crate::error::{Error, Result};
use ndarray::ArrayD;
use snn_ir::{Error as IrError, Tensor, Weights};

/// Advice where an integer is too large for its unit, which the smallest channel decides.
pub(super) const UNEQUAL: &str = "the channels whose currents are added there differ too much in \
                                  size for one unit: bring their weights, biases and thresholds \
                                  closer together, or take fewer levels or inputs";

/// Advice where sums of weights of 16 bits are too large.
pub(super) const TOO_WIDE: &str = "sums of weights of 16 bits are 256 times those of 8: take \
                                   weights of 8 bits (`convert --grid int8`), or fewer levels or \
                                   inputs";

/// Stores whole numbers as integers of 32 bits.
pub(crate) fn set_integers(
    weights: &mut Weights,
    node: &str,
    part: &str,
    values: &ArrayD<f64>,
) -> Result<()> {
    let name = format!("{node}.{part}");
    if let Some(value) = values.iter().find(|v| v.abs() >= f64::from(i32::MAX)) {
        let (expected, found) = ("integers below 2^31".into(), value.to_string());
        return Err(Error::Overflow {
            cause: IrError::Weight { name, expected, found },
            // Only the jump of an adaptation is in units of the membrane.
            way_out: match part {
                "adaptation" => {
                    "take fewer guard bits (`convert --guard-bits N`), or a weaker adaptation"
                }
                _ => UNEQUAL,
            },
        });
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let integers = values.mapv(|v| v as i32);
    weights.insert(name, Tensor::I32(integers));
    Ok(())
}

/// Rounds up, but takes a quotient that is a whole number but for rounding as that number.
pub(crate) fn ceil(quotient: f64) -> f64 {
    let nearest = quotient.round();
    if (quotient - nearest).abs() <= 1e-9 * nearest.abs().max(1.0) {
        nearest
    } else {
        quotient.ceil()
    }
}
