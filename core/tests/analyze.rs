//! Rules against annotated YAML: `#~ CODE level: text` on a line expects a finding there whose message contains the text, and
//! `#~ CODE level FROM..TO: text` also its columns. A file without marks expects silence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_core::analyze::{CODES, ON_REQUEST, Options, RULES, Rendered, analyze_with, line};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::decode;
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::SourceMap;

/// All findings about a text, with the map that locates them.
fn findings(name: &str, text: &str, options: &Options) -> (Vec<Diagnostic>, SourceMap) {
    let mut map = SourceMap::default();
    let (documents, mut found) = map.parse(name, text);
    let mut resources = Vec::new();
    for document in &documents {
        let (resource, faults) = decode(document, None);
        found.extend(faults);
        resources.extend(resource.map(Arc::new));
    }
    let (snapshot, faults) = Snapshot::build(resources, &SnapshotOptions::default());
    found.extend(faults);
    let mut found = analyze_with(&snapshot, options, found);
    // What has no effect yet is marked in a file of its own only: the others are about their rules.
    found.retain(|found| {
        !["MESH0001", "MESH0002"].contains(&found.code) || name.contains(found.code)
    });
    // Objects that break rules of their own kinds are not meant to fit together.
    if name.starts_with("IST0106") {
        found.retain(|found| found.is_of_schema() || text.contains(found.code));
    }
    (found, map)
}

/// What a mark expects.
#[derive(Debug)]
struct Mark {
    line: usize,
    code: String,
    level: Level,
    columns: Option<(usize, usize)>,
    text: String,
}

fn marks(text: &str) -> Vec<Mark> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(at, line)| line.split("#~ ").skip(1).map(move |mark| (at + 1, mark)))
        .map(|(line, mark)| {
            let (head, text) = mark.split_once(": ").expect("a mark has a text");
            let mut words = head.split_whitespace();
            let code = words.next().expect("a mark has a code").to_owned();
            let level = match words.next() {
                Some("error") => Level::Error,
                Some("warning") => Level::Warning,
                Some("info") => Level::Info,
                other => panic!("line {line}: no level: {other:?}"),
            };
            let columns = words.next().map(|range| {
                let (from, to) = range.split_once("..").expect("FROM..TO");
                (from.parse().unwrap(), to.parse().unwrap())
            });
            Mark {
                line,
                code,
                level,
                columns,
                text: text.trim().to_owned(),
            }
        })
        .collect()
}

/// How the findings about a file differ from its marks.
fn check(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let (mut found, map) = findings(&name, &text, &Options::default());
    let mut problems = Vec::new();
    for mark in marks(&text) {
        let position = found.iter().position(|found| {
            let span = map.locate_finding(found).expect("findings have places");
            found.code == mark.code
                && found.level == mark.level
                && span.line == mark.line
                && mark
                    .columns
                    .is_none_or(|columns| columns == (span.column, span.end_column))
                && found.message.contains(&mark.text)
        });
        match position {
            Some(position) => drop(found.remove(position)),
            None => problems.push(format!("{name}: expected but not found: {mark:?}")),
        }
    }
    for found in found {
        let span = map.locate_finding(&found);
        let columns = span.as_ref().map(|span| (span.column, span.end_column));
        problems.push(format!(
            "not expected: {} {columns:?}",
            line(&found, span.as_ref())
        ));
    }
    problems
}

#[test]
fn rules_find_what_is_marked_and_nothing_else() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/analyze");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 10, "the fixtures are there");
    let mut marked = BTreeSet::new();
    let problems: Vec<String> = files.iter().flat_map(|file| check(file)).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        marked.extend(marks(&text).into_iter().map(|mark| mark.code));
    }
    let always = RULES.iter().filter(|rule| !ON_REQUEST.contains(&rule.name));
    for code in always.flat_map(|rule| rule.codes) {
        assert!(marked.contains(*code), "{code} has a fixture");
    }
}

/// The YAML files of a directory and those below it.
fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|name| name.to_str());
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if extension.is_some_and(|name| ["yaml", "yml"].contains(&name)) {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn the_samples_are_clean() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let mut checked = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let directory = entry.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        // Routing examples are alternatives to each other; each is for the applications beside it.
        let (mut applications, mut examples) = (String::new(), vec![String::new()]);
        for path in yaml_files(&directory) {
            let text = std::fs::read_to_string(&path).unwrap() + "\n---\n";
            if is_of_first_versions(&text) {
                told_apart(&text);
            } else if text.contains("kind: VirtualService") && !text.contains("kind: Gateway") {
                examples.push(text);
            } else {
                applications.push_str(&text);
            }
        }
        for example in examples {
            let text = [applications.as_str(), &example].concat();
            let (mut found, map) = findings("samples", &text, &Options::default());
            // The routes inside the mesh choose versions, and that of the gateway does not, as in the tutorials.
            // The policy of the authorizer is for httpbin, which is beside it.
            let of_another = directory.ends_with("ext-authz").then_some("IST0127");
            found.retain(|found| found.code != "IST0140" && Some(found.code) != of_another);
            let lines: Vec<String> = found
                .iter()
                .map(|found| line(found, map.locate_finding(found).as_ref()))
                .collect();
            assert!(lines.is_empty(), "{directory:?}: {lines:#?}\n{text}");
            checked += usize::from(!text.is_empty());
        }
    }
    assert!(checked > 8, "the samples are there");
}

