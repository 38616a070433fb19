//! Names that files hold: of their entries, or of other files.

use std::path::{Component, Path};

/// `true` if a name stays in the folder that it is for: no `..`, no beginning at the root.
pub(crate) fn is_enclosed(name: &str) -> bool {
    Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
