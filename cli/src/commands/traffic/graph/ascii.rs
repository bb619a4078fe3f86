//! A graph as lines of text: each node with what it sends.

use anstyle::{AnsiColor, Style};
use mesh_core::metrics::Graph;

use super::label::{Health, Labels, from};

const NODE: Style = Style::new().bold();

/// The text.
pub fn render(graph: &Graph, labels: &Labels) -> String {
    let mut text = String::new();
    for (position, node) in graph.nodes.iter().enumerate() {
        let edges: Vec<_> = from(graph, position).collect();
        if edges.is_empty() {
            continue;
        }
        text.push_str(&format!("{NODE}{}{NODE:#}\n", node.label()));
        let names: Vec<String> = edges
            .iter()
            .map(|edge| {
                graph
                    .nodes
                    .get(edge.destination)
                    .map_or_else(String::new, |node| node.label())
            })
            .collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        for (index, (edge, name)) in edges.iter().zip(&names).enumerate() {
            let branch = if index + 1 == edges.len() {
                "└─"
            } else {
                "├─"
            };
            let lock = Labels::lock(edge);
            let style = match Labels::health(edge) {
                Health::Good => AnsiColor::Green.on_default(),
                Health::Some => AnsiColor::Yellow.on_default(),
                Health::Bad => AnsiColor::Red.on_default(),
                Health::Connections => AnsiColor::Blue.on_default(),
            };
            let lock = if lock.is_empty() {
                String::new()
            } else {
                format!("  {lock}")
            };
            text.push_str(&format!(
                "{branch}> {name:width$}  {style}{}{style:#}{lock}\n",
                labels.of(edge)
            ));
        }
    }
    text
}
