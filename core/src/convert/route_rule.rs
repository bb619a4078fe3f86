//! One RouteRule as a rule of a VirtualService.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::route_match::{Conditions, conditions};
use super::services::{Host, Labels, destination};
use super::{Converter, Source};
use crate::diag::Level;

/// A rule, and what it needs.
pub(super) struct Rule {
    pub(super) position: usize,
    pub(super) host: Host,
    pub(super) precedence: i64,
    /// Whether it takes everything that has come as far as to it.
    pub(super) takes_all: bool,
    pub(super) body: Body,
    /// The versions that it names.
    pub(super) versions: Vec<(Host, Labels)>,
}

/// An entry of `http` or `tcp`.
pub(super) enum Body {
    Http(Value),
    Tcp(Value),
}

/// Reads a RouteRule. None without a destination.
pub(super) fn convert(
    converter: &Converter<'_>,
    source: Source<'_>,
    spec: &Fields<'_>,
) -> Option<Rule> {
    let around = converter.around;
    let namespace = source.namespace();
    let target = spec.object("destination");
    let host = target
        .as_ref()
        .and_then(|target| Host::of(target, namespace, around));
    let Some(host) = host else {
        spec.note(spec.at("destination"), Level::Error, "names no service");
        return None;
    };
    if let Some(target) = &target {
        target.lost(
            "labels",
            "has no counterpart: a rule is for a service as a whole",
        );
    }
    let precedence = spec.whole("precedence").unwrap_or(0);
    let mut versions = Vec::new();
    let mut entry = Map::new();
    let condition = match conditions(spec, namespace, around) {
        Conditions::Http(condition) => {
            add_match(&mut entry, &condition);
            http(
                converter,
                spec,
                (&host, namespace),
                (&mut entry, &mut versions),
            );
            (condition.is_none(), Body::Http(entry.into()))
        }
        Conditions::Tcp(condition) => {
            add_match(&mut entry, &condition);
            let route = route(converter, spec, (&host, namespace), &mut versions);
            entry.insert("route".into(), route);
            spec.lost(
                "l4Fault",
                "has no counterpart: faults are injected into requests",
            );
            (condition.is_none(), Body::Tcp(entry.into()))
        }
    };
    Some(Rule {
        position: source.position,
        host,
        precedence,
        takes_all: condition.0,
        body: condition.1,
        versions,
    })
}

fn add_match(entry: &mut Map<String, Value>, condition: &Option<Value>) {
    if let Some(condition) = condition {
        entry.insert("match".into(), json!([condition]));
    }
}

/// What happens to requests, in the order in which a VirtualService is usually written.
fn http(
    converter: &Converter<'_>,
    spec: &Fields<'_>,
    (host, namespace): (&Host, &str),
    (entry, versions): (&mut Map<String, Value>, &mut Vec<(Host, Labels)>),
) {
    if let Some(redirect) = spec.object("redirect") {
        entry.insert("redirect".into(), texts(&redirect, &["uri", "authority"]));
    }
    if let Some(rewrite) = spec.object("rewrite") {
        entry.insert("rewrite".into(), texts(&rewrite, &["uri", "authority"]));
    }
    if let Some(fault) = spec.object("httpFault") {
        entry.insert("fault".into(), self::fault(&fault));
    }
    if !entry.contains_key("redirect") {
        let route = route(converter, spec, (host, namespace), versions);
        entry.insert("route".into(), route);
    }
    if let Some(timeout) = spec
        .object("httpReqTimeout")
        .and_then(|all| simple_timeout(&all))
    {
        entry.insert("timeout".into(), timeout.into());
    }
    if let Some(retries) = spec
        .object("httpReqRetries")
        .and_then(|all| simple_retry(&all))
    {
        entry.insert("retries".into(), retries);
    }
    if let Some(mirror) = spec.object("mirror") {
        let labels = mirror.words("labels");
        if let Some(host) = Host::of(&mirror, namespace, converter.around) {
            entry.insert("mirror".into(), destination(&host, &labels));
            versions.push((host, labels));
        }
    }
    if let Some(policy) = spec.object("corsPolicy") {
        entry.insert("corsPolicy".into(), cors(&policy));
    }
    let headers = spec.words("appendHeaders");
    if !headers.is_empty() {
        entry.insert("headers".into(), json!({"request": {"add": headers}}));
    }
    // Every route passes WebSockets on today.
    spec.needless("websocketUpgrade");
}

