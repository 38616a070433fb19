//! Run configs, as far as they need no libtorch.

use serde::{Deserialize, Serialize};
use snn_hybrid::{Policy, Replacement, apply};
use snn_ir::networks::SmallNet;
use snn_ir::{Encoder, Lif};

/// The tables of a run config that are read here, by their names there.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    neuron: Lif,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    replacement: Replacement,
    #[serde(default)]
    encoder: Option<Encoder>,
}

/// Bytes as TOML.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let tables: Tables = match toml::from_str(text) {
        Ok(tables) => tables,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // NaN differs from itself, so texts are compared.
    let written = toml::to_string(&tables).expect("what parses can be written");
    let again: Tables = toml::from_str(&written).expect("what is written parses");
    assert_eq!(toml::to_string(&again).expect("as above"), written);
    let net = SmallNet { input: [1, 4, 4], classes: 2, width: 2, neuron: tables.neuron };
    match apply(&net.build(), &tables.policy, &tables.replacement) {
        Ok((graph, placement)) => {
            assert_eq!(graph.sites().expect("a hybrid is valid").len(), placement.sites.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(encoder) = tables.encoder {
        let _ = encoder.validate(8);
    }
}
