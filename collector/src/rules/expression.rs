//! What a rule needs to know of its expression before it runs: that it is good, and what it reads.

use promql_parser::parser::{self, BinaryExpr, Expr, token};

use super::file::Language;

/// Fails when the text is not an expression of the language, or not of a type that a rule can use.
pub(super) fn check(language: Language, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("expected an expression".to_owned());
    }
    match language {
        Language::PromQl => {
            let expr = parser::parse(text)?;
            match expr {
                Expr::StringLiteral(_) => Err("a rule needs numbers, not a string".to_owned()),
                Expr::MatrixSelector(_) | Expr::Subquery(_) => {
                    Err("a rule needs one value per series, not a range; use a function such as rate()".to_owned())
                }
                _ => Ok(()),
            }
        }
        Language::LogQl => Ok(()),
    }
}

/// The expression without its condition: what is compared, not whether it passes. Empty where there are no data.
/// `None` when there is no condition to take away, or when the text is no PromQL.
pub(super) fn without_condition(text: &str) -> Option<String> {
    let expr = parser::parse(text).ok()?;
    let data = data_of(&expr);
    let data = data.to_string();
    (data != expr.to_string()).then_some(data)
}

fn data_of(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => data_of(&paren.expr),
        Expr::Binary(binary) if is_condition(binary) => {
            // `0.9 < x` compares x as much as `x > 0.9` does.
            let left_is_number = matches!(*binary.lhs, Expr::NumberLiteral(_));
            data_of(if left_is_number { &binary.rhs } else { &binary.lhs })
        }
        other => other,
    }
}

/// A comparison that filters, or `and`/`unless`, which keep some of what stands on their left.
fn is_condition(binary: &BinaryExpr) -> bool {
    let filters = binary.op.is_comparison_operator() && !binary.return_bool();
    filters || matches!(binary.op.id(), token::T_LAND | token::T_LUNLESS)
}

/// Whether an expression mentions a metric of this name.
pub(super) fn names(text: &str, metric: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).any(|word| word == metric)
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
            assert_eq!(without_condition(text).as_deref(), expected, "{text}");
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
}
