//! From the parser's tree of the reduced text back to ours, with every leaf in its place, and the checks of types
//! that need the real leaves.

use std::time::{Duration, SystemTime};

use promql_parser::parser::{
    self as theirs, AtModifier, LabelModifier, Offset, VectorMatchCardinality,
    token::{
        T_ADD, T_ATAN2, T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LAND,
        T_LIMIT_RATIO, T_LIMITK, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MAX, T_MIN, T_MOD, T_MUL, T_NEQ, T_POW, T_QUANTILE,
        T_STDDEV, T_STDVAR, T_SUB, T_SUM, T_TOPK, TokenId,
    },
};

use super::super::{
    ast::{
        Aggregate, Aggregator, At, Binary, Cardinality, Expr, Length, Matching, Node, Operator, Selector, Span,
        Subquery, ValueType,
    },
    error::ParseError,
    functions::{self, Function},
};
use super::skeleton::Leaves;

pub(super) struct Converter<'q> {
    query: &'q str,
    leaves: Leaves,
    /// How many calls and parentheses were met; the tree is walked in order of the text.
    calls: usize,
    groups: usize,
    selectors: usize,
}

type Result<T> = std::result::Result<T, ParseError>;

impl<'q> Converter<'q> {
    pub(super) fn new(query: &'q str, leaves: Leaves) -> Self {
        Self { query, leaves, calls: 0, groups: 0, selectors: 0 }
    }

    pub(super) fn expr(&mut self, expr: theirs::Expr) -> Result<Expr> {
        match expr {
            theirs::Expr::Binary(binary) => self.binary(binary),
            theirs::Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            theirs::Expr::Call(call) => self.call(call),
            theirs::Expr::Unary(unary) => {
                let inner = self.expr(*unary.expr)?;
                let span = Span { start: self.sign_before(inner.span.start), end: inner.span.end };
                Ok(Expr { node: Node::Negate(Box::new(inner)), span })
            }
            theirs::Expr::Paren(paren) => {
                let span = self.leaves.groups.get(self.groups).copied().unwrap_or_default();
                self.groups += 1;
                Ok(Expr { node: Node::Paren(Box::new(self.expr(*paren.expr)?)), span })
            }
            theirs::Expr::NumberLiteral(number) => Ok(self.number(number.val)),
            theirs::Expr::StringLiteral(text) => {
                let found = text.val.parse().ok().and_then(|id: usize| self.leaves.texts.get(&id));
                let (text, span) = found.cloned().ok_or_else(|| self.lost())?;
                Ok(Expr { node: Node::Text(text), span })
            }
            theirs::Expr::VectorSelector(selector) => {
                let (selector, span) = self.selector(&selector)?;
                Ok(Expr { node: Node::Vector(selector), span })
            }
            theirs::Expr::MatrixSelector(matrix) => {
                let (selector, span) = self.selector(&matrix.vs)?;
                let range = self.length(matrix.range);
                Ok(Expr { node: Node::Matrix { selector, range }, span })
            }
            theirs::Expr::Subquery(subquery) => self.subquery(subquery),
            theirs::Expr::Extension(_) => Err(self.lost()),
        }
    }

    /// A leaf that the reduced text names and nobody took out; it cannot be, and must not end the process.
    fn lost(&self) -> ParseError {
        ParseError::at(self.query, 0, "the query could not be read")
    }

    /// Where the minus sign before a place is.
    fn sign_before(&self, place: usize) -> usize {
        let before = self.query.get(..place).unwrap_or_default();
        before.rfind('-').unwrap_or(place)
    }

    /// A literal left its number behind; the sign before it, if any, was folded into that.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is the number of a token")]
    fn number(&self, id: f64) -> Expr {
        let found = self.leaves.numbers.get(&(id.abs() as usize)).copied();
        let (number, mut span) = found.unwrap_or((f64::NAN, Span::default()));
        if id < 0.0 {
            span.start = self.sign_before(span.start);
        }
        Expr { node: Node::Number(if id < 0.0 { -number } else { number }), span }
    }

    fn length(&mut self, id: Duration) -> Length {
        let id = usize::try_from(id.as_secs()).unwrap_or_default();
        self.leaves.lengths.get(&id).cloned().unwrap_or_default()
    }

    fn offset(&mut self, offset: Option<&Offset>) -> Length {
        match offset {
            Some(Offset::Pos(id) | Offset::Neg(id)) => self.length(*id),
            None => Length::default(),
        }
    }

