//! Policies: which sites train as `ReLU`, as serde data.

use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Which LIF sites of a network become `ReLU`.
///
/// As data it is a name (`"outer"`) or a table (`{ kind = "sites", include = ["layer1.*"] }`); it is always written as a table.
///
/// ```
/// use snn_hybrid::Policy;
/// assert_eq!(serde_json::from_str::<Policy>(r#""outer""#)?, Policy::Outer);
/// assert_eq!(serde_json::from_str::<Policy>(r#"{ "kind": "outer" }"#)?, Policy::Outer);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Policy {
    /// No site: the spiking network.
    #[default]
    None,
    /// Every site: the artificial network.
    All,
    /// The sites inside residual blocks: all that are not *outer*.
    Inner,
    /// The sites of the residual stream: those that read an addition, and those with no site upstream (the stem). The residual
    /// stream is what must not be binary.
    Outer,
    /// The first, third, fifth … site in graph order, so that every LIF stands between `ReLUs`.
    Alternate,
    /// Sites by name.
    Sites {
        /// Globs of names that are chosen. `*` also matches dots; `{a,b}` and `[0-9]` work.
        include: Vec<String>,
        /// Globs of names that are not, although `include` has them.
        exclude: Vec<String>,
    },
}

/// Every name of a policy.
const KINDS: [&str; 6] = ["none", "all", "inner", "outer", "alternate", "sites"];

impl Policy {
    /// Name as used in configs and reports.
    pub fn label(&self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::All => "all",
            Policy::Inner => "inner",
            Policy::Outer => "outer",
            Policy::Alternate => "alternate",
            Policy::Sites { .. } => "sites",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Sites { include, exclude } if exclude.is_empty() => write!(f, "sites {}", include.join(", ")),
            Policy::Sites { include, exclude } => {
                write!(f, "sites {} without {}", include.join(", "), exclude.join(", "))
            }
            other => f.write_str(other.label()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: String,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
}

impl Table {
    fn policy<E: serde::de::Error>(self) -> Result<Policy, E> {
        let policy = match self.kind.as_str() {
            "none" => Policy::None,
            "all" => Policy::All,
            "inner" => Policy::Inner,
            "outer" => Policy::Outer,
            "alternate" => Policy::Alternate,
            "sites" => {
                let include = self.include.ok_or_else(|| E::missing_field("include"))?;
                return Ok(Policy::Sites { include, exclude: self.exclude.unwrap_or_default() });
            }
            other => return Err(E::unknown_variant(other, &KINDS)),
        };
        if self.include.is_some() || self.exclude.is_some() {
            return Err(E::custom(format!("policy `{}` takes no `include` or `exclude`", policy.label())));
        }
        Ok(policy)
    }
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = Policy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a policy: one of {}, or a table with `kind`", KINDS.join(", "))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Policy, E> {
        Table { kind: name.to_string(), include: None, exclude: None }.policy()
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Policy, A::Error> {
        Table::deserialize(MapAccessDeserializer::new(map))?
            .policy()
            .map_err(|e: serde::de::value::Error| A::Error::custom(e))
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PolicyVisitor)
    }
}
