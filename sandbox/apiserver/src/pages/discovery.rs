//! Discovery: groups, versions and kinds; all at once for clients that ask so, or page by page.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::kinds::{Kinds, Served, api_version};
use crate::request::Request;
use crate::response::{self, Answer, Body};
use crate::status::Status;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The media types of aggregated discovery; the parameters select the client's parser.
const AGGREGATED: [(&str, &str); 2] = [
    (
        "v2",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    ),
    (
        "v2beta1",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    ),
];

/// The version of aggregated discovery that a client asks for.
fn aggregated(request: &Request) -> Option<(&'static str, &'static str)> {
    let asked = request
        .accept
        .split(',')
        .map(|range| range.replace(' ', ""));
    let mut asked = asked.filter(|range| range.contains("as=APIGroupDiscoveryList"));
    asked.find_map(|range| {
        let has = |version: &str| {
            range
                .split(';')
                .any(|word| word.strip_prefix("v=") == Some(version))
        };
        AGGREGATED.into_iter().find(|(version, _)| has(version))
    })
}

/// `/api`: the core group.
pub fn core(request: &Request, kinds: &Kinds) -> Response<Body> {
    if let Some(form) = aggregated(request) {
        return all(form, kinds, |group| group.is_empty());
    }
    let versions =
        json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []});
    response::json(StatusCode::OK, &versions)
}

/// `/apis`: all other groups.
pub fn groups(request: &Request, kinds: &Kinds) -> Response<Body> {
    if let Some(form) = aggregated(request) {
        return all(form, kinds, |group| !group.is_empty());
    }
    let groups = kinds.groups().into_iter();
    let groups: Vec<Value> = groups
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| describe_group(group, &versions))
        .collect();
    let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    response::json(StatusCode::OK, &list)
}

/// `/apis/GROUP`.
pub fn group(kinds: &Kinds, group: &str) -> Answer {
    let mut groups = kinds.groups().into_iter();
    let found = groups.find(|(name, _)| *name == group && !group.is_empty());
    let (name, versions) = found.ok_or_else(Status::no_resource)?;
    let mut value = describe_group(name, &versions);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Ok(response::json(StatusCode::OK, &value))
}

fn describe_group(group: &str, versions: &[&str]) -> Value {
    let version =
        |version: &&str| json!({"groupVersion": api_version(group, version), "version": version});
    let all: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": group, "versions": all, "preferredVersion": all.first()})
}

/// `/apis/GROUP/VERSION`: the kinds there.
pub fn resources(kinds: &Kinds, group: &str, version: &str) -> Answer {
    let mut list = Vec::new();
    for served in kinds.at(group, version) {
        let kind = &served.kind;
        let mut entry = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": verbs(served),
        });
        if !kind.short.is_empty() && is_home(served) {
            entry["shortNames"] = json!(kind.short);
        }
        if !kind.categories.is_empty() && is_home(served) {
            entry["categories"] = json!(kind.categories);
        }
        list.push(entry);
        for part in parts(served) {
            let mut entry = json!({
                "name": format!("{}/{}", kind.plural, part.name), "singularName": "", "namespaced": kind.namespaced,
                "kind": part.kind, "verbs": part.verbs,
            });
            if let Some((group, version)) = part.home {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            list.push(entry);
        }
    }
    if list.is_empty() {
        return Err(Status::no_resource());
    }
    let value = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": list,
    });
    Ok(response::json(StatusCode::OK, &value))
}

fn verbs(served: &Served) -> &'static [&'static str] {
    if served.kind.transient {
        &["create"]
    } else {
        &VERBS
    }
}

/// True where a kind is at home, and not at a group of old.
fn is_home(served: &Served) -> bool {
    served.group == served.kind.group
}

/// A part of the objects of a kind.
struct Part {
    name: &'static str,
    kind: String,
    verbs: &'static [&'static str],
    /// The group and version of its kind, when they are others.
    home: Option<(&'static str, &'static str)>,
}

fn parts(served: &Served) -> Vec<Part> {
    let kind = &served.kind;
    let own = |name: &'static str, verbs| Part {
        name,
        kind: kind.kind.clone(),
        verbs,
        home: None,
    };
    let mut parts = Vec::new();
    for (name, part) in kind.parts {
        let (verbs, home): (&[&str], _) = match *name {
            "log" => (&["get"], None),
            "portforward" => (&["create", "get"], None),
            "ephemeralcontainers" => (&["get", "patch", "update"], None),
            "finalize" => (&["update"], None),
            "eviction" => (&["create"], Some(("policy", "v1"))),
            "token" => (&["create"], Some(("authentication.k8s.io", "v1"))),
            _ => (&["create"], None),
        };
        parts.push(Part {
            name,
            kind: (*part).to_owned(),
            verbs,
            home,
        });
    }
    if kind.status {
        parts.push(own("status", &["get", "patch", "update"]));
    }
    if kind.scale.is_some() {
        parts.push(Part {
            kind: "Scale".to_owned(),
            home: Some(("autoscaling", "v1")),
            ..own("scale", &["get", "patch", "update"])
        });
    }
    parts
}

fn all(
    (version, media): (&str, &'static str),
    kinds: &Kinds,
    wanted: impl Fn(&str) -> bool,
) -> Response<Body> {
    let groups = kinds.groups().into_iter();
    let items: Vec<Value> = groups
        .filter(|(group, _)| wanted(group))
        .map(|(group, versions)| {
            let versions = versions.iter().map(|version| {
                let resources: Vec<Value> = kinds.at(group, version).map(aggregate).collect();
                json!({"version": version, "freshness": "Current", "resources": resources})
            });
            let mut metadata = json!({});
            if !group.is_empty() {
                metadata["name"] = json!(group);
            }
            json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
        })
        .collect();
    let value = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    });
    response::typed(StatusCode::OK, media, value.to_string())
}

fn aggregate(served: &Served) -> Value {
    let kind = &served.kind;
    let scope = if kind.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let of = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut value = json!({
        "resource": kind.plural, "responseKind": of(&served.group, &served.version, &kind.kind),
        "scope": scope, "singularResource": kind.singular, "verbs": verbs(served),
    });
    if is_home(served) {
        value["shortNames"] = json!(kind.short);
        value["categories"] = json!(kind.categories);
    }
    let parts = parts(served).into_iter().map(|part| {
        let (group, version) = part.home.unwrap_or((&served.group, &served.version));
        json!({"subresource": part.name, "responseKind": of(group, version, &part.kind), "verbs": part.verbs})
    });
    let parts: Vec<Value> = parts.collect();
    if !parts.is_empty() {
        value["subresources"] = json!(parts);
    }
    value
}
