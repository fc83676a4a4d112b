//! How bad a log record is.

/// OpenTelemetry's severity ranges, by their first number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing in the record says.
    #[default]
    Unknown,
    /// 1–4.
    Trace,
    /// 5–8.
    Debug,
    /// 9–12.
    Info,
    /// 13–16.
    Warn,
    /// 17–20.
    Error,
    /// 21–24.
    Fatal,
}

impl Severity {
    /// OTLP's `severity_number`: the first of its range, 0 when unknown.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }

    /// The range that OTLP's `severity_number` lies in.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            1..=4 => Self::Trace,
            5..=8 => Self::Debug,
            9..=12 => Self::Info,
            13..=16 => Self::Warn,
            17..=20 => Self::Error,
            21..=24 => Self::Fatal,
            _ => Self::Unknown,
        }
    }

    /// The word Grafana colours (Loki's `detected_level`).
    #[must_use]
    pub fn level(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The severity a level word means, whatever its case; `None` when it is not one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        const WORDS: &[(&str, Severity)] = &[
            ("info", Severity::Info),
            ("error", Severity::Error),
            ("warn", Severity::Warn),
            ("warning", Severity::Warn),
            ("debug", Severity::Debug),
            ("trace", Severity::Trace),
            ("fatal", Severity::Fatal),
            ("critical", Severity::Fatal),
            ("crit", Severity::Fatal),
            ("err", Severity::Error),
            ("notice", Severity::Info),
            ("information", Severity::Info),
            ("panic", Severity::Fatal),
            ("emerg", Severity::Fatal),
            ("emergency", Severity::Fatal),
            ("alert", Severity::Fatal),
            ("severe", Severity::Error),
            ("verbose", Severity::Trace),
            ("dbg", Severity::Debug),
            ("inf", Severity::Info),
            ("wrn", Severity::Warn),
        ];
        WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, severity)| *severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_agree() {
        assert_eq!(Severity::from_word("WARNING"), Some(Severity::Warn));
        assert_eq!(Severity::from_word("warned"), None);
        for number in 0..=24 {
            assert!(Severity::from_number(number).number() <= number);
        }
    }
}
