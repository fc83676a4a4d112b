//! Attributes of the generated OTLP types, as text and as delivery facts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use yagura_model::delivery;

/// A value as the text of a label, a field or a line; a nested one as JSON.
pub(super) fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => json(value).to_string(),
    }
}

fn json(value: Option<&AnyValue>) -> serde_json::Value {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => serde_json::Value::Null,
        Some(Value::BoolValue(flag)) => (*flag).into(),
        Some(Value::IntValue(number)) => (*number).into(),
        Some(Value::DoubleValue(number)) => (*number).into(),
        Some(Value::ArrayValue(array)) => array.values.iter().map(|value| json(Some(value))).collect(),
        Some(Value::KvlistValue(list)) => {
            list.values.iter().map(|pair| (pair.key.clone(), json(pair.value.as_ref()))).collect()
        }
        Some(Value::StringValue(_) | Value::BytesValue(_)) => text(value).into(),
    }
}

/// The attributes of a resource; none when there is none.
pub(super) fn attributes(resource: Option<&Resource>) -> &[KeyValue] {
    resource.map_or(&[], |resource| &resource.attributes)
}

/// The value of one attribute.
pub(super) fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()
}

/// The queue and the number that a pushed batch carries in its first resource.
pub(super) fn batch(resource: Option<&Resource>) -> Option<(String, u64)> {
    let attributes = attributes(resource);
    match (find(attributes, delivery::QUEUE)?, find(attributes, delivery::SEQUENCE)?) {
        (Value::StringValue(queue), Value::IntValue(sequence)) => Some((queue.clone(), u64::try_from(*sequence).ok()?)),
        _ => None,
    }
}

/// A whole number that is not negative.
pub(super) fn unsigned(attributes: &[KeyValue], key: &str) -> Option<u64> {
    match find(attributes, key)? {
        Value::IntValue(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
