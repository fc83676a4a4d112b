//! OTLP bytes: decoded without copying, encoded in one pass, framed for gRPC, compressed. Bytes in, bytes out; no I/O.
//!
//! ```text
//! bytes ─► metrics::Request ─► resource ─► scope ─► metric ─► point     (borrowed views, read lazily)
//! metrics::Encoder: begin_resource, begin_scope, begin_metric, number … finish ─► bytes
//! ```
//!
//! Reading order: [`pb`] (protobuf's primitives), [`value`] and [`attributes`], [`resource`], the three signals
//! [`metrics`], [`logs`] and [`traces`], then [`response`], [`grpc`] and [`compress`].
//!
//! What is promised of every decoder here:
//!
//! * no bytes make it panic or loop for ever, and none make it allocate; what is wrong is a [`DecodeError`];
//! * fields may come in any order, unknown ones are skipped, a known field with another wire type is unknown;
//! * caps on size are the caller's: a request is checked before it is decoded, by [`grpc::Frame`] and [`compress`].
//!
//! Of a message field that may occur once, the first occurrence counts; of a plain field the last. (Protobuf would
//! merge the former; no OTLP sender splits them.)

pub mod attributes;
pub mod compress;
#[doc(hidden)]
pub mod fuzzing;
pub mod grpc;
pub mod json;
pub mod logs;
pub mod metrics;
pub mod pb;
pub mod resource;
pub mod response;
pub mod traces;
pub mod value;

pub use attributes::Attributes;
pub use value::AnyValue;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A length or a number goes past the end of its message.
    #[error("protobuf message is cut short")]
    Truncated,
    /// A varint has more than 64 bits.
    #[error("protobuf number is longer than 64 bits")]
    LongVarint,
    /// A field has number 0, an unknown wire type, or a group without its start.
    #[error("protobuf field key is not valid")]
    BadKey,
    /// A string is not UTF-8.
    #[error("protobuf string is not UTF-8")]
    NotUtf8,
    /// Packed numbers do not fill their field.
    #[error("protobuf packed numbers are cut short")]
    BadPacked,
    /// Values or groups are nested deeper than [`pb::MAX_DEPTH`].
    #[error("values are nested too deeply")]
    TooDeep,
}
