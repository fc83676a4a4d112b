//! Ids of traces and spans.

use std::fmt;

/// A trace's 128-bit id; a 64-bit one is padded with zeros on the left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u128);

/// A span's 64-bit id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub u64);

impl TraceId {
    /// The id from 16 or 32 hexadecimal digits; `None` for anything else and for zero, which means no trace.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if (text.len() != 32 && text.len() != 16) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().filter(|id| *id != 0).map(Self)
    }

    /// The low 64 bits: all that older tracers log.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
    pub fn low(self) -> u64 {
        self.0 as u64
    }
}

impl SpanId {
    /// The id from 16 hexadecimal digits; `None` for anything else and for zero.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().filter(|id| *id != 0).map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_read() {
        assert_eq!(TraceId::from_hex("00000000000000000000000000000000"), None);
        assert_eq!(TraceId::from_hex("+0000000000000001"), None);
        assert_eq!(TraceId::from_hex("00000000000000ff").map(|id| id.to_string()), Some(format!("{:032x}", 255)));
        assert_eq!(SpanId::from_hex("00000000000000FF"), Some(SpanId(255)));
    }
}
