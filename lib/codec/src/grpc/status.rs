//! What a call ended with, in the trailers `grpc-status`, `grpc-message` and `grpc-status-details-bin`.

use std::{fmt::Write as _, time::Duration};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    DecodeError,
    pb::{self, Reader, Wire},
};

/// Written without padding, read with or without, as gRPC wants of `-bin` headers.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// gRPC's status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are gRPC's own")]
pub enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// In the order of their numbers.
const CODES: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

impl Code {
    /// The code with this number; any other number is [`Code::Unknown`].
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        usize::try_from(number).ok().and_then(|at| CODES.get(at)).copied().unwrap_or(Self::Unknown)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Whether OTLP lets a client send the same again. [`Code::ResourceExhausted`] counts only with a
    /// [`Status::retry_after`].
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::DeadlineExceeded
                | Self::Aborted
                | Self::OutOfRange
                | Self::Unavailable
                | Self::DataLoss
        )
    }
}

/// A `google.rpc.Status`, with the one detail that OTLP uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of end it is.
    pub code: Code,
    /// Why.
    pub message: String,
    /// When to try again (`RetryInfo`).
    pub retry_after: Option<Duration>,
}

impl Status {
    /// A status without details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// Whether OTLP lets a client send the same again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable() || (self.code == Code::ResourceExhausted && self.retry_after.is_some())
    }

    /// The encoded `google.rpc.Status`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        pb::put_uint(&mut out, 1, u64::from(self.code.number()));
        pb::put_bytes(&mut out, 2, self.message.as_bytes());
        if let Some(after) = self.retry_after {
            let detail = pb::open(&mut out, 3);
            pb::put_bytes(&mut out, 1, RETRY_INFO.as_bytes());
            let info = pb::open(&mut out, 2);
            let delay = pb::open(&mut out, 1);
            pb::put_uint(&mut out, 1, after.as_secs());
            pb::put_uint(&mut out, 2, u64::from(after.subsec_nanos()));
            for mark in [delay, info, detail] {
                pb::close(&mut out, mark);
            }
        }
        out
    }

    /// Reads a `google.rpc.Status`; details other than `RetryInfo` are passed over.
    pub fn parse(message: &[u8]) -> Result<Self, DecodeError> {
        let mut status = Self::new(Code::Ok, "");
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Wire::Varint(code)) => status.code = Code::from_number(pb::low32(code)),
                (2, Wire::Bytes(text)) => status.message = String::from_utf8_lossy(text).into_owned(),
                (3, Wire::Bytes(detail)) => status.retry_after = retry_info(detail)?.or(status.retry_after),
                _ => {}
            }
        }
        Ok(status)
    }

    /// The value of the trailer `grpc-status-details-bin`.
    #[must_use]
    pub fn details_header(&self) -> String {
        BASE64.encode(self.encode())
    }

    /// The status that the three trailers tell; the details count where they agree with `grpc-status`.
    #[must_use]
    pub fn from_headers(code: u32, message: Option<&str>, details: Option<&str>) -> Self {
        let plain = Self::new(Code::from_number(code), message.map(percent_decode).unwrap_or_default());
        let details = details.and_then(|text| BASE64.decode(text).ok());
        match details.and_then(|bytes| Self::parse(&bytes).ok()) {
            Some(status) if status.code == plain.code => Self { retry_after: status.retry_after, ..plain },
            _ => plain,
        }
    }

    /// The value of the trailer `grpc-message`: percent-encoded, cut to what a header may hold.
    #[must_use]
    pub fn message_header(&self) -> String {
        let mut out = String::with_capacity(self.message.len());
        for byte in self.message.bytes().take(1024) {
            if (b' '..=b'~').contains(&byte) && byte != b'%' {
                out.push(char::from(byte));
            } else if write!(out, "%{byte:02X}").is_err() {
                break;
            }
        }
        out
    }
}

fn retry_info(detail: &[u8]) -> Result<Option<Duration>, DecodeError> {
    let (mut kind, mut info) = (&[][..], &[][..]);
    let mut reader = Reader::new(detail);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Wire::Bytes(bytes)) => kind = bytes,
            (2, Wire::Bytes(bytes)) => info = bytes,
            _ => {}
        }
    }
    if kind != RETRY_INFO.as_bytes() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(Reader::new(info).next_bytes(1)?.unwrap_or_default());
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Wire::Varint(number)) => seconds = number,
            (2, Wire::Varint(number)) => nanos = number,
            _ => {}
        }
    }
    // A negative delay, which is a huge number here, asks for no delay.
    let seconds = if seconds > u64::from(u32::MAX) { 0 } else { seconds };
    Ok(Some(Duration::new(seconds, u32::try_from(nanos).unwrap_or(0).min(999_999_999))))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_its_headers() {
        for retry_after in [None, Some(Duration::from_millis(1500)), Some(Duration::ZERO)] {
            let status = Status { code: Code::Unavailable, message: "disk 100% full — später".into(), retry_after };
            let read = Status::from_headers(14, Some(&status.message_header()), Some(&status.details_header()));
            assert_eq!(read, status);
        }
        assert_eq!(Status::new(Code::Unknown, "a%\n").message_header(), "a%25%0A");
    }

    #[test]
    fn bad_headers_still_tell_the_code() {
        let status = Status::from_headers(8, Some("50% %zz %"), Some("not base64"));
        assert_eq!(status, Status::new(Code::ResourceExhausted, "50% %zz %"));
        assert!(!status.is_retryable(), "without a time to retry it is final");
        assert_eq!(Status::from_headers(99, None, None).code, Code::Unknown);
    }

    #[test]
    fn a_status_of_another_program_is_read() {
        // As Go's grpc-status writes {code: 8, details: [RetryInfo{retry_delay: 2s}]}, padded base64.
        let theirs = "CAgaMgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIGCgQIAhAA";
        let status = Status::from_headers(8, None, Some(theirs));
        assert_eq!(status.retry_after, Some(Duration::from_secs(2)));
        assert!(status.is_retryable());
    }

    #[test]
    fn codes_have_their_numbers() {
        for number in 0..17 {
            assert_eq!(Code::from_number(number).number(), number);
        }
    }
}
