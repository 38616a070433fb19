//! Tables of a config that may be written shorter.

use serde::de::value::{
    MapAccessDeserializer, MapDeserializer, StrDeserializer, StringDeserializer,
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::fmt;

/// A table that is read as if it ended with `kind`, where it has none.
pub(crate) struct DefaultKind<D> {
    pub(crate) deserializer: D,
    pub(crate) kind: &'static str,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for DefaultKind<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserializer.deserialize_map(Wrapped { visitor, kind: self.kind })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct Wrapped<V> {
    visitor: V,
    kind: &'static str,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wrapped<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let map = Completed { map, kind: Some(self.kind), ended: false };
        MapAccessDeserializer::new(map).deserialize_any(self.visitor)
    }
}

/// The entries of a table, then its `kind` unless it was among them.
struct Completed<A> {
    map: A,
    /// The kind that has no table yet.
    kind: Option<&'static str>,
    /// `true` if the entries of the table itself have all been read.
    ended: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Completed<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if self.ended {
            return Ok(None);
        }
        let key = match self.map.next_key::<String>()? {
            Some(key) if key == "kind" => {
                self.kind = None;
                key
            }
            Some(key) => key,
            None => {
                self.ended = true;
                if self.kind.is_none() {
                    return Ok(None);
                }
                "kind".to_string()
            }
        };
        seed.deserialize(StringDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.kind.filter(|_| self.ended) {
            Some(kind) => seed.deserialize(StrDeserializer::new(kind)),
            None => self.map.next_value_seed(seed),
        }
    }
}

/// A path by itself, read as a table with that `path`, or a table.
pub(crate) struct PathOrTable<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for PathOrTable<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(PathVisitor(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct PathVisitor<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for PathVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path or a table")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<V::Value, E> {
        self.0.visit_map(MapDeserializer::new(std::iter::once(("path", path))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }
}
