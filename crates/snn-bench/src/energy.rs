//! Energy by counting operations, with the 45 nm figures of `docs/semantics.md`, section 8.

use serde::Serialize;

/// Energy of one multiply-accumulate and of one addition, in picojoules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Name of the number system.
    pub(crate) name: &'static str,
    /// Multiply-accumulate.
    pub(crate) mac_pj: f64,
    /// Addition.
    pub(crate) addition_pj: f64,
}

/// 32-bit floats (Horowitz 2014): the convention of the SNN literature.
pub(crate) const FP32: Figures = Figures { name: "fp32", mac_pj: 4.6, addition_pj: 0.9 };
/// 8-bit weights into 32-bit sums (as tabulated from the same source).
pub(crate) const INT8: Figures = Figures { name: "int8", mac_pj: 0.23, addition_pj: 0.03 };

/// Figures of the user's own hardware, as the command line has them: `MAC,ADDITION`.
///
/// # Errors
/// What the text lacks.
pub(crate) fn parse(text: &str) -> Result<Figures, String> {
    let number = |text: &str| {
        let value = text.trim().parse::<f64>().ok();
        value.filter(|value| value.is_finite() && *value >= 0.0)
    };
    match text.split_once(',').map(|(mac, addition)| (number(mac), number(addition))) {
        Some((Some(mac_pj), Some(addition_pj))) => {
            Ok(Figures { name: "given", mac_pj, addition_pj })
        }
        _ => Err("expected picojoules of a MAC and of an addition, as `0.23,0.03`".into()),
    }
}

impl Figures {
    /// Microjoules of so many multiply-accumulates and pure additions.
    pub(crate) fn microjoules(self, macs: f64, additions: f64) -> f64 {
        (macs * self.mac_pj + additions * self.addition_pj) * 1e-6
    }
}