    fn at(&self, at: Option<&AtModifier>) -> Result<Option<At>> {
        let (id, negative) = match at {
            None => return Ok(None),
            Some(AtModifier::Start) => return Ok(Some(At::Start)),
            Some(AtModifier::End) => return Ok(Some(At::End)),
            Some(AtModifier::At(time)) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => (after.as_secs(), false),
                Err(before) => (before.duration().as_secs(), true),
            },
        };
        let id = usize::try_from(id).unwrap_or_default();
        let (seconds, span) = self.leaves.numbers.get(&id).copied().ok_or_else(|| self.lost())?;
        let seconds = if negative { -seconds } else { seconds };
        if seconds.is_nan() || seconds.abs() >= 9_223_372_036_854_775.0 {
            let message = format!("timestamp out of bounds for @ modifier: {seconds}");
            return Err(ParseError::at(self.query, span.start, message));
        }
        Ok(Some(At::Time(yagura_model::Timestamp::from_seconds(seconds).0)))
    }

    fn selector(&mut self, selector: &theirs::VectorSelector) -> Result<(Selector, Span)> {
        let id = selector.name.as_deref().and_then(|name| name.strip_prefix('m')).and_then(|id| id.parse().ok());
        let found = id.and_then(|id: usize| self.leaves.selectors.get(&id)).cloned();
        let (mut ours, span) = found.ok_or_else(|| self.lost())?;
        ours.offset = self.offset(selector.offset.as_ref());
        ours.at = self.at(selector.at.as_ref())?;
        ours.id = self.selectors;
        self.selectors += 1;
        Ok((ours, span))
    }

    fn subquery(&mut self, subquery: theirs::SubqueryExpr) -> Result<Expr> {
        let expr = self.expr(*subquery.expr)?;
        let span = expr.span;
        let ours = Subquery {
            expr,
            range: self.length(subquery.range),
            step: subquery.step.map(|step| self.length(step)),
            offset: self.offset(subquery.offset.as_ref()),
            at: self.at(subquery.at.as_ref())?,
        };
        Ok(Expr { node: Node::Subquery(Box::new(ours)), span })
    }

    fn labels(&self, id: &str) -> Vec<String> {
        let id = id.strip_prefix('l').and_then(|id| id.parse().ok());
        id.and_then(|id: usize| self.leaves.labels.get(&id)).cloned().unwrap_or_default()
    }

    fn label_list(&self, labels: &promql_parser::label::Labels) -> Vec<String> {
        labels.labels.iter().flat_map(|id| self.labels(id)).collect()
    }

    fn next_call(&mut self) -> Span {
        let span = self.leaves.calls.get(self.calls).copied().unwrap_or_default();
        self.calls += 1;
        span
    }

    fn call(&mut self, call: theirs::Call) -> Result<Expr> {
        let span = self.next_call();
        let function = functions::find(call.func.name).ok_or_else(|| self.lost())?;
        let args = call.args.args.into_iter().map(|arg| self.expr(*arg)).collect::<Result<Vec<_>>>()?;
        self.check_call(function, &args, span)?;
        Ok(Expr { node: Node::Call { function, args }, span })
    }

    fn check_call(&self, function: &Function, args: &[Expr], span: Span) -> Result<()> {
        let name = function.name;
        let wanted = function.args.len();
        let least = if function.variadic == 0 { wanted } else { wanted.saturating_sub(1) };
        let most = match function.variadic {
            0 => wanted,
            extra => usize::try_from(extra).map_or(usize::MAX, |extra| wanted.saturating_sub(1) + extra),
        };
        let message = match args.len() {
            given if function.variadic == 0 && given != wanted => {
                format!("expected {wanted} argument(s) in call to {name:?}, got {given}")
            }
            given if given < least => format!("expected at least {least} argument(s) in call to {name:?}, got {given}"),
            given if given > most => format!("expected at most {most} argument(s) in call to {name:?}, got {given}"),
            _ => String::new(),
        };
        if !message.is_empty() {
            return Err(ParseError::at(self.query, span.start, message));
        }
        let types = function.args.iter().chain(function.args.last().into_iter().cycle());
        for (arg, wanted) in args.iter().zip(types) {
            self.expect_type(arg, *wanted, &format!("call to function {name:?}"))?;
        }
        Ok(())
    }

    fn expect_type(&self, expr: &Expr, wanted: ValueType, context: &str) -> Result<()> {
        let given = expr.value_type();
        if given == wanted {
            return Ok(());
        }
        let message = format!("expected type {wanted} in {context}, got {given}");
        Err(ParseError::at(self.query, expr.span.start, message))
    }

    fn aggregate(&mut self, aggregate: theirs::AggregateExpr) -> Result<Expr> {
        let span = self.next_call();
        let op = aggregator(aggregate.op.id()).ok_or_else(|| self.lost())?;
        let param = aggregate.param.map(|param| self.expr(*param)).transpose()?;
        let expr = self.expr(*aggregate.expr)?;
        let context = "aggregation expression";
        self.expect_type(&expr, ValueType::Vector, context)?;
        if let Some(param) = &param {
            let wanted = if op == Aggregator::CountValues { ValueType::String } else { ValueType::Scalar };
            self.expect_type(param, wanted, "aggregation parameter")?;
        }
        let (without, labels) = match &aggregate.modifier {
            None => (false, Vec::new()),
            Some(LabelModifier::Include(labels)) => (false, self.label_list(labels)),
            Some(LabelModifier::Exclude(labels)) => (true, self.label_list(labels)),
        };
        let ours = Aggregate { op, param, expr, without, labels };
        Ok(Expr { node: Node::Aggregate(Box::new(ours)), span })
    }

    /// A long chain of operators leans to the left; it is walked down in a loop, so that it costs no stack.
    fn binary(&mut self, binary: theirs::BinaryExpr) -> Result<Expr> {
        let mut chain = Vec::new();
        let mut leftmost = theirs::Expr::Binary(binary);
        while let theirs::Expr::Binary(binary) = leftmost {
            chain.push((binary.op.id(), binary.modifier, *binary.rhs));
            leftmost = *binary.lhs;
        }
        let mut lhs = self.expr(leftmost)?;
        while let Some((op, modifier, rhs)) = chain.pop() {
            let rhs = self.expr(rhs)?;
            let span = Span { start: lhs.span.start, end: rhs.span.end };
            let op = operator(op).ok_or_else(|| self.lost())?;
            let (returns_bool, matching) = self.modifier(modifier);
            let binary = Binary { op, lhs, rhs, returns_bool, matching };
            self.check_binary(&binary, span)?;
            lhs = Expr { node: Node::Binary(Box::new(binary)), span };
        }
        Ok(lhs)
    }

    fn modifier(&self, modifier: Option<theirs::BinModifier>) -> (bool, Matching) {
        let Some(modifier) = modifier else { return (false, Matching::default()) };
        let (cardinality, include) = match &modifier.card {
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
                (Cardinality::OneToOne, Vec::new())
            }
            VectorMatchCardinality::ManyToOne(labels) => (Cardinality::ManyToOne, self.label_list(labels)),
            VectorMatchCardinality::OneToMany(labels) => (Cardinality::OneToMany, self.label_list(labels)),
        };
        let on = matches!(modifier.matching, Some(LabelModifier::Include(_)));
        let labels = modifier.matching.as_ref().map(|matching| self.label_list(matching.labels()));
        let fill = |id: Option<f64>| match id.map(|id| self.number(id).node) {
            Some(Node::Number(number)) => Some(number),
            _ => None,
        };
        let matching = Matching {
            on,
            labels: labels.unwrap_or_default(),
            cardinality,
            include,
            fill_left: fill(modifier.fill_values.lhs),
            fill_right: fill(modifier.fill_values.rhs),
        };
        (modifier.return_bool, matching)
    }

    fn check_binary(&self, binary: &Binary, span: Span) -> Result<()> {
        let Binary { op, lhs, rhs, matching, .. } = binary;
        let fail = |message: String| Err(ParseError::at(self.query, span.start, message));
        if let Some(label) = matching.include.iter().find(|label| matching.on && matching.labels.contains(label)) {
            return fail(format!("label {label:?} must not occur in ON and GROUP clause at once"));
        }
        let both_vectors = lhs.value_type() == ValueType::Vector && rhs.value_type() == ValueType::Vector;
        if op.is_set() && matching.cardinality != Cardinality::OneToOne {
            return fail("no grouping allowed for set operations".to_owned());
        }
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && op.is_set() {
            return fail("filling in missing series not allowed for set operators".to_owned());
        }
        if fills && !both_vectors {
            return fail("filling in missing series only allowed between instant vectors".to_owned());
        }
        Ok(())
    }
}

