//! The points of each kind of metric.

use std::{fmt, marker::PhantomData};

use yagura_model::Nanos;

use super::NO_RECORDED_VALUE;
use crate::{
    Attributes, DecodeError,
    attributes::Finder,
    pb::{self, Reader, Wire},
    value::Messages,
};

/// The points of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a, P> {
    message: &'a [u8],
    kind: PhantomData<P>,
}

/// A kind of point.
pub trait Point<'a>: Sized {
    /// Reads its message.
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError>;
}

impl<'a, P: Point<'a>> Points<'a, P> {
    #[inline]
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, kind: PhantomData }
    }

    /// Each point; the iteration ends after the first error in what surrounds the points.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Result<P, DecodeError>> + use<'a, P> {
        Messages::new(self.message, 1).map(|message| P::parse(message?))
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Number {
    /// The sender gave none.
    #[default]
    None,
    /// A whole number.
    Int(i64),
    /// Any number.
    Double(f64),
}

/// A sample of a gauge or a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NumberPoint<'a> {
    /// Its labels.
    pub attributes: Attributes<'a>,
    /// Since when it counts; 0 when unknown.
    pub start: Nanos,
    /// When it was measured.
    pub time: Nanos,
    /// How much.
    pub value: Number,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl NumberPoint<'_> {
    /// Whether this says that there is no value any more.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// Keys of the hot message, so that a field costs one comparison.
mod key {
    use crate::pb::{BYTES, FIXED64, VARINT, key};

    pub(super) const ATTRIBUTE: u32 = key(7, BYTES);
    pub(super) const START: u32 = key(2, FIXED64);
    pub(super) const TIME: u32 = key(3, FIXED64);
    pub(super) const DOUBLE: u32 = key(4, FIXED64);
    pub(super) const INT: u32 = key(6, FIXED64);
    pub(super) const FLAGS: u32 = key(8, VARINT);
}

impl<'a> Point<'a> for NumberPoint<'a> {
    // Not inlined: callers are compiled for size, this crate for speed.
    #[inline(never)]
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut point = Self::default();
        let mut finder = Finder::new(message, 7);
        let mut reader = Reader::new(message);
        loop {
            let before = reader.rest();
            let Some(key) = reader.next_key()? else { break };
            match key {
                key::ATTRIBUTE => {
                    reader.bytes()?;
                    finder.found(before, reader.rest());
                }
                key::START => point.start = pb::nanos(reader.fixed64()?),
                key::TIME => point.time = pb::nanos(reader.fixed64()?),
                key::DOUBLE => point.value = Number::Double(reader.double()?),
                key::INT => point.value = Number::Int(reader.fixed64()?.cast_signed()),
                key::FLAGS => point.flags = pb::low32(reader.varint()?),
                _ => reader.skip(key)?,
            }
        }
        point.attributes = finder.attributes();
        Ok(point)
    }
}

/// Numbers that are repeated in a message, packed or not.
#[derive(Clone, Copy)]
pub struct Repeated<'a, T> {
    message: &'a [u8],
    field: u32,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
}

impl<'a, T> Repeated<'a, T> {
    /// Each number, in order; the iteration ends after the first error.
    pub fn iter(&self) -> impl Iterator<Item = Result<T, DecodeError>> + use<'a, T> {
        let (field, read) = (self.field, self.read);
        let mut outer = Reader::new(self.message);
        let mut packed = Reader::new(&[]);
        std::iter::from_fn(move || {
            let next = next_number(&mut outer, &mut packed, field, read);
            if next.is_err() {
                (outer, packed) = (Reader::new(&[]), Reader::new(&[]));
            }
            next.transpose()
        })
    }
}

