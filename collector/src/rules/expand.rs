//! What an expression found → labels and annotations, with their templates written out.

use std::collections::BTreeMap;

use yagura_model::{Labels, Timestamp, labels::NAME};

use super::{
    alert::Found,
    file::{Language, Text},
    query::Queries,
    template::{Expand, Scope, Value},
};
use crate::query::promql::VectorSample;

/// Queries that one alert's templates may make.
const MAX_QUERIES: usize = 10;

/// What every template can see.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    pub(super) external_labels: Labels,
    pub(super) external_url: String,
}

/// The labels and annotations of one alert.
pub(super) async fn found(
    name: &str,
    labels: &[(String, Text)],
    annotations: &[(String, Text)],
    sample: &VectorSample,
    surroundings: &Surroundings,
    queries: &Queries,
    at: Timestamp,
) -> Found {
    let own = sample.labels.without_name();
    let mut scope = scope(&own, sample.value, surroundings);
    let mut builder = own.to_builder();
    for (label, text) in labels {
        builder.set(label, &write(text, &mut scope, queries, at).await);
    }
    builder.set("alertname", name);
    let mut written = BTreeMap::new();
    for (annotation, text) in annotations {
        written.insert(annotation.clone(), write(text, &mut scope, queries, at).await);
    }
    Found { labels: builder.build(), annotations: written, value: sample.value }
}

fn scope(labels: &Labels, value: f64, surroundings: &Surroundings) -> Scope {
    let labels = Value::from(labels);
    let external = Value::from(&surroundings.external_labels);
    let url = surroundings.external_url.as_str();
    let dot = Value::map([
        ("Labels", labels.clone()),
        ("ExternalLabels", external.clone()),
        ("ExternalURL", url.into()),
        ("Value", value.into()),
    ]);
    let variables =
        vec![("labels", labels), ("externalLabels", external), ("externalURL", url.into()), ("value", value.into())];
    Scope { dot: Some(dot), variables, external_url: url.to_owned(), queries: BTreeMap::new() }
}

/// A template's text. One that fails is shown as its error: the alert matters more than its words.
async fn write(text: &Text, scope: &mut Scope, queries: &Queries, at: Timestamp) -> String {
    for _ in 0..=MAX_QUERIES {
        match text.template.expand(scope) {
            Ok(written) => return written,
            Err(Expand::Failed(error)) => return format!("<error expanding template: {error}>"),
            Err(Expand::NeedsQuery(query)) => {
                let result = queries.ask(Language::PromQl, &query, at).await;
                scope.queries.insert(query, result.map(|samples| samples.iter().map(sample_value).collect()));
            }
        }
    }
    format!("<error expanding template: more than {MAX_QUERIES} queries>")
}

fn sample_value(sample: &VectorSample) -> Value {
    Value::map([("Labels", Value::from(&sample.labels)), ("Value", sample.value.into())])
}

/// The labels of a recorded sample.
pub(super) fn recorded(name: &str, labels: &[(String, Text)], sample: &Labels) -> Labels {
    let mut builder = sample.to_builder();
    builder.set(NAME, name);
    for (label, text) in labels {
        builder.set(label, &text.source);
    }
    builder.build()
}
