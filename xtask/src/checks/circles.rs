//! Circles of modules: files of a crate that need each other, directly or through others.
//!
//! A file needs another one if it names something of it by a path that begins with `crate`,
//! `super`, `self` or a module of its own. A name that a module re-exports counts as the name of
//! the module in which it is defined, and re-exports themselves count as nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use fs_err as fs;

use super::source;

/// Files of a circle that are too many.
const LIMIT: usize = 2;

/// The modules of one crate.
#[derive(Debug, Default)]
struct Modules(BTreeMap<Vec<String>, Module>);

/// A module that is a file.
#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    /// Paths that it names, from the root of the crate.
    named: Vec<Vec<String>>,
    /// What it re-exports: the name here and the path from the root; `*` for all of a module.
    exports: Vec<(String, Vec<String>)>,
    /// Items that it defines.
    items: BTreeSet<String>,
}

/// Prints the circles of more than two files of each crate; whether all are known.
///
/// # Errors
///
/// A file that cannot be read.
pub(crate) fn run(root: &Path, crates: &[String]) -> Result<bool> {
    let known = known(root)?;
    let mut sound = true;
    for name in crates {
        let modules = Modules::read(&root.join("crates").join(name).join("src"))?;
        let circles: Vec<_> =
            modules.circles().into_iter().filter(|files| files.len() > LIMIT).collect();
        for circle in &circles {
            let files: Vec<String> = circle.iter().map(|file| file.display().to_string()).collect();
            let reason = known.get(name).and_then(|known| known.get(&files[0]));
            let why = reason.map_or("not known in xtask/circles.toml", String::as_str);
            println!("{name}: {} files need each other ({why}): {}", files.len(), files.join(", "));
            for (from, to) in modules.needs_within(circle) {
                println!("    {} -> {}", from.display(), to.display());
            }
            sound &= reason.is_some();
        }
        for file in known.get(name).into_iter().flat_map(BTreeMap::keys) {
            let seen = circles.iter().any(|circle| circle[0] == Path::new(file));
            if !seen {
                println!("{name}: xtask/circles.toml has a circle of {file}, and there is none");
            }
            sound &= seen;
        }
    }
    Ok(sound)
}

/// Circles that stay, by crate and by their first file, with the reason.
fn known(root: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let path = root.join("xtask/circles.toml");
    let mut known = BTreeMap::<String, BTreeMap<String, String>>::new();
    let mut package = String::new();
    for line in fs::read_to_string(&path)?.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut package);
        } else if let Some((file, reason)) = line.split_once(" = ") {
            let plain = |text: &str| text.trim().trim_matches('"').to_string();
            known.entry(package.clone()).or_default().insert(plain(file), plain(reason));
        }
    }
    Ok(known)
}

impl Modules {
    fn read(src: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(src, &mut files)?;
        let mut modules = Self::default();
        for file in &files {
            let file = file.strip_prefix(src)?.to_path_buf();
            modules.0.insert(module_path(&file), Module { file, ..Module::default() });
        }
        let paths: Vec<_> = modules.0.keys().cloned().collect();
        for path in &paths {
            let children: BTreeSet<&str> = paths
                .iter()
                .filter(|other| other.len() == path.len() + 1 && other.starts_with(path))
                .filter_map(|other| other.last().map(String::as_str))
                .collect();
            let file = modules.0[path].file.clone();
            let code = source::code(&fs::read_to_string(src.join(&file))?);
            let read = read(path, &children, source::without_tests(&code));
            modules.0.insert(path.clone(), Module { file, ..read });
        }
        Ok(modules)
    }