/// Whether a file is one of the first tutorials, for objects that Istio has no more.
fn is_of_first_versions(text: &str) -> bool {
    let groups = ["config", "authentication", "rbac"];
    let mut groups = groups
        .map(|group| format!("apiVersion: {group}.istio.io/"))
        .into_iter();
    groups.any(|group| text.contains(&group))
}

/// Each object of such a file is told to be an old one.
#[track_caller]
fn told_apart(text: &str) {
    let (found, _) = findings("samples", text, &Options::default());
    let old = found.iter().filter(|found| found.code == "IST0002").count();
    assert_eq!(old, text.matches("apiVersion: ").count(), "{text}");
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/analysis");
    let pages: BTreeSet<String> = std::fs::read_dir(pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    let codes: BTreeSet<String> = CODES.iter().map(|code| code.code.to_owned()).collect();
    assert_eq!(pages, codes);
    for code in RULES.iter().flat_map(|rule| rule.codes) {
        assert!(codes.contains(*code), "{code} is a code");
    }
}

const REVIEWS: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  namespace: prod
  annotations: {}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviewz}
";

#[test]
fn findings_can_be_suppressed_by_annotation_and_option() {
    let count = |text: &str, options: &Options| findings("a.yaml", text, options).0.len();
    assert_eq!(count(REVIEWS, &Options::default()), 1);
    for codes in ["IST0101", "IST0109, IST01*", "*"] {
        let annotation = format!("{{galley.istio.io/analyze-suppress: {codes:?}}}");
        let text = REVIEWS.replace("{}", &annotation);
        assert_eq!(count(&text, &Options::default()), 0, "{codes}");
    }
    for (suppression, left) in [
        ("IST0101=VirtualService prod/*", 0),
        ("IST0101=VirtualService reviews", 1),
        ("IST0102=*", 1),
    ] {
        let options = Options {
            suppressions: vec![suppression.parse().unwrap()],
            ..Options::default()
        };
        assert_eq!(count(REVIEWS, &options), left, "{suppression}");
    }
    let options = Options {
        rules: BTreeSet::from(["service.PortNameAnalyzer".to_owned()]),
        ..Options::default()
    };
    assert_eq!(count(REVIEWS, &options), 0);
    let ignored = REVIEWS.replace("prod", "kube-system");
    assert_eq!(count(&ignored, &Options::default()), 0);
}

#[test]
fn findings_are_printed_as_istioctl_prints_them() {
    let (found, map) = findings("a.yaml", REVIEWS, &Options::default());
    let span = map.locate_finding(&found[0]);
    assert_eq!(
        line(&found[0], span.as_ref()),
        "Error [IST0101] (VirtualService prod/reviews a.yaml:11) Referenced host not found: \"reviewz\""
    );
    let rendered = serde_json::to_value(Rendered::new(&found[0], span.as_ref())).unwrap();
    assert_eq!(rendered["reference"], "a.yaml:11");
    assert_eq!(rendered["origin"], "VirtualService prod/reviews");
    assert!(
        rendered["documentationUrl"]
            .as_str()
            .unwrap()
            .ends_with("IST0101.md")
    );
}

/// Objects that all contend with each other.
fn contending(form: &str, count: usize) -> String {
    let object = |at: usize| {
        let (name, namespace) = (format!("o{at}"), format!("ns{}", at % 7));
        match form {
            "VirtualService" => format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{hosts: [shared.example.com, \"*.example.com\"], http: [{{route: [{{destination: {{host: shared.example.com}}}}]}}]}}\n"
            ),
            "Gateway" => format!(
                "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [shared.example.com], tls: {{mode: SIMPLE, credentialName: c}}}}]}}\n"
            ),
            "ServiceEntry" => format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{hosts: [shared.example.com], resolution: DNS, ports: [{{number: 80, name: a, protocol: {}}}]}}\n",
                if at.is_multiple_of(2) { "HTTP" } else { "TLS" }
            ),
            "Sidecar" => format!(
                "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\nspec: {{workloadSelector: {{labels: {{app: web}}}}, egress: [{{hosts: [\"*/*\"]}}]}}\n"
            ),
            _ => format!(
                "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{host: shared.example.com, subsets: [{{name: {name}, labels: {{app: {name}}}}}]}}\n"
            ),
        }
    };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {containers: []}\n";
    let objects: Vec<String> = (0..count).map(object).collect();
    format!("{pod}---\n{}", objects.join("---\n"))
}

#[test]
fn what_is_told_grows_with_the_input_and_no_faster() {
    let size = |form: &str, count: usize| -> usize {
        let (found, _) = findings(
            "MESH0002.yaml",
            &contending(form, count),
            &Options::default(),
        );
        let texts = found.iter().map(|found| {
            let hint = found.hint.as_ref().map_or(0, String::len);
            found.message.len() + hint + 100
        });
        texts.sum()
    };
    for form in [
        "VirtualService",
        "Gateway",
        "ServiceEntry",
        "Sidecar",
        "DestinationRule",
    ] {
        let (few, many) = (size(form, 100), size(form, 800));
        assert!(
            many < 10 * few,
            "{form}: {few} became {many}, eight times the objects"
        );
    }
}
