//! A built-in network by its name, with its keys.

use super::list::{KINDS, NETWORKS, Row};
use super::{
    Airbench, MsResNet, PlifNet, QkFormer, ResNet, SewResNet, SmallNet, SpikeDrivenTransformer, Vgg,
};
use crate::graph::Graph;
use crate::site::Lif;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A family of networks with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Network {
    /// Post-activation residual network.
    ResNet(ResNet),
    /// The demo's network.
    Small(SmallNet),
    /// Spike-element-wise residual network.
    SewResNet(SewResNet),
    /// Membrane-shortcut residual network.
    MsResNet(MsResNet),
    /// VGG.
    Vgg(Vgg),
    /// PLIF-net.
    PlifNet(PlifNet),
    /// airbench.
    Airbench(Airbench),
    /// Spike-driven transformer.
    SpikeDrivenTransformer(SpikeDrivenTransformer),
    /// `QKFormer` with Q-K attention alone.
    QkFormer(QkFormer),
}

/// Calls a macro's body for whichever family a network is of.
macro_rules! of_family {
    ($network:expr, $name:ident => $body:expr) => {
        match $network {
            Network::ResNet($name) => $body,
            Network::Small($name) => $body,
            Network::SewResNet($name) => $body,
            Network::MsResNet($name) => $body,
            Network::Vgg($name) => $body,
            Network::PlifNet($name) => $body,
            Network::Airbench($name) => $body,
            Network::SpikeDrivenTransformer($name) => $body,
            Network::QkFormer($name) => $body,
        }
    };
}

impl Network {
    /// The graph for samples `[C, H, W]` of so many classes, all of whose sites are `neuron`; what
    /// does not fit in it is said when it is resolved.
    pub fn graph(&self, input: [usize; 3], classes: usize, neuron: &Lif) -> Graph {
        of_family!(self.clone(), network => {
            let mut network = network;
            (network.input, network.classes) = (input, classes);
            network.neuron = neuron.clone();
            network.build()
        })
    }

    /// Names of its parameters.
    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::ResNet(_) => ResNet::KEYS,
            Self::Small(_) => SmallNet::KEYS,
            Self::SewResNet(_) => SewResNet::KEYS,
            Self::MsResNet(_) => MsResNet::KEYS,
            Self::Vgg(_) => Vgg::KEYS,
            Self::PlifNet(_) => PlifNet::KEYS,
            Self::Airbench(_) => Airbench::KEYS,
            Self::SpikeDrivenTransformer(_) => SpikeDrivenTransformer::KEYS,
            Self::QkFormer(_) => QkFormer::KEYS,
        }
    }

    /// The same with these parameters.
    fn with(self, keys: Map<String, Value>) -> Result<Self, serde_json::Error> {
        fn changed<N: Serialize + DeserializeOwned>(
            network: N,
            keys: Map<String, Value>,
        ) -> Result<N, serde_json::Error> {
            let mut value = serde_json::to_value(network)?;
            if let Some(values) = value.as_object_mut() {
                values.extend(keys);
            }
            serde_json::from_value(value)
        }
        let (input, classes, neuron) = of_family!(&self, network => {
            (network.input, network.classes, network.neuron.clone())
        });
        let mut network = match self {
            Self::ResNet(network) => Self::ResNet(changed(network, keys)?),
            Self::Small(network) => Self::Small(changed(network, keys)?),
            Self::SewResNet(network) => Self::SewResNet(changed(network, keys)?),
            Self::MsResNet(network) => Self::MsResNet(changed(network, keys)?),
            Self::Vgg(network) => Self::Vgg(changed(network, keys)?),
            Self::PlifNet(network) => Self::PlifNet(changed(network, keys)?),
            Self::Airbench(network) => Self::Airbench(changed(network, keys)?),
            Self::SpikeDrivenTransformer(network) => {
                Self::SpikeDrivenTransformer(changed(network, keys)?)
            }
            Self::QkFormer(network) => Self::QkFormer(changed(network, keys)?),
        };
        of_family!(&mut network, network => {
            (network.input, network.classes, network.neuron) = (input, classes, neuron);
        });
        Ok(network)
    }
}

/// A built-in network: its kind, which is its name in a config, and its parameters.
///
/// ```
/// use snn_ir::{Lif, networks::BuiltIn};
/// let keys = serde_json::json!({ "width": 32, "inner_width": 2.0 });
/// let network = BuiltIn::with_keys("resnet18", keys.as_object().unwrap().clone()).unwrap();
/// let graph = network.graph([3, 32, 32], 10, &Lif::default());
/// assert_eq!(graph.sites()?.len(), 17);
/// assert_eq!(graph.shapes()?[4], [64, 32, 32]); // twice as wide inside of the blocks
/// # Ok::<(), snn_ir::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltIn {
    kind: &'static str,
    network: Network,
}

