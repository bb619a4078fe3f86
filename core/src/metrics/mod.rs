//! What proxies count, as values: samples of Prometheus' text format, durations by their histograms, and views of the traffic that they tell.

mod histogram;
mod sample;
mod traffic;
mod views;

pub use histogram::Histogram;
pub use sample::{Sample, samples};
pub use traffic::{Counts, Flow, Peer, Traffic};
pub use views::{By, Edge, Graph, GraphEdge, GraphType, Node, Stat, edges, graph, stats};
