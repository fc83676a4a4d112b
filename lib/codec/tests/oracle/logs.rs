//! Log requests.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use proptest::{collection::vec, prelude::*};
use prost::Message as _;
use yagura_codec::{self as ours, DecodeError, logs::NewRecord};
use yagura_model::{Nanos, SpanId, TraceId};

use crate::{
    damage,
    scramble::{self, Child, Random, scramble},
    values::{
        attributes, encoded, key_value, resource, scope, their_attributes, their_resource, their_scope, their_value,
        value,
    },
};

fn record() -> impl Strategy<Value = LogRecord> {
    let times = (0..=i64::MAX as u64, 0..=i64::MAX as u64);
    let words = (0..=24, ".{0,8}", ".{0,8}");
    let ids = (prop_oneof![Just(vec![]), vec(1_u8.., 16)], prop_oneof![Just(vec![]), vec(1_u8.., 8)]);
    (times, words, ids, value(), attributes(), any::<(u32, u32)>()).prop_map(
        |((time, observed), (number, text, event), (trace, span), body, attributes, (flags, dropped))| LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            severity_number: number,
            severity_text: text,
            body: Some(body),
            attributes,
            dropped_attributes_count: dropped,
            flags,
            trace_id: trace,
            span_id: span,
            event_name: event,
        },
    )
}

fn request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scopes = (scope(), vec(record(), 0..4)).prop_map(|(scope, log_records)| ScopeLogs {
        scope,
        log_records,
        ..ScopeLogs::default()
    });
    let resources = (resource(), vec(scopes, 0..3)).prop_map(|(resource, scope_logs)| ResourceLogs {
        resource,
        scope_logs,
        ..ResourceLogs::default()
    });
    vec(resources, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn shape(field: u32) -> Option<Child> {
    fn record(field: u32) -> Option<Child> {
        match field {
            5 => Some(Child(scramble::any_value)),
            6 => Some(Child(scramble::key_value)),
            _ => None,
        }
    }
    fn scopes(field: u32) -> Option<Child> {
        match field {
            1 => Some(Child(scramble::scope)),
            2 => Some(Child(record)),
            _ => None,
        }
    }
    fn resources(field: u32) -> Option<Child> {
        match field {
            1 => Some(Child(scramble::resource)),
            2 => Some(Child(scopes)),
            _ => None,
        }
    }
    (field == 1).then_some(Child(resources))
}

/// Reads everything with our decoder and gives it in their types.
fn read(bytes: &[u8]) -> Result<ExportLogsServiceRequest, DecodeError> {
    let mut request = ExportLogsServiceRequest::default();
    for resource in ours::logs::Request::new(bytes).resources() {
        let resource = resource?;
        let mut theirs = ResourceLogs { resource: their_resource(&resource.resource)?, ..ResourceLogs::default() };
        for scope in resource.scopes() {
            let scope = scope?;
            let log_records = scope.records().map(|record| their_record(&record?)).collect::<Result<_, _>>()?;
            theirs.scope_logs.push(ScopeLogs {
                scope: their_scope(&scope.scope)?,
                log_records,
                ..ScopeLogs::default()
            });
        }
        request.resource_logs.push(theirs);
    }
    Ok(request)
}

fn their_record(record: &ours::logs::Record<'_>) -> Result<LogRecord, DecodeError> {
    Ok(LogRecord {
        time_unix_nano: record.time.0 as u64,
        observed_time_unix_nano: record.observed.0 as u64,
        severity_number: record.severity_number.into(),
        severity_text: record.severity_text.to_owned(),
        body: Some(their_value(&record.body)?),
        attributes: their_attributes(&record.attributes)?,
        dropped_attributes_count: record.dropped_attributes,
        flags: record.flags,
        trace_id: record.trace_id.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        span_id: record.span_id.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        event_name: record.event_name.to_owned(),
    })
}

/// Writes everything with our encoder; the scope before, or after its records.
fn write(request: &ExportLogsServiceRequest, scope_first: bool) -> Vec<u8> {
    let mut encoder = ours::logs::Encoder::new(b"what a buffer still holds".to_vec());
    for resource in &request.resource_logs {
        encoder.begin_resource(&encoded(&resource.resource.as_ref().unwrap().attributes));
        for logs in &resource.scope_logs {
            let scope = logs.scope.as_ref().unwrap();
            let said = |encoder: &mut ours::logs::Encoder| {
                encoder.scope(&scope.name, &scope.version, &encoded(&scope.attributes));
            };
            encoder.begin_scope();
            if scope_first {
                said(&mut encoder);
            }
            logs.log_records.iter().for_each(|record| write_record(record, &mut encoder));
            if !scope_first {
                said(&mut encoder);
            }
        }
    }
    encoder.finish()
}

fn write_record(record: &LogRecord, encoder: &mut ours::logs::Encoder) {
    let body = record.body.clone().unwrap_or_default().encode_to_vec();
    encoder.record(&NewRecord {
        time: Nanos(record.time_unix_nano as i64),
        observed: Nanos(record.observed_time_unix_nano as i64),
        severity_number: record.severity_number as u8,
        severity_text: &record.severity_text,
        body: ours::AnyValue::parse(&body).unwrap(),
        attributes: &[&encoded(&record.attributes), &encoded(&[])],
        range: None,
        flags: record.flags,
        trace_id: record.trace_id.as_slice().try_into().ok().map(u128::from_be_bytes).map(TraceId),
        span_id: record.span_id.as_slice().try_into().ok().map(u64::from_be_bytes).map(SpanId),
        event_name: &record.event_name,
    });
}

proptest! {
    #[test]
    fn what_they_encode_we_read(request in request()) {
        prop_assert_eq!(read(&request.encode_to_vec()).unwrap().encode_to_vec(), request.encode_to_vec());
    }

    #[test]
    fn fields_may_come_in_any_order(request in request(), seed: u64) {
        let mut rng = Random(seed);
        let bytes = scramble(&request.encode_to_vec(), shape, &mut rng);
        prop_assert_eq!(read(&bytes).unwrap().encode_to_vec(), request.encode_to_vec());
    }

    #[test]
    fn what_we_encode_they_read(mut request in request(), scope_first: bool) {
        let scopes = request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs);
        for record in scopes.flat_map(|logs| &mut logs.log_records) {
            record.dropped_attributes_count = 0;
            record.body.take_if(|body| body.value.is_none());
        }
        let theirs = ExportLogsServiceRequest::decode(&*write(&request, scope_first)).unwrap();
        prop_assert_eq!(theirs.encode_to_vec(), request.encode_to_vec());
    }

    #[test]
    fn damage_is_an_error_at_worst(bytes in damage(request().prop_map(|request| request.encode_to_vec()))) {
        let read = read(&bytes);
        if let Ok(theirs) = ExportLogsServiceRequest::decode(&*bytes) {
            // Nothing they take is refused, but for a depth that they allow and we do not need.
            prop_assert!(read.is_ok(), "{:?} {:?}", read, theirs);
        }
    }

    #[test]
    fn any_bytes_are_an_error_at_worst(bytes: Vec<u8>) {
        drop(read(&bytes));
    }
}

