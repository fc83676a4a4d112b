//! gRPC over HTTP/2, as far as bytes go: frames, status codes, and what travels in headers.

mod status;

pub use status::{Code, Status};

/// Length of what stands before each message: a flag and four bytes of length.
pub const HEADER: usize = 5;

/// One message with its frame taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether the payload is compressed as the header `grpc-encoding` says.
    pub compressed: bool,
    /// The message.
    pub payload: &'a [u8],
}

/// Why bytes are not the one frame of a unary call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The body ends within the frame, or there is none.
    #[error("gRPC frame is cut short")]
    Truncated,
    /// The first byte is neither 0 nor 1.
    #[error("gRPC frame has the unknown flag {0}")]
    BadFlag(u8),
    /// The frame says it is longer than what is allowed.
    #[error("gRPC message of {length} bytes is longer than {limit}")]
    TooLong {
        /// What the frame says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// More comes after the one message.
    #[error("gRPC call with one message has more than one")]
    Trailing,
}

impl<'a> Frame<'a> {
    /// The single frame of a unary call's body.
    pub fn unary(body: &'a [u8], limit: usize) -> Result<Self, FrameError> {
        let (header, rest) = body.split_first_chunk::<HEADER>().ok_or(FrameError::Truncated)?;
        let (compressed, length) = parse_header(*header, limit)?;
        match rest.split_at_checked(length) {
            Some((payload, [])) => Ok(Self { compressed, payload }),
            Some(_) => Err(FrameError::Trailing),
            None => Err(FrameError::Truncated),
        }
    }
}

/// Reads what stands before a message: whether it is compressed, and its length.
pub fn parse_header(header: [u8; HEADER], limit: usize) -> Result<(bool, usize), FrameError> {
    let [flag, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    match flag {
        0 | 1 if length <= limit => Ok((flag == 1, length)),
        0 | 1 => Err(FrameError::TooLong { length, limit }),
        _ => Err(FrameError::BadFlag(flag)),
    }
}

/// What stands before a message. A message of 4 GiB or more cannot be framed; its length is cut off at that.
#[must_use]
pub fn header(compressed: bool, length: usize) -> [u8; HEADER] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [u8::from(compressed), a, b, c, d]
}

/// Appends a message with its frame.
pub fn put_frame(out: &mut Vec<u8>, compressed: bool, payload: &[u8]) {
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&header(compressed, payload.len()));
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives() {
        let mut body = Vec::new();
        put_frame(&mut body, true, b"message");
        assert_eq!(Frame::unary(&body, 7), Ok(Frame { compressed: true, payload: b"message" }));
    }

    #[test]
    fn other_bodies_are_refused() {
        let check = |body: &[u8], error| assert_eq!(Frame::unary(body, 10), Err(error), "{body:?}");
        check(&[], FrameError::Truncated);
        check(&[0, 0, 0, 0], FrameError::Truncated);
        check(&[0, 0, 0, 0, 2, 1], FrameError::Truncated);
        check(&[0, 0, 0, 0, 1, 1, 1], FrameError::Trailing);
        check(&[2, 0, 0, 0, 0], FrameError::BadFlag(2));
        check(&[0, 0, 0, 0, 11], FrameError::TooLong { length: 11, limit: 10 });
    }
}
