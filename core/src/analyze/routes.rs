//! All destinations of a `VirtualService`, with their paths.

use std::collections::BTreeSet;

use crate::diag::FieldPath;
use crate::model::{Destination, VirtualServiceSpec};

/// A destination of a rule.
pub(super) struct Target<'v> {
    /// The destination.
    pub(super) destination: &'v Destination,
    /// Whether only copies of requests go there.
    pub(super) mirror: bool,
    steps: Steps,
}

/// Where a destination is; a path only when somebody asks.
enum Steps {
    Route(&'static str, usize, usize),
    Mirror(usize),
    Mirrors(usize, usize),
}

impl Target<'_> {
    /// Path of the destination.
    pub(super) fn path(&self) -> FieldPath {
        let spec = FieldPath::root().key("spec");
        match self.steps {
            Steps::Route(kind, rule, entry) => spec
                .key(kind)
                .index(rule)
                .key("route")
                .index(entry)
                .key("destination"),
            Steps::Mirror(rule) => spec.key("http").index(rule).key("mirror"),
            Steps::Mirrors(rule, entry) => spec
                .key("http")
                .index(rule)
                .key("mirrors")
                .index(entry)
                .key("destination"),
        }
    }
}

/// All destinations, in the object's order.
pub(super) fn targets(object: &VirtualServiceSpec) -> Vec<Target<'_>> {
    let mut targets = Vec::new();
    let mut add = |destination, mirror, steps| {
        targets.push(Target {
            destination,
            mirror,
            steps,
        });
    };
    for (rule, http) in object.http.iter().enumerate() {
        for (entry, route) in http.route.iter().enumerate() {
            let steps = Steps::Route("http", rule, entry);
            add(&route.destination, false, steps);
        }
        if let Some(mirror) = &http.mirror {
            add(mirror, true, Steps::Mirror(rule));
        }
        for (entry, mirror) in http.mirrors.iter().enumerate() {
            if let Some(destination) = &mirror.destination {
                add(destination, true, Steps::Mirrors(rule, entry));
            }
        }
    }
    for (rule, tls) in object.tls.iter().enumerate() {
        for (entry, route) in tls.route.iter().enumerate() {
            let steps = Steps::Route("tls", rule, entry);
            add(&route.destination, false, steps);
        }
    }
    for (rule, tcp) in object.tcp.iter().enumerate() {
        for (entry, route) in tcp.route.iter().enumerate() {
            let steps = Steps::Route("tcp", rule, entry);
            add(&route.destination, false, steps);
        }
    }
    targets
}

/// All names of gateways in a `VirtualService` with their paths, each as it is written.
pub(super) fn gateways(object: &VirtualServiceSpec) -> Vec<(&str, FieldPath)> {
    let spec = FieldPath::root().key("spec");
    let mut found: Vec<(&str, FieldPath)> = Vec::new();
    for (position, name) in object.gateways.iter().enumerate() {
        found.push((name, spec.key("gateways").index(position)));
    }
    let known: BTreeSet<&str> = object.gateways.iter().map(String::as_str).collect();
    for (rule, http) in object.http.iter().enumerate() {
        for (position, condition) in http.matches.iter().enumerate() {
            for (entry, name) in condition.gateways.iter().enumerate() {
                if !known.contains(name.as_str()) {
                    let path = spec.key("http").index(rule).key("match").index(position);
                    found.push((name, path.key("gateways").index(entry)));
                }
            }
        }
    }
    found
}
