//! Documents that both entry points must judge alike: the offline compiler, and a cluster with the installed CRDs and the control
//! plane's validating webhook. A mark
//! `#~ IST0106 error: PATH` says that the document is bad, for that one reason; one without a mark is good.

use std::collections::BTreeMap;
use std::path::Path;

use kube::Client;
use kube::core::Status;
use kube::core::response::StatusCause;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{Kind, decode};
use mesh_core::source::SourceMap;
use serde_json::Value;

use mesh_tests::root;

use crate::sandbox::Sandbox;

/// What a document is, and where.
struct Case {
    /// `FILE:NAME`.
    name: String,
    value: Value,
    /// Line and path of the reason.
    mark: Option<(usize, String)>,
    /// The errors that the offline compiler finds, with their lines.
    errors: Vec<(usize, Diagnostic)>,
}

fn cases(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut map = SourceMap::default();
    let (documents, found) = map.parse(&name, &text);
    assert!(found.is_empty(), "{name}: {found:?}");
    let mut line = 1;
    let mut marks = Vec::new();
    for part in text.split("\n---\n") {
        let mut own = part.lines().enumerate().filter_map(|(at, text)| {
            let (_, mark) = text.split_once("#~ IST0106 error: ")?;
            Some((line + at, mark.trim().to_owned()))
        });
        marks.push(own.next());
        assert_eq!(own.next(), None, "{name}: one reason for each document");
        line += part.lines().count() + 1;
    }
    assert_eq!(documents.len(), marks.len(), "{name}");
    let case = |(document, mark): (&mesh_core::source::Document, _)| {
        let (resource, mut found) = decode(document, None);
        found.extend(
            resource
                .map(|resource| resource.findings)
                .unwrap_or_default(),
        );
        found.retain(|found| found.level == Level::Error);
        let value = Value::clone(&document.value);
        let own = value["metadata"]["name"].as_str().unwrap_or_default();
        Case {
            name: format!("{name}:{own}"),
            mark,
            errors: found
                .into_iter()
                .map(|found| {
                    (
                        map.locate_finding(&found).map_or(0, |span| span.line),
                        found,
                    )
                })
                .collect(),
            value,
        }
    };
    documents.iter().zip(marks).map(case).collect()
}

/// What is wrong with the offline judgement of a case.
fn offline_problem(case: &Case) -> Option<String> {
    let found: Vec<String> = case
        .errors
        .iter()
        .map(|(line, found)| format!("line {line}: {}", found.message))
        .collect();
    let expected = match (&case.mark, case.errors.as_slice()) {
        (None, []) => return None,
        (None, _) => "nothing".to_owned(),
        (Some((line, path)), [(at, found)]) => {
            if at == line && found.path.to_string().starts_with(path.as_str()) {
                return None;
            }
            format!("line {line}: {path}")
        }
        (Some((line, path)), _) => format!("line {line}: {path}"),
    };
    Some(format!(
        "{}: offline: expected {expected}, found {found:#?}",
        case.name
    ))
}

/// What is wrong with the cluster's judgement of a case: the API server's by the schema of the CRD, and then the control plane's
/// webhook's.
fn online_problem(case: &Case, refused: Option<&Status>) -> Option<String> {
    let problem = match (case.errors.first(), refused) {
        (None, None) => return None,
        (None, Some(status)) => format!("refused a good one: {}", status.message),
        // The Gateway API's objects may be meant for others: the webhook is not asked about them, and their status tells.
        (Some(_), None) if is_gateway_api(case) => return None,
        (Some((_, found)), None) => format!("accepted a bad one: {}", found.message),
        // Unknown fields are refused while the body is read, before anything looks at values.
        (Some((_, found)), Some(status)) if status.message.contains("unknown field") => {
            if status
                .message
                .contains(&format!("{:?}", found.path.to_string()))
            {
                return None;
            }
            format!("{:?} is not about {}", status.message, found.path)
        }
        (Some((_, found)), Some(status)) if status.message.contains(WEBHOOK) => {
            if status.message.contains(&found.message) {
                return None;
            }
            format!("said {:?} instead of {:?}", status.message, found.message)
        }
        (Some((_, found)), Some(status)) => {
            let details = status.details.as_ref();
            let causes = details.map_or(&[][..], |details| &details.causes);
            let said = |cause: &StatusCause| {
                let text = format!("{}: {}", cause.field, cause.message);
                text == found.message || found.path.to_string().starts_with(&cause.field)
            };
            if causes.iter().any(said) {
                return None;
            }
            format!("said {:?} instead of {:?}", status.message, found.message)
        }
    };
    Some(format!("{}: cluster: {problem}", case.name))
}

fn is_gateway_api(case: &Case) -> bool {
    let api_version = case.value["apiVersion"].as_str().unwrap_or_default();
    api_version.starts_with("gateway.networking.k8s.io/")
}

/// How refusals of the control plane begin.
const WEBHOOK: &str = "admission webhook \"validation.istio.io\" denied the request: ";

async fn judge(client: &Client, case: &Case) -> Option<Status> {
    let api_version = case.value["apiVersion"].as_str().unwrap_or_default();
    let kind = case.value["kind"].as_str().unwrap_or_default();
    let kind = Kind::of(api_version, kind).unwrap();
    let scope = match kind.is_namespaced() {
        true => "namespaces/default/",
        false => "",
    };
    let plural = kind.plural();
    let path = format!("/apis/{api_version}/{scope}{plural}?fieldValidation=Strict");
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(case.value.to_string().into_bytes()).unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(*status),
        Err(error) => panic!("{}: {error}", case.name),
    }
}

#[test]
fn the_cluster_and_the_compiler_judge_alike() {
    let sandbox = Sandbox::up("corpus", &[]);
    let directory = root().join("core/tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let cases: Vec<Case> = files.iter().flat_map(|file| cases(file)).collect();
    let refused: Vec<Option<Status>> = sandbox.with_client(async |client| {
        let mut refused = Vec::new();
        for case in &cases {
            refused.push(judge(&client, case).await);
        }
        refused
    });
    let mut problems = Vec::new();
    let mut count = BTreeMap::new();
    let (mut by_webhook, mut unjudged) = (0, 0);
    for (case, refused) in cases.iter().zip(&refused) {
        *count.entry(case.mark.is_some()).or_insert(0) += 1;
        let webhook = |status: &Status| status.message.contains(WEBHOOK);
        by_webhook += usize::from(refused.as_ref().is_some_and(webhook));
        unjudged += usize::from(case.mark.is_some() && refused.is_none());
        problems.extend(offline_problem(case));
        problems.extend(online_problem(case, refused.as_ref()));
    }
    assert!(
        problems.is_empty(),
        "{}\n{} problems",
        problems.join("\n"),
        problems.len()
    );
    assert!(count[&false] > 70 && count[&true] > 300, "{count:?}");
    assert!(
        unjudged < 5,
        "{unjudged} bad objects of the Gateway API got in"
    );
    assert!(
        by_webhook > 50,
        "only {by_webhook} were refused by the webhook"
    );
}
