//! Policies: which sites train as `ReLU`, as serde data.

use crate::Spread;
use crate::named::{self, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Which LIF sites of a network become `ReLU`.
///
/// As data a policy is a name (`"outer"`) or a table
/// (`{ kind = "sites", include = ["layer1.*"] }`); it is always written as a table.
///
/// ```
/// use snn_hybrid::Policy;
/// assert_eq!(serde_json::from_str::<Policy>(r#""outer""#)?, Policy::Outer);
/// let text = r#"{ "kind": "difference", "policy": "outer", "without": "stem" }"#;
/// let (policy, without) = (Policy::Outer.into(), Policy::Stem.into());
/// assert_eq!(serde_json::from_str::<Policy>(text)?, Policy::Difference { policy, without });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "snake_case")]
pub enum Policy {
    /// No site: the spiking network.
    #[default]
    None,
    /// Every site: the artificial network.
    All,
    /// The sites inside residual blocks: all that are not *outer*.
    Inner,
    /// The sites of the residual stream: those that read an addition, and those of the stem. The
    /// residual stream is what must not be binary.
    Outer,
    /// The first, third, fifth … site in graph order, so that every LIF stands between `ReLUs`.
    Alternate,
    /// The first sites of the network: those with no site upstream.
    Stem,
    /// The last sites before the classifier: those with no site downstream.
    Head,
    /// The first k sites in graph order.
    FirstK {
        /// How many, at most as many as there are.
        k: usize,
    },
    /// The last k sites in graph order.
    LastK {
        /// How many, at most as many as there are.
        k: usize,
    },
    /// The sites of stages: those whose path name begins with a stage's (`layer1` has
    /// `layer1.0.act1`, and so has `layer1.0`).
    Stage {
        /// The path prefixes.
        stages: Vec<String>,
    },
    /// Sites by name.
    Sites {
        /// Globs of names that are chosen. `*` also matches dots; `{a,b}` and `[0-9]` work.
        include: Vec<String>,
        /// Globs of names that are not, although `include` has them.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// A share of the sites, to the nearest whole number of them (ties up). Sites are counted, not
    /// neurons: a site is what a policy changes, so every spread yields the same number; the
    /// placement prints the share of the neurons that this makes.
    Ratio {
        /// 0 to 1.
        share: f64,
        /// Which of the sites.
        #[serde(default)]
        spread: Spread,
    },
    /// The sites that at least one of the policies chooses.
    Union {
        /// The policies, at least one.
        policies: Vec<Policy>,
    },
    /// The sites that all of the policies choose.
    Intersection {
        /// The policies, at least one.
        policies: Vec<Policy>,
    },
    /// The sites that one policy chooses and another does not.
    Difference {
        /// Chooses.
        policy: Box<Policy>,
        /// Takes away.
        without: Box<Policy>,
    },
    /// The sites that a policy chooses, and of those that it leaves spiking those whose turn has
    /// not come: in stage k of n the first ⌈m·k/n⌉ of these m sites spike. Sites that a policy
    /// cannot change (masks, and those that are not LIF) do not count.
    Crossover {
        /// Chooses the sites that stay `ReLU` in the end.
        policy: Box<Policy>,
        /// The stage k, 0 to n: at 0 every site is chosen, at n only those of the policy.
        stage: usize,
        /// The number n of stages, at most the m sites that the policy leaves spiking.
        of: usize,
        /// The end of the network where the turn begins.
        #[serde(default)]
        from: End,
    },
}

/// An end of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Where samples come in.
    Input,
    /// Where class scores come out.
    #[default]
    Output,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Input => "input",
            End::Output => "output",
        })
    }
}