fn next_number<'a, T>(
    outer: &mut Reader<'a>,
    packed: &mut Reader<'a>,
    field: u32,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    while packed.rest().is_empty() {
        let before = outer.rest();
        match outer.next_field()? {
            None => return Ok(None),
            Some((number, Wire::Bytes(bytes))) if number == field => *packed = Reader::new(bytes),
            Some((number, Wire::Fixed64(_) | Wire::Varint(_))) if number == field => {
                // One number that stands alone: read it again, without its key.
                let mut alone = Reader::new(before);
                alone.varint()?;
                return read(&mut alone).map(Some);
            }
            Some(_) => {}
        }
    }
    read(packed).map(Some).map_err(|_| DecodeError::BadPacked)
}

impl<T> fmt::Debug for Repeated<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeated").field("field", &self.field).finish_non_exhaustive()
    }
}

/// A histogram's point: counts by bucket.
#[derive(Clone, Copy, Debug)]
pub struct HistogramPoint<'a> {
    /// Its labels.
    pub attributes: Attributes<'a>,
    /// Since when it counts; 0 when unknown.
    pub start: Nanos,
    /// When it was measured.
    pub time: Nanos,
    /// How many values.
    pub count: u64,
    /// Their sum, if the sender keeps it.
    pub sum: Option<f64>,
    /// How many in each bucket, not added up: one more than there are bounds, or none at all.
    pub bucket_counts: Repeated<'a, u64>,
    /// The upper bounds, growing.
    pub explicit_bounds: Repeated<'a, f64>,
    /// The smallest value.
    pub min: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> Point<'a> for HistogramPoint<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut point = Self {
            attributes: Attributes::default(),
            start: Nanos(0),
            time: Nanos(0),
            count: 0,
            sum: None,
            bucket_counts: Repeated { message, field: 6, read: Reader::fixed64 },
            explicit_bounds: Repeated { message, field: 7, read: Reader::double },
            min: None,
            max: None,
            flags: 0,
        };
        let mut finder = Finder::new(message, 9);
        let mut reader = Reader::new(message);
        loop {
            let before = reader.rest();
            match reader.next_field()? {
                Some((9, Wire::Bytes(_))) => finder.found(before, reader.rest()),
                Some((2, Wire::Fixed64(time))) => point.start = pb::nanos(time),
                Some((3, Wire::Fixed64(time))) => point.time = pb::nanos(time),
                Some((4, Wire::Fixed64(count))) => point.count = count,
                Some((5, Wire::Fixed64(bits))) => point.sum = Some(f64::from_bits(bits)),
                Some((10, Wire::Varint(flags))) => point.flags = pb::low32(flags),
                Some((11, Wire::Fixed64(bits))) => point.min = Some(f64::from_bits(bits)),
                Some((12, Wire::Fixed64(bits))) => point.max = Some(f64::from_bits(bits)),
                Some(_) => {}
                None => return Ok(Self { attributes: finder.attributes(), ..point }),
            }
        }
    }
}

/// One side of an exponential histogram.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    /// The index of the first bucket.
    pub offset: i32,
    /// How many in each.
    pub counts: Repeated<'a, u64>,
}

impl<'a> Buckets<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut buckets = Self { offset: 0, counts: Repeated { message, field: 2, read: Reader::varint } };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            if let (1, Wire::Varint(offset)) = field {
                buckets.offset = pb::zigzag32(offset);
            }
        }
        Ok(buckets)
    }
}

