//! What proxies count, as values: samples of Prometheus' text format, and durations by their histograms.

mod histogram;
mod sample;

pub use histogram::Histogram;
pub use sample::{Sample, samples};
