//! A graph in Graphviz' language.

use mesh_core::metrics::Graph;

use super::label::{Health, Labels};

/// The text.
pub fn render(graph: &Graph, labels: &Labels) -> String {
    let mut text = "digraph mesh {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n".to_owned();
    for (position, node) in graph.nodes.iter().enumerate() {
        text.push_str(&format!(
            "  n{position} [label={}];\n",
            quoted(&node.label())
        ));
    }
    for edge in &graph.edges {
        let color = match Labels::health(edge) {
            Health::Good => "#2e7d32",
            Health::Some => "#e69f00",
            Health::Bad => "#c62828",
            Health::Connections => "#1565c0",
        };
        let mut label = labels.of(edge);
        let lock = Labels::lock(edge);
        if !lock.is_empty() {
            label = format!("{label}\n{lock}");
        }
        text.push_str(&format!(
            "  n{} -> n{} [label={}, color=\"{color}\"];\n",
            edge.source,
            edge.destination,
            quoted(&label)
        ));
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
