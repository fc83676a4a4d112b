//! Functions of labels: `label_replace`, `label_join`.

use yagura_model::{Labels, labels::NAME};

use super::{
    super::{
        ast::{
            Expr, Node,
            ValueType::{String as Text, Vector},
        },
        binary::merge,
        error::QueryError,
        eval::{Column, Evaluated, Result},
        parse::regex::from_go,
    },
    Body, Call, Function,
};

pub(super) const LIST: &[Function] = &[
    Function::new("label_replace", &[Vector, Text, Text, Text, Text], Vector, Body::Whole(label_replace)),
    Function {
        variadic: -1,
        ..Function::new("label_join", &[Vector, Text, Text, Text], Vector, Body::Whole(label_join))
    },
];

fn label_replace(call: &Call<'_, '_>) -> Result<Evaluated> {
    let target = label_name(call, 1, "destination")?;
    let (replacement, source, pattern) = (call.text(2)?, call.text(3)?, call.text(4)?);
    let regex = regex::RegexBuilder::new(&format!("^(?s:{})$", from_go(&pattern))).size_limit(4 << 20).build();
    let invalid = |_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"));
    let regex = regex.map_err(invalid)?;
    let replaced = |labels: &Labels| {
        let captures = regex.captures(labels.get(&source).unwrap_or_default())?;
        let mut text = String::new();
        captures.expand(&replacement, &mut text);
        Some(text)
    };
    set(call, &target, replaced)
}

fn label_join(call: &Call<'_, '_>) -> Result<Evaluated> {
    let target = label_name(call, 1, "destination")?;
    let separator = call.text(2)?;
    let sources = (3..call.args.len()).map(|index| label_name(call, index, "source")).collect::<Result<Vec<_>>>()?;
    let joined = |labels: &Labels| {
        let values: Vec<&str> = sources.iter().map(|source| labels.get(source).unwrap_or_default()).collect();
        Some(values.join(&separator))
    };
    set(call, &target, joined)
}

/// Sets a label of each series to what `make` says; series that come to have the same labels are joined.
fn set(call: &Call<'_, '_>, target: &str, make: impl Fn(&Labels) -> Option<String>) -> Result<Evaluated> {
    let mut columns = call.evaluator.vector(call.arg(0)?)?;
    for column in &mut columns {
        let Some(value) = make(&column.labels) else { continue };
        let Column { labels, drop_name, .. } = column;
        let mut builder = labels.to_builder();
        builder.set(target, &value);
        *labels = builder.build();
        // A name given now is meant to stay.
        *drop_name &= target != NAME;
    }
    Ok(Evaluated::Vector(merge(columns)?))
}

fn label_name(call: &Call<'_, '_>, index: usize, which: &str) -> Result<String> {
    let arg: &Expr = call.arg(index)?;
    match &arg.unwrapped().node {
        Node::Text(text) if text.valid && !text.value.is_empty() => Ok(text.value.clone()),
        _ => {
            let (name, function) = (call.text(index)?, call.function.name);
            Err(QueryError::Execution(format!("invalid {which} label name in {function}(): {name}")))
        }
    }
}
