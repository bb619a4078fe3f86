//! ServiceEntries that give one port of a host different protocols (IST0177).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::names::some_of;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::ServiceEntrySpec;
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
    summary: "ServiceEntries agree about the protocol of a port",
    codes: &["IST0177"],
    check,
};

/// Everybody, as `exportTo` writes it.
const ALL: &str = "*";

/// Where an object is seen, with a host and a port.
type Place<'s> = (&'s str, &'s str, u32);

/// The protocols of a port with the objects that give them.
type Protocols<'s> = BTreeMap<String, Vec<&'s Arc<Resource>>>;

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let mut places: BTreeMap<Place<'_>, Protocols<'_>> = BTreeMap::new();
    for resource in context.snapshot.resources(Kind::ServiceEntry) {
        let Object::ServiceEntry(entry) = &resource.object else {
            continue;
        };
        for scope in scopes(entry, &resource.key.namespace) {
            for host in &entry.hosts {
                for port in &entry.ports {
                    let protocol = port.protocol.as_deref().unwrap_or_default();
                    let protocols = places.entry((scope, host, port.number)).or_default();
                    protocols
                        .entry(protocol.to_ascii_uppercase())
                        .or_default()
                        .push(resource);
                }
            }
        }
    }
    let mut told = BTreeSet::new();
    for ((scope, host, port), protocols) in &places {
        let public = places.get(&(ALL, *host, *port)).filter(|_| *scope != ALL);
        let all = || protocols.iter().chain(public.into_iter().flatten());
        let names: BTreeSet<&String> = all().map(|(protocol, _)| protocol).collect();
        if names.len() < 2 {
            continue;
        }
        let objects = || all().flat_map(|(_, objects)| objects);
        let entries = objects().map(|it| format!("{}/{}", it.key.namespace, it.key.name));
        let entries = some_of(entries).unwrap_or_default();
        let names: Vec<&str> = names
            .into_iter()
            .map(|name| if name.is_empty() { "(unset)" } else { name })
            .collect();
        let message = format!(
            "port {port} of host {host:?} has the protocols {} by ServiceEntry {entries}",
            names.join(", ")
        );
        for resource in objects() {
            if told.insert(&resource.key) {
                let path = FieldPath::parse("metadata.name");
                let message = message.clone();
                let mut found = finding("IST0177", Level::Warning, resource, path, message);
                found.hint = Some("give the port the same protocol in all of them".to_owned());
                findings.push(found);
            }
        }
    }
}

/// Where an entry is seen: everywhere, or in some namespaces.
fn scopes<'s>(entry: &'s ServiceEntrySpec, own: &'s str) -> BTreeSet<&'s str> {
    if entry.export_to.is_empty() || entry.export_to.iter().any(|to| to == ALL) {
        return BTreeSet::from([ALL]);
    }
    let names = entry.export_to.iter().map(String::as_str);
    names.map(|to| if to == "." { own } else { to }).collect()
}
