//! Files that hold others, and names and lists in files.

pub(crate) mod enclosed;
pub(crate) mod tar;
#[cfg(any(feature = "pictures", feature = "recordings"))]
pub(crate) mod text;

/// Endings of picture files, in small letters; what is inside decides how they are read.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// `true` if a name ends like one of a picture; hidden files are none.
pub(crate) fn is_picture(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !name.starts_with('.')
        && ending
            .is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}
