//! Findings as workflow commands of GitHub Actions, which shows them beside the lines that they are about.

use std::fmt::Write as _;

use super::Located;
use crate::diag::Level;

/// A command on a line for each finding: `::error file=a.yaml,line=12,col=5,endLine=12,endColumn=9,title=IST0101::message`.
pub fn github(findings: &[Located<'_>]) -> String {
    let mut text = String::new();
    for (found, span) in findings {
        let command = match found.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let mut properties = Vec::new();
        if let Some(span) = span {
            properties.push(format!("file={}", property(&span.file)));
            properties.push(format!("line={}", span.line));
            properties.push(format!("endLine={}", span.end_line));
            // Columns may be given for one line only.
            if span.line == span.end_line {
                properties.push(format!("col={}", span.column));
                properties.push(format!("endColumn={}", span.end_column));
            }
        }
        properties.push(format!("title={}", property(found.code)));
        let object = found
            .resource
            .as_ref()
            .map_or_else(String::new, |object| format!("{object}: "));
        let hint = found
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        let message = message(&format!("{object}{}{hint}", found.message));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "::{command} {}::{message}", properties.join(","));
    }
    text
}

fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{message, property};

    #[test]
    fn what_separates_is_escaped() {
        assert_eq!(message("100%\nnext: a, b"), "100%25%0Anext: a, b");
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
    }
}
