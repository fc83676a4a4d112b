//! `ExportMetricsServiceRequest`: borrowed views for reading, [`Encoder`] for writing.
//!
//! ```text
//! Request::resources ─► ResourceMetrics::scopes ─► ScopeMetrics::metrics ─► Metric::data ─► …Points::iter
//! ```

mod encode;
mod points;

pub use encode::{Encoder, MetricKind, NewNumber};
pub use points::{
    Buckets, ExponentialHistogramPoint, HistogramPoint, Number, NumberPoint, Point, Points, Quantile, Repeated,
    SummaryPoint,
};

use crate::{
    DecodeError,
    pb::{self, Reader, Wire},
    resource::{Resource, Scope, head},
    value::Messages,
};

/// Data-point flag: the series has ended or was not measured; there is no value.
pub const NO_RECORDED_VALUE: u32 = 1;

/// A whole request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    message: &'a [u8],
}

impl<'a> Request<'a> {
    /// Views `message`; nothing is read yet.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// Its parts, one for each resource.
    pub fn resources(&self) -> impl Iterator<Item = Result<ResourceMetrics<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 1).map(|message| ResourceMetrics::parse(message?))
    }
}

/// What one resource tells.
#[derive(Clone, Copy, Debug)]
pub struct ResourceMetrics<'a> {
    /// Who tells.
    pub resource: Resource<'a>,
    message: &'a [u8],
}

impl<'a> ResourceMetrics<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { resource: Resource::parse(head(message)?)?, message })
    }

    /// Its parts, one for each scope.
    pub fn scopes(&self) -> impl Iterator<Item = Result<ScopeMetrics<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 2).map(|message| ScopeMetrics::parse(message?))
    }
}

/// What one scope tells.
#[derive(Clone, Copy, Debug)]
pub struct ScopeMetrics<'a> {
    /// Which library tells.
    pub scope: Scope<'a>,
    message: &'a [u8],
}

impl<'a> ScopeMetrics<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { scope: Scope::parse(head(message)?)?, message })
    }

    /// Its metrics.
    #[inline]
    pub fn metrics(&self) -> impl Iterator<Item = Result<Metric<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 2).map(|message| Metric::parse(message?))
    }
}

/// One metric and its points.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it means.
    pub description: &'a str,
    /// Its unit, in UCUM.
    pub unit: &'a str,
    /// Its points.
    pub data: Data<'a>,
}

/// How the points of a sum or a histogram relate to those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// The sender did not say, or said something unknown.
    #[default]
    Unspecified,
    /// Each counts since the one before.
    Delta,
    /// Each counts since the same start.
    Cumulative,
}

impl Temporality {
    fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Delta => 1,
            Self::Cumulative => 2,
        }
    }
}

/// The five kinds of metrics.
#[derive(Clone, Copy, Debug, Default)]
pub enum Data<'a> {
    /// None of them, or one that is not known here.
    #[default]
    None,
    /// Goes up and down.
    Gauge(Points<'a, NumberPoint<'a>>),
    /// Adds up.
    Sum {
        /// Its points.
        points: Points<'a, NumberPoint<'a>>,
        /// How they relate.
        temporality: Temporality,
        /// Whether it only grows.
        monotonic: bool,
    },
    /// Counts by bucket.
    Histogram {
        /// Its points.
        points: Points<'a, HistogramPoint<'a>>,
        /// How they relate.
        temporality: Temporality,
    },
    /// Counts by buckets whose bounds grow exponentially.
    ExponentialHistogram {
        /// Its points.
        points: Points<'a, ExponentialHistogramPoint<'a>>,
        /// How they relate.
        temporality: Temporality,
    },
    /// Quantiles that the sender worked out.
    Summary(Points<'a, SummaryPoint<'a>>),
}

impl<'a> Metric<'a> {
    // Not inlined: callers are compiled for size, this crate for speed.
    #[inline(never)]
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut metric = Self { name: "", description: "", unit: "", data: Data::None };
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next_field()? {
            let Wire::Bytes(bytes) = value else { continue };
            match field {
                1 => metric.name = pb::text(bytes)?,
                2 => metric.description = pb::text(bytes)?,
                3 => metric.unit = pb::text(bytes)?,
                5 => metric.data = Data::Gauge(Points::new(bytes)),
                7 => {
                    let (temporality, monotonic) = aggregation(bytes)?;
                    metric.data = Data::Sum { points: Points::new(bytes), temporality, monotonic };
                }
                9 => {
                    let (temporality, _) = aggregation(bytes)?;
                    metric.data = Data::Histogram { points: Points::new(bytes), temporality };
                }
                10 => {
                    let (temporality, _) = aggregation(bytes)?;
                    metric.data = Data::ExponentialHistogram { points: Points::new(bytes), temporality };
                }
                11 => metric.data = Data::Summary(Points::new(bytes)),
                _ => {}
            }
        }
        Ok(metric)
    }
}

/// Temporality and monotony, wherever they stand between the points.
#[inline]
fn aggregation(message: &[u8]) -> Result<(Temporality, bool), DecodeError> {
    let (mut temporality, mut monotonic) = (Temporality::Unspecified, false);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        match field {
            (2, Wire::Varint(number)) => temporality = Temporality::from_number(number),
            (3, Wire::Varint(number)) => monotonic = number != 0,
            _ => {}
        }
    }
    Ok((temporality, monotonic))
}
