//! How long things took, as percentiles.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Percentiles in milliseconds; all 0 where nothing was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
            self.p50, self.p90, self.p99, self.p999, self.max
        )
    }
}

/// Spans of time, gathered within a thousandth of their value.
pub(super) struct Recorder {
    /// Microseconds.
    spans: Option<Histogram<u64>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            // Three digits are within what the crate allows, so there always is one.
            spans: Histogram::new(3).ok(),
        }
    }
}

impl Recorder {
    pub fn record(&mut self, span: Duration) {
        if let Some(spans) = &mut self.spans {
            // The histogram grows as needed; only a span of centuries is out of its range.
            let _recorded = spans.record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub fn add(&mut self, other: &Recorder) {
        if let (Some(all), Some(one)) = (&mut self.spans, &other.spans) {
            // Both resize, so that no value is out of range.
            let _added = all.add(one);
        }
    }

    pub fn count(&self) -> u64 {
        self.spans.as_ref().map_or(0, Histogram::len)
    }

    pub fn latency(&self) -> Latency {
        self.spans.as_ref().map_or(Latency::default(), |spans| {
            let at = |quantile| spans.value_at_quantile(quantile) as f64 / 1000.0;
            Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: spans.max() as f64 / 1000.0,
            }
        })
    }
}
