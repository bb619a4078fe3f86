//! A graph as a picture of its own, without any other program: nodes in columns by how far they are from where traffic comes in.

use std::fmt::Write as _;

use mesh_core::metrics::Graph;
use mesh_core::xml::escaped;

use super::label::{Health, Labels, columns};

const WIDTH: usize = 200;
const HEIGHT: usize = 44;
const BETWEEN_COLUMNS: usize = 260;
const BETWEEN_ROWS: usize = 50;
const MARGIN: usize = 30;

/// The text.
pub fn render(graph: &Graph, labels: &Labels) -> String {
    let columns = columns(graph);
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let height = 2 * MARGIN + tallest.max(1) * (HEIGHT + BETWEEN_ROWS);
    let width = 2 * MARGIN + columns.len().max(1) * (WIDTH + BETWEEN_COLUMNS) - BETWEEN_COLUMNS;
    let mut places = vec![(0, 0); graph.nodes.len()];
    for (column, nodes) in columns.iter().enumerate() {
        // Each column stands in the middle.
        let top = (height - nodes.len() * (HEIGHT + BETWEEN_ROWS) + BETWEEN_ROWS) / 2;
        for (row, node) in nodes.iter().enumerate() {
            if let Some(place) = places.get_mut(*node) {
                let x = MARGIN + column * (WIDTH + BETWEEN_COLUMNS);
                *place = (x, top + row * (HEIGHT + BETWEEN_ROWS));
            }
        }
    }
    let place = |node: usize| places.get(node).copied().unwrap_or_default();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8z\" fill=\"context-stroke\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for edge in &graph.edges {
        let (from, to) = (place(edge.source), place(edge.destination));
        let (x1, y1) = (from.0 + WIDTH, from.1 + HEIGHT / 2);
        let (x2, y2) = (to.0, to.1 + HEIGHT / 2);
        let bend = BETWEEN_COLUMNS / 2;
        let color = match Labels::health(edge) {
            Health::Good => "#2e7d32",
            Health::Some => "#e69f00",
            Health::Bad => "#c62828",
            Health::Connections => "#1565c0",
        };
        let dash = match edge.mutual_tls {
            Some(true) => "",
            _ => " stroke-dasharray=\"6 4\"",
        };
        let lock = match edge.mutual_tls {
            Some(true) => "\u{1f512} ",
            _ => "",
        };
        // Backwards a curve goes round.
        let control = x2.saturating_sub(bend);
        let _ = writeln!(
            text,
            "<path d=\"M{x1} {y1}C{} {y1} {control} {y2} {x2} {y2}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{dash} marker-end=\"url(#end)\"/>\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#424242\">{lock}{}</text>",
            x1 + bend,
            (x1 + x2) / 2,
            ((y1 + y2) / 2).saturating_sub(6),
            escaped(&labels.of(edge))
        );
    }
    for (node, (x, y)) in graph.nodes.iter().zip(&places) {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#f5f5f5\" stroke=\"#616161\"/>\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x + WIDTH / 2,
            y + HEIGHT / 2 + 4,
            escaped(&node.label())
        );
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::metrics::{Counts, GraphEdge, Node};

    use super::super::{ascii, dot, mermaid};
    use super::*;

    fn graph() -> Graph {
        let node = |name: &str| Node {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            version: String::new(),
        };
        let edge = |source, destination, failed| GraphEdge {
            source,
            destination,
            mutual_tls: Some(failed == 0),
            counts: Counts {
                requests: 20,
                failed,
                ..Counts::default()
            },
            ..GraphEdge::default()
        };
        Graph {
            nodes: vec![node("a\"<"), node("b"), node("c")],
            // The last two are a circle.
            edges: vec![edge(0, 1, 0), edge(1, 2, 5), edge(2, 1, 0)],
        }
    }

    #[test]
    fn each_format_shows_nodes_edges_and_errors() {
        let labels = Labels {
            window: Duration::from_secs(10),
        };
        let graph = graph();
        let ascii = anstream::adapter::strip_str(&ascii::render(&graph, &labels)).to_string();
        assert_eq!(
            ascii,
            "a\"<.shop\n└─> b.shop  2.0/s  mTLS\nb.shop\n└─> c.shop  2.0/s, 25.0% failed  plaintext\nc.shop\n└─> b.shop  2.0/s  mTLS\n"
        );
        let dot = dot::render(&graph, &labels);
        assert!(dot.contains("n0 [label=\"a\\\"<.shop\"]"), "{dot}");
        assert!(
            dot.contains("n1 -> n2 [label=\"2.0/s, 25.0% failed\\nplaintext\", color=\"#c62828\"]"),
            "{dot}"
        );
        let mermaid = mermaid::render(&graph, &labels);
        assert!(mermaid.contains("n0 -->|\"2.0/s, mTLS\"| n1"), "{mermaid}");
        let svg = render(&graph, &labels);
        assert!(
            svg.contains("a&quot;&lt;.shop") && svg.contains("stroke=\"#c62828\""),
            "{svg}"
        );
        let nothing = Graph::default();
        assert!(render(&nothing, &labels).ends_with("</svg>\n"));
        assert_eq!(columns(&graph).first(), Some(&vec![0]));
    }
}
