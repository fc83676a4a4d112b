//! What a query has to read: for each of its selectors the time its samples may come from.

use super::{
    ast::{At, Edges, Expr, Length, Node},
    engine::Limits,
    error::QueryError,
    eval::{Grid, resolve},
    window::subquery_grid,
};
use crate::storage::{MatchOp, Matcher};

/// What one selector needs; both ends included.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub matchers: Vec<Matcher>,
    pub from: i64,
    pub to: i64,
}

/// The needs of all selectors, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub needs: Vec<Need>,
    /// Whether anything is fixed by `@`.
    pub has_at: bool,
}

impl Need {
    /// The same for selectors that match the same series.
    pub(super) fn key(&self) -> String {
        let mut matchers: Vec<String> = self.matchers.iter().map(show).collect();
        matchers.sort_unstable();
        matchers.join(",")
    }
}

fn show(matcher: &Matcher) -> String {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    format!("{:?}{op}{:?}", matcher.name, matcher.value)
}

/// Walks the query with the instants each part is evaluated at.
pub(super) fn needs(expr: &Expr, text: &str, grid: Grid, step: i64, limits: &Limits) -> Result<Plan, QueryError> {
    let (query_start, query_end) = (grid.start, grid.end());
    let millis = |length: &Length| resolve(length, text, query_start, query_end, step);
    let fixed = |at: Option<At>| match at {
        None => None,
        Some(At::Start) => Some(query_start),
        Some(At::End) => Some(query_end),
        Some(At::Time(time)) => Some(time),
    };
    let of = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let lookback = of(limits.lookback);
    let mut plan = Plan::default();
    let mut found: Vec<(usize, Need)> = Vec::new();
    let mut rest = vec![(expr, query_start, query_end)];
    while let Some((expr, start, end)) = rest.pop() {
        match &expr.node {
            Node::Number(_) | Node::Text(_) => {}
            Node::Vector(selector) | Node::Matrix { selector, .. } => {
                plan.has_at |= selector.at.is_some();
                let offset = millis(&selector.offset)?;
                let at = fixed(selector.at);
                let (before, after) = match (&expr.node, selector.edges) {
                    (Node::Matrix { range, .. }, Edges::Plain) => (millis(range)?, 0),
                    (Node::Matrix { range, .. }, Edges::Anchored) => (millis(range)?.saturating_add(lookback), 0),
                    (Node::Matrix { range, .. }, Edges::Smoothed) => {
                        (millis(range)?.saturating_add(lookback), lookback)
                    }
                    (_, Edges::Smoothed) => (lookback, lookback),
                    _ => (lookback, 0),
                };
                let first = at.unwrap_or(start).saturating_sub(offset);
                let last = at.unwrap_or(end).saturating_sub(offset);
                // The left end of a range is not within it.
                let from = first.saturating_sub(before).saturating_add(1);
                let to = last.saturating_add(after);
                found.push((selector.id, Need { matchers: selector.matchers.clone(), from, to }));
            }
            Node::Subquery(subquery) => {
                plan.has_at |= subquery.at.is_some();
                let offset = millis(&subquery.offset)?;
                let at = fixed(subquery.at);
                let step = subquery.step.as_ref().map_or(Ok(of(limits.subquery_step)), millis)?;
                let first = at.unwrap_or(start).saturating_sub(offset);
                let last = at.unwrap_or(end).saturating_sub(offset);
                let inner = subquery_grid(first, last, millis(&subquery.range)?, step);
                // Too many steps are told by the evaluator; here they only must not overflow.
                rest.push((&subquery.expr, inner.start, last.max(inner.start)));
            }
            Node::Call { args, .. } => rest.extend(args.iter().map(|arg| (arg, start, end))),
            Node::Aggregate(aggregate) => {
                rest.extend(aggregate.param.iter().chain([&aggregate.expr]).map(|expr| (expr, start, end)));
            }
            Node::Binary(binary) => rest.extend([(&binary.lhs, start, end), (&binary.rhs, start, end)]),
            Node::Negate(inner) | Node::Paren(inner) => rest.push((inner, start, end)),
        }
    }
    found.sort_by_key(|(id, _)| *id);
    plan.needs = found.into_iter().map(|(_, need)| need).collect();
    Ok(plan)
}
