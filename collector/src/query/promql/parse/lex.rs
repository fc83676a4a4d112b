//! The words of a query, with their places.

use super::super::{
    ast::{Span, Text},
    error::ParseError,
};
use super::literal;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword, as written.
    Word,
    /// A number; `inf` and `nan` are words in the text and numbers here.
    Number(f64),
    /// A duration such as `1h30m`, in milliseconds.
    Duration(i64),
    Text(Text),
    /// A bracket, a comma, an operator.
    Symbol,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub span: Span,
}

impl Token<'_> {
    pub(super) fn is(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: &[&str] = &[
    "==", "!=", "<=", ">=", "=~", "!~", "(", ")", "{", "}", "[", "]", ",", ":", "+", "-", "*", "/", "%", "^", "<", ">",
    "=", "@",
];

/// Splits a query into tokens; white space and comments are left out.
pub(super) fn tokens(query: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut in_brackets = false;
    while let Some(rest) = query.get(at..).filter(|rest| !rest.is_empty()) {
        let skipped = blank(rest);
        if skipped > 0 {
            at += skipped;
            continue;
        }
        let (kind, length) = next(rest, in_brackets).map_err(|message| ParseError::at(query, at, message))?;
        let text = rest.get(..length).unwrap_or(rest);
        match text {
            "[" => in_brackets = true,
            "]" => in_brackets = false,
            _ => {}
        }
        tokens.push(Token { kind, text, span: Span { start: at, end: at + text.len() } });
        at += text.len().max(1);
    }
    Ok(tokens)
}

/// How many bytes of white space or of a comment `rest` starts with.
fn blank(rest: &str) -> usize {
    if rest.starts_with('#') {
        return rest.find(['\n', '\r']).unwrap_or(rest.len());
    }
    rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
}

fn next(rest: &str, in_brackets: bool) -> Result<(Kind, usize), String> {
    let first = rest.chars().next().unwrap_or_default();
    let second = rest.chars().nth(1).unwrap_or_default();
    match first {
        '"' | '\'' | '`' => text(rest, first),
        '0'..='9' => number(rest),
        '.' if second.is_ascii_digit() => number(rest),
        // Within brackets a colon parts range and step; elsewhere it belongs to a name.
        ':' if in_brackets => Ok((Kind::Symbol, 1)),
        'a'..='z' | 'A'..='Z' | '_' | ':' => Ok(word(rest, in_brackets)),
        _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => Ok((Kind::Symbol, symbol.len())),
            None => Err(format!("unexpected character: {first:?}")),
        },
    }
}

fn word(rest: &str, in_brackets: bool) -> (Kind, usize) {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && !in_brackets);
    let length = rest.find(|c: char| !belongs(c)).unwrap_or(rest.len());
    let word = rest.get(..length).unwrap_or_default();
    if word.eq_ignore_ascii_case("inf") {
        (Kind::Number(f64::INFINITY), length)
    } else if word.eq_ignore_ascii_case("nan") {
        (Kind::Number(f64::NAN), length)
    } else {
        (Kind::Word, length)
    }
}

fn number(rest: &str) -> Result<(Kind, usize), String> {
    let length = literal::number_length(rest);
    let all = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len());
    let candidate = rest.get(..length).unwrap_or_default();
    if all <= length {
        let number =
            literal::number(candidate).ok_or_else(|| format!("bad number or duration syntax: {candidate:?}"))?;
        return Ok((Kind::Number(number), length));
    }
    let candidate = rest.get(..all).unwrap_or_default();
    let millis = literal::duration(candidate).ok_or_else(|| format!("bad number or duration syntax: {candidate:?}"))?;
    Ok((Kind::Duration(millis), all))
}

fn text(rest: &str, quote: char) -> Result<(Kind, usize), String> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' if quote != '`' => break,
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => {
                let inner = rest.get(1..at).unwrap_or_default();
                return Ok((Kind::Text(literal::unquote(inner, quote)?), at + 1));
            }
            _ => {}
        }
    }
    Err(if quote == '`' { "unterminated raw string".to_owned() } else { "unterminated quoted string".to_owned() })
}
