//! LogQL as words, each with its place.

use super::ParseError;

/// A word of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `sum`, `json`, `level`.
    Word(String),
    /// `"…"` or backticks, unescaped.
    Text(String),
    /// `5`, `1.5e3`.
    Number(f64),
    /// `5m`, `1h30m`: a number with a unit, as written.
    Quantity(String),
    /// `--strict`.
    Flag(String),
    /// Everything else.
    Sign(&'static str),
    /// The end of the query.
    End,
}

/// A word and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// Longest first.
const SIGNS: &[&str] = &[
    "|=", "|~", "!=", "!~", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",", "|", "=", ">", "<", "+", "-",
    "*", "/", "%", "^",
];

/// All words, the end last.
pub(super) fn lex(query: &str) -> Result<Vec<Placed>, ParseError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = query.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
        } else {
            let (token, length) = token(query, at, rest, first)?;
            tokens.push(Placed { token, at });
            at += length;
        }
    }
    tokens.push(Placed { token: Token::End, at });
    Ok(tokens)
}

fn token(query: &str, at: usize, rest: &str, first: char) -> Result<(Token, usize), ParseError> {
    match first {
        '"' | '`' => text(query, at, rest, first),
        '0'..='9' | '.' => Ok(number(rest)),
        '-' if rest.starts_with("--") => {
            let length = word_length(rest.get(2..).unwrap_or_default(), |c| c.is_alphanumeric() || c == '-') + 2;
            Ok((Token::Flag(rest.get(2..length).unwrap_or_default().to_owned()), length))
        }
        first if first.is_alphabetic() || first == '_' => {
            let length = word_length(rest, |c| c.is_alphanumeric() || c == '_');
            Ok((Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length))
        }
        _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => Ok((Token::Sign(sign), sign.len())),
            None => Err(ParseError::at(query, at, format!("unexpected character `{first}`"))),
        },
    }
}

fn word_length(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|c: char| !belongs(c)).unwrap_or(rest.len())
}

/// A number, or a number with units (`1h30m`, `10MiB`).
fn number(rest: &str) -> (Token, usize) {
    let exponent = |before: &str, c: char| (c == '-' || c == '+') && before.ends_with(['e', 'E']);
    let mut length = 0;
    for (index, c) in rest.char_indices() {
        let before = rest.get(..index).unwrap_or_default();
        if !(c.is_alphanumeric() || c == '.' || c == 'µ' || exponent(before, c)) {
            break;
        }
        length = index + c.len_utf8();
    }
    let written = rest.get(..length).unwrap_or_default();
    match written.parse() {
        Ok(number) => (Token::Number(number), length),
        Err(_) => (Token::Quantity(written.to_owned()), length),
    }
}

fn text(query: &str, at: usize, rest: &str, quote: char) -> Result<(Token, usize), ParseError> {
    let mut held = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        if c == quote {
            return Ok((Token::Text(held), index + 1));
        }
        if c != '\\' || quote == '`' {
            held.push(c);
            continue;
        }
        let escaped = characters.next().map(|(_, escaped)| escaped);
        match escaped {
            Some('n') => held.push('\n'),
            Some('t') => held.push('\t'),
            Some('r') => held.push('\r'),
            Some(c @ ('\\' | '"' | '\'' | '/')) => held.push(c),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                held.push(code.ok_or_else(|| ParseError::at(query, at + index, "bad \\u escape in a text"))?);
            }
            _ => {
                return Err(ParseError::at(
                    query,
                    at + index,
                    "unknown escape in a text; use backticks for regular expressions",
                ));
            }
        }
    }
    Err(ParseError::at(query, at, "this text has no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[Token]) {
        let tokens: Vec<_> = lex(query).unwrap().into_iter().map(|placed| placed.token).collect();
        assert_eq!(tokens.split_last().unwrap().1, expected);
    }

    #[test]
    fn words_texts_and_quantities() {
        let word = |text: &str| Token::Word(text.to_owned());
        let text = |text: &str| Token::Text(text.to_owned());
        check("{a=\"b\\n\"}", &[Token::Sign("{"), word("a"), Token::Sign("="), text("b\n"), Token::Sign("}")]);
        check("|~ `\\d+`", &[Token::Sign("|~"), text("\\d+")]);
        check("[1h30m]", &[Token::Sign("["), Token::Quantity("1h30m".to_owned()), Token::Sign("]")]);
        check("> 1.5e-3", &[Token::Sign(">"), Token::Number(0.0015)]);
        check("logfmt --keep-empty", &[word("logfmt"), Token::Flag("keep-empty".to_owned())]);
        check("a # b\n c", &[word("a"), word("c")]);
    }

    #[test]
    fn a_bad_character_is_placed() {
        let error = lex("{a=\"b\"} ;").unwrap_err();
        assert_eq!((error.offset, error.column), (8, 9));
        assert!(lex("{a=\"b").is_err());
    }
}
