//! Durations in brackets and after `offset`: a literal, or arithmetic with `step()`, `range()`, `min` and `max`.

use super::super::{
    ast::{Formula, FormulaOp, Length, Span},
    error::ParseError,
};
use super::lex::{Kind, Token};

/// How deep parentheses may nest in one duration.
const MAX_DEPTH: usize = 50;

/// Reads durations from the tokens of a query.
pub(super) struct Reader<'t, 'q> {
    pub query: &'q str,
    pub tokens: &'t [Token<'q>],
    /// The next token.
    pub at: usize,
    depth: usize,
}

impl<'t, 'q> Reader<'t, 'q> {
    pub(super) fn new(query: &'q str, tokens: &'t [Token<'q>], at: usize) -> Self {
        Self { query, tokens, at, depth: 0 }
    }

    /// A whole expression, as it may stand in brackets. It must be more than zero.
    pub(super) fn bracketed(&mut self) -> Result<Length, ParseError> {
        let start = self.at;
        let formula = self.sum()?;
        self.length(start, formula, true)
    }

    /// A literal, a call, or something in parentheses, with signs before it, as it may stand after `offset`.
    pub(super) fn offset(&mut self) -> Result<Length, ParseError> {
        let start = self.at;
        let formula = self.signed(Self::primary)?;
        self.length(start, formula, false)
    }

    fn length(&self, start: usize, formula: Formula, must_be_positive: bool) -> Result<Length, ParseError> {
        let span = self.span_from(start);
        if !formula.is_constant() {
            return Ok(Length::Computed { formula: Box::new(formula), span, must_be_positive });
        }
        let millis = formula.millis(0.0, 0.0, must_be_positive);
        millis.map(Length::Fixed).map_err(|message| ParseError::at(self.query, span.start, message))
    }

    fn span_from(&self, first: usize) -> Span {
        let start = self.tokens.get(first).map_or(self.query.len(), |token| token.span.start);
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |token| token.span.end);
        Span { start, end }
    }

    fn accept(&mut self, symbols: &[(&str, FormulaOp)]) -> Option<FormulaOp> {
        let token = self.tokens.get(self.at)?;
        let (_, op) = symbols.iter().find(|(symbol, _)| token.is(symbol))?;
        self.at += 1;
        Some(*op)
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.tokens.get(self.at).is_some_and(|token| token.is(symbol)) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(&format!("{symbol:?}")))
    }

    pub(super) fn unexpected(&self, expected: &str) -> ParseError {
        match self.tokens.get(self.at) {
            Some(token) => {
                let message = format!("unexpected {:?} in duration, expected {expected}", token.text);
                ParseError::at(self.query, token.span.start, message)
            }
            None => {
                let message = format!("unexpected end of input in duration, expected {expected}");
                ParseError::at(self.query, self.query.len(), message)
            }
        }
    }

    fn sum(&mut self) -> Result<Formula, ParseError> {
        let mut left = self.product()?;
        while let Some(op) = self.accept(&[("+", FormulaOp::Add), ("-", FormulaOp::Sub)]) {
            left = Formula::Pair(Box::new(left), op, Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Formula, ParseError> {
        let mut left = self.signed(Self::power)?;
        while let Some(op) = self.accept(&[("*", FormulaOp::Mul), ("/", FormulaOp::Div), ("%", FormulaOp::Mod)]) {
            left = Formula::Pair(Box::new(left), op, Box::new(self.signed(Self::power)?));
        }
        Ok(left)
    }

    fn signed(&mut self, inner: fn(&mut Self) -> Result<Formula, ParseError>) -> Result<Formula, ParseError> {
        let mut negative = false;
        while let Some(op) = self.accept(&[("+", FormulaOp::Add), ("-", FormulaOp::Sub)]) {
            negative ^= op == FormulaOp::Sub;
        }
        let formula = inner(self)?;
        Ok(if negative { Formula::Negate(Box::new(formula)) } else { formula })
    }

    fn power(&mut self) -> Result<Formula, ParseError> {
        let base = self.primary()?;
        if self.accept(&[("^", FormulaOp::Pow)]).is_none() {
            return Ok(base);
        }
        self.deeper(|reader| {
            let exponent = reader.signed(Self::power)?;
            Ok(Formula::Pair(Box::new(base), FormulaOp::Pow, Box::new(exponent)))
        })
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<Formula, ParseError>) -> Result<Formula, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected("less nesting"));
        }
        let formula = inner(self);
        self.depth -= 1;
        formula
    }

    fn primary(&mut self) -> Result<Formula, ParseError> {
        let Some(token) = self.tokens.get(self.at) else { return Err(self.unexpected("a duration")) };
        match &token.kind {
            Kind::Number(seconds) => {
                self.at += 1;
                Ok(Formula::Seconds(*seconds))
            }
            Kind::Duration(millis) => {
                self.at += 1;
                Ok(Formula::Seconds(seconds(*millis)))
            }
            Kind::Word => self.call(),
            Kind::Symbol if token.is("(") => {
                self.at += 1;
                self.deeper(|reader| {
                    let formula = reader.sum()?;
                    reader.expect(")").map(|()| formula)
                })
            }
            _ => Err(self.unexpected("a duration")),
        }
    }

    fn call(&mut self) -> Result<Formula, ParseError> {
        let word = self.tokens.get(self.at).map(|token| token.text.to_ascii_lowercase()).unwrap_or_default();
        let op = match word.as_str() {
            "min" => Some(FormulaOp::Min),
            "max" => Some(FormulaOp::Max),
            "step" | "range" => None,
            _ => return Err(self.unexpected("a duration")),
        };
        self.at += 1;
        self.expect("(")?;
        let Some(op) = op else {
            self.expect(")")?;
            return Ok(if word == "step" { Formula::Step } else { Formula::Range });
        };
        self.deeper(|reader| {
            let left = reader.sum()?;
            reader.expect(",")?;
            let right = reader.sum()?;
            reader.expect(")")?;
            Ok(Formula::Pair(Box::new(left), op, Box::new(right)))
        })
    }
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

