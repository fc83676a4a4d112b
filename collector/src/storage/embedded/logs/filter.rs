//! The token filter of a block: says for sure that a word is not in it.
//!
//! A Bloom filter over the words (runs of ASCII letters, digits and `_`, at least [`SHORTEST`] long) of the lines,
//! and over each field's name and value. It is filled in a wide table and folded in half as long as it stays sparse,
//! so nothing has to be counted beforehand. Its length is a power of two.

use xxhash_rust::xxh3::xxh3_64;

/// Shorter words are in nearly every block.
const SHORTEST: usize = 3;
/// Bits in the widest table.
const WIDEST: usize = 1 << 19;
const PROBES: u32 = 4;

/// A filter being filled.
#[derive(Debug)]
pub(in crate::storage::embedded) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    pub(in crate::storage::embedded) fn new() -> Self {
        Self { words: vec![0; WIDEST / 64] }
    }

    /// Adds the words of a line.
    pub(in crate::storage::embedded) fn line(&mut self, line: &[u8]) {
        for word in words(line) {
            self.add(xxh3_64(word));
        }
    }

    /// Adds a field.
    pub(in crate::storage::embedded) fn field(&mut self, name: &str, value: &str) {
        self.add(field_hash(name, value));
    }

    #[inline]
    fn add(&mut self, hash: u64) {
        for bit in bits(hash, WIDEST) {
            if let Some(word) = self.words.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    /// The filter's bytes, as few as it stays useful with; it is empty afterwards.
    pub(in crate::storage::embedded) fn finish(&mut self) -> Vec<u8> {
        let mut table = std::mem::replace(&mut self.words, vec![0; WIDEST / 64]);
        while table.len() > 1 {
            let (low, high) = table.split_at(table.len() / 2);
            let folded: Vec<u64> = low.iter().zip(high).map(|(low, high)| low | high).collect();
            let set: u32 = folded.iter().map(|word| word.count_ones()).sum();
            // Four probes into a table that is two fifths full: one false alarm in forty.
            if set as usize * 5 > folded.len() * 64 * 2 {
                break;
            }
            table = folded;
        }
        table.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Positions in a table of `width` bits; the lowest bits of a wider table's positions, so that folding keeps them.
fn bits(hash: u64, width: usize) -> impl Iterator<Item = usize> {
    let step = (hash >> 32) | 1;
    (0..PROBES).map(move |probe| {
        let position = hash.wrapping_add(step.wrapping_mul(u64::from(probe)));
        usize::try_from(position & (width as u64 - 1)).unwrap_or(0)
    })
}

fn holds(filter: &[u8], hash: u64) -> bool {
    let width = filter.len() * 8;
    // Only whole tables were written; anything else is damage and excludes nothing.
    if !width.is_power_of_two() {
        return true;
    }
    bits(hash, width).all(|bit| filter.get(bit / 8).is_some_and(|byte| byte & 1 << (bit % 8) != 0))
}

fn field_hash(name: &str, value: &str) -> u64 {
    xxh3_64(&[name.as_bytes(), b"\0", value.as_bytes()].concat())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| !is_word(*byte)).filter(|word| word.len() >= SHORTEST)
}

/// Whether a line of the block may contain `text` anywhere.
pub(in crate::storage::embedded) fn may_contain(filter: &[u8], text: &str) -> bool {
    // The first and the last word of the text may be parts of longer ones.
    let bytes = text.as_bytes();
    let first = bytes.iter().position(|byte| !is_word(*byte)).unwrap_or(bytes.len());
    let last = bytes.iter().rposition(|byte| !is_word(*byte)).map_or(first, |last| last + 1);
    let whole = bytes.get(first..last.max(first)).unwrap_or_default();
    words(whole).all(|word| holds(filter, xxh3_64(word)))
}

/// Whether a record of the block may have this field.
pub(in crate::storage::embedded) fn may_have(filter: &[u8], name: &str, value: &str) -> bool {
    holds(filter, field_hash(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_denied() {
        let mut filter = Filter::new();
        let lines: Vec<String> = (0..2000).map(|n| format!("GET /path/{n} status=200 id=req{n:06x} done")).collect();
        lines.iter().for_each(|line| filter.line(line.as_bytes()));
        filter.field("trace_id", "abc");
        let bytes = filter.finish();
        for line in &lines {
            assert!(may_contain(&bytes, line));
            assert!(may_contain(&bytes, line.get(3..line.len() - 3).unwrap()));
        }
        assert!(may_have(&bytes, "trace_id", "abc"));
        let wrong = (0..2000).filter(|n| may_contain(&bytes, &format!(" absent{n} "))).count();
        assert!(wrong < 120, "{wrong} of 2000 words were not denied");
        assert!(!may_have(&Filter::new().finish(), "trace_id", "abc"));
    }

    #[test]
    fn a_small_block_has_a_small_filter() {
        let mut filter = Filter::new();
        filter.line(b"one two three");
        assert!(filter.finish().len() <= 8);
    }

    #[test]
    fn parts_of_words_are_not_asked_for() {
        let mut filter = Filter::new();
        filter.line(b"connection refused");
        let bytes = filter.finish();
        assert!(may_contain(&bytes, "nnection refu"));
        assert!(may_contain(&bytes, "refused"), "it may be the start of a longer word");
    }
}