fn operator(token: TokenId) -> Option<Operator> {
    Some(match token {
        T_ADD => Operator::Add,
        T_SUB => Operator::Sub,
        T_MUL => Operator::Mul,
        T_DIV => Operator::Div,
        T_MOD => Operator::Mod,
        T_POW => Operator::Pow,
        T_ATAN2 => Operator::Atan2,
        T_EQLC => Operator::Equal,
        T_NEQ => Operator::NotEqual,
        T_LSS => Operator::Less,
        T_LTE => Operator::LessEqual,
        T_GTR => Operator::Greater,
        T_GTE => Operator::GreaterEqual,
        T_LAND => Operator::And,
        T_LOR => Operator::Or,
        T_LUNLESS => Operator::Unless,
        _ => return None,
    })
}

fn aggregator(token: TokenId) -> Option<Aggregator> {
    Some(match token {
        T_SUM => Aggregator::Sum,
        T_AVG => Aggregator::Avg,
        T_MIN => Aggregator::Min,
        T_MAX => Aggregator::Max,
        T_COUNT => Aggregator::Count,
        T_GROUP => Aggregator::Group,
        T_STDDEV => Aggregator::Stddev,
        T_STDVAR => Aggregator::Stdvar,
        T_TOPK => Aggregator::Topk,
        T_BOTTOMK => Aggregator::Bottomk,
        T_QUANTILE => Aggregator::Quantile,
        T_COUNT_VALUES => Aggregator::CountValues,
        T_LIMITK => Aggregator::Limitk,
        T_LIMIT_RATIO => Aggregator::LimitRatio,
        _ => return None,
    })
}
