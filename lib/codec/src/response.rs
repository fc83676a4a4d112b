//! What an export answers: nothing, or how many items were refused and why.

use crate::{
    DecodeError,
    pb::{self, Reader, Wire},
};

/// The part of a request that was refused for good. The three `Export…PartialSuccess` messages are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess<'a> {
    /// Data points, records or spans; 0 with a message is a warning.
    pub rejected: i64,
    /// Why.
    pub message: &'a str,
}

impl<'a> PartialSuccess<'a> {
    /// Reads an `Export…ServiceResponse`; `None` when all was taken.
    pub fn parse(response: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let Some(message) = Reader::new(response).next_bytes(1)? else { return Ok(None) };
        let mut partial = Self::default();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Wire::Varint(rejected)) => partial.rejected = rejected.cast_signed(),
                (2, Wire::Bytes(bytes)) => partial.message = pb::text(bytes)?,
                _ => {}
            }
        }
        Ok((partial != Self::default()).then_some(partial))
    }

    /// The `Export…ServiceResponse` that says so.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let partial = pb::open(&mut out, 1);
        pb::put_uint(&mut out, 1, self.rejected.cast_unsigned());
        pb::put_bytes(&mut out, 2, self.message.as_bytes());
        pb::close(&mut out, partial);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
    use prost::Message as _;

    #[test]
    fn both_ways_agree_with_the_published_messages() {
        let ours = PartialSuccess { rejected: 3, message: "too_old: 3" };
        let theirs = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 3,
                error_message: "too_old: 3".into(),
            }),
        };
        assert_eq!(ExportLogsServiceResponse::decode(&*ours.encode()), Ok(theirs.clone()));
        assert_eq!(PartialSuccess::parse(&theirs.encode_to_vec()), Ok(Some(ours)));
        assert_eq!(PartialSuccess::parse(&[]), Ok(None));
        assert_eq!(PartialSuccess::parse(&PartialSuccess::default().encode()), Ok(None), "empty means all was taken");
    }
}
