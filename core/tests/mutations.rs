//! No input makes validation or analysis panic, and a bad document rejects only itself: documents of the corpus with random values
//! at random places, and with random bytes.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use mesh_core::analyze::{Options, analyze_with};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{Resource, admit, decode_value};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::{Origin, parse};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The documents of the corpus.
static CORPUS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| parse("corpus", &text).0)
        .map(|document| Value::clone(&document.value))
        .collect()
});

/// Any JSON, with the numbers and texts that break things.
fn value() -> impl Strategy<Value = Value> {
    let numbers = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![json!(-1), json!(0), json!(65_536), json!(1e300)]),
    ];
    let texts = prop::sample::select(vec![
        "",
        "*",
        "**",
        "*.",
        ".",
        "/",
        "//",
        "é",
        "\u{0}",
        "%",
        "%%%",
        "{*}",
        "[",
        "(((((",
        "1e9999h",
        "99999999999999999999s",
        "unix://",
        "outbound_.",
        "@request.auth.claims[",
        "request.headers[",
        "::",
        "[::1]:",
        "a/b/c",
        "1.2.3.4/33",
        "${x}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        numbers,
        texts.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

/// A change: where, as numbers that choose a child at each level, and what.
fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Value)>> {
    prop::collection::vec((prop::collection::vec(any::<u8>(), 1..9), value()), 1..4)
}

fn apply(object: &mut Value, way: &[u8], new: Value) {
    let Some((first, rest)) = way.split_first() else {
        *object = new;
        return;
    };
    let first = usize::from(*first);
    match object {
        Value::Object(fields) if !fields.is_empty() => {
            let at = first % fields.len();
            if let Some(child) = fields.values_mut().nth(at) {
                apply(child, rest, new);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = first % items.len();
            apply(&mut items[at], rest, new);
        }
        _ => *object = new,
    }
}

fn decoded(object: &Value) -> (Option<Resource>, Vec<Diagnostic>) {
    decode_value(object.clone(), Origin::Builtin, None)
}

fn analyzed(objects: &[&Value]) -> Vec<Diagnostic> {
    let (resources, mut found): (Vec<_>, Vec<_>) =
        objects.iter().map(|object| decoded(object)).unzip();
    let resources: Vec<Arc<Resource>> = resources.into_iter().flatten().map(Arc::new).collect();
    let (snapshot, more) = Snapshot::build(resources, &SnapshotOptions::default());
    found.push(more);
    analyze_with(&snapshot, &Options::default(), found.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_change_of_a_document_makes_anything_panic(index in any::<prop::sample::Index>(), changes in changes()) {
        let mut object = index.get(&CORPUS).clone();
        for (way, new) in changes {
            apply(&mut object, &way, new);
        }
        let admission = admit(&object);
        let (resource, found) = decoded(&object);
        // What is refused where objects are written is what the resource is refused for elsewhere.
        let own = resource.into_iter().flat_map(|resource| resource.findings);
        let errors = found.into_iter().chain(own).filter(|found| found.level == Level::Error);
        prop_assert_eq!(admission.errors.len(), errors.count());
        analyzed(&[&object]);
    }

    #[test]
    fn a_bad_document_rejects_only_itself(index in any::<prop::sample::Index>(), garbage in "[^-]{0,80}") {
        let good = index.get(&CORPUS);
        let text = format!("{good}\n---\n{garbage}\n---\n{good}\n");
        let (documents, _) = parse("a.yaml", &text);
        let same = documents.iter().filter(|document| *document.value == *good).count();
        prop_assert!(same >= 2, "{same} of 2 are left");
    }
}
