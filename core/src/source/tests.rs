//! Reading texts: documents, scalars, lists, spans of fields, and faults with their places.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::diag::FieldPath;

#[track_caller]
fn values(text: &str) -> Vec<serde_json::Value> {
    let (documents, findings) = parse("a.yaml", text);
    assert!(findings.is_empty(), "{findings:?}");
    documents
        .into_iter()
        .map(|document| (*document.value).clone())
        .collect()
}

/// The text that `locate` finds for a path.
#[track_caller]
fn found(text: &str, path: &str, part: Part) -> (String, usize, usize) {
    let (documents, _) = parse("a.yaml", text);
    let span = documents[0].locate(&FieldPath::parse(path), part);
    (text[span.bytes].to_owned(), span.line, span.column)
}

#[test]
fn documents_are_split_by_markers_and_empty_ones_are_left_out() {
    for (text, expected) in [
        ("a: 1\n---\nb: 2\n", vec![json!({"a": 1}), json!({"b": 2})]),
        ("---\n---\n# note\n---\na: 1\n...\n", vec![json!({"a": 1})]),
        (
            "\u{feff}a: 1\r\n---\r\nb: x\r\n",
            vec![json!({"a": 1}), json!({"b": "x"})],
        ),
        (
            "a: |\n  text\n  ---\n  more\n",
            vec![json!({"a": "text\n---\nmore\n"})],
        ),
        ("%YAML 1.2\n---\na: 1\n", vec![json!({"a": 1})]),
        ("", vec![]),
        ("null\n", vec![]),
        (
            "{\"a\": 1}{\"b\": 2}\n",
            vec![json!({"a": 1}), json!({"b": 2})],
        ),
        (
            "{\"a\": 1}\n---\nb: 2\n",
            vec![json!({"a": 1}), json!({"b": 2})],
        ),
        ("{a: 1, b: [x, z]}", vec![json!({"a": 1, "b": ["x", "z"]})]),
    ] {
        assert_eq!(values(text), expected, "{text:?}");
    }
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let text = "base: &b {x: 1, y: 2}\nuse: *b\nmore:\n  <<: *b\n  y: 3\n";
    let expected =
        json!({"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 2}, "more": {"y": 3, "x": 1}});
    assert_eq!(values(text), vec![expected]);
}

#[test]
fn lists_are_their_items() {
    let text = "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  metadata: {name: a}\n- kind: Pod\n  metadata: {name: b}\n";
    let (documents, findings) = parse("a.yaml", text);
    assert!(findings.is_empty());
    assert_eq!(documents.len(), 2);
    assert_ne!(documents[0].origin, documents[1].origin);
    let span = documents[1].locate(&FieldPath::parse("metadata.name"), Part::Value);
    assert_eq!((span.line, &text[span.bytes]), (7, "b"));
    let typed = json!({"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {}}]});
    let expected = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {}});
    assert_eq!(values(&typed.to_string()), vec![expected]);
    assert_eq!(parse_whole("a.yaml", text).0.len(), 1);
}

#[test]
fn a_broken_document_does_not_take_the_others_along() {
    for (broken, line, path) in [
        ("a: [1, 2", 3, ""),
        ("a: \"open", 3, ""),
        ("spec:\n  x: 1\n  x: 2", 5, "spec.x"),
        ("a:\n\tb: 1", 4, ""),
        ("a: *nobody", 3, ""),
        ("items:\n- a: 1\n   b: 2", 5, ""),
    ] {
        let text = format!("a: 1\n---\n{broken}\n---\nb: 2\n");
        let (documents, findings) = parse("a.yaml", &text);
        assert_eq!(documents.len(), 2, "{text}");
        assert_eq!(findings.len(), 1, "{text}");
        assert!(
            findings[0].message.starts_with("line "),
            "{}",
            findings[0].message
        );
        let at: usize = findings[0].message[5..]
            .split(',')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(at, line, "{text}: {}", findings[0].message);
        if !path.is_empty() {
            assert_eq!(findings[0].path.to_string(), path);
        }
        let Origin::File { document, .. } = &documents[1].origin else {
            panic!("from a file");
        };
        assert_eq!(*document, 2);
    }
}

#[test]
fn repeated_keys_are_refused_in_json_too() {
    let (documents, findings) = parse("a.json", r#"{"a": {"b": 1, "b": 2}}"#);
    assert!(documents.is_empty());
    assert_eq!(
        findings[0].message,
        "line 1, column 16: key \"b\" is repeated"
    );
    assert_eq!(findings[0].path.to_string(), "a.b");
}

#[test]
fn bombs_and_depth_are_bounded() {
    let mut text = "a0: &a0 [xxxxxxxxxx, xxxxxxxxxx]\n".to_owned();
    for level in 1..40 {
        let before = level - 1;
        text.push_str(&format!(
            "a{level}: &a{level} [*a{before}, *a{before}, *a{before}]\n"
        ));
    }
    text.push_str("---\nb: 1\n");
    let (documents, findings) = parse("a.yaml", &text);
    assert_eq!((documents.len(), findings.len()), (1, 1));
    assert!(findings[0].message.ends_with("aliases expand to too much"));

    for deep in [
        "[".repeat(100_000),
        "- ".repeat(5_000),
        "{a: ".repeat(5_000),
    ] {
        assert_eq!(parse("a.yaml", &deep).1.len(), 1);
    }
    assert_eq!(parse("a.yaml", "a: &x [*x]\n").1.len(), 1);
}

#[test]
fn fields_are_found() {
    let text = "# first\nspec:\n  http:\n  - route:\n    - destination:\n        host: reviews # where\n      weight: 50\n  empty:\n  block: |\n    one\n    two\n\n  flow: {a: [1, 22]}\nö: ü\n";
    for (path, part, expected) in [
        ("spec.http[0].route[0].weight", Part::Value, ("50", 7, 15)),
        ("spec.http[0].route[0].weight", Part::Key, ("weight", 7, 7)),
        (
            "spec.http[0].route[0].destination.host",
            Part::Value,
            ("reviews", 6, 15),
        ),
        (
            "spec.http[0].route[0].destination.subset",
            Part::Value,
            ("destination", 5, 7),
        ),
        (
            "spec.http[0].route[7].destination",
            Part::Value,
            ("route", 4, 5),
        ),
        ("spec.empty", Part::Value, ("empty", 8, 3)),
        ("spec.flow.a[1]", Part::Value, ("22", 13, 17)),
        ("spec.flow", Part::Value, ("{a: [1, 22]}", 13, 9)),
        ("ö", Part::Value, ("ü", 14, 4)),
        ("", Part::Value, ("spec", 2, 1)),
        ("metadata.name", Part::Value, ("spec", 2, 1)),
    ] {
        let (text, line, column) = found(text, path, part);
        assert_eq!((text.as_str(), line, column), expected, "{path} {part:?}");
    }
    // A value of several lines is pointed at by its key.
    assert_eq!(
        found(text, "spec.block", Part::Value),
        ("block".to_owned(), 9, 3)
    );
    assert_eq!(
        found(text, "spec.http[0]", Part::Value),
        ("route".to_owned(), 4, 5)
    );
}

#[test]
fn fields_of_json_and_of_later_documents_are_found() {
    let json = "{\n\t\"spec\": {\"hosts\": [\"a\", \"b\"]}\n}";
    assert_eq!(
        found(json, "spec.hosts[1]", Part::Value),
        ("\"b\"".to_owned(), 2, 26)
    );
    let text = "a: 1\n---\n# note\nb:\n  c: 2\n";
    let (documents, _) = parse("a.yaml", text);
    let span = documents[1].locate(&FieldPath::parse("b.c"), Part::Value);
    assert_eq!((span.line, span.column, span.end_column), (5, 6, 7));
    assert_eq!(documents[0].text(), "a: 1\n");
    assert_eq!(documents[1].text(), "---\n# note\nb:\n  c: 2\n");
}

#[test]
fn a_map_finds_fields_and_faults() {
    let mut map = SourceMap::default();
    let (documents, findings) = map.parse("a.yaml", "a: 1\n---\nb: [\n---\nc: 2\n");
    let at = |origin: &Origin| {
        let span = map
            .locate(origin, &FieldPath::parse("c"), Part::Value)
            .unwrap();
        (span.line, span.column)
    };
    assert_eq!(at(&documents[1].origin), (5, 4));
    assert_eq!(at(&findings[0].origin), (3, 4));
    assert_eq!(
        map.locate(&Origin::Builtin, &FieldPath::root(), Part::Key),
        None
    );
    assert_eq!(map.text("a.yaml").unwrap().line(3), Some("b: ["));
}

/// Texts that look enough like YAML to reach the depths of the parser.
fn yamlish() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "  ",
        "\n",
        "\n  ",
        "\n- ",
        "---\n",
        "...\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "# c",
        "\t",
        "\r\n",
        "!!str ",
        "!t ",
        "? ",
        ": ",
        "é",
        "\u{feff}",
        "%YAML 1.2\n",
        "0x",
        "1e9",
        "kind: List\nitems:\n- ",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_without_panic_and_spans_lie_in_it(text in prop_oneof![yamlish(), any::<String>()]) {
        let mut map = SourceMap::default();
        let (documents, findings) = map.parse("t", &text);
        let mut end = 0;
        for document in parse_whole("t", &text).0 {
            prop_assert!(document.range.start >= end && document.range.end <= text.len());
            end = document.range.end;
        }
        for document in &documents {
            for path in ["", "a", "b.a", "[0]", "items[0].b"] {
                for part in [Part::Key, Part::Value] {
                    let span = document.locate(&FieldPath::parse(path), part);
                    prop_assert!(text.get(span.bytes).is_some());
                }
            }
        }
        for finding in &findings {
            let span = map.locate_finding(finding);
            prop_assert!(span.is_some_and(|span| text.get(span.bytes).is_some()));
        }
    }
}
