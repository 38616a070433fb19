//! `docs`: writes the generated parts of the documentation, for those who work on this project.
//!
//! A part stands in a Markdown file between `<!-- generated: NAME -->` and `<!-- end -->`.

use crate::cli::Docs;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::reference;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// Result for the files with generated parts.
#[derive(Serialize)]
struct Written {
    /// Files that were not as the definitions are.
    changed: Vec<PathBuf>,
    /// Generated parts in all files.
    parts: usize,
}

pub(crate) fn run(arguments: &Docs, json: bool) -> Result<Outcome> {
    let mut written = Written { changed: Vec::new(), parts: 0 };
    for path in pages(&arguments.root)? {
        let old = fs_err::read_to_string(&path)?;
        let (new, parts) = filled(&old).with_context(|| path.display().to_string())?;
        written.parts += parts;
        if new != old {
            if !arguments.check {
                snn_ir::write_atomically(&path, new.as_bytes())?;
            }
            written.changed.push(path);
        }
    }
    if written.parts == 0 {
        bail!("{}: no file has a generated part", arguments.root.display());
    }
    let stale = arguments.check && !written.changed.is_empty();
    if json {
        print_json(&written)?;
    } else {
        for path in &written.changed {
            let what = if arguments.check { "is not up to date" } else { "written" };
            output::line(format_args!("{}: {what}", path.display()))?;
        }
        if stale {
            output::line("`cargo xtask docs` writes the generated parts")?;
        }
    }
    Ok(if stale { Outcome::Failed } else { Outcome::Holds })
}

/// The Markdown files that may have generated parts.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)).to_vec();
    for folder in fs_err::read_dir(root.join("crates"))? {
        pages.push(folder?.path().join("README.md"));
    }
    for page in fs_err::read_dir(root.join("docs/book/src"))? {
        pages.push(page?.path());
    }
    let markdown = |path: &PathBuf| path.extension().is_some_and(|end| end == "md");
    pages.retain(|path| markdown(path) && path.is_file());
    pages.sort();
    Ok(pages)
}

/// A page with its parts generated anew, and how many they are.
fn filled(page: &str) -> Result<(String, usize)> {
    let (mut text, mut rest, mut parts) = (String::new(), page, 0);
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let Some((name, after)) = after.split_once(" -->") else {
            bail!("`{BEGIN}` is not followed by ` -->`");
        };
        let Some((_, after)) = after.split_once(END) else {
            bail!("the generated part `{name}` has no `{END}`");
        };
        let block = reference::block(name)?;
        for part in [before, BEGIN, name, " -->\n\n", &block, "\n", END] {
            text.push_str(part);
        }
        rest = after;
        parts += 1;
    }
    Ok((text + rest, parts))
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn parts_are_replaced_and_the_rest_stays() {
        let page = "a\n<!-- generated: policies -->old<!-- end -->\nb";
        let (once, parts) = filled(page).unwrap();
        assert!(once.starts_with("a\n<!-- generated: policies -->\n\n| policy |"), "{once}");
        assert!(once.ends_with(" |\n\n<!-- end -->\nb") && !once.contains("old"), "{once}");
        assert_eq!((filled(&once).unwrap().0, parts), (once, 1));
        assert_eq!(filled("plain").unwrap(), ("plain".to_string(), 0));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (page, expected) in [
            ("<!-- generated: nothing --><!-- end -->", "called `nothing`"),
            ("<!-- generated: policies -->", "has no `<!-- end -->`"),
            ("<!-- generated: policies", "is not followed"),
        ] {
            let error = filled(page).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