/// Name, keys and chosen sites of each kind, written once: a variant without a line does not
/// compile.
macro_rules! kinds {
    ($($variant:pat => $name:literal $keys:expr, $chooses:literal;)*) => {
        const KINDS: &[Kind] = &[$(($name, &$keys)),*];

        impl Policy {
            /// Every kind of policy: its name, its keys, and which sites become `ReLU`, as the
            /// tables of the documentation have them.
            pub fn kinds()
            -> impl Iterator<Item = (&'static str, &'static [&'static str], &'static str)> {
                let chooses = [$($chooses),*];
                KINDS.iter().zip(chooses).map(|(&(name, keys), chooses)| (name, keys, chooses))
            }

            /// Name as used in configs and reports.
            pub fn label(&self) -> &'static str {
                match self {
                    $($variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    Policy::None => "none" [],
        "none: the spiking network";
    Policy::All => "all" [],
        "all: the artificial network";
    Policy::Inner => "inner" [],
        "all that are not `outer`: those inside the residual blocks";
    Policy::Outer => "outer" [],
        "those that read a residual addition, and the stem";
    Policy::Alternate => "alternate" [],
        "the first, third, fifth … in graph order";
    Policy::Stem => "stem" [],
        "those with no site upstream";
    Policy::Head => "head" [],
        "those with no site downstream: the last before the classifier";
    Policy::FirstK { .. } => "first_k" ["k"],
        "the first `k` in graph order";
    Policy::LastK { .. } => "last_k" ["k"],
        "the last `k` in graph order";
    Policy::Stage { .. } => "stage" ["stages"],
        "those whose path begins with one of `stages` (`layer1`, `layer1.0`)";
    Policy::Sites { .. } => "sites" ["include", "exclude"],
        "names that match a glob of `include` and none of `exclude`";
    Policy::Ratio { .. } => "ratio" ["share", "spread"],
        "a `share` of the sites, placed by `spread`: `uniform`, `random`, `early` or `late`";
    Policy::Union { .. } => "union" ["policies"],
        "chosen by at least one of `policies`";
    Policy::Intersection { .. } => "intersection" ["policies"],
        "chosen by all of `policies`";
    Policy::Difference { .. } => "difference" ["policy", "without"],
        "chosen by `policy` and not by `without`";
    Policy::Crossover { .. } => "crossover" ["policy", "stage", "of", "from"],
        "those of `policy`, and of the others those whose turn comes after stage `stage` of `of`; \
         turns go `from` the `output` or the `input`";
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named::read(deserializer, "a policy", KINDS, Self::deserialize)
    }
}

impl Policy {
    /// Which sites it chooses, in words that need no documentation.
    pub fn explanation(&self) -> String {
        let each = |policies: &[Policy], word: &str| {
            let parts: Vec<String> =
                policies.iter().map(|policy| format!("({})", policy.explanation())).collect();
            parts.join(&format!(" {word} "))
        };
        match self {
            Policy::None => "no site".into(),
            Policy::All => "every site".into(),
            Policy::Inner => {
                "sites that neither read an addition nor are first in the network".into()
            }
            Policy::Outer => "sites that read an addition, and those with no site upstream".into(),
            Policy::Alternate => "the first, third, fifth … site in graph order".into(),
            Policy::Stem => "sites with no site upstream".into(),
            Policy::Head => "sites with no site downstream".into(),
            Policy::FirstK { k } => format!("the first {k} sites in graph order"),
            Policy::LastK { k } => format!("the last {k} sites in graph order"),
            Policy::Stage { stages } => {
                format!("sites whose path begins with {}", stages.join(" or "))
            }
            Policy::Sites { include, exclude } if exclude.is_empty() => {
                format!("sites named {}", include.join(" or "))
            }
            Policy::Sites { include, exclude } => {
                format!("sites named {}, without {}", include.join(" or "), exclude.join(" or "))
            }
            Policy::Ratio { share, spread } => {
                let which = match spread {
                    Spread::Uniform => "at even distances".into(),
                    Spread::Random { seed } => format!("drawn with seed {seed}"),
                    Spread::Early => "denser towards the input".into(),
                    Spread::Late => "denser towards the output".into(),
                };
                format!("{} % of the sites, {which}", 100.0 * share)
            }
            Policy::Union { policies } => each(policies, "or"),
            Policy::Intersection { policies } => each(policies, "and"),
            Policy::Difference { policy, without } => {
                format!("({}) but not ({})", policy.explanation(), without.explanation())
            }
            Policy::Crossover { policy, stage, of, from } => format!(
                "({}), and of the others those whose turn comes after stage {stage} of {of}, from \
                 the {from} on",
                policy.explanation()
            ),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |policies: &[Policy]| {
            policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Policy::None
            | Policy::All
            | Policy::Inner
            | Policy::Outer
            | Policy::Alternate
            | Policy::Stem
            | Policy::Head => f.write_str(self.label()),
            Policy::FirstK { k } | Policy::LastK { k } => write!(f, "{} {k}", self.label()),
            Policy::Stage { stages } => write!(f, "stage {}", stages.join(", ")),
            Policy::Sites { include, exclude } if exclude.is_empty() => {
                write!(f, "sites {}", include.join(", "))
            }
            Policy::Sites { include, exclude } => {
                write!(f, "sites {} without {}", include.join(", "), exclude.join(", "))
            }
            Policy::Ratio { share, spread } => write!(f, "ratio {share} {spread}"),
            Policy::Union { policies } | Policy::Intersection { policies } => {
                write!(f, "{}({})", self.label(), list(policies))
            }
            Policy::Difference { policy, without } => write!(f, "difference({policy}, {without})"),
            Policy::Crossover { policy, stage, of, from } => {
                write!(f, "crossover({policy}, stage {stage} of {of} from the {from})")
            }
        }
    }
}
