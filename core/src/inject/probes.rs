//! The application's probes go through the agent: the kubelet is no client of the mesh, and the proxy might refuse it.
//!
//! ```text
//! kubelet --GET :15020/app-health/CONTAINER/readyz--> agent --the original probe--> application
//! ```
//!
//! The originals are handed to the agent in the environment variable `ISTIO_KUBE_APP_PROBERS`, in Istio's form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::template::Template;
use super::{PROXY_CONTAINER, STATUS_PORT};

/// Environment variable of the originals.
pub(super) const PROBERS: &str = "ISTIO_KUBE_APP_PROBERS";

/// The probes of a container and the last part of their paths.
const PROBES: [(&str, &str); 3] = [
    ("readinessProbe", "readyz"),
    ("livenessProbe", "livez"),
    ("startupProbe", "startupz"),
];

/// Original probes by path.
pub(super) type Probers = BTreeMap<String, Value>;

/// Points the probes of all application containers to the agent and gives the originals back. Probes that point there already
/// keep their originals of before.
pub(super) fn rewrite(pod: &mut Template, before: &Probers) -> Probers {
    let mut probers = Probers::new();
    for container in pod.list_mut("containers") {
        let Value::Object(container) = container else {
            continue;
        };
        let name = match container.get("name").and_then(Value::as_str) {
            Some(name) if name != PROXY_CONTAINER => name.to_owned(),
            _ => continue,
        };
        for (field, part) in PROBES {
            let path = format!("/app-health/{name}/{part}");
            let ports = container.get("ports").cloned().unwrap_or_default();
            let Some(Value::Object(probe)) = container.get_mut(field) else {
                continue;
            };
            let original = if points_to_agent(probe, &path) {
                before.get(&path).cloned()
            } else {
                redirect(probe, &path, &ports)
            };
            probers.extend(original.map(|original| (path, original)));
        }
    }
    probers
}

fn points_to_agent(probe: &Map<String, Value>, path: &str) -> bool {
    probe
        .get("httpGet")
        .is_some_and(|get| get["path"] == path && get["port"] == STATUS_PORT)
}

/// Changes a probe and gives the original back. Probes that run a command stay as they are, and so do those whose port cannot
/// be found out.
fn redirect(probe: &mut Map<String, Value>, path: &str, ports: &Value) -> Option<Value> {
    let kind = ["httpGet", "tcpSocket", "grpc"]
        .into_iter()
        .find(|kind| probe.get(*kind).is_some_and(Value::is_object))?;
    let given = probe.get(kind)?.as_object()?;
    let port = resolve(given.get("port")?, ports)?;
    let mut action = Map::new();
    if kind == "httpGet" {
        action.insert("path".into(), "/".into());
        action.insert("scheme".into(), "HTTP".into());
    }
    action.extend(given.clone());
    action.insert("port".into(), port.into());
    let mut original = Map::new();
    original.insert(kind.into(), Value::Object(action));
    if let Some(timeout) = probe.get("timeoutSeconds") {
        original.insert("timeoutSeconds".into(), timeout.clone());
    }
    let redirected = json!({ "path": path, "port": STATUS_PORT });
    if kind == "httpGet" {
        probe.insert(kind.into(), redirected);
    } else {
        probe.shift_remove(kind);
        probe.insert("httpGet".into(), redirected);
    }
    Some(Value::Object(original))
}

/// A port number, or the number of a named container port.
fn resolve(port: &Value, ports: &Value) -> Option<u16> {
    let number = match port {
        Value::Number(_) => port.as_u64()?,
        Value::String(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => ports
                .as_array()?
                .iter()
                .find(|candidate| candidate["name"] == text.as_str())?
                .get("containerPort")?
                .as_u64()?,
        },
        _ => return None,
    };
    u16::try_from(number).ok().filter(|number| *number != 0)
}