/// An exponential histogram's point: bucket `i` holds values in `(base^i, base^(i+1)]`, base = 2^(2^-scale).
#[derive(Clone, Copy, Debug)]
pub struct ExponentialHistogramPoint<'a> {
    /// Its labels.
    pub attributes: Attributes<'a>,
    /// Since when it counts; 0 when unknown.
    pub start: Nanos,
    /// When it was measured.
    pub time: Nanos,
    /// How many values.
    pub count: u64,
    /// Their sum, if the sender keeps it.
    pub sum: Option<f64>,
    /// The resolution.
    pub scale: i32,
    /// How many values are zero, or as good as.
    pub zero_count: u64,
    /// What is as good as zero.
    pub zero_threshold: f64,
    /// Values above zero.
    pub positive: Buckets<'a>,
    /// Values below zero, by their amount.
    pub negative: Buckets<'a>,
    /// The smallest value.
    pub min: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> Point<'a> for ExponentialHistogramPoint<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut point = Self {
            attributes: Attributes::default(),
            start: Nanos(0),
            time: Nanos(0),
            count: 0,
            sum: None,
            scale: 0,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: Buckets::parse(&[])?,
            negative: Buckets::parse(&[])?,
            min: None,
            max: None,
            flags: 0,
        };
        let mut finder = Finder::new(message, 1);
        let mut reader = Reader::new(message);
        loop {
            let before = reader.rest();
            match reader.next_field()? {
                Some((1, Wire::Bytes(_))) => finder.found(before, reader.rest()),
                Some((2, Wire::Fixed64(time))) => point.start = pb::nanos(time),
                Some((3, Wire::Fixed64(time))) => point.time = pb::nanos(time),
                Some((4, Wire::Fixed64(count))) => point.count = count,
                Some((5, Wire::Fixed64(bits))) => point.sum = Some(f64::from_bits(bits)),
                Some((6, Wire::Varint(scale))) => point.scale = pb::zigzag32(scale),
                Some((7, Wire::Fixed64(count))) => point.zero_count = count,
                Some((8, Wire::Bytes(buckets))) => point.positive = Buckets::parse(buckets)?,
                Some((9, Wire::Bytes(buckets))) => point.negative = Buckets::parse(buckets)?,
                Some((10, Wire::Varint(flags))) => point.flags = pb::low32(flags),
                Some((12, Wire::Fixed64(bits))) => point.min = Some(f64::from_bits(bits)),
                Some((13, Wire::Fixed64(bits))) => point.max = Some(f64::from_bits(bits)),
                Some((14, Wire::Fixed64(bits))) => point.zero_threshold = f64::from_bits(bits),
                Some(_) => {}
                None => return Ok(Self { attributes: finder.attributes(), ..point }),
            }
        }
    }
}

/// One quantile of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantile {
    /// Which, from 0 to 1.
    pub quantile: f64,
    /// Its value.
    pub value: f64,
}

impl Quantile {
    fn parse(message: &[u8]) -> Result<Self, DecodeError> {
        let mut quantile = Self::default();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Wire::Fixed64(bits)) => quantile.quantile = f64::from_bits(bits),
                (2, Wire::Fixed64(bits)) => quantile.value = f64::from_bits(bits),
                _ => {}
            }
        }
        Ok(quantile)
    }
}

/// A summary's point.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryPoint<'a> {
    /// Its labels.
    pub attributes: Attributes<'a>,
    /// Since when it counts; 0 when unknown.
    pub start: Nanos,
    /// When it was measured.
    pub time: Nanos,
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
    message: &'a [u8],
}

impl<'a> SummaryPoint<'a> {
    /// Each quantile; the iteration ends after the first error in what surrounds them.
    pub fn quantiles(&self) -> impl Iterator<Item = Result<Quantile, DecodeError>> + use<'a> {
        Messages::new(self.message, 6).map(|message| Quantile::parse(message?))
    }
}

impl<'a> Point<'a> for SummaryPoint<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut point = Self { message, ..Self::default() };
        let mut finder = Finder::new(message, 7);
        let mut reader = Reader::new(message);
        loop {
            let before = reader.rest();
            match reader.next_field()? {
                Some((7, Wire::Bytes(_))) => finder.found(before, reader.rest()),
                Some((2, Wire::Fixed64(time))) => point.start = pb::nanos(time),
                Some((3, Wire::Fixed64(time))) => point.time = pb::nanos(time),
                Some((4, Wire::Fixed64(count))) => point.count = count,
                Some((5, Wire::Fixed64(bits))) => point.sum = f64::from_bits(bits),
                Some((8, Wire::Varint(flags))) => point.flags = pb::low32(flags),
                Some(_) => {}
                None => return Ok(Self { attributes: finder.attributes(), ..point }),
            }
        }
    }
}
