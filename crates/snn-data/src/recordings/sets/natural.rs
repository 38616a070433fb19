//! The order in which people number files: `a_2` before `a_10`.

/// A key by which names sort with their numbers as numbers; names of equal numbers (`01`, `1`) sort
/// as text.
pub(crate) fn key(name: &str) -> (Vec<(String, u64)>, String) {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..]
            .find(|letter: char| !letter.is_ascii_digit())
            .map_or(rest.len(), |end| text + end);
        parts.push((rest[..text].to_owned(), rest[text..digits].parse().unwrap_or(u64::MAX)));
        rest = &rest[digits..];
    }
    (parts, name.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_sort_as_numbers() {
        let mut names = ["b_1", "a_10", "a_9", "a_09", "a", "a_99999999999999999999999", "a_9_2"];
        names.sort_by_key(|name| super::key(name));
        assert_eq!(
            names,
            ["a", "a_09", "a_9", "a_9_2", "a_10", "a_99999999999999999999999", "b_1"]
        );
    }
}
