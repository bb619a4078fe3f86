//! What mends a finding for certain: edits of the text that it is about. Everything around them stays as it is, comments included.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::rules::resolve_gateway;
use crate::diag::{Diagnostic, FieldPath, Segment};
use crate::source::{Document, Part, SourceMap, parse_whole};

/// An edit of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Code of the finding that it mends.
    pub code: &'static str,
    /// Line of the finding, from 1.
    pub line: usize,
    /// What is done, as words that follow "will": `write percentage instead of percent`.
    pub what: String,
    edits: Vec<(Range<usize>, String)>,
}

/// The repairs of findings, by the names of their texts. No two repairs of a text touch the same bytes.
pub fn repairs<'f>(
    findings: impl IntoIterator<Item = &'f Diagnostic>,
    sources: &SourceMap,
) -> BTreeMap<Arc<str>, Vec<Repair>> {
    let mut found: BTreeMap<Arc<str>, Vec<Repair>> = BTreeMap::new();
    for finding in findings {
        let Some(document) = sources.document(&finding.origin) else {
            continue;
        };
        let Some(repair) = repair(finding, document) else {
            continue;
        };
        let of_text = found.entry(document.source.name.clone()).or_default();
        if !of_text.iter().any(|other| other.touches(&repair)) {
            of_text.push(repair);
        }
    }
    for repairs in found.values_mut() {
        repairs.sort_by_key(|repair| repair.line);
    }
    found
}

/// A text after repairs. None if it could not be read as as many documents as before: then nothing of it is certain.
pub fn repaired(text: &str, repairs: &[Repair]) -> Option<String> {
    let mut edits: Vec<&(Range<usize>, String)> =
        repairs.iter().flat_map(|repair| &repair.edits).collect();
    edits.sort_by_key(|(range, _)| range.start);
    let mut mended = String::with_capacity(text.len());
    let mut at = 0;
    for (range, replacement) in edits {
        mended.push_str(text.get(at..range.start)?);
        mended.push_str(replacement);
        at = range.end;
    }
    mended.push_str(text.get(at..)?);
    let (before, faults_before) = parse_whole("", text);
    let (after, faults_after) = parse_whole("", &mended);
    let is_same = before.len() == after.len() && faults_before.len() == faults_after.len();
    is_same.then_some(mended)
}

fn repair(finding: &Diagnostic, document: &Document) -> Option<Repair> {
    quoted(finding, document)
        .or_else(|| percentage(finding, document))
        .or_else(|| gateway(finding, document))
        .or_else(|| spelling(finding, document))
}

/// A text that YAML reads as something else is quoted.
fn quoted(finding: &Diagnostic, document: &Document) -> Option<Repair> {
    let (range, text) = crate::resource::to_quote(document, finding)?;
    let what = format!("quote {text}");
    Some(Repair::new(
        finding,
        document,
        what,
        vec![(range, format!("\"{text}\""))],
    ))
}

/// `percent: 10` becomes `percentage: {value: 10}`, and `mirrorPercent` likewise.
fn percentage(finding: &Diagnostic, document: &Document) -> Option<Repair> {
    let Segment::Key(old) = finding.path.0.last()? else {
        return None;
    };
    let new = match &**old {
        "percent" if holds(&finding.path, &["fault", "delay"]) => "percentage",
        "mirrorPercent" | "mirror_percent" => "mirrorPercentage",
        _ => return None,
    };
    let siblings = parent(&finding.path);
    if value(document, &siblings)?.get(new).is_some() {
        return None;
    }
    let number = value(document, &finding.path)?.as_u64()?;
    let key = document.locate(&finding.path, Part::Key).bytes;
    let written = document.locate(&finding.path, Part::Value).bytes;
    if document.source.text.get(key.clone())? != &**old
        || document.source.text.get(written.clone())?.parse() != Ok(number)
    {
        return None;
    }
    let edits = vec![
        (key, new.to_owned()),
        (written, format!("{{value: {number}}}")),
    ];
    let what = format!("write {new} instead of {old}");
    Some(Repair::new(finding, document, what, edits))
}

/// Gateways are named `NAMESPACE/NAME` instead of by a host name.
fn gateway(finding: &Diagnostic, document: &Document) -> Option<Repair> {
    let is_gateway = matches!(
        finding.path.0.as_slice(),
        [Segment::Key(spec), Segment::Key(field), Segment::Index(_)]
            if &**spec == "spec" && &**field == "gateways"
    );
    if !is_gateway || !finding.is_of_schema() {
        return None;
    }
    let old = value(document, &finding.path)?.as_str()?;
    if !old.contains('.') || old.contains('/') {
        return None;
    }
    let (namespace, name) = resolve_gateway(old, "");
    let span = document.locate(&finding.path, Part::Value);
    let written = document.source.text.get(span.bytes.clone())?;
    if written.trim_matches(['"', '\'']) != old {
        return None;
    }
    let new = format!("{namespace}/{name}");
    let what = format!("write {new} instead of {old}");
    Some(Repair::new(
        finding,
        document,
        what,
        vec![(span.bytes, new)],
    ))
}

