//! A set of labels: the identity of a series or of a log stream.

use std::{fmt, sync::Arc};

/// The label that holds a metric's name.
pub const NAME: &str = "__name__";

/// Sorted, unique, non-empty labels; cheap to clone, to compare and to hash.
///
/// An empty value is the same as no label, as in Prometheus, so it is never held.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<Inner>);

/// All names and values in one string, with the end of each; two allocations for any number of labels.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Inner {
    text: Box<str>,
    /// `ends[2 * i]` is the end of name `i` in `text`, `ends[2 * i + 1]` the end of its value.
    ends: Box<[u32]>,
}

impl Labels {
    /// No labels at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// Labels from pairs in any order. Pairs with an empty value are left out; of two with one name the later wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = Builder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ends.len() / 2
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The value of `name`, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// The metric's name, the value of `__name__`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.get(NAME)
    }

    /// Name and value of each label, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let text = &*self.0.text;
        let mut start = 0;
        self.0.ends.chunks_exact(2).map(move |ends| {
            let [name_end, value_end] = [at(ends, 0), at(ends, 1)];
            let name = text.get(start..name_end).unwrap_or_default();
            let value = text.get(name_end..value_end).unwrap_or_default();
            start = value_end;
            (name, value)
        })
    }

    /// A builder that starts with these labels.
    #[must_use]
    pub fn to_builder(&self) -> Builder {
        Builder { pairs: self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// These labels without those for which `drop` is true.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        Self::from_sorted(self.iter().filter(|(name, _)| !drop(name)))
    }

    /// These labels without the metric's name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        self.without(|name| name == NAME)
    }

    fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        let mut ends = Vec::new();
        for (name, value) in pairs {
            text.push_str(name);
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            text.push_str(value);
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self(Arc::new(Inner { text: text.into_boxed_str(), ends: ends.into_boxed_slice() }))
    }
}

fn at(ends: &[u32], index: usize) -> usize {
    ends.get(index).map_or(0, |end| usize::try_from(*end).unwrap_or(usize::MAX))
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

/// As PromQL writes a series: `name{label="value", …}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.write_str(name.unwrap_or_default())?;
        if name.is_some() && self.len() == 1 {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, (label, value)) in self.iter().filter(|(label, _)| *label != NAME).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{label}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Labels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> serde::Deserialize<'de> for Labels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self::from_pairs(pairs))
    }
}

/// Labels being put together.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pairs: Vec<(String, String)>,
}

impl Builder {
    /// Sets `name` to `value`; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        let found = self.pairs.iter_mut().find(|(candidate, _)| candidate == name);
        match (found, value.is_empty()) {
            (Some(_), true) => self.pairs.retain(|(candidate, _)| candidate != name),
            (Some((_, held)), false) => value.clone_into(held),
            (None, true) => {}
            (None, false) => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// The value `name` has so far.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// The finished labels.
    #[must_use]
    pub fn build(mut self) -> Labels {
        self.pairs.sort_unstable();
        Labels::from_sorted(self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_empty_values_do_not_matter() {
        let one = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]);
        let other = Labels::from_pairs([("a", "0"), ("a", "1"), ("b", "2")]);
        assert_eq!(one, other);
        assert_eq!(one.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(one.get("b"), Some("2"));
        assert_eq!(one.get("c"), None);
    }

    #[test]
    fn a_boundary_between_name_and_value_counts() {
        assert_ne!(Labels::from_pairs([("ab", "c")]), Labels::from_pairs([("a", "bc")]));
    }

    #[test]
    fn they_are_shown_as_promql_writes_them() {
        let labels = Labels::from_pairs([(NAME, "up"), ("job", "a\"b")]);
        assert_eq!(labels.to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(labels.without_name().to_string(), r#"{job="a\"b"}"#);
        assert_eq!(Labels::from_pairs([(NAME, "up")]).to_string(), "up");
    }
}
