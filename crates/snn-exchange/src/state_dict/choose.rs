//! Which dictionary of a checkpoint is the state dict.

use super::pickle::{Id, Pickle, Value};
use std::collections::HashSet;

/// Keys under which checkpoints have the state dict, the first before the others.
const USUAL: [&str; 6] = ["state_dict", "model_state_dict", "model", "net", "network", "weights"];

/// Dictionaries inside of each other that are looked into.
const MAX_DEPTH: usize = 3;

/// Bytes of a key under which a state dict is looked for, at most.
const MAX_KEY: usize = 1 << 8;

/// Keys that a message lists at most.
const MAX_LISTED: usize = 12;

/// A dictionary of tensors, and the keys that lead to it, joined by points.
struct Candidate {
    path: String,
    id: Id,
}

/// The dictionary that is the state dict, with what is to be said of the choice. `key` is the
/// user's choice.
pub(super) fn choose(
    pickle: &Pickle<'_>,
    key: Option<&str>,
) -> Result<(Id, Option<String>), String> {
    let root = pickle.root();
    if let Some(key) = key {
        let id = follow(pickle, root, key).ok_or_else(|| {
            format!("expected a dictionary under `{key}`, found {}", listed(pickle, root))
        })?;
        return Ok((id, Some(format!("taken from `{key}`, as asked"))));
    }
    let candidates = candidates(pickle)?;
    let usual = |name: &str| USUAL.iter().position(|usual| *usual == name);
    let mut plain: Vec<&Candidate> = candidates.iter().filter(|c| !is_average(&c.path)).collect();
    // One of the usual keys is chosen before others, but not before another usual one.
    if plain.iter().filter(|c| usual(&c.path).is_some()).count() == 1 {
        plain.retain(|candidate| usual(&candidate.path).is_some());
    }
    if plain.is_empty() {
        plain.extend(&candidates);
    }
    let chosen = match (plain.as_slice(), candidates.as_slice()) {
        ([one], _) => *one,
        (_, []) => {
            return Err(format!(
                "expected a state dict, a dictionary with tensors such as `conv1.weight`, found \
                 {}; save only the state dict: torch.save(model.state_dict(), \"model.pt\")",
                listed(pickle, root)
            ));
        }
        _ => {
            let paths: Vec<_> = candidates.iter().map(|c| format!("`{}`", c.path)).collect();
            return Err(format!(
                "expected one state dict, found several: {}; choose one of these keys",
                paths.join(", ")
            ));
        }
    };
    if chosen.path.is_empty() {
        return Ok((chosen.id, None));
    }
    let others: Vec<String> = candidates
        .iter()
        .filter(|other| other.id != chosen.id)
        .map(|other| format!("`{}`", other.path))
        .collect();
    let also = match others.as_slice() {
        [] => String::new(),
        others => format!("; it also has {}", others.join(", ")),
    };
    Ok((chosen.id, Some(format!("taken from `{}` of the checkpoint{also}", chosen.path))))
}

/// `true` of the key of averaged weights.
fn is_average(path: &str) -> bool {
    path.to_ascii_lowercase().split(['.', '_', '-']).any(|word| matches!(word, "ema" | "swa"))
}

/// The dictionary under keys that are joined by points; a key may itself have points.
fn follow(pickle: &Pickle<'_>, root: Id, path: &str) -> Option<Id> {
    let mut id = root;
    let mut rest = path;
    for _ in 0..MAX_DEPTH {
        let items = pickle.items(id)?;
        let fits = |&(name, value): &(Id, Id)| {
            let after = rest.strip_prefix(pickle.text(name)?)?;
            match after.strip_prefix('.') {
                Some(after) => Some((value, after)),
                None if after.is_empty() => Some((value, after)),
                None => None,
            }
        };
        (id, rest) = items.iter().rev().find_map(fits)?;
        if rest.is_empty() {
            return pickle.items(id).map(|_| id);
        }
    }
    None
}

/// All dictionaries that look like the state of a module: a tensor of theirs is called `weight`.
/// The dictionaries in one are not looked into.
fn candidates(pickle: &Pickle<'_>) -> Result<Vec<Candidate>, String> {
    let mut candidates = Vec::new();
    // An entry takes two instructions, unless dictionaries are made of one and the same list.
    let mut left = pickle.length;
    let mut seen = HashSet::from([pickle.root()]);
    let mut level = vec![Candidate { path: String::new(), id: pickle.root() }];
    for _ in 0..=MAX_DEPTH {
        let mut below = Vec::new();
        for candidate in level {
            let Some(items) = pickle.items(candidate.id) else { continue };
            left = left.checked_sub(items.len()).ok_or(
                "expected dictionaries with entries of their own, found more entries than the \
                 pickle has bytes",
            )?;
            let is_weight = |&(key, value): &(Id, Id)| {
                pickle.text(key).is_some_and(|key| key == "weight" || key.ends_with(".weight"))
                    && pickle.tensor(value).is_some()
            };
            if items.iter().any(is_weight) {
                candidates.push(candidate);
                continue;
            }
            for (key, value) in items {
                let key = pickle.text(key).filter(|key| key.len() <= MAX_KEY);
                let Some(key) = key else { continue };
                if matches!(pickle.value(value), Value::Dictionary(_) | Value::Call { .. })
                    && seen.insert(value)
                {
                    let path = match candidate.path.as_str() {
                        "" => key.to_owned(),
                        path => format!("{path}.{key}"),
                    };
                    below.push(Candidate { path, id: value });
                }
            }
        }
        level = below;
    }
    Ok(candidates)
}

/// The entries of a dictionary in words.
fn listed(pickle: &Pickle<'_>, id: Id) -> String {
    let Some(items) = pickle.items(id) else { return pickle.described(id) };
    let entries: Vec<String> = items
        .iter()
        .take(MAX_LISTED)
        .map(|&(key, value)| {
            let key = pickle.text(key).unwrap_or("a key that is no text");
            format!("`{key}` ({})", pickle.described(value))
        })
        .collect();
    let rest = items.len().saturating_sub(MAX_LISTED);
    match (entries.is_empty(), rest) {
        (true, _) => "an empty dictionary".into(),
        (false, 0) => format!("only {}", entries.join(", ")),
        (false, rest) => format!("only {} and {rest} more", entries.join(", ")),
    }
}
