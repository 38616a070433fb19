//! Paths that prose names: each must be there.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

/// The files whose paths are checked.
const FILES: [&str; 3] = ["CONTRIBUTING.md", "ARCHITECTURE.md", "README.md"];

/// Prints the paths that are named and are not there; whether all are.
///
/// # Errors
///
/// A file that cannot be read.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let tracked = super::tracked(root)?;
    let mut sound = true;
    for file in FILES {
        for (line, path) in missing(&tracked, &fs::read_to_string(root.join(file))?) {
            println!("{file}:{line}: names `{path}`, which is not there");
            sound = false;
        }
    }
    Ok(sound)
}

/// Paths in code marks or links that are not there, with their lines.
///
/// What begins with `src/` or `tests/` belongs to the crate that was named last below the same
/// heading; everything else is the whole or the end of a path.
fn missing(tracked: &[String], text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut package = String::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if line.starts_with('#') {
            package.clear();
        }
        if fenced {
            continue;
        }
        for named in named(line) {
            if let Named::Crate(name) = named {
                name.clone_into(&mut package);
            }
            let Named::Path(path) = named else { continue };
            let of_crate = ["src/", "tests/"].iter().any(|begin| path.starts_with(begin));
            let whole = if of_crate { format!("crates/{package}/{path}") } else { path.into() };
            let is = |file: &str| {
                let end = if of_crate { file == whole } else { ends_with(file, &whole) };
                // A folder is there where a file is in it.
                end || file.match_indices('/').any(|(at, _)| {
                    if of_crate { file[..at] == whole } else { ends_with(&file[..at], &whole) }
                })
            };
            if !tracked.iter().any(|file| is(file)) {
                found.push((number, path.to_string()));
            }
        }
    }
    found
}

/// `true` if a path ends with whole parts of another one.
fn ends_with(path: &str, end: &str) -> bool {
    Path::new(path).ends_with(end)
}

/// What prose names in code marks or links.
#[derive(Debug, Clone, Copy)]
enum Named<'a> {
    /// A crate of this workspace.
    Crate(&'a str),
    /// What looks like a path of this tree.
    Path(&'a str),
}

/// Crates and paths of a line, in order: in code marks with a slash or a known end, or as the
/// target of a link.
fn named(line: &str) -> Vec<Named<'_>> {
    let code = line.split('`').skip(1).step_by(2);
    let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let looks = |path: &&str| {
        let ends = [".rs", ".md", ".toml", ".py", ".h", ".sh"];
        let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        let path_or_crate = path.contains('/') || path.starts_with("snn-");
        plain && (path_or_crate || ends.iter().any(|end| path.ends_with(end)))
    };
    let kept = |path: &&str| {
        let made = ["target/", ".libtorch", "runs/"].iter().any(|made| path.starts_with(made));
        !path.is_empty() && !path.starts_with('/') && !path.contains("://") && !made
    };
    code.filter(looks).chain(links).filter(kept).map(Named::new).collect()
}

impl<'a> Named<'a> {
    fn new(text: &'a str) -> Self {
        if text.contains(['/', '.']) {
            Self::Path(text.trim_end_matches('/'))
        } else {
            Self::Crate(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_found_and_code_that_is_no_path_is_not_looked_at() {
        let tracked = ["crates/snn-x/src/a.rs", "crates/snn-y/src/b/c.rs", "docs/d.md"];
        let text = "# One\n\n`snn-x`: `src/a.rs`, `src/b.rs`, `Graph::resolve`, `x=1`.\n\
                    `snn-x/src/a.rs`, `target/debug/snn`, [d](docs), [e](gone.md#part)\n\
                    ```\n`no/such`\n```\n`b/c.rs`, `c.rs`, `.rs`, `nc.rs`, `snn-y`: `src/b/`\n\
                    # Two\n`src/a.rs`, [c](https://example.org)\n";
        let missing = missing(&tracked.map(String::from), text);
        let expected =
            [(3, "src/b.rs"), (4, "gone.md"), (8, ".rs"), (8, "nc.rs"), (10, "src/a.rs")]
                .map(|(number, path)| (number, path.to_string()));
        assert_eq!(missing, expected);
    }

    #[test]
    fn every_path_that_is_named_is_there() -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tracked = crate::checks::tracked(&root)?;
        for file in FILES {
            let text = fs::read_to_string(root.join(file))?;
            assert_eq!(missing(&tracked, &text), [], "{file}");
        }
        Ok(())
    }
}
