//! Widths of lines: code, comments and prose have at most 100 columns.
//!
//! What cannot be wrapped, or has to stay as it is byte for byte, may be wider: tables and blocks
//! of code in Markdown, also inside doc comments; a link; a raw text literal of Rust. Generated
//! files, data and results of runs are not looked at.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

use super::source;

/// Columns of a line at most.
const COLUMNS: usize = 100;

/// Ends of the names of files that are looked at.
const ENDS: [&str; 9] = [".rs", ".md", ".toml", ".sh", ".py", ".h", ".c", ".cpp", ".cu"];

/// Files that are looked at beside those.
const ALSO: [&str; 1] = [".ci/run"];

/// Lists of official file names, and configs that a run has written itself.
const NOT: [&str; 4] =
    ["datasets/manifest.toml", "crates/snn-data/manifest.toml", "docs/results/", "fuzz/corpus/"];

/// Prints the lines that are too wide; whether there are none.
///
/// # Errors
///
/// A file that cannot be read.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let mut sound = true;
    for name in super::tracked(root)? {
        let looked_at = ENDS.iter().any(|end| name.ends_with(end)) || ALSO.contains(&&*name);
        // Prose of results is looked at, their configs are not.
        let spared = NOT.iter().any(|not| name.starts_with(not)) && !is(&name, "md");
        let path = root.join(&name);
        if !looked_at || spared || !path.exists() {
            continue;
        }
        for (line, columns) in wide(&name, &fs::read_to_string(path)?) {
            println!("{name}:{line}: {columns} columns, at most {COLUMNS}");
            sound = false;
        }
    }
    Ok(sound)
}

/// `true` if a file has this end.
fn is(name: &str, end: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == end)
}

/// Numbers and columns of the lines that are too wide.
fn wide(name: &str, text: &str) -> Vec<(usize, usize)> {
    let lines = || (1..).zip(text.lines()).map(|(n, line)| (n, line, line.chars().count()));
    if lines().all(|(.., columns)| columns <= COLUMNS) {
        return Vec::new();
    }
    let rust = is(name, "rs");
    let raw = if rust { lines_of_raw_texts(text) } else { Vec::new() };
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line, columns) in lines() {
        let (prose, markdown) = match line.trim_start() {
            line if is(name, "md") => (line, true),
            line if rust && line.starts_with("//") => {
                (line.trim_start_matches(['/', '!']).trim_start(), true)
            }
            line => (line, false),
        };
        if markdown && prose.starts_with("```") {
            fenced = !fenced;
        } else if !markdown {
            fenced = false;
        }
        let table = markdown && prose.starts_with('|');
        let kept = table || (markdown && fenced) || linked(prose) || raw.contains(&number);
        if columns > COLUMNS && !kept {
            found.push((number, columns));
        }
    }
    found
}

/// `true` if a line is a link and little else, which no line break makes shorter.
fn linked(prose: &str) -> bool {
    let longest = prose.split_whitespace().max_by_key(|word| word.chars().count());
    longest.is_some_and(|word| {
        (word.contains("://") || word.contains("](")) && 2 * word.len() > COLUMNS
    })
}

/// Numbers of the lines on which a raw text stands.
fn lines_of_raw_texts(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| at + 1))
        .collect();
    for range in source::raw_texts(text) {
        let line_of = |at: usize| starts.partition_point(|&start| start <= at);
        lines.extend(line_of(range.start)..=line_of(range.end.saturating_sub(1)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wide;

    #[test]
    fn prose_and_code_are_wide_and_what_cannot_be_wrapped_is_not() {
        let long = "word ".repeat(30);
        for (name, text, expected) in [
            ("a.md", format!("short\n{long}\n"), vec![2]),
            ("a.md", format!("```text\n{long}\n```\n| {long} |\n{long}"), vec![5]),
            ("a.md", format!("- <https://example.org/{}>", "x".repeat(100)), vec![]),
            ("a.rs", format!("// {long}\nlet a = \"{long}\";\n"), vec![1, 2]),
            ("a.rs", format!("/// | {long} |\n/// ```\n/// {long}\n/// ```\n//! {long}"), vec![5]),
            ("a.rs", format!("let a = r#\"x\n{long}\"#;\nlet b = 1; // {long}\n"), vec![3]),
            // A block of code that a comment leaves open ends with the comment.
            ("a.rs", format!("/// ```\nfn f() {{}}\n/// {long}\n"), vec![3]),
            ("a.py", format!("# {long}\n"), vec![1]),
        ] {
            let lines: Vec<usize> = wide(name, &text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, expected, "{name}: {text}");
        }
    }
}
