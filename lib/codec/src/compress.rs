//! zstd and gzip, with a cap on what comes out.

use std::{cell::RefCell, io::Read};

use zstd::bulk;

/// How a body is compressed; the names are those of `content-encoding` and `grpc-encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why a body was not compressed or decompressed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What comes out is longer than allowed.
    #[error("body is longer than {limit} bytes when decompressed")]
    TooLong {
        /// What is allowed.
        limit: usize,
    },
    /// The bytes are not what they should be.
    #[error("cannot decompress {} body: {source}", .encoding.name())]
    Damaged {
        /// What they should be.
        encoding: Encoding,
        /// What the library says.
        source: std::io::Error,
    },
    /// The compressor failed, which only a lack of memory makes it do.
    #[error("cannot compress: {0}")]
    Failed(std::io::Error),
}

/// Largest window that is accepted: what RFC 9659 lets a sender use, and all the memory one body can ask for.
const WINDOW_LOG: u32 = 23;

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Encoding {
    /// The encoding a header names; `None` when it is one we do not have.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name in headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Appends `input`, compressed, to `out`. The compressor's memory is kept for the thread's next call.
pub fn zstd_compress(level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    COMPRESSOR.with_borrow_mut(|held| {
        let mut compressor = match held.take() {
            Some((known, compressor)) if known == level => compressor,
            _ => bulk::Compressor::new(level).map_err(Error::Failed)?,
        };
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(input.len()), 0);
        let target = out.get_mut(start..).unwrap_or_default();
        let written = compressor.compress_to_buffer(input, target);
        out.truncate(start + written.as_ref().copied().unwrap_or(0));
        *held = Some((level, compressor));
        written.map(drop).map_err(Error::Failed)
    })
}

/// How long `input` says it is when decompressed; it may lie. Of gzip only the last member tells.
#[must_use]
pub fn decompressed_len(encoding: Encoding, input: &[u8]) -> Option<usize> {
    match encoding {
        Encoding::Identity => Some(input.len()),
        Encoding::Gzip => {
            let length = u32::from_le_bytes(*input.last_chunk()?);
            usize::try_from(length).ok()
        }
        Encoding::Zstd => {
            let length = zstd::zstd_safe::get_frame_content_size(input).ok()??;
            usize::try_from(length).ok()
        }
    }
}

/// What `input` is when decompressed, if that is at most `limit` bytes.
pub fn decompress(encoding: Encoding, input: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    let damaged = |source| Error::Damaged { encoding, source };
    match encoding {
        Encoding::Identity if input.len() > limit => Err(Error::TooLong { limit }),
        Encoding::Identity => Ok(input.to_vec()),
        Encoding::Gzip => read_all(flate2::read::MultiGzDecoder::new(input), encoding, limit),
        Encoding::Zstd => {
            if let Some(whole) = zstd_at_once(input, limit)? {
                return Ok(whole);
            }
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(damaged)?;
            decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
            read_all(decoder, encoding, limit)
        }
    }
}

/// The quick way, for a body whose header tells its length; `None` when it does not, or not the truth.
fn zstd_at_once(input: &[u8], limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let Some(length) = decompressed_len(Encoding::Zstd, input) else { return Ok(None) };
    if length > limit {
        return Err(Error::TooLong { limit });
    }
    DECOMPRESSOR.with_borrow_mut(|held| {
        let mut decompressor = match held.take() {
            Some(decompressor) => decompressor,
            None => bulk::Decompressor::new().map_err(Error::Failed)?,
        };
        let whole = decompressor.decompress(input, length).ok().filter(|whole| whole.len() == length);
        *held = Some(decompressor);
        Ok(whole)
    })
}

fn read_all(decoder: impl Read, encoding: Encoding, limit: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(one_more).read_to_end(&mut out).map_err(|source| Error::Damaged { encoding, source })?;
    if out.len() > limit { Err(Error::TooLong { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(input: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(input).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd_without_length(input: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(input).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(input: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 2];
        zstd_compress(1, input, &mut out).unwrap();
        assert_eq!(&out[..2], [1, 2], "it appends");
        out.split_off(2)
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let input: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for (encoding, bytes) in [
            (Encoding::Identity, input.clone()),
            (Encoding::Gzip, gzip(&input)),
            (Encoding::Zstd, zstd(&input)),
            (Encoding::Zstd, zstd_without_length(&input)),
        ] {
            assert_eq!(decompress(encoding, &bytes, input.len()).unwrap(), input);
            let error = decompress(encoding, &bytes, input.len() - 1).unwrap_err();
            assert!(matches!(error, Error::TooLong { .. }), "{error}");
        }
        assert_eq!(decompress(Encoding::Zstd, &zstd(b""), 0).unwrap(), b"");
    }

    #[test]
    fn several_frames_are_one_body() {
        let both = [zstd(b"one "), zstd(b"two")].concat();
        assert_eq!(decompress(Encoding::Zstd, &both, 100).unwrap(), b"one two");
        let both = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(decompress(Encoding::Gzip, &both, 100).unwrap(), b"one two");
    }

    #[test]
    fn damaged_bodies_are_refused() {
        for (encoding, bytes) in [(Encoding::Gzip, gzip(&[7; 5000])), (Encoding::Zstd, zstd(&[7; 5000]))] {
            for damaged in [bytes[..bytes.len() - 1].to_vec(), b"garbage".to_vec(), vec![]] {
                let error = decompress(encoding, &damaged, 10_000).unwrap_err();
                assert!(matches!(error, Error::Damaged { .. }), "{encoding:?}: {error}");
            }
        }
    }

    #[test]
    fn a_small_bomb_is_stopped() {
        for (encoding, bytes) in
            [(Encoding::Gzip, gzip(&[0; 10 << 20])), (Encoding::Zstd, zstd_without_length(&[0; 10 << 20]))]
        {
            assert!(bytes.len() < 1 << 20);
            assert!(matches!(decompress(encoding, &bytes, 1 << 20), Err(Error::TooLong { .. })));
        }
    }

    #[test]
    fn names_are_those_of_headers() {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            assert_eq!(Encoding::from_name(encoding.name()), Some(encoding));
        }
        assert_eq!(Encoding::from_name("br"), None);
    }
}