/// A field that differs from the one that was meant by case or separators only: `export_to`, `Hosts`.
fn spelling(finding: &Diagnostic, document: &Document) -> Option<Repair> {
    let Segment::Key(old) = finding.path.0.last()? else {
        return None;
    };
    let new = finding.hint.as_ref()?.strip_prefix("did you mean \"")?;
    let new = new.strip_suffix("\"?")?;
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(|it| !matches!(it, '_' | '-'));
        kept.flat_map(char::to_lowercase).collect()
    };
    let is_unknown = finding.message.contains("there is no field");
    if !is_unknown || plain(old) != plain(new) {
        return None;
    }
    if value(document, &parent(&finding.path))?.get(new).is_some() {
        return None;
    }
    let key = document.locate(&finding.path, Part::Key).bytes;
    if document.source.text.get(key.clone())? != &**old {
        return None;
    }
    let what = format!("write {new} instead of {old}");
    Some(Repair::new(
        finding,
        document,
        what,
        vec![(key, new.to_owned())],
    ))
}

fn parent(path: &FieldPath) -> FieldPath {
    let mut parent = path.clone();
    parent.0.pop();
    parent
}

/// Whether a path ends with some keys before its last one.
fn holds(path: &FieldPath, keys: &[&str]) -> bool {
    let before = path.0.len().saturating_sub(1);
    let start = before.saturating_sub(keys.len());
    let around = path.0.get(start..before).unwrap_or_default();
    around.len() == keys.len()
        && around
            .iter()
            .zip(keys)
            .all(|(segment, key)| matches!(segment, Segment::Key(name) if &**name == *key))
}

fn value<'d>(document: &'d Document, path: &FieldPath) -> Option<&'d Value> {
    path.0
        .iter()
        .try_fold(&*document.value, |value, segment| match segment {
            Segment::Key(key) => value.get(&**key),
            Segment::Index(index) => value.get(*index),
        })
}

// === impl Repair ===

impl Repair {
    fn new(
        finding: &Diagnostic,
        document: &Document,
        what: String,
        edits: Vec<(Range<usize>, String)>,
    ) -> Self {
        Self {
            code: finding.code,
            line: document.locate(&finding.path, Part::Value).line,
            what,
            edits,
        }
    }

    fn touches(&self, other: &Self) -> bool {
        self.edits.iter().any(|(own, _)| {
            let mut others = other.edits.iter();
            others.any(|(range, _)| own.start < range.end && range.start < own.end)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::analyze::{Options, analyze_with};
    use crate::resource::decode;
    use crate::snapshot::{Snapshot, SnapshotOptions};

    /// What becomes of a text.
    fn mend(text: &str) -> String {
        let mut sources = SourceMap::default();
        let (documents, mut findings) = sources.parse("a.yaml", text);
        let mut resources = Vec::new();
        for document in &documents {
            let (resource, faults) = decode(document, None);
            findings.extend(faults);
            resources.extend(resource.map(Arc::new));
        }
        let (snapshot, faults) = Snapshot::build(resources, &SnapshotOptions::default());
        findings.extend(faults);
        let found = analyze_with(&snapshot, &Options::default(), findings);
        let repairs = repairs(&found, &sources);
        let of_text = repairs.get("a.yaml").map(Vec::as_slice);
        repaired(text, of_text.unwrap_or_default()).expect("it can be read")
    }

    #[test]
    fn what_is_certain_is_mended_and_the_rest_stays() {
        let text = "\
# kept
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  labels: {version: 1.10}   # a text
spec:
  hosts: [web.example.com]
  Gateways: [mesh]
  gateways: [front.shop.svc.cluster.local, 'back.shop']  # two
  export_to: [\"*\"]
  http:
  - fault:
      delay: {percent: 10, fixedDelay: 1s}
    mirrorPercent: 5   # a share
    mirror: {host: other.example.com}
    route: [{destination: {host: web.example.com}}]
";
        let expected = text
            .replace("1.10", "\"1.10\"")
            .replace(
                "front.shop.svc.cluster.local, 'back.shop'",
                "shop/front, shop/back",
            )
            .replace("export_to", "exportTo")
            .replace("percent: 10", "percentage: {value: 10}")
            .replace("mirrorPercent: 5", "mirrorPercentage: {value: 5}");
        assert_eq!(mend(text), expected);
        assert_eq!(mend(&expected), expected, "nothing is left to mend");
        let windows = text.replace('\n', "\r\n");
        assert_eq!(mend(&windows), expected.replace('\n', "\r\n"));
    }
}
