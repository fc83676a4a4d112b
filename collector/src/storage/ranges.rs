//! A set of numbers kept as ranges: the bytes of a file that were delivered, the batches of a queue that were stored.

use std::ops::Range;

use yagura_model::delivery;

/// Sorted, disjoint, non-empty ranges that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<Range<u64>>);

impl RangeSet {
    /// The set that [`RangeSet::encode`] wrote; `None` when the bytes are damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut set = Self::default();
        for range in delivery::decode_ranges(bytes)? {
            set.insert(range);
        }
        Some(set)
    }

    /// The set as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        delivery::encode_ranges(&self.0)
    }

    /// Adds a range; an empty one changes nothing.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // Everything that overlaps or touches the new range becomes one with it.
        let first = self.0.partition_point(|held| held.end < range.start);
        let after = self.0.partition_point(|held| held.start <= range.end);
        let start = self.0.get(first).map_or(range.start, |held| held.start.min(range.start));
        let end =
            after.checked_sub(1).and_then(|last| self.0.get(last)).map_or(range.end, |held| held.end.max(range.end));
        self.0.splice(first..after.max(first), std::iter::once(start..end));
    }

    /// The parts of `range` that the set does not hold, in order.
    pub(super) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut from = range.start;
        let first = self.0.partition_point(|held| held.end <= range.start);
        for held in self.0.iter().skip(first).take_while(|held| held.start < range.end) {
            if from < held.start {
                parts.push(from..held.start);
            }
            from = held.end;
        }
        if from < range.end {
            parts.push(from..range.end);
        }
        parts
    }

    /// Whether a number is held.
    pub(super) fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|held| held.end <= number);
        self.0.get(after).is_some_and(|held| held.start <= number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_set_agrees_with_a_set_of_numbers(
            ranges in proptest::collection::vec((0_u64..60, 0_u64..12), 0..24),
            asked in (0_u64..60, 0_u64..20),
        ) {
            let mut set = RangeSet::default();
            let mut numbers = BTreeSet::new();
            for (start, length) in ranges {
                set.insert(start..start + length);
                numbers.extend(start..start + length);
            }
            prop_assert!(set.0.windows(2).all(|pair| pair[0].end < pair[1].start), "{set:?}");
            for number in 0..80 {
                prop_assert_eq!(set.contains(number), numbers.contains(&number));
            }
            let asked = asked.0..asked.0 + asked.1;
            let missing: Vec<u64> = set.missing(asked.clone()).into_iter().flatten().collect();
            let expected: Vec<u64> = asked.filter(|number| !numbers.contains(number)).collect();
            prop_assert_eq!(missing, expected);
            prop_assert_eq!(RangeSet::decode(&set.encode()), Some(set));
        }
    }
}
