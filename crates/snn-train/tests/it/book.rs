//! The configs in the book are read, and its block of all keys has all keys, with their defaults.

use snn_train::RunConfig;
use std::collections::BTreeSet;
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn toml_blocks(name: &str) -> Vec<String> {
    let text = page(name);
    let block = |text: &str| text.split("```").next().unwrap_or_default().to_string();
    text.split("```toml\n").skip(1).map(block).collect()
}

/// Paths of all keys of a table.
fn keys(table: &toml::Table, prefix: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value.as_table() {
            Some(inner) => all.extend(keys(inner, &format!("{path}."))),
            None => drop(all.insert(path)),
        }
    }
    all
}

#[test]
fn configs_are_read() {
    let blocks: Vec<String> =
        ["training.md", "config.md"].into_iter().flat_map(toml_blocks).collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        RunConfig::from_toml(&block).unwrap_or_else(|error| panic!("{error} in\n{block}"));
    }
}

#[test]
fn the_block_of_all_keys_has_the_defaults() {
    let shown = toml_blocks("config.md").swap_remove(0);
    let least = RunConfig::from_toml("epochs = 4\n[data]\ndataset = 'cifar-100'").unwrap();
    assert_eq!(RunConfig::from_toml(&shown).unwrap(), least);
    let written: toml::Table = least.to_toml().unwrap().parse().unwrap();
    let shown: toml::Table = shown.parse().unwrap();
    let mut shown = keys(&shown, "");
    // A policy without parameters is shown by its name and written as a table.
    if shown.remove("policy") {
        shown.insert("policy.kind".into());
    }
    assert_eq!(shown, keys(&written, ""));
}

/// A key without a row in the tables of the page has no meaning there.
#[test]
fn every_key_is_explained() {
    let least = RunConfig::from_toml("epochs = 4\n[data]\ndataset = 'cifar-100'").unwrap();
    let written: toml::Table = least.to_toml().unwrap().parse().unwrap();
    // Every second piece between fences is a block.
    let prose: String = page("config.md").split("```").step_by(2).collect();
    let unexplained = |key: &String| {
        let last = key.rsplit('.').next().unwrap();
        // A kind is what its table is called by; those of neurons and policies have own pages.
        last != "kind"
            && !["neuron.", "policy.", "replacement."].iter().any(|own| key.starts_with(own))
            && ![
                format!("`{last}`"),
                format!(".{last}`"),
                format!("`{last} ="),
                format!(" {last} ="),
            ]
            .iter()
            .any(|found| prose.contains(found))
    };
    assert_eq!(keys(&written, "").into_iter().filter(unexplained).collect::<Vec<_>>(), [""; 0]);
}

/// Every key of the page with its value, a kind before its other keys.
fn values(table: &toml::Table, prefix: &str, sets: &mut Vec<String>) {
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort_by_key(|key| key.as_str() != "kind");
    for key in keys {
        match &table[key] {
            toml::Value::Table(inner) => values(inner, &format!("{prefix}{key}."), sets),
            value => sets.push(format!("{prefix}{key}={value}")),
        }
    }
}

#[test]
fn every_key_of_the_page_can_be_set() {
    for block in toml_blocks("config.md") {
        let table: toml::Table = block.parse().unwrap();
        let config = RunConfig::from_toml(&block).unwrap();
        let mut sets = Vec::new();
        values(&table, "", &mut sets);
        // All of them on top of nothing, and each alone.
        let least = "epochs = 1\n[data]\ndataset = 'shapes10'";
        let set = RunConfig::with_overrides(least, &sets);
        assert_eq!(set.unwrap_or_else(|error| panic!("{error} in {sets:?}")), config);
        for set in sets.iter().filter(|set| !set.contains(".kind=") && !set.starts_with("policy")) {
            let again = RunConfig::with_overrides(&block, std::slice::from_ref(set));
            assert_eq!(again.unwrap_or_else(|error| panic!("{set}: {error}")), config);
        }
    }
}
