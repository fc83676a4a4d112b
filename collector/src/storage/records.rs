//! What an OTLP log record becomes: its stream's labels, its fields, and what of it is new. Pure rules, the same in
//! all engines.

use std::ops::Range;

use yagura_model::{Severity, delivery, names};

use super::{LogEntry, ranges::RangeSet};

/// The attributes that say how a record was delivered; they are not kept as fields.
pub(super) fn is_delivery(attribute: &str) -> bool {
    [
        delivery::RANGE_START,
        delivery::RANGE_END,
        delivery::GENERATION,
        delivery::STREAM,
        delivery::COVERED,
        delivery::QUEUE,
        delivery::SEQUENCE,
    ]
    .contains(&attribute)
}

/// The rank of an attribute among those that give the same label; the lowest wins.
pub(super) fn label_rank(attribute: &str) -> Option<usize> {
    names::RESOURCE_LABELS.iter().position(|(known, _)| *known == attribute)
}

/// The severity of a record; its number decides, its text where there is none.
pub(super) fn severity(number: i32, text: &str) -> Severity {
    match u8::try_from(number).map(Severity::from_number) {
        Ok(Severity::Unknown) | Err(_) => Severity::from_word(text).unwrap_or_default(),
        Ok(known) => known,
    }
}

/// What is to be stored of a record that covers `range` of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    Whole,
    /// Nothing: it was delivered before.
    Nothing,
    /// Only these bytes of its line; the record then stands at this offset.
    Part(Range<usize>, u64),
}

/// What is new of a record. A line that is its bytes in the file, but for the end of line, is cut to the part that
/// was not delivered; where the line was decoded from them (JSON, a joined stack trace) it cannot be cut, and a
/// duplicate beats a loss.
pub(super) fn share(held: &RangeSet, range: &Range<u64>, line: &str) -> Share {
    if range.is_empty() {
        return Share::Whole;
    }
    let missing = held.missing(range.clone());
    let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Share::Nothing };
    if missing.len() > 1 || (first.start == range.start && last.end == range.end) {
        return Share::Whole;
    }
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    if line.len() > length || length - line.len() > 2 {
        return Share::Whole;
    }
    let within = |offset: u64| usize::try_from(offset - range.start).unwrap_or(usize::MAX).min(line.len());
    let part = within(first.start)..within(first.end);
    match line.get(part.clone()) {
        Some("") => Share::Nothing,
        Some(_) => Share::Part(part, first.start),
        None => Share::Whole,
    }
}

/// The order in which records are read: time, place in the file, then stream.
pub(super) fn in_order(one: &LogEntry, other: &LogEntry) -> std::cmp::Ordering {
    (one.time, one.offset).cmp(&(other.time, other.offset)).then_with(|| one.labels.cmp(&other.labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(held: &[Range<u64>], range: Range<u64>, line: &str, expected: Share) {
        let mut set = RangeSet::default();
        held.iter().for_each(|held| set.insert(held.clone()));
        assert_eq!(share(&set, &range, line), expected, "{held:?} {range:?} {line}");
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn only_what_was_not_delivered_is_stored() {
        check(&[], 0..6, "hello", Share::Whole);
        check(&[0..6], 0..6, "hello", Share::Nothing);
        check(&[0..2], 0..6, "hello", Share::Part(2..5, 2));
        check(&[4..9], 0..6, "hello", Share::Part(0..4, 0));
        check(&[0..5], 0..6, "hello", Share::Nothing);
        check(&[0..2], 0..90, "decoded from JSON", Share::Whole);
        check(&[0..1], 0..3, "é", Share::Whole);
        check(&[2..3], 0..6, "hello", Share::Whole);
    }

    #[test]
    fn a_number_says_more_than_a_word() {
        assert_eq!(severity(17, "info"), Severity::Error);
        assert_eq!(severity(0, "WARN"), Severity::Warn);
        assert_eq!(severity(-1, ""), Severity::Unknown);
    }
}