/// The weighted destinations: those of `route`, or the rule's own.
fn route(
    converter: &Converter<'_>,
    spec: &Fields<'_>,
    (host, namespace): (&Host, &str),
    versions: &mut Vec<(Host, Labels)>,
) -> Value {
    let listed = spec.objects("route");
    if listed.is_empty() {
        return json!([{"destination": destination(host, &Labels::new())}]);
    }
    let alone = listed.len() == 1;
    let entries = listed.iter().map(|listed| {
        let mut labels = listed.words("labels");
        // The very first versions said tags.
        labels.extend(listed.words("tags"));
        let other = listed.object("destination");
        let other = other.and_then(|other| {
            labels.extend(other.words("labels"));
            Host::of(&other, namespace, converter.around)
        });
        let host = other.unwrap_or_else(|| host.clone());
        let mut entry = json!({"destination": destination(&host, &labels)});
        if let Some(weight) = listed.count("weight").filter(|_| !alone) {
            entry["weight"] = weight.into();
        }
        versions.push((host, labels));
        entry
    });
    entries.collect()
}

/// The named texts of a mapping.
fn texts(fields: &Fields<'_>, names: &[&str]) -> Value {
    let pair = |name: &&str| Some(((*name).to_owned(), fields.text(name)?.into()));
    Value::Object(names.iter().filter_map(pair).collect())
}

fn simple_timeout(fields: &Fields<'_>) -> Option<String> {
    let simple = fields.object("simpleTimeout")?;
    simple.lost(
        "overrideHeaderName",
        "has no counterpart: x-envoy-upstream-rq-timeout-ms does it",
    );
    simple.text("timeout").map(str::to_owned)
}

fn simple_retry(fields: &Fields<'_>) -> Option<Value> {
    let simple = fields.object("simpleRetry")?;
    simple.lost(
        "overrideHeaderName",
        "has no counterpart: x-envoy-max-retries does it",
    );
    let mut retries = Map::new();
    if let Some(attempts) = simple.count("attempts") {
        retries.insert("attempts".into(), attempts.into());
    }
    if let Some(limit) = simple.text("perTryTimeout") {
        retries.insert("perTryTimeout".into(), limit.into());
    }
    Some(retries.into())
}

fn fault(fields: &Fields<'_>) -> Value {
    let mut fault = Map::new();
    if let Some(delay) = fields.object("delay") {
        let mut entry = percentage(&delay);
        if let Some(fixed) = delay.text("fixedDelay") {
            entry.insert("fixedDelay".into(), fixed.into());
        }
        fault.insert("delay".into(), entry.into());
    }
    if let Some(abort) = fields.object("abort") {
        let mut entry = percentage(&abort);
        if let Some(status) = abort.count("httpStatus") {
            entry.insert("httpStatus".into(), status.into());
        }
        for name in ["grpcStatus", "http2Error"] {
            if let Some(status) = abort.text(name) {
                entry.insert(name.into(), status.into());
            }
        }
        fault.insert("abort".into(), entry.into());
    }
    fault.into()
}

fn percentage(fields: &Fields<'_>) -> Map<String, Value> {
    fields.lost("overrideHeaderName", "has no counterpart");
    let mut entry = Map::new();
    if let Some(percent) = fields.number("percent") {
        entry.insert("percentage".into(), json!({"value": percent}));
    }
    entry
}

fn cors(fields: &Fields<'_>) -> Value {
    let mut cors = Map::new();
    let origins = fields.texts("allowOrigin");
    if !origins.is_empty() {
        let origins = origins.iter().map(|origin| json!({"exact": origin}));
        cors.insert("allowOrigins".into(), origins.collect());
    }
    for name in ["allowMethods", "allowHeaders", "exposeHeaders"] {
        let values = fields.texts(name);
        if !values.is_empty() {
            cors.insert(name.into(), json!(values));
        }
    }
    if let Some(age) = fields.text("maxAge") {
        cors.insert("maxAge".into(), age.into());
    }
    if let Some(allow) = fields.flag("allowCredentials") {
        cors.insert("allowCredentials".into(), allow.into());
    }
    cors.into()
}