    /// The module that defines what a path names.
    fn defining(&self, path: &[String], depth: usize) -> Option<&Vec<String>> {
        let (mut at, mut rest) = (Vec::new(), path);
        while let Some((first, others)) = rest.split_first() {
            let child = [at.as_slice(), std::slice::from_ref(first)].concat();
            if !self.0.contains_key(&child) {
                break;
            }
            (at, rest) = (child, others);
        }
        let (found, module) = self.0.get_key_value(&at)?;
        let (Some(name), true) = (rest.first(), depth < 8) else { return Some(found) };
        if module.items.contains(name) {
            return Some(found);
        }
        let named = module.exports.iter().find(|(export, _)| export == name);
        if let Some((_, target)) = named {
            return self.defining(&[target, &rest[1..]].concat(), depth + 1);
        }
        let mut globs = module.exports.iter().filter(|(export, _)| export == "*");
        let through = globs.find_map(|(_, target)| {
            let defining = self.defining(&[target, rest].concat(), depth + 1)?;
            self.0[defining].items.contains(name).then_some(defining)
        });
        through.or(Some(found))
    }

    fn needs(&self, path: &[String]) -> BTreeSet<&Vec<String>> {
        let named = &self.0[path].named;
        let found = named.iter().filter_map(|named| self.defining(named, 0));
        found.filter(|found| *found != path).collect()
    }

    /// Groups of files that need each other, each sorted by name.
    fn circles(&self) -> Vec<Vec<PathBuf>> {
        let reach: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> =
            self.0.keys().map(|path| (path, self.reach(path))).collect();
        let mut circles = BTreeSet::new();
        for (path, reached) in &reach {
            let mutual: BTreeSet<PathBuf> = reached
                .iter()
                .filter(|other| reach[**other].contains(path))
                .map(|other| self.0[*other].file.clone())
                .collect();
            if mutual.len() > 1 {
                circles.insert(mutual.into_iter().collect());
            }
        }
        circles.into_iter().collect()
    }

    /// All that a module needs, directly or through others.
    fn reach(&self, path: &[String]) -> BTreeSet<&Vec<String>> {
        let mut reached = self.needs(path);
        let mut open: Vec<_> = reached.iter().copied().collect();
        while let Some(next) = open.pop() {
            let new = self.needs(next);
            open.extend(new.iter().copied().filter(|new| reached.insert(new)));
        }
        reached
    }

    fn needs_within(&self, circle: &[PathBuf]) -> Vec<(&Path, &Path)> {
        let inside = |file: &Path| circle.iter().any(|other| other == file);
        let mut edges = Vec::new();
        for (path, module) in self.0.iter().filter(|(_, module)| inside(&module.file)) {
            let needs = self.needs(path).into_iter().map(|path| self.0[path].file.as_path());
            let within = needs.filter(|file| inside(file));
            edges.extend(within.map(|file| (module.file.as_path(), file)));
        }
        edges
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

/// `site/lif.rs` is `site::lif`, `site/mod.rs` is `site`, `lib.rs` the root.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> =
        file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = path.pop().unwrap_or_default();
    let last = last.trim_end_matches(".rs");
    if !["lib", "main", "mod"].contains(&last) {
        path.push(last.to_string());
    }
    path
}

/// What a module names, exports and defines.
fn read(path: &[String], children: &BTreeSet<&str>, code: &str) -> Module {
    let tokens = tokens(code);
    let mut module = Module::default();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at];
        let before = at.checked_sub(1).map_or("", |before| tokens[before]);
        if ["fn", "struct", "enum", "trait", "const", "static", "type", "union", "macro_rules"]
            .contains(&token)
        {
            let name = tokens[at + 1..].iter().find(|token| is_name(token) && **token != "mut");
            module.items.extend(name.map(|name| (*name).to_string()));
            at += 1;
            continue;
        }
        let begins = before != "::"
            && before != "."
            && (["crate", "super", "self"].contains(&token) || children.contains(token))
            && tokens.get(at + 1) == Some(&"::");
        if !begins {
            at += 1;
            continue;
        }
        // `pub use a::b;`, `pub(crate) use a::b;`
        let public = before == "use" && at >= 2 && [")", "pub"].contains(&tokens[at - 2]);
        let mut leaves = Vec::new();
        at = tree(&tokens, at, &mut Vec::new(), &mut leaves);
        for (leaf, alias) in leaves {
            let Some(target) = absolute(path, &leaf) else { continue };
            if public {
                let name = alias.or_else(|| leaf.last().cloned()).unwrap_or_default();
                let target = if name == "*" { &target[..target.len() - 1] } else { &target[..] };
                module.exports.push((name, target.to_vec()));
            } else {
                module.named.push(target);
            }
        }
    }
    module
}

