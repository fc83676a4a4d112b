//! What a query's author may have wanted to know: warnings and infos, in Prometheus' words.

use std::collections::HashSet;

use super::{ast::Span, error::ParseError};

/// Annotations of one query, each once, in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    seen: HashSet<String>,
    warnings: Vec<String>,
    infos: Vec<String>,
}

/// How many of each kind an answer carries.
const SHOWN: usize = 10;

impl Notes {
    pub(crate) fn warn(&mut self, query: &str, span: Span, text: &str) {
        let text = format!("PromQL warning: {text} ({})", place(query, span));
        if self.seen.insert(text.clone()) {
            self.warnings.push(text);
        }
    }

    pub(crate) fn info(&mut self, query: &str, span: Span, text: &str) {
        let text = format!("PromQL info: {text} ({})", place(query, span));
        if self.seen.insert(text.clone()) {
            self.infos.push(text);
        }
    }

    /// Warnings and infos; the rest of too many are counted.
    pub(crate) fn into_lists(self) -> (Vec<String>, Vec<String>) {
        (shorten(self.warnings, "warning"), shorten(self.infos, "info"))
    }
}

fn shorten(mut texts: Vec<String>, kind: &str) -> Vec<String> {
    let more = texts.len().saturating_sub(SHOWN);
    if more > 0 {
        texts.truncate(SHOWN);
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}

fn place(query: &str, span: Span) -> String {
    let at = ParseError::at(query, span.start, "");
    format!("{}:{}", at.line, at.column)
}

/// A number as Go's `%g` writes it.
pub(crate) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let exponent = if number == 0.0 { 0.0 } else { number.abs().log10().floor() };
    if (-4.0..21.0).contains(&exponent) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_go_shows_them() {
        let check = |number: f64, expected: &str| assert_eq!(shortest(number), expected);
        check(1.1, "1.1");
        check(-0.5, "-0.5");
        check(0.0, "0");
        check(1e21, "1e+21");
        check(1.5e-7, "1.5e-07");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }

    #[test]
    fn each_note_is_given_once_and_many_are_cut() {
        let mut notes = Notes::default();
        for number in 0..15 {
            notes.warn("a\n b", Span { start: 3, end: 4 }, &format!("text {number}"));
            notes.warn("a\n b", Span { start: 3, end: 4 }, "text 0");
        }
        let (warnings, infos) = notes.into_lists();
        assert_eq!(warnings.len(), 11);
        assert_eq!(warnings[0], "PromQL warning: text 0 (2:2)");
        assert_eq!(warnings[10], "5 more warning annotations omitted");
        assert!(infos.is_empty());
    }
}
