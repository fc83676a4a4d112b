//! A query reduced to what its grammar needs: every leaf (literal, selector, label list, duration) is taken out, read
//! here, and leaves its number behind. What is left is short, has no text of the user's in it, and is what
//! `promql-parser` parses.

use std::collections::HashMap;

use super::super::{
    ast::{Edges, Length, Selector, Span, Text},
    error::ParseError,
    functions,
};
use super::{
    length::Reader,
    lex::{Kind, Token},
    selector,
};

/// The parts taken out, by the number they left behind.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub numbers: HashMap<usize, (f64, Span)>,
    pub texts: HashMap<usize, (Text, Span)>,
    pub selectors: HashMap<usize, (Selector, Span)>,
    pub labels: HashMap<usize, Vec<String>>,
    pub lengths: HashMap<usize, Length>,
    /// Calls and aggregations, in order of the text.
    pub calls: Vec<Span>,
    /// Parentheses around expressions, in order of the text.
    pub groups: Vec<Span>,
}

/// A piece of the reduced text and where the query has it.
#[derive(Debug)]
pub(super) struct Piece {
    pub text: String,
    pub start: usize,
}

#[derive(Debug)]
enum Paren {
    Group(usize),
    Call(usize),
    Other,
}

pub(super) struct Builder<'q> {
    query: &'q str,
    tokens: Vec<Token<'q>>,
    at: usize,
    pub pieces: Vec<Piece>,
    pub leaves: Leaves,
    parens: Vec<Paren>,
    /// A function or an aggregation was named, its parenthesis has not come yet.
    call: Option<usize>,
    last_selector: Option<usize>,
}

/// How deep parentheses may nest.
const MAX_DEPTH: usize = 200;

/// How many operators there may be.
const MAX_OPERATORS: usize = 2000;

