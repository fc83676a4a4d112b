//! Values, attributes, resources and scopes: random ones of theirs, and ours turned into theirs.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value},
    resource::v1::Resource,
};
use proptest::{collection::vec, prelude::*};
use yagura_codec::{self as ours, DecodeError};

pub fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any::<String>().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|yes| Some(Value::BoolValue(yes))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        any::<f64>().prop_map(|number| Some(Value::DoubleValue(number))),
        any::<Vec<u8>>().prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }),
            vec((".{0,4}", inner), 0..4).prop_map(|pairs| {
                let values = pairs.into_iter().map(|(key, value)| key_value(key, value)).collect();
                AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
            }),
        ]
    })
}

pub fn key_value(key: String, value: AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

pub fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((".{0,8}", value()).prop_map(|(key, value)| key_value(key, value)), 0..4)
}

pub fn resource() -> impl Strategy<Value = Option<Resource>> {
    attributes().prop_map(|attributes| Some(Resource { attributes, ..Resource::default() }))
}

pub fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    (".{0,8}", ".{0,4}", attributes()).prop_map(|(name, version, attributes)| {
        Some(InstrumentationScope { name, version, attributes, ..InstrumentationScope::default() })
    })
}

pub fn their_value(value: &ours::AnyValue<'_>) -> Result<AnyValue, DecodeError> {
    let value = match value {
        ours::AnyValue::Empty => None,
        ours::AnyValue::Str(text) => Some(Value::StringValue((*text).to_owned())),
        ours::AnyValue::Bool(yes) => Some(Value::BoolValue(*yes)),
        ours::AnyValue::Int(number) => Some(Value::IntValue(*number)),
        ours::AnyValue::Double(number) => Some(Value::DoubleValue(*number)),
        ours::AnyValue::Bytes(bytes) => Some(Value::BytesValue(bytes.to_vec())),
        ours::AnyValue::Array(array) => {
            let values = array.iter().map(|value| their_value(&value?)).collect::<Result<_, _>>()?;
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        ours::AnyValue::KeyValues(values) => {
            Some(Value::KvlistValue(KeyValueList { values: their_attributes(values)? }))
        }
    };
    Ok(AnyValue { value })
}

pub fn their_attributes(attributes: &ours::Attributes<'_>) -> Result<Vec<KeyValue>, DecodeError> {
    attributes
        .iter()
        .map(|attribute| {
            let (key, value) = attribute?;
            Ok(key_value(key.to_owned(), their_value(&value)?))
        })
        .collect()
}

pub fn their_resource(resource: &ours::resource::Resource<'_>) -> Result<Option<Resource>, DecodeError> {
    Ok(Some(Resource { attributes: their_attributes(&resource.attributes)?, ..Resource::default() }))
}

pub fn their_scope(scope: &ours::resource::Scope<'_>) -> Result<Option<InstrumentationScope>, DecodeError> {
    Ok(Some(InstrumentationScope {
        name: scope.name.to_owned(),
        version: scope.version.to_owned(),
        attributes: their_attributes(&scope.attributes)?,
        ..InstrumentationScope::default()
    }))
}

/// Encodes attributes of theirs with our encoder.
pub fn encoded<const FIELD: u32>(attributes: &[KeyValue]) -> ours::attributes::Encoded<FIELD> {
    use prost::Message as _;
    let mut encoded = ours::attributes::Encoded::new();
    for attribute in attributes {
        let value = attribute.value.as_ref().unwrap().encode_to_vec();
        encoded.put(&attribute.key, ours::AnyValue::parse(&value).unwrap());
    }
    encoded
}

proptest! {
    #[test]
    fn text_of_a_value_is_json_that_says_the_same(value in value()) {
        use prost::Message as _;
        let bytes = value.encode_to_vec();
        let ours = ours::AnyValue::parse(&bytes).unwrap();
        let text = ours.text().unwrap();
        match value.value {
            None => prop_assert_eq!(text, ""),
            Some(Value::StringValue(value)) => prop_assert_eq!(text, value),
            Some(Value::ArrayValue(array)) => {
                let read: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(read.len(), array.values.len());
                for (read, value) in read.iter().zip(array.values) {
                    match value.value {
                        None => prop_assert!(read.is_null()),
                        Some(Value::StringValue(value)) => prop_assert_eq!(read.as_str(), Some(&*value)),
                        Some(Value::IntValue(value)) => prop_assert_eq!(read.as_i64(), Some(value)),
                        Some(Value::BoolValue(value)) => prop_assert_eq!(read.as_bool(), Some(value)),
                        Some(Value::DoubleValue(value)) if value.is_finite() => {
                            // serde_json may miss the last bit, which our text has.
                            let read = read.as_f64().unwrap();
                            prop_assert!((read - value).abs() <= value.abs() * 1e-15, "{} {}", read, value);
                        }
                        Some(Value::KvlistValue(_)) => prop_assert!(read.is_object()),
                        _ => {}
                    }
                }
            }
            Some(Value::BytesValue(bytes)) => prop_assert_eq!(text.len(), bytes.len().div_ceil(3) * 4),
            Some(_) => prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok()),
        }
    }
}

#[test]
fn values_nested_without_end_are_an_error() {
    let mut bytes = Vec::new();
    for _ in 0..200 {
        let mut list = Vec::new();
        ours::pb::put_message(&mut list, 1, &bytes);
        bytes.clear();
        ours::pb::put_message(&mut bytes, 5, &list);
    }
    assert_eq!(ours::AnyValue::parse(&bytes).unwrap().text(), Err(DecodeError::TooDeep));
}
