//! How bad a line says it is: levels in JSON, logfmt, klog, syslog and plain lines.
//!
//! A word in running text is no level ("no error found"): it counts in capitals, in brackets, after a key, or before a
//! colon at the line's start. Only the beginning of a line is looked at.

use yagura_model::Severity;

/// How far into a plain line a level is looked for: past a time, a host, a thread and a logger's name.
const HORIZON: usize = 120;

/// A severity and the word that said it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level<'a> {
    pub(crate) severity: Severity,
    /// As the line has it; empty when nothing says.
    pub(crate) text: &'a str,
}

/// Whether a JSON member of this name holds a level.
pub(crate) fn is_level_key(key: &str) -> bool {
    matches!(
        key,
        "level"
            | "severity"
            | "lvl"
            | "Level"
            | "LEVEL"
            | "log.level"
            | "levelname"
            | "level_name"
            | "log_level"
            | "loglevel"
            | "logLevel"
            | "LogLevel"
            | "Severity"
            | "severityText"
            | "severity_text"
            | "SeverityText"
            | "@l"
            | "PRIORITY"
    )
}

/// The level that the value of such a member says.
pub(crate) fn of_value(value: &str) -> Option<Level<'_>> {
    let severity = match value.as_bytes().first()? {
        b'0'..=b'9' => number(value.parse().ok()?),
        _ => Severity::from_word(value).or_else(|| one_letter(value))?,
    };
    Some(Level { severity, text: value })
}

/// Numbers as loggers use them: syslog's 0–7 (GELF, journald) and the tens of bunyan and pino.
fn number(value: u32) -> Severity {
    match value {
        0..=2 => Severity::Fatal,
        3 => Severity::Error,
        4 => Severity::Warn,
        5 | 6 => Severity::Info,
        7 => Severity::Debug,
        10..20 => Severity::Trace,
        20..30 => Severity::Debug,
        30..40 => Severity::Info,
        40..50 => Severity::Warn,
        50..60 => Severity::Error,
        60..70 => Severity::Fatal,
        _ => Severity::Unknown,
    }
}

fn one_letter(text: &str) -> Option<Severity> {
    match text {
        "T" => Some(Severity::Trace),
        "D" => Some(Severity::Debug),
        "I" => Some(Severity::Info),
        "W" => Some(Severity::Warn),
        "E" => Some(Severity::Error),
        "F" | "C" => Some(Severity::Fatal),
        _ => None,
    }
}

/// The level of a line that is not JSON.
pub(crate) fn of_plain(line: &str) -> Level<'_> {
    klog(line).or_else(|| syslog(line)).or_else(|| words(line)).unwrap_or_default()
}

/// `I0102 15:04:05…`
fn klog(line: &str) -> Option<Level<'_>> {
    let [b'I' | b'W' | b'E' | b'F', m1, m2, d1, d2, b' ', ..] = line.as_bytes() else { return None };
    if ![m1, m2, d1, d2].into_iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = line.get(..1)?;
    Some(Level { severity: one_letter(text)?, text })
}

/// `<13>…`: facility × 8 + severity.
fn syslog(line: &str) -> Option<Level<'_>> {
    let text = line.strip_prefix('<')?;
    let text = text.get(..text.as_bytes().iter().take(4).position(|byte| *byte == b'>')?)?;
    let priority: u32 = text.parse().ok().filter(|priority| *priority < 192)?;
    Some(Level { severity: number(priority % 8), text })
}

/// What a byte is when words are looked for: a letter, something that belongs to a word, or what lies between.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn words(line: &str) -> Option<Level<'_>> {
    let bytes = line.as_bytes();
    let bytes = bytes.get(..HORIZON).unwrap_or(bytes);
    let mut at = 0;
    let mut before = b' ';
    while let Some(first) = bytes.get(at) {
        if !is_word(*first) {
            // A colour code ends in a letter that belongs to no word: `ESC[31mERROR`.
            if *first == 0x1b {
                at = colour_end(bytes, at);
                before = b' ';
                continue;
            }
            before = *first;
            at += 1;
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        // Level words have 3 to 11 letters; the shorter and the longer are not even looked at.
        if (3..=11).contains(&length)
            && let Some(text) = line.get(at..at + length)
            && let Some(level) = word(line, at, text, before)
        {
            return Some(level);
        }
        at += length;
        before = b'_';
    }
    None
}