const AGGREGATORS: &[&str] = &[
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

impl<'q> Builder<'q> {
    pub(super) fn new(query: &'q str, tokens: Vec<Token<'q>>) -> Self {
        Self {
            query,
            tokens,
            at: 0,
            pieces: Vec::new(),
            leaves: Leaves::default(),
            parens: Vec::new(),
            call: None,
            last_selector: None,
        }
    }

    /// Reduces the whole query.
    pub(super) fn run(&mut self) -> Result<(), ParseError> {
        let mut operators = 0;
        while let Some(token) = self.tokens.get(self.at).cloned() {
            match token.kind.clone() {
                Kind::Number(number) => self.number(&token, number),
                // Outside brackets a duration is a number of seconds.
                Kind::Duration(millis) => self.number(&token, yagura_model::Timestamp(millis).seconds()),
                Kind::Text(text) => {
                    let id = self.id();
                    self.leaves.texts.insert(id, (text, token.span));
                    self.push(format!("\"{id}\""), &token);
                }
                Kind::Word => self.word(&token)?,
                Kind::Symbol => self.symbol(&token)?,
            }
            // A power leans to the right and a sign nests: both cost stack, the others do not.
            operators += match token.text {
                "^" => MAX_OPERATORS / 50,
                "+" | "-" if self.follows_operator() => MAX_OPERATORS / 50,
                _ if token.kind == Kind::Symbol && !matches!(token.text, "(" | ")" | ",") => 1,
                _ => 0,
            };
            if operators > MAX_OPERATORS {
                return Err(ParseError::at(self.query, token.span.start, "too many operators in one query"));
            }
        }
        Ok(())
    }

    /// Whether the token just read had an operator or nothing before it.
    fn follows_operator(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|before| self.tokens.get(before));
        before.is_none_or(|token| token.kind == Kind::Symbol && !matches!(token.text, ")" | "]" | "}" | "(" | ","))
    }

    /// The number that the current token leaves behind; never zero, because a sign may come before it.
    fn id(&self) -> usize {
        self.at + 1
    }

    fn push(&mut self, text: String, token: &Token<'_>) {
        self.pieces.push(Piece { text, start: token.span.start });
        self.at += 1;
    }

    fn number(&mut self, token: &Token<'_>, number: f64) {
        let id = self.id();
        self.leaves.numbers.insert(id, (number, token.span));
        self.push(id.to_string(), token);
    }

    fn next_is(&self, symbol: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.is(symbol))
    }

    fn symbol(&mut self, token: &Token<'q>) -> Result<(), ParseError> {
        match token.text {
            "{" => return self.selector(token),
            "[" => return self.brackets(token),
            "(" => {
                self.parens.push(match self.call.take() {
                    Some(call) => Paren::Call(call),
                    None if self.opens_fill() => Paren::Other,
                    None => {
                        self.leaves.groups.push(token.span);
                        Paren::Group(self.leaves.groups.len() - 1)
                    }
                });
                if self.parens.len() > MAX_DEPTH {
                    return Err(ParseError::at(self.query, token.span.start, "too many nested parentheses"));
                }
            }
            ")" => {
                let opened = match self.parens.pop() {
                    None => return Err(self.unexpected(token, "")),
                    Some(Paren::Group(group)) => self.leaves.groups.get_mut(group),
                    Some(Paren::Call(call)) => self.leaves.calls.get_mut(call),
                    Some(Paren::Other) => None,
                };
                if let Some(span) = opened {
                    span.end = token.span.end;
                }
            }
            "=~" | "!~" | "=" | "}" | "]" | ":" => return Err(self.unexpected(token, "")),
            _ => {}
        }
        self.push(token.text.to_owned(), token);
        Ok(())
    }

    fn opens_fill(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|before| self.tokens.get(before));
        before.is_some_and(|token| ["fill", "fill_left", "fill_right"].iter().any(|word| token.is_word(word)))
    }

    fn word(&mut self, token: &Token<'q>) -> Result<(), ParseError> {
        let word = token.text.to_ascii_lowercase();
        let after_at = self.at.checked_sub(1).and_then(|before| self.tokens.get(before)).is_some_and(|t| t.is("@"));
        match word.as_str() {
            "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" => {
                self.push(word, token);
                return if self.tokens.get(self.at).is_some_and(|token| token.is("(")) {
                    self.labels()
                } else {
                    Ok(())
                };
            }
            "and" | "or" | "unless" | "atan2" | "bool" => self.push(word, token),
            "fill" | "fill_left" | "fill_right" if self.next_is("(") => self.push(word, token),
            "offset" => return self.offset(token),
            "anchored" | "smoothed" if self.last_selector.is_some() => return self.edges(token, &word),
            "start" | "end" if after_at => {
                self.push(word, token);
                if let Some(paren) = self.tokens.get(self.at).filter(|token| token.is("(")).cloned() {
                    self.parens.push(Paren::Other);
                    self.push("(".to_owned(), &paren);
                }
            }
            _ if self.is_aggregator(&word) => {
                self.start_call(token);
                self.push(word, token);
            }
            _ if self.next_is("(") => {
                if functions::find(token.text).is_none() {
                    let message = format!("unknown function with name {:?}", token.text);
                    return Err(ParseError::at(self.query, token.span.start, message));
                }
                self.start_call(token);
                self.push(token.text.to_owned(), token);
            }
            _ => return self.selector(token),
        }
        Ok(())
    }

    fn is_aggregator(&self, word: &str) -> bool {
        let next = self.tokens.get(self.at + 1);
        let opens = |token: &Token<'_>| token.is("(") || token.is_word("by") || token.is_word("without");
        AGGREGATORS.contains(&word) && next.is_some_and(opens)
    }

    fn start_call(&mut self, token: &Token<'_>) {
        self.leaves.calls.push(token.span);
        self.call = Some(self.leaves.calls.len() - 1);
    }

    /// `anchored` and `smoothed` after a selector are kept with it; the grammar does not know them.
    fn edges(&mut self, token: &Token<'_>, word: &str) -> Result<(), ParseError> {
        let found = self.last_selector.and_then(|id| self.leaves.selectors.get_mut(&id));
        let Some((selector, _)) = found else { return Ok(()) };
        if selector.edges != Edges::Plain {
            return Err(ParseError::at(
                self.query,
                token.span.start,
                "anchored and smoothed modifiers cannot be used together",
            ));
        }
        selector.edges = if word == "anchored" { Edges::Anchored } else { Edges::Smoothed };
        self.at += 1;
        Ok(())
    }

    fn selector(&mut self, token: &Token<'q>) -> Result<(), ParseError> {
        let id = self.id();
        let (matchers, end) = selector::read(self.query, &self.tokens, self.at)?;
        let last = end.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(token.span.end, |t| t.span.end);
        let span = Span { start: token.span.start, end: last };
        let selector = Selector { matchers, offset: Length::default(), at: None, edges: Edges::Plain, id: 0 };
        self.leaves.selectors.insert(id, (selector, span));
        self.last_selector = Some(id);
        self.pieces.push(Piece { text: format!("m{id}"), start: token.span.start });
        self.at = end;
        Ok(())
    }

    /// A list of labels in parentheses; the cursor is at the parenthesis.
    fn labels(&mut self) -> Result<(), ParseError> {
        let id = self.id();
        let start = self.tokens.get(self.at).map_or(0, |token| token.span.start);
        let (labels, end) = selector::read_labels(self.query, &self.tokens, self.at)?;
        // An empty list is not the same to the grammar's checks as one with labels.
        let text = if labels.is_empty() { "()".to_owned() } else { format!("(l{id})") };
        self.leaves.labels.insert(id, labels);
        self.pieces.push(Piece { text, start });
        self.at = end;
        Ok(())
    }

    fn offset(&mut self, token: &Token<'q>) -> Result<(), ParseError> {
        let id = self.id();
        let mut reader = Reader::new(self.query, &self.tokens, self.at + 1);
        let length = reader.offset()?;
        let end = reader.at;
        self.leaves.lengths.insert(id, length);
        self.pieces.push(Piece { text: format!("offset {id}s"), start: token.span.start });
        self.at = end;
        Ok(())
    }

    /// `[5m]` or `[1h:30s]`, the step being optional.
    fn brackets(&mut self, token: &Token<'q>) -> Result<(), ParseError> {
        let id = self.id();
        let mut reader = Reader::new(self.query, &self.tokens, self.at + 1);
        let range = reader.bracketed()?;
        let mut text = format!("[{id}s");
        let is = |at: usize, symbol: &str| self.tokens.get(at).is_some_and(|token| token.is(symbol));
        if is(reader.at, ":") {
            reader.at += 1;
            text.push(':');
            if !is(reader.at, "]") {
                let step = reader.bracketed()?;
                // The colon's own number is free: nothing else is taken out between the brackets.
                self.leaves.lengths.insert(id + 1, step);
                text.push_str(&format!("{}s", id + 1));
            }
        }
        if !is(reader.at, "]") {
            return Err(reader.unexpected("\"]\" or \":\""));
        }
        let end = reader.at + 1;
        self.leaves.lengths.insert(id, range);
        text.push(']');
        self.pieces.push(Piece { text, start: token.span.start });
        self.at = end;
        Ok(())
    }

    pub(super) fn unexpected(&self, token: &Token<'_>, context: &str) -> ParseError {
        ParseError::at(self.query, token.span.start, format!("unexpected {:?}{context}", token.text))
    }
}
