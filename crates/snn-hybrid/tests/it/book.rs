//! The TOML in the book is what is read, the defaults it shows are the defaults, and the output it
//! shows is the output.

use snn_hybrid::{Policy, Replacement, apply};
use snn_ir::Lif;
use snn_ir::networks::SmallNet;
use std::path::Path;

fn repository(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page(name: &str) -> String {
    repository(&format!("docs/book/src/{name}.md"))
}

/// The blocks between a line "```toml" and the next "```".
fn toml_blocks(page: &str) -> Vec<toml::Table> {
    let block = |text: &str| {
        let text = text.split("```").next().unwrap_or_default();
        text.parse().unwrap_or_else(|error| panic!("{error} in\n{text}"))
    };
    page.split("```toml\n").skip(1).map(block).collect()
}

fn read<T: serde::de::DeserializeOwned>(table: &toml::Table, key: &str) -> Option<T> {
    let value = table.get(key)?.clone();
    Some(value.try_into().unwrap_or_else(|error| panic!("{key}: {error} in\n{table}")))
}

#[test]
fn policies_replacements_and_neurons_are_read() {
    let (mut policies, mut replacements, mut neurons) = (0, 0, 0);
    for name in ["neurons", "own-neuron-training", "hybrid", "training", "config"] {
        for table in toml_blocks(&page(name)) {
            policies += usize::from(read::<Policy>(&table, "policy").is_some());
            replacements += usize::from(read::<Replacement>(&table, "replacement").is_some());
            neurons += usize::from(read::<Lif>(&table, "neuron").is_some());
        }
    }
    assert!(
        policies >= 8 && replacements >= 2 && neurons >= 4,
        "{policies}, {replacements}, {neurons}"
    );
}

#[test]
fn defaults_are_the_defaults() {
    for name in ["neurons", "config"] {
        let shown = toml_blocks(&page(name)).iter().find_map(|table| read::<Lif>(table, "neuron"));
        assert_eq!(shown, Some(Lif::default()), "{name}");
    }
    for name in ["hybrid", "config"] {
        let shown = toml_blocks(&page(name))
            .iter()
            .find_map(|table| read::<Replacement>(table, "replacement"));
        assert_eq!(shown, Some(Replacement::default()), "{name}");
    }
}

#[test]
fn attributes_in_the_table_of_neurons_are_read() {
    let page = page("neurons");
    let section =
        page.split("## Configuring a neuron").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let snippets = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|snippet| snippet.contains(" = "));
    let mut count = 0;
    for snippet in snippets {
        let lif: Lif = toml::from_str(snippet).unwrap_or_else(|error| panic!("{snippet}: {error}"));
        assert_ne!(lif, Lif::default(), "{snippet} says nothing");
        count += 1;
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn what_a_policy_prints_is_what_it_prints() {
    let config: toml::Table = repository("configs/demo.toml").parse().unwrap();
    let (policy, replacement) =
        (read(&config, "policy").unwrap(), read(&config, "replacement").unwrap());
    let width = config["network"]["width"]
        .as_integer()
        .and_then(|width| usize::try_from(width).ok())
        .unwrap();
    let spiking = SmallNet { width, ..SmallNet::default() }.build();
    let (_, placement) = apply(&spiking, &policy, &replacement).unwrap();
    assert!(
        page("hybrid").contains(&format!("```text\n{placement}\n```")),
        "the page should have\n{placement}"
    );
}
