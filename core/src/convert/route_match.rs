//! The conditions of a RouteRule as those of a VirtualService.

use serde_json::{Map, Value, json};

use super::Surroundings;
use super::fields::Fields;
use super::services::Labels;
use crate::diag::Level;

/// Fields of a match that old rules write as headers.
const PSEUDO_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];

/// Conditions of one rule.
pub(super) enum Conditions {
    /// On requests; none means all.
    Http(Option<Value>),
    /// On connections.
    Tcp(Option<Value>),
}

/// Reads `match`.
pub(super) fn conditions(spec: &Fields<'_>, namespace: &str, around: &Surroundings) -> Conditions {
    let Some(fields) = spec.object("match") else {
        return Conditions::Http(None);
    };
    let mut condition = Map::new();
    let labels = source_labels(&fields, namespace, around);
    if !labels.is_empty() {
        condition.insert("sourceLabels".into(), json!(labels));
    }
    fields.lost("udp", "has no counterpart: nothing routes UDP");
    if let Some(tcp) = fields.object("tcp") {
        let subnets = tcp.texts("destinationSubnet");
        if !subnets.is_empty() {
            condition.insert("destinationSubnets".into(), json!(subnets));
        }
        tcp.lost(
            "sourceSubnet",
            "has no counterpart: routes cannot depend on the client's address",
        );
        return Conditions::Tcp(filled(condition));
    }
    let request = fields.object("request");
    if let Some(headers) = request
        .as_ref()
        .and_then(|request| request.object("headers"))
    {
        let mut others = Map::new();
        for name in headers.names() {
            let Some(matches) = text_match(&headers, name) else {
                continue;
            };
            if PSEUDO_HEADERS.contains(&name) {
                condition.insert(name.to_owned(), matches);
            } else {
                others.insert(name.to_ascii_lowercase(), matches);
            }
        }
        if !others.is_empty() {
            condition.insert("headers".into(), others.into());
        }
    }
    Conditions::Http(filled(condition))
}

fn filled(condition: Map<String, Value>) -> Option<Value> {
    (!condition.is_empty()).then_some(Value::Object(condition))
}

/// Who calls: the labels of the calling service's pods, and those that are named.
fn source_labels(fields: &Fields<'_>, namespace: &str, around: &Surroundings) -> Labels {
    let Some(source) = fields.object("source") else {
        return Labels::new();
    };
    let own = source.filled("namespace").unwrap_or(namespace);
    source.lost(
        "domain",
        "has no counterpart: clients are told by their labels",
    );
    source.lost(
        "service",
        "has no counterpart: clients are told by their labels",
    );
    let mut labels = match source.filled("name") {
        Some(name) => around.services.selector((own, name), &source),
        None => Labels::new(),
    };
    labels.extend(source.words("labels"));
    labels
}

/// How a text is compared. `{}` is presence.
pub(super) fn text_match(fields: &Fields<'_>, name: &str) -> Option<Value> {
    let matches = fields.object(name)?;
    let mut all = Map::new();
    for way in ["exact", "prefix", "regex"] {
        if let Some(text) = matches.text(way) {
            all.insert(way.into(), text.into());
        }
    }
    if all.len() > 1 {
        matches.remark(
            Level::Error,
            "says more than one of exact, prefix and regex",
        );
        return None;
    }
    Some(all.into())
}
