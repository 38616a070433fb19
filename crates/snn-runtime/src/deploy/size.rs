//! Sizes of buffers, computed from what an untrusted file says.

/// Product of factors, saturating at `usize::MAX`: sizes come from untrusted files.
pub(crate) fn product(factors: &[usize]) -> usize {
    factors.iter().fold(1, |product, &factor| product.saturating_mul(factor))
}