impl Formula {
    fn is_constant(&self) -> bool {
        match self {
            Self::Seconds(_) => true,
            Self::Step | Self::Range => false,
            Self::Negate(inner) => inner.is_constant(),
            Self::Pair(left, _, right) => left.is_constant() && right.is_constant(),
        }
    }

    /// Its value in milliseconds, given the query's step and range in seconds.
    pub(crate) fn millis(&self, step: f64, range: f64, must_be_positive: bool) -> Result<i64, String> {
        let seconds = self.seconds(step, range)?;
        if must_be_positive && (seconds <= 0.0 || seconds.is_nan()) {
            return Err("duration must be greater than 0".to_owned());
        }
        // Go counts durations in nanoseconds in 64 bits.
        if seconds.is_nan() || seconds.abs() > 9_223_372_036.0 {
            return Err("duration out of range".to_owned());
        }
        #[expect(clippy::cast_possible_truncation, reason = "the value was just bounded")]
        Ok(((seconds * 1e9).round() / 1e6).trunc() as i64)
    }

    fn seconds(&self, step: f64, range: f64) -> Result<f64, String> {
        let (left, op, right) = match self {
            Self::Seconds(seconds) => return Ok(*seconds),
            Self::Step => return Ok(step),
            Self::Range => return Ok(range),
            Self::Negate(inner) => return inner.seconds(step, range).map(|seconds| -seconds),
            Self::Pair(left, op, right) => (left.seconds(step, range)?, op, right.seconds(step, range)?),
        };
        Ok(match op {
            FormulaOp::Add => left + right,
            FormulaOp::Sub => left - right,
            FormulaOp::Mul => left * right,
            FormulaOp::Div if right == 0.0 => return Err("division by zero".to_owned()),
            FormulaOp::Div => left / right,
            FormulaOp::Mod if right == 0.0 => return Err("modulo by zero".to_owned()),
            FormulaOp::Mod => left % right,
            FormulaOp::Pow => left.powf(right),
            FormulaOp::Min => left.min(right),
            FormulaOp::Max => left.max(right),
        })
    }
}
