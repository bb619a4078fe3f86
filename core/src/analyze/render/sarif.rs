//! Findings as SARIF 2.1.0, which code hosts and editors read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Located;
use crate::analyze::Code;
use crate::diag::Level;

/// A log with one run. Rules are the codes that were found.
pub fn sarif(findings: &[Located<'_>]) -> Value {
    let codes: BTreeSet<&str> = findings.iter().map(|(found, _)| found.code).collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| {
            let known = Code::of(code);
            json!({
                "id": code,
                "name": known.map_or(*code, |known| known.name),
                "helpUri": Code::documentation_url(code),
                "shortDescription": { "text": known.map_or(*code, |known| known.summary()) },
            })
        })
        .collect();
    let index = |code: &str| codes.iter().position(|known| *known == code);
    let results: Vec<Value> = findings
        .iter()
        .map(|located| {
            let (found, _) = located;
            let text = match &found.hint {
                Some(hint) => format!("{} ({hint})", found.message),
                None => found.message.clone(),
            };
            json!({
                "ruleId": found.code,
                "ruleIndex": index(found.code),
                "level": level(found.level),
                "message": { "text": text },
                "locations": [location(located)],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "meshctl",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn location((found, span): &Located<'_>) -> Value {
    let mut location = json!({});
    if let Some(span) = span {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": uri(&span.file) },
            "region": {
                "startLine": span.line,
                "startColumn": span.column,
                "endLine": span.end_line,
                "endColumn": span.end_column,
            },
        });
    }
    if let Some(object) = &found.resource {
        location["logicalLocations"] = json!([{
            "name": &*object.name,
            "fullyQualifiedName": object.to_string(),
            "kind": "resource",
        }]);
    }
    location
}

/// A file's name as a relative reference: what has a meaning in one is escaped.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn names_of_files_are_references() {
        assert_eq!(uri("dir/a b.yaml"), "dir/a%20b.yaml");
        assert_eq!(uri("c:x"), "c%3Ax");
    }
}
