//! Values that exist in one of two number types, by the form of the model.

/// One of two: `Grid` for a model of form `grid`, in integers; `Real` for one of form `events`, in
/// floating point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ByForm<G, R> {
    Grid(G),
    Real(R),
}

/// Evaluates one expression for either number type.
macro_rules! by_form {
    ($value:expr, $inner:ident => $work:expr) => {
        match $value {
            crate::by_form::ByForm::Grid($inner) => $work,
            crate::by_form::ByForm::Real($inner) => $work,
        }
    };
}
pub(crate) use by_form;