/// After the colour code that starts at `at`.
fn colour_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'm').map_or(at + 1, |end| at + end + 1)
}

fn word<'a>(line: &'a str, at: usize, text: &'a str, before: u8) -> Option<Level<'a>> {
    let after = line.get(at + text.len()..).unwrap_or_default();
    let next = after.as_bytes().first().copied().unwrap_or(b' ');
    if next == b'=' || (next == b'"' && after.starts_with("\":")) {
        return is_level_key(text).then(|| of_key(after)).flatten();
    }
    let severity = Severity::from_word(text)?;
    let capitals = text.bytes().all(|byte| byte.is_ascii_uppercase());
    let enclosed = matches!((before, next), (b'[', b']') | (b'<', b'>') | (b'(', b')') | (b'|', b'|'));
    // `[error] …`, `[warn  ] …`, `error: …`
    let padded = before == b'[' && after.trim_start_matches(' ').starts_with(']');
    let leading = at == 0 && next == b':';
    (capitals || enclosed || padded || leading).then_some(Level { severity, text })
}

/// The level after `level=` or `"level":`.
fn of_key(after: &str) -> Option<Level<'_>> {
    let value = after.trim_start_matches(['=', ':', '"', ' ']);
    let end = value.bytes().position(|byte| !is_word(byte)).unwrap_or(value.len());
    of_value(value.get(..end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, severity: Severity, text: &str) {
        assert_eq!(of_plain(line), Level { severity, text }, "{line}");
    }

    #[test]
    fn plain_lines_say_their_level_in_many_ways() {
        check("2026-11-20 08:00:00.123 [main] ERROR com.example.App - boom", Severity::Error, "ERROR");
        check("2026/11/20 08:00:00 [error] 29#29: *1 open() failed", Severity::Error, "error");
        check("[warn  ] cache is cold", Severity::Warn, "warn");
        check("INFO:root:started", Severity::Info, "INFO");
        check("time=x level=warning msg=\"slow\"", Severity::Warn, "warning");
        check("ts=1 lvl=eror msg=x level=error", Severity::Error, "error");
        check("ts=1 level=\"debug\" msg=x", Severity::Debug, "debug");
        check("prefix {\"level\":\"fatal\"}", Severity::Fatal, "fatal");
        check("error: could not bind", Severity::Error, "error");
        check("panic: runtime error: index out of range", Severity::Fatal, "panic");
        check("E1120 08:00:00.000000       1 reflector.go:1] Failed", Severity::Error, "E");
        check("<13>1 2026-01-02T03:04:05Z host app 1 - - text", Severity::Info, "13");
        check("<11>Nov 20 08:00:00 host app: text", Severity::Error, "11");
        check("\u{1b}[31mERROR\u{1b}[0m coloured", Severity::Error, "ERROR");
        check("08:00 |WARN| x", Severity::Warn, "WARN");
    }

    #[test]
    fn running_text_is_no_level() {
        for line in [
            "",
            "there was no error in this line",
            "an error: that is not at the start",
            "ERRORS happen",
            "MY_ERROR_CODE=5",
            "<999>x",
            "I012 15:04",
            "GET /info 200",
            "naïve INFOé",
        ] {
            check(line, Severity::Unknown, "");
        }
        check(&format!("{} ERROR", "x ".repeat(HORIZON)), Severity::Unknown, "");
    }

    #[test]
    fn values_are_words_letters_or_numbers() {
        for (value, severity) in [
            ("info", Severity::Info),
            ("WARNING", Severity::Warn),
            ("E", Severity::Error),
            ("30", Severity::Info),
            ("50", Severity::Error),
            ("3", Severity::Error),
            ("7", Severity::Debug),
        ] {
            assert_eq!(of_value(value), Some(Level { severity, text: value }));
        }
        for value in ["", "loud", "-1", "3x"] {
            assert_eq!(of_value(value), None);
        }
    }
}
