//! From words to a query: recursive descent, with the place of what is wrong.

use std::time::Duration;

use super::{
    ParseError,
    ast::{
        AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Comparison, Expr, Grouping, LogExpr, MetricExpr, RangeExpr,
        RangeOp, Unit,
    },
    lex::{Placed, Token, lex},
    units,
};
use crate::storage::{MatchOp, Matcher};

/// Parses a query.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser { query, tokens: lex(query)?, next: 0 };
    let expr =
        if parser.peek() == &Token::Sign("{") { Expr::Log(parser.log()?) } else { Expr::Metric(parser.metric(0)?) };
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("the end of the query")),
    }
}

/// Parses a stream selector alone.
pub fn parse_selector(query: &str) -> Result<Vec<Matcher>, ParseError> {
    match parse(query)? {
        Expr::Log(log) => Ok(log.matchers),
        Expr::Metric(_) => Err(ParseError::at(query, 0, "expected a stream selector such as {service=\"shop\"}")),
    }
}

pub(super) struct Parser<'a> {
    pub(super) query: &'a str,
    tokens: Vec<Placed>,
    next: usize,
}

/// Queries nested deeper than this are refused: the parser recurses.
const MAX_DEPTH: usize = 64;

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |placed| &placed.token)
    }

    pub(super) fn peek_second(&self) -> &Token {
        self.tokens.get(self.next + 1).map_or(&Token::End, |placed| &placed.token)
    }

    pub(super) fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.query.len(), |placed| placed.at)
    }

    pub(super) fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub(super) fn accept(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == &Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found == word);
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<(), ParseError> {
        if self.accept(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    pub(super) fn word(&mut self, what: &str) -> Result<String, ParseError> {
        match self.peek().clone() {
            Token::Word(word) => {
                self.next += 1;
                Ok(word)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, ParseError> {
        match self.peek().clone() {
            Token::Text(text) => {
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> ParseError {
        let found = match self.peek() {
            Token::Word(word) | Token::Quantity(word) => format!("`{word}`"),
            Token::Text(text) => format!("the text {text:?}"),
            Token::Number(number) => format!("`{number}`"),
            Token::Flag(flag) => format!("`--{flag}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end of the query".to_owned(),
        };
        ParseError::at(self.query, self.at(), format!("expected {wanted}, found {found}"))
    }

    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.query, at, message)
    }

    pub(super) fn log(&mut self) -> Result<LogExpr, ParseError> {
        Ok(LogExpr { matchers: self.selector()?, stages: self.stages()? })
    }

    fn selector(&mut self) -> Result<Vec<Matcher>, ParseError> {
        let at = self.at();
        self.expect("{")?;
        let mut matchers = Vec::new();
        while !self.accept("}") {
            if !matchers.is_empty() {
                self.expect(",")?;
                if self.accept("}") {
                    break;
                }
            }
            matchers.push(self.matcher()?);
        }
        // As in Loki: a selector that every stream passes would read everything.
        if matchers.iter().all(|matcher: &Matcher| matcher.matches("")) {
            let message = "at least one matcher has to refuse the empty value, such as {service=~\".+\"}";
            return Err(self.error(at, message));
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let name = self.word("a label's name")?;
        let Some(op) = self.match_op() else { return Err(self.unexpected("`=`, `!=`, `=~` or `!~`")) };
        let at = self.at();
        let value = self.text("a text in quotes")?;
        Matcher::new(&name, op, &value).map_err(|error| self.error(at, format!("bad regular expression: {error}")))
    }

    /// The comparison of a text, if one comes next.
    pub(super) fn match_op(&mut self) -> Option<MatchOp> {
        let op = match self.peek() {
            Token::Sign("=") => MatchOp::Equal,
            Token::Sign("!=") => MatchOp::NotEqual,
            Token::Sign("=~") => MatchOp::Regex,
            Token::Sign("!~") => MatchOp::NotRegex,
            _ => return None,
        };
        self.next += 1;
        Some(op)
    }

    /// Precedence climbing over the binary operators.
    fn metric(&mut self, least: u8) -> Result<MetricExpr, ParseError> {
        if self.next > 0 && self.depth() > MAX_DEPTH {
            return Err(self.error(self.at(), "nested too deeply"));
        }
        let mut left = self.operand()?;
        while let Some(op) = self.binary_op().filter(|op| op.precedence() >= least) {
            self.next += 1;
            let bool = self.accept_word("bool");
            let matching = self.matching()?;
            let right_least = op.precedence() + u8::from(op != BinaryOp::Pow);
            let right = self.metric(right_least)?;
            left = MetricExpr::Binary(Box::new(BinaryExpr { op, bool, matching, left, right }));
        }
        Ok(left)
    }

    /// How many parentheses are open at this place.
    fn depth(&self) -> usize {
        let before = self.tokens.get(..self.next).unwrap_or_default();
        let count = |sign| before.iter().filter(|placed| placed.token == Token::Sign(sign)).count();
        count("(").saturating_sub(count(")"))
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        Some(match self.peek() {
            Token::Sign("+") => BinaryOp::Add,
            Token::Sign("-") => BinaryOp::Sub,
            Token::Sign("*") => BinaryOp::Mul,
            Token::Sign("/") => BinaryOp::Div,
            Token::Sign("%") => BinaryOp::Mod,
            Token::Sign("^") => BinaryOp::Pow,
            Token::Sign("==") => BinaryOp::Compare(Comparison::Equal),
            Token::Sign("!=") => BinaryOp::Compare(Comparison::NotEqual),
            Token::Sign(">") => BinaryOp::Compare(Comparison::Greater),
            Token::Sign(">=") => BinaryOp::Compare(Comparison::GreaterOrEqual),
            Token::Sign("<") => BinaryOp::Compare(Comparison::Less),
            Token::Sign("<=") => BinaryOp::Compare(Comparison::LessOrEqual),
            Token::Word(word) => match word.as_str() {
                "and" => BinaryOp::And,
                "or" => BinaryOp::Or,
                "unless" => BinaryOp::Unless,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn matching(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = match self.peek() {
            Token::Word(word) if word == "on" => false,
            Token::Word(word) if word == "ignoring" => true,
            Token::Word(word) if word == "group_left" || word == "group_right" => {
                return Err(self.error(self.at(), format!("`{word}` is not supported in LogQL here")));
            }
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn operand(&mut self) -> Result<MetricExpr, ParseError> {
        if self.accept("(") {
            let inner = self.metric(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept("-") {
            let number = self.number("a number after `-`")?;
            return Ok(MetricExpr::Number(-number));
        }
        if let Token::Number(number) = *self.peek() {
            self.next += 1;
            return Ok(MetricExpr::Number(number));
        }
        let at = self.at();
        let name = self.word("a function such as `rate` or a selector such as {service=\"shop\"}")?;
        if name == "vector" {
            self.expect("(")?;
            let number = self.number("a number")?;
            self.expect(")")?;
            return Ok(MetricExpr::Vector(number));
        }
        if let Some(op) = range_op(&name) {
            return self.range(op);
        }
        match aggregate_op(&name) {
            Some(op) => self.aggregate(op),
            None => Err(self.error(at, format!("there is no function named `{name}`"))),
        }
    }

    fn number(&mut self, what: &str) -> Result<f64, ParseError> {
        let sign = if self.accept("-") { -1.0 } else { 1.0 };
        match *self.peek() {
            Token::Number(number) => {
                self.next += 1;
                Ok(sign * number)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<MetricExpr, ParseError> {
        let before = self.grouping()?;
        self.expect("(")?;
        let mut parameter = 0.0;
        if matches!(op, AggregateOp::Topk | AggregateOp::Bottomk) {
            parameter = self.number("how many series")?;
            self.expect(",")?;
        }
        let inner = self.metric(0)?;
        self.expect(")")?;
        let grouping = if before.is_some() { before } else { self.grouping()? };
        Ok(MetricExpr::Aggregate(Box::new(AggregateExpr { op, parameter, grouping, inner })))
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = match self.peek() {
            Token::Word(word) if word == "by" => false,
            Token::Word(word) if word == "without" => true,
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.accept(")") {
            if !labels.is_empty() {
                self.expect(",")?;
            }
            labels.push(self.word("a label's name")?);
        }
        Ok(labels)
    }

    fn range(&mut self, op: RangeOp) -> Result<MetricExpr, ParseError> {
        self.expect("(")?;
        let mut parameter = 0.0;
        if op == RangeOp::Quantile {
            parameter = self.number("a quantile between 0 and 1")?;
            self.expect(",")?;
        }
        let at = self.at();
        let matchers = self.selector()?;
        // The window may stand before the pipeline or after it.
        let mut range = self.window()?;
        let stages = self.stages()?;
        let unwrap = self.unwrap_stage()?;
        let mut log = LogExpr { matchers, stages };
        log.stages.extend(self.stages()?);
        if range.is_none() {
            range = self.window()?;
        }
        let Some(range) = range else { return Err(self.unexpected("a window such as [5m]")) };
        let offset = if self.accept_word("offset") { self.duration()? } else { Duration::ZERO };
        self.expect(")")?;
        let grouping = self.grouping()?;
        if needs_unwrap(op) && unwrap.is_none() {
            return Err(self.error(at, "this function needs `| unwrap label` to know what number to take"));
        }
        Ok(MetricExpr::Range(Box::new(RangeExpr { op, parameter, log, unwrap, range, offset, grouping })))
    }

    fn window(&mut self) -> Result<Option<Duration>, ParseError> {
        if !self.accept("[") {
            return Ok(None);
        }
        let range = self.duration()?;
        if range.is_zero() {
            return Err(self.error(self.at(), "a window is longer than zero"));
        }
        self.expect("]")?;
        Ok(Some(range))
    }

    fn duration(&mut self) -> Result<Duration, ParseError> {
        let (at, token) = (self.at(), self.take());
        let seconds = match &token {
            Token::Quantity(text) => units::duration(text),
            _ => None,
        };
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        duration.ok_or_else(|| self.error(at, "expected a duration such as 5m"))
    }

    fn unwrap_stage(&mut self) -> Result<Option<(String, Unit)>, ParseError> {
        let comes =
            self.peek() == &Token::Sign("|") && matches!(self.peek_second(), Token::Word(word) if word == "unwrap");
        if !comes {
            return Ok(None);
        }
        self.next += 2;
        let word = self.word("a label's name")?;
        if !self.accept("(") {
            return Ok(Some((word, Unit::Plain)));
        }
        let unit = match word.as_str() {
            "duration" | "duration_seconds" => Unit::Duration,
            "bytes" => Unit::Bytes,
            _ => return Err(self.error(self.at(), format!("there is no conversion `{word}`; use duration or bytes"))),
        };
        let label = self.word("a label's name")?;
        self.expect(")")?;
        Ok(Some((label, unit)))
    }
}

fn needs_unwrap(op: RangeOp) -> bool {
    !matches!(op, RangeOp::Rate | RangeOp::Count | RangeOp::BytesRate | RangeOp::Bytes | RangeOp::Absent)
}

fn range_op(name: &str) -> Option<RangeOp> {
    Some(match name {
        "rate" => RangeOp::Rate,
        "rate_counter" => RangeOp::RateCounter,
        "count_over_time" => RangeOp::Count,
        "bytes_rate" => RangeOp::BytesRate,
        "bytes_over_time" => RangeOp::Bytes,
        "sum_over_time" => RangeOp::Sum,
        "avg_over_time" => RangeOp::Avg,
        "min_over_time" => RangeOp::Min,
        "max_over_time" => RangeOp::Max,
        "first_over_time" => RangeOp::First,
        "last_over_time" => RangeOp::Last,
        "stddev_over_time" => RangeOp::Stddev,
        "stdvar_over_time" => RangeOp::Stdvar,
        "quantile_over_time" => RangeOp::Quantile,
        "absent_over_time" => RangeOp::Absent,
        _ => return None,
    })
}

fn aggregate_op(name: &str) -> Option<AggregateOp> {
    Some(match name {
        "sum" => AggregateOp::Sum,
        "avg" => AggregateOp::Avg,
        "min" => AggregateOp::Min,
        "max" => AggregateOp::Max,
        "count" => AggregateOp::Count,
        "stddev" => AggregateOp::Stddev,
        "stdvar" => AggregateOp::Stdvar,
        "topk" => AggregateOp::Topk,
        "bottomk" => AggregateOp::Bottomk,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(query: &str) -> Expr {
        parse(query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    fn bad(query: &str, expected: &str) {
        let error = parse(query).unwrap_err().to_string();
        assert!(error.contains(expected), "{query}: {error}");
    }

    #[test]
    fn what_grafana_sends_is_read() {
        for query in [
            r#"{a="b", c=~"d.*", e!="f", g!~"h",}"#,
            r#"{a="b"} |= "x" or "y" != `z` |~ "(?i)text" !~ "w""#,
            r#"sum by (level, detected_level) (count_over_time({a="b"} |= "x" | drop __error__[15000ms]))"#,
            r#"{a="b"} | json | level="error" and duration > 10s or size <= 5MB | __error__="""#,
            r#"{a="b"} | json x="a.b[0]", y="c" | logfmt --strict --keep-empty z="w""#,
            r#"{a="b"} | pattern "<ip> - <_> \"<method> <path>\"" | regexp "(?P<n>\\d+)" | unpack | decolorize"#,
            r#"{a="b"} | line_format "{{.x}}" | label_format a=b, c="{{.d}}" | keep a, b="c" | drop x, y=~"z""#,
            r#"quantile_over_time(0.99, {a="b"} | json | unwrap duration(took) | __error__="" [5m]) by (path)"#,
            r#"topk(5, sum(rate({a="b"}[5m])) by (x)) / 2 > bool 1"#,
            r#"sum(rate({a="b"}[1m] offset 5m)) + on (x) sum(rate({a="c"}[1m]))"#,
            "vector(1)+vector(1)",
            r#"(sum(count_over_time({a="b"}[1m])) or vector(0)) ^ 2 ^ 3"#,
        ] {
            good(query);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        bad("{}", "at least one matcher");
        bad(r#"{a=~".*"}"#, "at least one matcher");
        bad(r#"{a="b"} | jsn"#, "jsn");
        bad(r#"{a="b""#, "expected `,`, found the end of the query");
        bad(r#"rate({a="b"})"#, "a window such as [5m]");
        bad(r#"sum_over_time({a="b"}[5m])"#, "unwrap");
        bad(r#"{a=~"("}"#, "bad regular expression");
        bad(r#"summ(rate({a="b"}[5m]))"#, "no function named `summ`");
        bad(r#"sum(rate({a="b"}[5m]))) "#, "the end of the query, found `)`");
        assert_eq!(parse("\n  summ(x)").unwrap_err().line, 2);
    }

    #[test]
    fn a_very_deep_query_is_refused_not_overflown() {
        let query = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
        bad(&query, "nested too deeply");
    }

    #[test]
    fn operators_bind_as_in_promql() {
        let Expr::Metric(MetricExpr::Binary(sum)) = good("1 + 2 * 3 ^ 2 ^ 2") else { panic!("no sum") };
        assert_eq!(sum.op, BinaryOp::Add);
        let MetricExpr::Binary(product) = &sum.right else { panic!("no product") };
        let MetricExpr::Binary(power) = &product.right else { panic!("no power") };
        assert!(matches!(power.right, MetricExpr::Binary(_)), "powers bind to the right");
    }
}
