//! The judge: Istio's own validation and the CRDs of Istio and the Gateway API, as a program that answers line by line.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use super::documents::Document;

/// What the judge says of a document.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Verdict {
    /// It knows the kind.
    pub known: bool,
    /// Why the CRD refuses the object.
    pub schema: String,
    /// Why Istio's validation refuses it.
    pub webhook: String,
    /// What it only warns of.
    pub warning: String,
}

impl Verdict {
    /// Whether an API server would refuse the object.
    pub fn refuses(&self) -> bool {
        !self.schema.is_empty() || !self.webhook.is_empty()
    }

    /// The reason in a line.
    pub fn reason(&self) -> String {
        [&self.schema, &self.webhook]
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join(" | ")
    }
}

/// Asks about each of the documents, in their order.
pub fn ask(judge: &str, definitions: &[String], documents: &[Document]) -> Vec<Verdict> {
    let answers = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(judge)
        .arg(answers.path())
        .args(definitions)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    for document in documents {
        let line = json!({"id": document.name, "object": document.object});
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success(), "the judge failed");
    let lines = BufReader::new(answers).lines().map(Result::unwrap);
    let verdicts: Vec<Verdict> = lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    assert_eq!(verdicts.len(), documents.len(), "the judge answered all");
    verdicts
}
