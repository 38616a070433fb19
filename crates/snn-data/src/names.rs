//! Enums whose values have names: one way to list, print, parse and store them.

use crate::Error;

/// The error for a name that is none of `known`, with the most similar one.
pub(crate) fn unknown(what: &'static str, found: &str, known: &[&'static str]) -> Error {
    // Names are short; what is longer than any is compared by its beginning. Signs between words
    // are what people remember least, so `nmnist` is `n-mnist` and not `mnist`; a part of a name
    // stands for it (`gesture`).
    let letters = |name: &str| -> String {
        let letters = name.chars().take(64).filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_ascii_lowercase()
    };
    let start = letters(found);
    let nearest = known.iter().min_by_key(|known| {
        let known = letters(known);
        let part = start.len() > 3 && known.contains(&start);
        let edits = strsim::levenshtein(&start, &known);
        (if part { 1.min(edits) } else { edits }, known.len())
    });
    Error::UnknownName {
        what,
        found: found.to_owned(),
        known: known.join(", "),
        nearest: nearest.copied().unwrap_or_default(),
    }
}

/// Defines an enum with `ALL`, `as_str`, `Display`, `FromStr`, `Serialize` and `Deserialize` by
/// name.
macro_rules! names {
    (
        $(#[$meta:meta])*
        pub enum $type:ident ($what:literal) {
            $($(#[$doc:meta])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$doc])* $variant,)+
        }

        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name in configs and on the command line.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Error;

            fn from_str(name: &str) -> $crate::Result<Self> {
                let found = Self::ALL.into_iter().find(|known| known.as_str() == name);
                found.ok_or_else(|| $crate::names::unknown($what, name, &[$($name),+]))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(from)?;
                name.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use names;

#[cfg(test)]
mod tests {
    use crate::DatasetName;

    #[test]
    fn names_are_near_to_what_was_meant() {
        for (found, meant) in [
            ("nmnist", "n-mnist"),
            ("N-MNIST", "n-mnist"),
            ("cifar10", "cifar-10"),
            ("cifar10dvs", "cifar10-dvs"),
            ("gesture", "dvs128-gesture"),
            ("fashion", "fashion-mnist"),
            ("ncaltech101", "n-caltech101"),
            ("tiny_imagenet", "tiny-imagenet"),
            ("mnst", "mnist"),
        ] {
            let message = found.parse::<DatasetName>().unwrap_err().to_string();
            assert!(message.ends_with(&format!("did you mean `{meant}`?")), "{found}: {message}");
        }
    }
}
