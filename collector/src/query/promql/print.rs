//! A query written out again, in one way whoever wrote it.

use std::fmt::{self, Display, Formatter};

use yagura_model::labels::NAME;

use super::{
    ast::{
        Aggregate, Aggregator, At, Binary, Cardinality, Edges, Expr, Formula, FormulaOp, Length, Node, Operator,
        Selector,
    },
    notes::shortest,
};
use crate::storage::MatchOp;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number(number) => f.write_str(&shortest(*number)),
            Node::Text(text) => write!(f, "{:?}", text.value),
            Node::Vector(selector) => write_selector(f, selector, ""),
            Node::Matrix { selector, range } => write_selector(f, selector, &format!("[{}]", length(range))),
            Node::Subquery(subquery) => {
                let step = subquery.step.as_ref().map(length).unwrap_or_default();
                write!(f, "{}[{}:{step}]", subquery.expr, length(&subquery.range))?;
                write_time(f, subquery.at, &subquery.offset)
            }
            Node::Call { function, args } => {
                let args: Vec<String> = args.iter().map(Self::to_string).collect();
                write!(f, "{}({})", function.name, args.join(", "))
            }
            Node::Aggregate(aggregate) => write_aggregate(f, aggregate),
            Node::Binary(_) => write_chain(f, self),
            Node::Negate(inner) => write!(f, "-{inner}"),
            Node::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

fn is_plain(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(legal)
}

fn label(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("{name:?}") }
}

fn labels(names: &[String]) -> String {
    names.iter().map(|name| label(name)).collect::<Vec<_>>().join(", ")
}

fn write_selector(f: &mut Formatter<'_>, selector: &Selector, range: &str) -> fmt::Result {
    let name = selector.name().filter(|name| is_plain(&name.replace(':', "_")));
    f.write_str(name.unwrap_or_default())?;
    let shown = selector
        .matchers
        .iter()
        .filter(|matcher| name.is_none() || matcher.name != NAME || matcher.op != MatchOp::Equal);
    let shown: Vec<String> = shown
        .map(|matcher| {
            let op = match matcher.op {
                MatchOp::Equal => "=",
                MatchOp::NotEqual => "!=",
                MatchOp::Regex => "=~",
                MatchOp::NotRegex => "!~",
            };
            format!("{}{op}{:?}", label(&matcher.name), matcher.value)
        })
        .collect();
    if !shown.is_empty() {
        write!(f, "{{{}}}", shown.join(","))?;
    }
    f.write_str(range)?;
    match selector.edges {
        Edges::Plain => {}
        Edges::Anchored => f.write_str(" anchored")?,
        Edges::Smoothed => f.write_str(" smoothed")?,
    }
    write_time(f, selector.at, &selector.offset)
}

fn write_time(f: &mut Formatter<'_>, at: Option<At>, offset: &Length) -> fmt::Result {
    match at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(millis)) => write!(f, " @ {:.3}", yagura_model::Timestamp(millis).seconds())?,
    }
    if *offset == Length::default() { Ok(()) } else { write!(f, " offset {}", length(offset)) }
}

fn length(length: &Length) -> String {
    match length {
        Length::Fixed(millis) => duration(*millis),
        Length::Computed { formula, .. } => formula_text(formula),
    }
}

