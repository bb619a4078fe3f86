//! What is written at an edge.

use std::time::Duration;

use mesh_core::metrics::{Graph, GraphEdge};

use crate::commands::traffic::numbers::{milliseconds, per_second, rate};

/// How edges are labelled.
pub struct Labels {
    /// How long was counted; none since the start.
    pub window: Duration,
}

/// How an edge looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Good,
    Some,
    Bad,
    Connections,
}

// === impl Labels ===

impl Labels {
    /// `12.0/s, 3.1% failed, p95 20ms`.
    pub fn of(&self, edge: &GraphEdge) -> String {
        let counts = &edge.counts;
        let mut parts = Vec::new();
        if counts.requests > 0 {
            parts.push(self.amount(counts.requests, "requests"));
        }
        if counts.connections > 0 {
            parts.push(match rate(counts.connections, self.window) {
                Some(rate) => format!("{rate:.1} connections/s"),
                None => format!("{} connections", counts.connections),
            });
        }
        if counts.failed > 0 {
            let share = counts.failed as f64 * 100.0 / counts.requests.max(1) as f64;
            parts.push(format!("{share:.1}% failed"));
        }
        if let Some(p95) = counts.durations.quantile(0.95) {
            parts.push(format!("p95 {}", milliseconds(Some(p95))));
        }
        parts.join(", ")
    }

    /// A lock, where it is known whether there is one.
    pub fn lock(edge: &GraphEdge) -> &'static str {
        match edge.mutual_tls {
            Some(true) => "mTLS",
            Some(false) => "plaintext",
            None => "",
        }
    }

    /// How an edge looks: with any failure, with more than one in twenty.
    pub fn health(edge: &GraphEdge) -> Health {
        let counts = &edge.counts;
        match (counts.requests, counts.failed) {
            (0, _) => Health::Connections,
            (_, 0) => Health::Good,
            (requests, failed) if failed.saturating_mul(20) <= requests => Health::Some,
            _ => Health::Bad,
        }
    }

    fn amount(&self, count: u64, noun: &str) -> String {
        match rate(count, self.window) {
            Some(rate) => per_second(Some(rate)),
            None => format!("{count} {noun}"),
        }
    }
}

/// The edges that leave a node.
pub fn from(graph: &Graph, node: usize) -> impl Iterator<Item = &GraphEdge> {
    graph.edges.iter().filter(move |edge| edge.source == node)
}

/// The nodes in columns: those that nobody talks to first, then each as far from them as its longest way without a circle.
pub fn columns(graph: &Graph) -> Vec<Vec<usize>> {
    let count = graph.nodes.len();
    let mut depth = vec![0usize; count];
    // Ways are no longer than there are nodes; a circle ends there.
    for _ in 0..count.min(64) {
        let mut changed = false;
        for edge in graph
            .edges
            .iter()
            .filter(|edge| edge.source < edge.destination || !leads_back(graph, edge))
        {
            let next = depth.get(edge.source).copied().unwrap_or(0) + 1;
            if let Some(own) = depth.get_mut(edge.destination)
                && *own < next
                && next < count
            {
                *own = next;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let deepest = depth.iter().copied().max().unwrap_or(0);
    let mut columns = vec![Vec::new(); if count == 0 { 0 } else { deepest + 1 }];
    for (node, depth) in depth.iter().enumerate() {
        if let Some(column) = columns.get_mut(*depth) {
            column.push(node);
        }
    }
    columns.retain(|column| !column.is_empty());
    columns
}

/// Whether an edge is part of a circle.
fn leads_back(graph: &Graph, edge: &GraphEdge) -> bool {
    let mut seen = vec![false; graph.nodes.len()];
    let mut left = vec![edge.destination];
    while let Some(node) = left.pop() {
        if node == edge.source {
            return true;
        }
        if let Some(seen) = seen.get_mut(node)
            && !std::mem::replace(seen, true)
        {
            left.extend(from(graph, node).map(|edge| edge.destination));
        }
    }
    false
}
