//! From a query's text to a checked [`Expr`].
//!
//! The grammar (what binds how, where a modifier may stand) is `promql-parser`'s. It keeps no places in the text,
//! answers every fault of the grammar with the same three words, reads `\xff` as a character instead of a byte,
//! takes durations over 2^32 units for zero, panics on `[1e30]`, and knows neither arithmetic on durations nor
//! `anchored` and `smoothed`. So it is given the query's skeleton only: [`lex`] splits the text, [`skeleton`] takes out
//! every leaf and reads it, the parser arranges the numbers that the leaves left behind, and [`convert`] puts the
//! leaves back with their places and checks the types. Where the parser refuses, [`locate`] finds the first token that
//! cannot follow what stands before it, by asking whether any continuation would parse.

mod convert;
mod length;
mod lex;
pub(crate) mod literal;
pub(crate) mod regex;
mod selector;
mod skeleton;

use self::skeleton::{Builder, Piece};
use super::{ast::Expr, error::ParseError};

/// The longest query that is looked at, in bytes.
const MAX_QUERY: usize = 1 << 20;

/// Parses and checks a query.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    if query.len() > MAX_QUERY {
        return Err(ParseError::at(query, 0, format!("query is longer than {MAX_QUERY} bytes")));
    }
    let tokens = lex::tokens(query)?;
    if tokens.is_empty() {
        return Err(ParseError::at(query, 0, "no expression found in input"));
    }
    let mut builder = Builder::new(query, tokens);
    builder.run()?;
    let text = join(&builder.pieces);
    match promql_parser::parser::parse(&text) {
        Ok(tree) => convert::Converter::new(query, builder.leaves).expr(tree),
        Err(message) => Err(locate(query, &builder.pieces, &message)),
    }
}

fn join(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// What the parser says of any fault of the grammar.
const SYNTAX: &str = "invalid promql query";

/// What may complete a beginning of a query, before its open parentheses are closed.
const CONTINUATIONS: &[&str] =
    &["", "m1", "(m1)", "(l1) m1", "(l1) (m1)", "(1) m1", "(1, m1)", "(\"1\", m1)", "()", "1"];

/// The parser's refusal with its place: the first piece with which no continuation parses, or (for a fault of types)
/// with which the refusal appears.
fn locate(query: &str, pieces: &[Piece], message: &str) -> ParseError {
    if !is_syntax(message) {
        let first = first_bad(pieces, |pieces| attempt(pieces, "").is_some_and(|found| found == message));
        let place = first.checked_sub(1).and_then(|last| pieces.get(last)).map_or(0, |piece| piece.start);
        return ParseError::at(query, place, plain(message));
    }
    // Where an argument is missing a call may go on: that is a fault of types.
    let refused = |pieces: &[Piece], more: &str| attempt(pieces, more).is_some_and(|message| is_syntax(&message));
    let first = first_bad(pieces, |pieces| CONTINUATIONS.iter().all(|more| refused(pieces, more)));
    match first.checked_sub(1).and_then(|last| pieces.get(last)) {
        Some(piece) if first <= pieces.len() => {
            let end = pieces.get(first).map_or(query.len(), |next| next.start);
            let found = query.get(piece.start..end).unwrap_or_default().trim();
            ParseError::at(query, piece.start, format!("unexpected {found:?}"))
        }
        _ => ParseError::at(query, query.len(), "unexpected end of input"),
    }
}

/// How many of the pieces are the fewest that are bad; one more than there are when none are.
fn first_bad(pieces: &[Piece], bad: impl Fn(&[Piece]) -> bool) -> usize {
    let (mut good, mut first) = (0, pieces.len() + 1);
    while first - good > 1 {
        let middle = good.midpoint(first);
        if pieces.get(..middle).is_some_and(&bad) { first = middle } else { good = middle }
    }
    first
}

/// What the parser has against a beginning of a query, something more, and its parentheses closed.
fn attempt(pieces: &[Piece], more: &str) -> Option<String> {
    let open = pieces.iter().filter(|piece| piece.text == "(").count();
    let closed = pieces.iter().filter(|piece| piece.text == ")").count();
    let close = ")".repeat(open.saturating_sub(closed));
    promql_parser::parser::parse(&format!("{} {more}{close}", join(pieces))).err()
}

fn is_syntax(message: &str) -> bool {
    message == SYNTAX || message.starts_with("unexpected") || message.starts_with("unclosed")
}

/// A refusal in Prometheus' words.
fn plain(message: &str) -> String {
    let quoted = message.replace('\'', "\"");
    quoted
        .replace("type vector", "type instant vector")
        .replace("got vector", "got instant vector")
        .replace("type matrix", "type range vector")
        .replace("got matrix", "got range vector")
}

#[cfg(test)]
mod tests;