/// `1h30m`; weeks and years only when nothing is left over.
fn duration(millis: i64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = if millis < 0 { "-".to_owned() } else { String::new() };
    let mut rest = millis.unsigned_abs();
    for (unit, size, whole) in [
        ("y", 31_536_000_000, true),
        ("w", 604_800_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ] {
        if rest >= size && (!whole || rest.is_multiple_of(size)) {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

fn formula_text(formula: &Formula) -> String {
    match formula {
        Formula::Seconds(seconds) => duration(yagura_model::Timestamp::from_seconds(*seconds).0),
        Formula::Step => "step()".to_owned(),
        Formula::Range => "range()".to_owned(),
        Formula::Negate(inner) => format!("-{}", formula_text(inner)),
        Formula::Pair(left, op, right) => {
            let (left, right) = (formula_text(left), formula_text(right));
            let sign = match op {
                FormulaOp::Min => return format!("min({left}, {right})"),
                FormulaOp::Max => return format!("max({left}, {right})"),
                FormulaOp::Add => "+",
                FormulaOp::Sub => "-",
                FormulaOp::Mul => "*",
                FormulaOp::Div => "/",
                FormulaOp::Mod => "%",
                FormulaOp::Pow => "^",
            };
            format!("({left} {sign} {right})")
        }
    }
}

fn write_aggregate(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(match aggregate.op {
        Aggregator::Sum => "sum",
        Aggregator::Avg => "avg",
        Aggregator::Min => "min",
        Aggregator::Max => "max",
        Aggregator::Count => "count",
        Aggregator::Group => "group",
        Aggregator::Stddev => "stddev",
        Aggregator::Stdvar => "stdvar",
        Aggregator::Topk => "topk",
        Aggregator::Bottomk => "bottomk",
        Aggregator::Quantile => "quantile",
        Aggregator::CountValues => "count_values",
        Aggregator::Limitk => "limitk",
        Aggregator::LimitRatio => "limit_ratio",
    })?;
    if aggregate.without {
        write!(f, " without ({}) ", labels(&aggregate.labels))?;
    } else if !aggregate.labels.is_empty() {
        write!(f, " by ({}) ", labels(&aggregate.labels))?;
    }
    match &aggregate.param {
        Some(param) => write!(f, "({param}, {})", aggregate.expr),
        None => write!(f, "({})", aggregate.expr),
    }
}

fn sign(op: Operator) -> &'static str {
    match op {
        Operator::Add => "+",
        Operator::Sub => "-",
        Operator::Mul => "*",
        Operator::Div => "/",
        Operator::Mod => "%",
        Operator::Pow => "^",
        Operator::Atan2 => "atan2",
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterEqual => ">=",
        Operator::And => "and",
        Operator::Or => "or",
        Operator::Unless => "unless",
    }
}

/// A chain leans to the left; it is walked down in a loop.
fn write_chain(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    let mut chain = Vec::new();
    let mut leftmost = expr;
    while let Node::Binary(binary) = &leftmost.node {
        chain.push(&**binary);
        leftmost = &binary.lhs;
    }
    write!(f, "{leftmost}")?;
    for binary in chain.into_iter().rev() {
        write!(f, " {}{} {}", sign(binary.op), modifiers(binary), binary.rhs)?;
    }
    Ok(())
}

fn modifiers(binary: &Binary) -> String {
    let matching = &binary.matching;
    let mut text = if binary.returns_bool { " bool".to_owned() } else { String::new() };
    let grouped = matching.cardinality != Cardinality::OneToOne;
    if matching.on || grouped || !matching.labels.is_empty() {
        let word = if matching.on { "on" } else { "ignoring" };
        text.push_str(&format!(" {word} ({})", labels(&matching.labels)));
    }
    if grouped {
        let word = if matching.cardinality == Cardinality::ManyToOne { "group_left" } else { "group_right" };
        text.push_str(&format!(" {word} ({})", labels(&matching.include)));
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            text.push_str(&format!(" fill ({})", shortest(left)));
        }
        (left, right) => {
            for (word, fill) in [("fill_left", left), ("fill_right", right)] {
                if let Some(fill) = fill {
                    text.push_str(&format!(" {word} ({})", shortest(fill)));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_is_written_out_reads_back_the_same() {
        for (query, written) in [
            ("sum(rate(x_total{a='b'}[5m]))by(le)", "sum by (le) (rate(x_total{a=\"b\"}[5m]))"),
            ("a/on(x)group_left b==bool 1", "a / on (x) group_left () b == bool 1"),
            ("-(a+1)^2", "-(a + 1) ^ 2"),
            ("a[1h:5m]@start()offset-90s", "a[1h:5m] @ start() offset -1m30s"),
            ("{\"a.b\",c!~\"d\"}", "{c!~\"d\",__name__=\"a.b\"}"),
            ("topk without(a)(3,b@1.5)", "topk without (a) (3, b @ 1.500)"),
            ("a[5m*step()] offset 1w", "a[(5m * step())] offset 1w"),
            ("a+fill(0)b unless c", "a + fill (0) b unless c"),
            ("rate(a[5m]anchored)", "rate(a[5m] anchored)"),
        ] {
            let once = parse(query).unwrap().to_string();
            assert_eq!(once, written);
            assert_eq!(parse(&once).unwrap().to_string(), once);
        }
    }
}
