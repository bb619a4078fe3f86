//! A graph in Mermaid's language, as Markdown pages show it.

use mesh_core::metrics::Graph;

use super::label::{Health, Labels};

/// The text.
pub fn render(graph: &Graph, labels: &Labels) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (position, node) in graph.nodes.iter().enumerate() {
        text.push_str(&format!("  n{position}[\"{}\"]\n", escaped(&node.label())));
    }
    for edge in &graph.edges {
        let lock = match Labels::lock(edge) {
            "" => String::new(),
            lock => format!(", {lock}"),
        };
        let label = escaped(&format!("{}{lock}", labels.of(edge)));
        text.push_str(&format!(
            "  n{} -->|\"{label}\"| n{}\n",
            edge.source, edge.destination
        ));
    }
    for (position, edge) in graph.edges.iter().enumerate() {
        let color = match Labels::health(edge) {
            Health::Good => continue,
            Health::Some => "#e69f00",
            Health::Bad => "#c62828",
            Health::Connections => "#1565c0",
        };
        text.push_str(&format!("  linkStyle {position} stroke:{color}\n"));
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('#', "#35;")
        .replace('"', "#quot;")
        .replace('\n', " ")
}
