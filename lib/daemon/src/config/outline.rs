//! Which key stands where in a YAML text, so that every fault has a place and every place a key.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// Every key's path and position, in the order of the text.
#[derive(Debug)]
pub(super) struct Outline(Vec<(Position, String)>);

impl Outline {
    /// The outline of `text`; `None` when it is no YAML at all.
    pub(super) fn of(text: &str) -> Option<Self> {
        // What is wrong with a key must not hide where it stands.
        let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
        let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).ok()?;
        let mut found = Vec::new();
        root.value.collect("", &mut found);
        found.sort_by_key(|(position, _)| *position);
        Some(Self(found))
    }

    /// The key that `position` belongs to: the last one that begins at or before it.
    pub(super) fn key_at(&self, position: Position) -> String {
        let before = self.0.iter().take_while(|(at, _)| *at <= position);
        before.last().map(|(_, key)| key.clone()).unwrap_or_default()
    }

    /// Where `key` stands, or else the nearest key around it.
    pub(super) fn place_of(&self, key: &str) -> Option<(u64, u64)> {
        let mut key = key;
        loop {
            if let Some((at, _)) = self.0.iter().find(|(_, candidate)| candidate == key) {
                return Some((at.line, at.column));
            }
            key = key.rfind(['.', '[']).and_then(|end| key.get(..end))?;
        }
    }
}

#[derive(Debug)]
enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl Node {
    fn collect(&self, path: &str, found: &mut Vec<(Position, String)>) {
        let mut visit = |key: String, at: serde_saphyr::Location, child: &Self| {
            found.push((Position { line: at.line(), column: at.column() }, key.clone()));
            child.collect(&key, found);
        };
        match self {
            Self::Map(entries) => {
                for (key, child) in entries {
                    visit(super::path_of([path, key.value.as_str()].into_iter()), key.referenced, &child.value);
                }
            }
            Self::List(items) => {
                for (number, child) in items.iter().enumerate() {
                    visit(format!("{path}[{number}]"), child.referenced, &child.value);
                }
            }
            Self::Scalar => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Node::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}
