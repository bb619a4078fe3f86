//! OpenAPI documents, as small as clients can do with: which kinds there are, and that their fields are checked.
//!
//! Nothing says which forms a patch may have: clients then use what they know of built-in kinds, and merge patches for
//! all others. Custom resources tell their schemas, for `kubectl explain`.

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::{Kinds, Served};
use crate::response::{self, Answer, Body};
use crate::status::Status;

/// The index of all documents.
pub fn index(kinds: &Kinds) -> Response<Body> {
    let mut paths = Map::new();
    for (group, versions) in kinds.groups() {
        for version in versions {
            let name = base(group, version);
            let text = document_value(kinds, group, version).to_string();
            let hash: String = Sha256::digest(text.as_bytes())
                .iter()
                .take(16)
                .map(|byte| format!("{byte:02X}"))
                .collect();
            let url = format!("/openapi/v3/{name}?hash={hash}");
            paths.insert(name, json!({"serverRelativeURL": url}));
        }
    }
    response::json(StatusCode::OK, &json!({"paths": paths}))
}

/// The document of one group and version.
pub fn document(kinds: &Kinds, group: &str, version: &str) -> Answer {
    if kinds.at(group, version).next().is_none() {
        return Err(Status::no_resource());
    }
    let value = document_value(kinds, group, version);
    Ok(response::json(StatusCode::OK, &value))
}

/// The media type of the old document. Clients ask for `v2@v1.0`, which is no valid name; this is what Kubernetes answers.
const OLD_MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The old document of all kinds, without any: kubectl asks for it before it unpacks a `List`, and does not look at objects
/// whose kinds it does not find there. The API server checks them anyway.
pub fn old_document() -> Response<Body> {
    // Document { swagger: "2.0", info: Info { title, version }, paths: Paths {} }, in protobuf.
    let document: &[u8] = b"\x0a\x032.0\x12\x0f\x0a\x0aKubernetes\x12\x011\x42\x00";
    response::typed(StatusCode::OK, OLD_MEDIA, document)
}

fn base(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

fn document_value(kinds: &Kinds, group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for served in kinds.at(group, version) {
        let kind = &served.kind;
        let place = if kind.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let path = format!("/{}{place}/{}/{{name}}", base(group, version), kind.plural);
        let name = schema_name(served);
        let identity = json!({"group": group, "version": version, "kind": kind.kind});
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        let answer = json!({"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}});
        let operation = |parameters: Value| json!({"parameters": parameters, "responses": answer, "x-kubernetes-group-version-kind": identity});
        let validation =
            json!([{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]);
        let operations = json!({"get": operation(json!([])), "patch": operation(validation)});
        paths.insert(path, operations);
        let mut schema = match served.custom() {
            Some(custom) if custom.schema.is_object() => custom.schema.clone(),
            _ => json!({"type": "object"}),
        };
        schema["x-kubernetes-group-version-kind"] = json!([identity]);
        schemas.insert(name, schema);
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.35.4"},
        "paths": paths, "components": {"schemas": schemas},
    })
}

/// `io.ex.v1.Thing`.
fn schema_name(served: &Served) -> String {
    let mut parts: Vec<&str> = served
        .group
        .split('.')
        .rev()
        .filter(|part| !part.is_empty())
        .collect();
    parts.push(&served.version);
    parts.push(&served.kind.kind);
    parts.join(".")
}
