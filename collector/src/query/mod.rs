//! What is asked of the store: query languages in, values out. Storage knows none of this.
//!
//! * [`promql`]: Prometheus' language over samples;
//! * [`logql`]: Loki's language over log records.

pub mod logql;
pub mod promql;