/// A path as written, as one from the root of the crate.
fn absolute(here: &[String], path: &[String]) -> Option<Vec<String>> {
    let (mut base, mut rest) = match path.first().map(String::as_str)? {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (here.to_vec(), &path[1..]),
        _ => (here.to_vec(), path),
    };
    while rest.first().is_some_and(|part| part == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().filter(|part| *part != "self").cloned());
    Some(base)
}

/// Reads a path or the tree of a `use` from `at`; adds its leaves and returns where it ends.
fn tree(
    tokens: &[&str],
    mut at: usize,
    prefix: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, Option<String>)>,
) -> usize {
    let length = prefix.len();
    loop {
        match tokens.get(at).copied() {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = tree(tokens, at, prefix, leaves);
                    if tokens.get(at) == Some(&",") {
                        at += 1;
                    } else if tokens.get(at) != Some(&"}") {
                        break;
                    }
                }
                prefix.truncate(length);
                return at + 1;
            }
            Some(part) if is_name(part) || part == "*" => {
                prefix.push(part.to_string());
                at += 1;
            }
            _ => break,
        }
        match tokens.get(at).copied() {
            Some("::")
                if tokens
                    .get(at + 1)
                    .is_some_and(|next| is_name(next) || *next == "{" || *next == "*") =>
            {
                at += 1;
            }
            _ => break,
        }
    }
    let alias = (tokens.get(at) == Some(&"as"))
        .then(|| tokens.get(at + 1).map(ToString::to_string))
        .flatten();
    at += if alias.is_some() { 2 } else { 0 };
    leaves.push((prefix.clone(), alias));
    prefix.truncate(length);
    // A path of nothing would not move on.
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single other characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, others) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(token);
        }
        rest = others;
    }
    tokens
}

/// The crates whose circles are checked: all of the workspace.
///
/// # Errors
///
/// A folder that cannot be read.
pub(crate) fn crates(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            let name = path.file_name().context("a folder of crates/")?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Result<Vec<Vec<String>>> {
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            fs::write(path, text)?;
        }
        let circles = Modules::read(folder.path())?.circles();
        let names = |circle: &Vec<PathBuf>| {
            circle.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        Ok(circles.iter().map(names).collect())
    }

    #[test]
    fn a_circle_through_three_files_and_a_re_export_is_found() -> Result<()> {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c; pub use c::{Last, other as another};"),
            ("a.rs", "use crate::b::{self, f};\npub struct First;"),
            ("b.rs", "pub fn f() -> crate::Last { loop {} }"),
            ("c.rs", "use super::a::First;\npub struct Last(First); pub fn other() {}"),
        ])?;
        assert_eq!(found, [["a.rs", "b.rs", "c.rs"]]);
        Ok(())
    }

    #[test]
    fn comments_texts_tests_and_re_exports_make_no_circle() -> Result<()> {
        let found = circles(&[
            ("lib.rs", "pub mod a; mod b; pub use b::B;"),
            (
                "a/mod.rs",
                "mod inner;\npub use inner::Inner;\n// crate::b::B\n\
                 const T: &str = \"crate::b::B\";",
            ),
            ("a/inner.rs", "pub struct Inner;\n#[cfg(test)]\nmod tests {\n use crate::B; }"),
            ("b.rs", "use crate::a::Inner; pub struct B(Inner);"),
        ])?;
        assert!(found.is_empty(), "{found:?}");
        Ok(())
    }
}
