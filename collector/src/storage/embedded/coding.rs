//! Numbers and texts in keys and values. Reading never panics: what is damaged is `None`.

use yagura_model::Labels;

/// Bytes being read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// Eight bytes, lowest first.
    pub(super) fn word(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, highest first, as keys have them.
    pub(super) fn key_word(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// An instant in a key.
    pub(super) fn key_time(&mut self) -> Option<i64> {
        self.key_word().map(|word| (word ^ SIGN).cast_signed())
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number that fits memory's addresses.
    pub(super) fn length(&mut self) -> Option<usize> {
        self.varint().and_then(|value| usize::try_from(value).ok())
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// Bytes with their length in front.
    pub(super) fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.bytes(length)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.block()?).ok()
    }
}

const SIGN: u64 = 1 << 63;

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63).cast_unsigned());
}

pub(super) fn put_block(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// An instant so that keys sort by it.
pub(super) fn put_key_time(out: &mut Vec<u8>, time: i64) {
    out.extend_from_slice(&(time.cast_unsigned() ^ SIGN).to_be_bytes());
}

/// Labels as a value: how many, then names and values.
pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_varint(out, labels.len() as u64);
    for (name, value) in labels.iter() {
        put_block(out, name.as_bytes());
        put_block(out, value.as_bytes());
    }
}

pub(super) fn labels(input: &mut Input<'_>) -> Option<Labels> {
    let count = input.length()?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((input.text()?, input.text()?));
    }
    Some(Labels::from_pairs(pairs))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive(signed in any::<i64>(), unsigned in any::<u64>()) {
            let mut out = Vec::new();
            put_signed(&mut out, signed);
            put_varint(&mut out, unsigned);
            put_key_time(&mut out, signed);
            let mut input = Input(&out);
            prop_assert_eq!(input.signed(), Some(signed));
            prop_assert_eq!(input.varint(), Some(unsigned));
            prop_assert_eq!(input.key_time(), Some(signed));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn keys_sort_by_time(one in any::<i64>(), other in any::<i64>()) {
            let key = |time| { let mut out = Vec::new(); put_key_time(&mut out, time); out };
            prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
        }
    }

    #[test]
    fn labels_survive() {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "ノード")]);
        let mut out = Vec::new();
        put_labels(&mut out, &labels);
        assert_eq!(super::labels(&mut Input(&out)), Some(labels));
        assert_eq!(super::labels(&mut Input(&[1, 200])), None, "cut short");
    }
}
