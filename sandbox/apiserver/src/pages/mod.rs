//! Pages that are not objects: what there is (discovery), what it looks like (schemas), which version, how it feels.

mod discovery;
mod openapi;

use http::{Method, StatusCode};
use serde_json::json;

use super::request::Request;
use super::response::{self, Answer};
use super::state::Api;
use super::status::Status;

/// The version of Kubernetes whose API this is.
const VERSION: (&str, &str, &str) = ("1", "35", "v1.35.4+meshctl");

/// True for pages that everyone may see.
pub fn is_public(segments: &[String]) -> bool {
    matches!(
        segments.first().map(String::as_str),
        Some("healthz" | "livez" | "readyz" | "version")
    )
}

/// Answers a page.
pub fn answer(api: &Api, request: &Request, segments: &[String]) -> Answer {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Status::no_resource());
    }
    let kinds = api.kinds();
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(response::text("ok")),
        ["version"] => Ok(response::json(StatusCode::OK, &version())),
        ["api"] => Ok(discovery::core(request, &kinds)),
        ["apis"] => Ok(discovery::groups(request, &kinds)),
        ["api", version] => discovery::resources(&kinds, "", version),
        ["apis", group] => discovery::group(&kinds, group),
        ["apis", group, version] => discovery::resources(&kinds, group, version),
        ["openapi", "v2"] => Ok(openapi::old_document()),
        ["openapi", "v3"] => Ok(openapi::index(&kinds)),
        ["openapi", "v3", "api", version] => openapi::document(&kinds, "", version),
        ["openapi", "v3", "apis", group, version] => openapi::document(&kinds, group, version),
        [] => Ok(response::json(
            StatusCode::OK,
            &json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}),
        )),
        _ => Err(Status::no_resource()),
    }
}

fn version() -> serde_json::Value {
    let (major, minor, version) = VERSION;
    json!({
        "major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
