//! What stands in a selector's braces, and the label lists of `by`, `on` and their like.

use yagura_model::labels::NAME;

use super::super::error::ParseError;
use super::lex::{Kind, Token};
use crate::storage::{MatchOp, Matcher};

/// Reads a selector that starts at token `at`: a name, braces, or both. Gives its matchers and the token after it.
pub(super) fn read(query: &str, tokens: &[Token<'_>], at: usize) -> Result<(Vec<Matcher>, usize), ParseError> {
    let mut cursor = Cursor { query, tokens, at };
    let start = cursor.place();
    let mut name = None;
    let mut matchers = Vec::new();
    if let Some(word) = tokens.get(at).filter(|token| token.kind == Kind::Word) {
        name = Some(word.text.to_owned());
        cursor.at += 1;
    }
    if cursor.accept("{") {
        cursor.matchers(&mut name, &mut matchers)?;
    }
    if let Some(name) = name {
        if let Some(twice) = matchers.iter().find(|matcher| matcher.name == NAME) {
            let message = format!("metric name must not be set twice: {name:?} or {:?}", twice.value);
            return Err(ParseError::at(query, start, message));
        }
        matchers.push(plain(NAME, &name));
    } else if matchers.iter().all(|matcher| matcher.matches("")) {
        return Err(ParseError::at(query, start, "vector selector must contain at least one non-empty matcher"));
    }
    Ok((matchers, cursor.at))
}

/// Reads a list of labels in parentheses at token `at`. Gives the labels and the token after it.
pub(super) fn read_labels(query: &str, tokens: &[Token<'_>], at: usize) -> Result<(Vec<String>, usize), ParseError> {
    let mut cursor = Cursor { query, tokens, at };
    let mut labels = Vec::new();
    if !cursor.accept("(") {
        return Err(cursor.unexpected("grouping opts", "\"(\""));
    }
    loop {
        if cursor.accept(")") {
            return Ok((labels, cursor.at));
        }
        let Some(token) = cursor.token() else { return Err(cursor.unexpected("grouping opts", "label or \")\"")) };
        match &token.kind {
            Kind::Word if !token.text.contains(':') => labels.push(token.text.to_owned()),
            // `inf` and `nan` are names here.
            Kind::Number(_) if token.text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                labels.push(token.text.to_owned());
            }
            Kind::Text(text) if text.valid && !text.value.is_empty() => labels.push(text.value.clone()),
            _ => return Err(cursor.unexpected("grouping opts", "label")),
        }
        cursor.at += 1;
        if !cursor.accept(",") && !cursor.token().is_some_and(|token| token.is(")")) {
            return Err(cursor.unexpected("grouping opts", "\",\" or \")\""));
        }
    }
}

struct Cursor<'t, 'q> {
    query: &'q str,
    tokens: &'t [Token<'q>],
    at: usize,
}

impl<'t, 'q> Cursor<'t, 'q> {
    fn token(&self) -> Option<&'t Token<'q>> {
        self.tokens.get(self.at)
    }

    fn place(&self) -> usize {
        self.token().map_or(self.query.len(), |token| token.span.start)
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.token().is_some_and(|token| token.is(symbol));
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, place: &str, expected: &str) -> ParseError {
        let found = self.token().map_or("end of input".to_owned(), |token| format!("{:?}", token.text));
        let message = format!("unexpected {found} in {place}, expected {expected}");
        ParseError::at(self.query, self.place(), message)
    }

    fn matchers(&mut self, name: &mut Option<String>, matchers: &mut Vec<Matcher>) -> Result<(), ParseError> {
        loop {
            if self.accept("}") {
                return Ok(());
            }
            self.matcher(name, matchers)?;
            if !self.accept(",") && !self.token().is_some_and(|token| token.is("}")) {
                return Err(self.unexpected("label matching", "\",\" or \"}\""));
            }
        }
    }

    fn matcher(&mut self, name: &mut Option<String>, matchers: &mut Vec<Matcher>) -> Result<(), ParseError> {
        let Some(token) = self.token() else { return Err(self.unexpected("label matching", "identifier or \"}\"")) };
        let (label, quoted) = match &token.kind {
            Kind::Word if !token.text.contains(':') => (token.text.to_owned(), false),
            Kind::Number(_) if token.text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                (token.text.to_owned(), false)
            }
            Kind::Text(text) => (text.value.clone(), true),
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        let place = token.span.start;
        self.at += 1;
        let op = match self.token().map(|token| token.text) {
            Some("=") => MatchOp::Equal,
            Some("!=") => MatchOp::NotEqual,
            Some("=~") => MatchOp::Regex,
            Some("!~") => MatchOp::NotRegex,
            // A quoted name alone is the metric's.
            _ if quoted => {
                if let Some(first) = name {
                    let message = format!("metric name must not be set twice: {first:?} or {label:?}");
                    return Err(ParseError::at(self.query, place, message));
                }
                *name = Some(label);
                return Ok(());
            }
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.at += 1;
        let Some(Kind::Text(value)) = self.token().map(|token| &token.kind) else {
            return Err(self.unexpected("label matching", "string"));
        };
        let matcher = matcher(&label, op, &value.value)
            .map_err(|error| ParseError::at(self.query, self.place(), error.to_string()))?;
        matchers.push(matcher);
        self.at += 1;
        Ok(())
    }
}

fn plain(name: &str, value: &str) -> Matcher {
    Matcher { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned(), regex: None }
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Result<Matcher, regex::Error> {
    let mut matcher = Matcher::new(name, op, &super::regex::from_go(value))?;
    value.clone_into(&mut matcher.value);
    Ok(matcher)
}