#[test]
fn the_place_in_the_file_is_two_attributes() {
    for range in [0..1, 100..250, 5..u64::MAX] {
        let mut encoder = ours::logs::Encoder::default();
        encoder.begin_resource(&encoded(&[]));
        encoder.begin_scope();
        encoder.record(&NewRecord { range: Some(range.clone()), ..NewRecord::default() });
        let theirs = ExportLogsServiceRequest::decode(&*encoder.finish()).unwrap();
        let int = |name: &str, value: u64| {
            let value = opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(value as i64);
            key_value(name.to_owned(), opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) })
        };
        let record = &theirs.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!(record.attributes, [int("yagura.range.start", range.start), int("yagura.range.end", range.end)]);
    }
}

#[test]
fn a_text_that_is_not_utf8_and_ids_of_a_wrong_length_are_told_apart() {
    let mut record = Vec::new();
    ours::pb::put_message(&mut record, 9, &[1; 15]);
    ours::pb::put_message(&mut record, 10, &[0; 8]);
    let wrap = |record: &[u8]| {
        let mut bytes = record.to_vec();
        for field in [2, 2, 1] {
            let inner = std::mem::take(&mut bytes);
            ours::pb::put_message(&mut bytes, field, &inner);
        }
        bytes
    };
    let theirs = read(&wrap(&record)).unwrap();
    assert!(theirs.resource_logs[0].scope_logs[0].log_records[0].trace_id.is_empty());
    assert!(theirs.resource_logs[0].scope_logs[0].log_records[0].span_id.is_empty());
    ours::pb::put_message(&mut record, 3, b"\xff");
    assert_eq!(read(&wrap(&record)), Err(DecodeError::NotUtf8));
}
