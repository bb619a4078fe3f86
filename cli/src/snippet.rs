//! A finding in its text: the lines around it with the culprit underlined.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use mesh_core::diag::{Diagnostic, Level as Severity};
use mesh_core::source::{SourceText, Span};

/// Lines of a culprit that are shown; a whole object may have thousands.
const MOST_LINES: usize = 3;

/// The place of a finding, its hint and a note below it. Ends with a line break.
pub fn render(
    found: &Diagnostic,
    place: Option<(&SourceText, &Span)>,
    note: Option<&str>,
) -> String {
    let level = match found.level {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let mut group = Group::with_level(level);
    let window = place.map(|(source, span)| (Window::new(source, span), span));
    if let Some((window, span)) = &window {
        let snippet = Snippet::source(window.text.as_str())
            .line_start(window.first_line)
            .path(span.file.to_string())
            .annotation(AnnotationKind::Primary.span(window.culprit.clone()));
        group = group.element(snippet);
    }
    if let Some(hint) = &found.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint));
    }
    if let Some(note) = note {
        group = group.element(Level::NOTE.with_name("see").message(note));
    }
    if group.is_empty() {
        return String::new();
    }
    let mut text = Renderer::styled()
        .decor_style(DecorStyle::Ascii)
        .render(&[group]);
    text.push('\n');
    text
}

/// The lines of a text that are shown. Only they go to the renderer, which would read the whole text otherwise.
struct Window {
    text: String,
    first_line: usize,
    culprit: std::ops::Range<usize>,
}

// === impl Window ===

impl Window {
    fn new(source: &SourceText, span: &Span) -> Self {
        let first_line = span.line.max(1);
        let last_line = span.end_line.clamp(first_line, first_line + MOST_LINES - 1);
        let lines: Vec<&str> = (first_line..=last_line)
            .map_while(|line| source.line(line))
            .collect();
        let text = lines.join("\n").trim_start_matches('\u{feff}').to_owned();
        let start = byte_of_column(&text, span.column);
        let end = if span.end_line <= last_line && span.end_line == first_line {
            byte_of_column(&text, span.end_column)
        } else {
            text.trim_end().len()
        };
        let mut culprit = start..end.max(start);
        if culprit.is_empty() {
            // Something must be underlined, if only the end of the line.
            culprit.end = text[start..]
                .chars()
                .next()
                .map_or(start, |letter| start + letter.len_utf8());
        }
        Self {
            text,
            first_line,
            culprit,
        }
    }
}

fn byte_of_column(text: &str, column: usize) -> usize {
    let mut letters = text.char_indices();
    letters
        .nth(column.saturating_sub(1))
        .map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use mesh_core::diag::FieldPath;
    use mesh_core::source::Origin;

    use super::*;

    fn found() -> Diagnostic {
        Diagnostic {
            code: "IST0101",
            level: Severity::Error,
            resource: None,
            origin: Origin::Builtin,
            path: FieldPath::root(),
            message: "wrong".to_owned(),
            hint: Some("right".to_owned()),
        }
    }

    /// What is underlined, without colours.
    fn shown(text: &str, bytes: std::ops::Range<usize>) -> String {
        let source = SourceText::new("a.yaml", text);
        let span = source.span(bytes);
        anstream::adapter::strip_str(&render(&found(), Some((&source, &span)), None)).to_string()
    }

    #[test]
    fn the_culprit_is_underlined_below_its_line() {
        let text = "a: é\nb: wörld  # no\n";
        let at = text.find("wörld").unwrap();
        let expected = " --> a.yaml:2:4
  |
2 | b: wörld  # no
  |    ^^^^^
  |
  = hint: right
";
        assert_eq!(shown(text, at..at + "wörld".len()), expected);
    }

    #[test]
    fn any_span_of_any_text_can_be_shown() {
        let texts = [
            "",
            "\n",
            "a",
            "a\r\nb\r\n",
            "\u{feff}a: b\n",
            "\ta:\tb\n",
            "é😀\n\n\nx",
            "a: |\n  b\n  c\n  d\n  e\n",
            "  \n  \n",
        ];
        for text in texts {
            for start in 0..=text.len() {
                for end in start..=text.len() + 1 {
                    let shown = shown(text, start..end);
                    assert!(
                        shown.contains("a.yaml:"),
                        "{text:?} {start}..{end}: {shown}"
                    );
                    assert!(
                        shown.ends_with("= hint: right\n"),
                        "{text:?} {start}..{end}: {shown}"
                    );
                }
            }
        }
    }
}
