//! What a rule needs to know of its expression before it runs: that it is good, and what it reads.

use super::file::Language;
use crate::query::{
    logql,
    promql::{
        self, Expr, ValueType,
        ast::{Node, Operator},
    },
};

/// Fails when the text is not an expression of the language, or not of a type that a rule can use.
pub(super) fn check(language: Language, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("expected an expression".to_owned());
    }
    match language {
        Language::PromQl => match promql::parse(text).map_err(|error| error.to_string())?.value_type() {
            ValueType::Scalar | ValueType::Vector => Ok(()),
            ValueType::String => Err("a rule needs numbers, not a string".to_owned()),
            ValueType::Matrix => {
                Err("a rule needs one value per series, not a range; use a function such as rate()".to_owned())
            }
        },
        Language::LogQl => match logql::parse(text).map_err(|error| error.to_string())? {
            logql::ast::Expr::Metric(_) => Ok(()),
            logql::ast::Expr::Log(_) => {
                Err("a rule needs numbers, not lines: count them, as in count_over_time({…}[5m])".to_owned())
            }
        },
    }
}

/// The expression without its condition: what is compared, not whether it passes. Empty where there are no data.
/// `None` when there is no condition to take away, or when the text is no PromQL.
pub(super) fn without_condition(language: Language, text: &str) -> Option<String> {
    if language != Language::PromQl {
        return None;
    }
    let expr = promql::parse(text).ok()?;
    let span = data_of(&expr).span;
    let data = text.get(span.start..span.end)?.trim();
    (data != text.trim()).then(|| data.to_owned())
}

fn data_of(expr: &Expr) -> &Expr {
    match &expr.node {
        Node::Paren(inner) => data_of(inner),
        Node::Binary(binary) if is_condition(binary.op) && !binary.returns_bool => {
            // `0.9 < x` compares x as much as `x > 0.9` does.
            let left_is_number = binary.lhs.value_type() == ValueType::Scalar;
            data_of(if left_is_number { &binary.rhs } else { &binary.lhs })
        }
        _ => expr,
    }
}

/// A comparison, which filters, or `and`/`unless`, which keep some of what stands on their left.
fn is_condition(operator: Operator) -> bool {
    use Operator::{And, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual, Unless};
    matches!(operator, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual | And | Unless)
}

/// Whether an expression reads a metric of this name.
pub(super) fn names(text: &str, metric: &str) -> bool {
    promql::parse(text).is_ok_and(|expr| expr.metric_names().contains(&metric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_taken_away() {
        for (text, expected) in [
            ("up == 0", Some("up")),
            ("rate(x[5m]) / y > 0.5 and z < 1", Some("rate(x[5m]) / y")),
            ("(0.5 < a)", Some("a")),
            ("up unless on (job) down", Some("up")),
            ("up == bool 0", None),
            ("absent(up)", None),
            ("sum by (job) (up == 0) > 1", Some("sum by (job) (up == 0)")),
        ] {
            assert_eq!(without_condition(Language::PromQl, text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_a_rule_cannot_use_is_refused() {
        assert!(check(Language::PromQl, "up == 0").is_ok());
        assert!(check(Language::PromQl, "1").is_ok());
        for text in ["", "sum(", "x[5m]", "\"text\""] {
            assert!(check(Language::PromQl, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_metric_is_found_by_its_name_and_not_in_a_label() {
        assert!(names("sum by (job) (up == 0) > 1", "up"));
        assert!(!names("sum by (up) (node_up)", "up"));
    }
}