/// The cause why there is no such network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No network has this kind.
    #[error("no built-in network is called `{0}`")]
    Kind(String),
    /// The network has no such key.
    #[error("the network has no key `{key}`, only {}", .known.join(", "))]
    Unknown {
        /// The key.
        key: String,
        /// Those that it has.
        known: &'static [&'static str],
    },
    /// A value is of another type; the text begins with the key.
    #[error("{0}")]
    Value(String),
    /// A value is out of range.
    #[error("`{key}` must be {expected}, found {found}")]
    Range {
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
        /// Its value.
        found: String,
    },
}

/// The most blocks of a network, or layers of a part of one: a graph has at most
/// [`MAX_NODES`](crate::MAX_NODES) nodes, and a key must not ask for a list without end.
const MAX_LAYERS: u64 = 1000;

impl BuiltIn {
    /// The network of this kind with its default parameters.
    pub fn named(kind: &str) -> Option<Self> {
        NETWORKS.iter().find(|row| row.kind == kind).map(Self::of)
    }

    /// The network of a row with its default parameters.
    pub fn of(row: &Row) -> Self {
        Self { kind: row.kind, network: (row.network)() }
    }

    /// The network of this kind with some of its parameters.
    ///
    /// # Errors
    /// There is no such kind or key, or a value does not fit it.
    pub fn with_keys(kind: &str, keys: Map<String, Value>) -> Result<Self, KeyError> {
        let Self { kind, network } =
            Self::named(kind).ok_or_else(|| KeyError::Kind(kind.to_string()))?;
        let known = network.keys();
        if let Some(key) = keys.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(KeyError::Unknown { key: key.clone(), known });
        }
        for (key, value) in &keys {
            // JSON has no such numbers: what reads a config makes them null.
            if value.is_null() {
                return Err(KeyError::Value(format!(
                    "`{key}` must be a value, and a number finite, found none, NaN or infinity"
                )));
            }
            let alone = Map::from_iter([(key.clone(), value.clone())]);
            let one = network.clone().with(alone);
            one.map_err(|error| KeyError::Value(format!("`{key}`: {error}")))?;
        }
        let network = network.with(keys).map_err(|error| KeyError::Value(error.to_string()))?;
        let built_in = Self { kind, network };
        for (key, value) in built_in.keys() {
            built_in.check(&key, &value)?;
        }
        Ok(built_in)
    }

    /// Refuses values that make no network, whatever the samples are.
    fn check(&self, key: &str, value: &Value) -> Result<(), KeyError> {
        let known = self.network.keys();
        let key = known.iter().find(|known| **known == key).copied().unwrap_or_default();
        let fail = |expected| Err(KeyError::Range { key, expected, found: value.to_string() });
        let is_size =
            |value: &Value| value.as_u64().is_some_and(|size| (1..=1 << 20).contains(&size));
        match (key, value) {
            ("inner_width" | "head_scale", value) => match value.as_f64() {
                Some(factor) if factor > 0.0 && factor <= 1e3 => Ok(()),
                _ => fail("a factor above 0, at most 1000"),
            },
            ("dropout" | "drop_path", value) => match value.as_f64() {
                Some(rate) if (0.0..1.0).contains(&rate) => Ok(()),
                _ => fail("at least 0 and below 1"),
            },
            // Each of them is one node or more, however few values they have.
            ("depth" | "convolutions", value) => match value.as_u64() {
                Some(count) if (1..=MAX_LAYERS).contains(&count) => Ok(()),
                _ => fail("1 to 1000"),
            },
            (_, Value::Number(number)) if number.is_u64() && !is_size(value) => {
                fail("1 to 1048576")
            }
            ("blocks" | "layers" | "stages" | "widths", Value::Array(values))
                if values.is_empty() =>
            {
                fail("a list of one stage or more")
            }
            ("blocks" | "layers", Value::Array(values)) => {
                let sum: u64 = values.iter().filter_map(Value::as_u64).fold(0, u64::saturating_add);
                if values.len() > 32 || sum > MAX_LAYERS || !values.iter().all(is_size) {
                    return fail("a list of at most 32 stages of 1 or more, together at most 1000");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Its name in a config.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its parameters.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Its parameters by name, as a config has them.
    pub fn keys(&self) -> Map<String, Value> {
        match serde_json::to_value(&self.network) {
            Ok(Value::Object(keys)) => keys,
            _ => Map::new(),
        }
    }

    /// The graph for samples `[C, H, W]` of so many classes; see [`Network::graph`].
    pub fn graph(&self, input: [usize; 3], classes: usize, neuron: &Lif) -> Graph {
        self.network.graph(input, classes, neuron)
    }

    /// The names of all built-in networks.
    pub fn kinds() -> &'static [&'static str] {
        KINDS
    }
}
