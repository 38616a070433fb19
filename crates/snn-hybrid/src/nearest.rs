//! The name that was meant, most likely.

/// The known name with the fewest edits (Levenshtein) from `found`; empty if nothing is known.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    known.into_iter().min_by_key(|known| strsim::levenshtein(found, known)).unwrap_or_default()
}
