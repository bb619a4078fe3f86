//! Texts that YAML reads as something else: `name: off` is a boolean, `version: 1.10` a number. What a finding says is the same
//! wherever the object comes from; only a text can show what to quote.

use std::ops::Range;

use serde_json::Value;

use crate::diag::{Diagnostic, FieldPath, Segment};
use crate::source::{Document, Part};

/// How to write a value that was meant as a string, where a finding says that one was expected.
pub(super) fn hint(document: &Document, finding: &Diagnostic) -> Option<String> {
    let (_, written) = to_quote(document, finding)?;
    let read = match value(&document.value, &finding.path)? {
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        _ => return None,
    };
    Some(format!(
        "{written} is read as {read}; quote it: \"{written}\""
    ))
}

/// The bytes of a value that was meant as a string, with what is written there.
pub(crate) fn to_quote<'d>(
    document: &'d Document,
    finding: &Diagnostic,
) -> Option<(Range<usize>, &'d str)> {
    let wants_text = ["expected a string", "must be a string", "of type string"];
    if !wants_text.iter().any(|said| finding.message.contains(said)) {
        return None;
    }
    let found = value(&document.value, &finding.path)?;
    if !found.is_boolean() && !found.is_number() {
        return None;
    }
    let span = document.locate(&finding.path, Part::Value);
    let written = document.source.text.get(span.bytes.clone())?;
    let is_plain = !written.is_empty() && !written.contains(['"', '\'', '\\', '\n', ':']);
    is_plain.then_some((span.bytes, written))
}

fn value<'v>(object: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.0
        .iter()
        .try_fold(object, |value, segment| match segment {
            Segment::Key(key) => value.get(&**key),
            Segment::Index(index) => value.get(*index),
        })
}

#[cfg(test)]
mod tests {
    use crate::resource::decode;
    use crate::source::parse;

    #[test]
    fn the_text_to_quote_is_shown() {
        let text = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: off
  labels: {version: 1.10, tier: yes}
  annotations:
    a: 0x1F
spec:
  hosts: [on]
";
        let (documents, _) = parse("a.yaml", text);
        let (resource, findings) = decode(&documents[0], None);
        assert!(resource.is_none(), "an object without a name");
        let hints: Vec<(String, String)> = findings
            .into_iter()
            .filter_map(|finding| Some((finding.path.to_string(), finding.hint?)))
            .filter(|(_, hint)| hint.contains("quote"))
            .collect();
        let expected = [
            (
                "spec.hosts[0]",
                "on is read as the boolean true; quote it: \"on\"",
            ),
            (
                "metadata.name",
                "off is read as the boolean false; quote it: \"off\"",
            ),
            (
                "metadata.labels.version",
                "1.10 is read as the number 1.1; quote it: \"1.10\"",
            ),
            (
                "metadata.labels.tier",
                "yes is read as the boolean true; quote it: \"yes\"",
            ),
            (
                "metadata.annotations.a",
                "0x1F is read as the number 31; quote it: \"0x1F\"",
            ),
        ];
        let expected = expected.map(|(path, hint)| (path.to_owned(), hint.to_owned()));
        assert_eq!(hints, expected);
    }
}
