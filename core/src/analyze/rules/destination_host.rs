//! Destinations whose host, or whose port of it, no service has (IST0101), that leave open which of several ports is meant (IST0112),
//! or that go past the subsets which other rules choose (IST0140).

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::context::Context;
use crate::analyze::routes::{Target, targets};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::Resource;
use crate::snapshot::MeshService;

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.DestinationHostAnalyzer",
    summary: "destinations of VirtualServices are hosts and ports of services that the VirtualService sees",
    codes: &["IST0101", "IST0112", "IST0140"],
    check: |context, findings| {
        check(context, findings);
        check_subsets(context, findings);
    },
};

/// Most other objects that one route is told of.
const MOST_OTHERS: usize = 5;

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        let own = &*resource.key.namespace;
        let namespaces: Vec<&str> = std::iter::once(own)
            .chain(object.export_to.iter().map(String::as_str))
            .filter(|name| !matches!(*name, "*" | "." | "~"))
            .collect();
        for target in targets(object) {
            // What is not a host at all is validation's to say.
            if target.destination.host.is_empty() || target.destination.host == "*" {
                continue;
            }
            let host = context.expand(&target.destination.host, own);
            match context.service(&host, namespaces.iter().copied()) {
                Some(service) => check_port(&target, service, resource, findings),
                None if context.is_given(&host) => {}
                // Clients elsewhere may see it, even where its own namespace does not.
                None if context.has_service(&host, own) => {}
                None => findings.push(unknown_host(context, &target, &host, resource)),
            }
        }
    }
}

fn unknown_host(
    context: &Context<'_>,
    target: &Target<'_>,
    host: &str,
    resource: &Resource,
) -> Diagnostic {
    let written = &target.destination.host;
    let what = if target.mirror { "mirror host" } else { "host" };
    let mut found = finding(
        "IST0101",
        Level::Error,
        resource,
        target.path().key("host"),
        format!("Referenced {what} not found: {written:?}"),
    );
    found.hint = hint(context, host, resource);
    found
}

/// The service that may have been meant: the same name in another namespace, hidden, or spelt differently.
fn hint(context: &Context<'_>, host: &str, resource: &Resource) -> Option<String> {
    if let Some(hidden) = context.snapshot.services_of(host).first() {
        let namespace = &hidden.namespace;
        let own = &resource.key.namespace;
        return Some(format!(
            "{} does not export it to namespace {own}",
            hidden.object
        ))
        .filter(|_| namespace != own);
    }
    // `reviews.prod` is a whole host name to Istio, although it works as one in DNS.
    let domain = &context.snapshot.options().dns_domain;
    let full = [host, ".svc.", domain].concat();
    if !context.snapshot.services_of(&full).is_empty() {
        return Some(format!(
            "write {full:?}; only names without dots are completed"
        ));
    }
    let name = host.split('.').next().unwrap_or(host);
    if let Some(other) = context.service_named(name) {
        return Some(format!("did you mean {:?}?", &*other.host));
    }
    let own = &resource.key.namespace;
    let services = context.snapshot.services();
    let visible = services.filter(|service| service.visibility.sees(own));
    let similar = context.similar(host, visible.map(|service| &*service.host))?;
    let service = context.snapshot.services_of(similar).first()?;
    let short = service.namespace == *own;
    let name = if short { &service.name } else { &service.host };
    Some(format!("did you mean {:?}?", &**name))
}

/// A service with several ports, where none is chosen.
fn several_ports(
    target: &Target<'_>,
    service: &MeshService,
    resource: &Resource,
) -> Option<Diagnostic> {
    let ports: Vec<String> = service
        .ports
        .iter()
        .map(|port| port.port.to_string())
        .collect();
    if ports.len() < 2 {
        return None;
    }
    let host = &target.destination.host;
    let mut found = finding(
        "IST0112",
        Level::Error,
        resource,
        target.path().key("host"),
        format!(
            "{host:?} has the ports {}, and the destination does not say which",
            ports.join(", ")
        ),
    );
    found.hint = Some(format!(
        "add port: {{number: {}}}",
        ports.first().map_or("", String::as_str)
    ));
    Some(found)
}

/// Routes of gateways to a host without a subset, where a VirtualService for this host chooses one: that choice is the clients' own
/// and does not concern gateways.
fn check_subsets(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let mut choosing: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (resource, object) in context.virtual_services() {
        let routes = object.http.iter().flat_map(|rule| &rule.route);
        for destination in routes.map(|route| &route.destination) {
            let has_subset = destination.subset.as_ref().is_some_and(|it| !it.is_empty());
            if has_subset && object.hosts.contains(&destination.host) {
                let names = choosing.entry(&destination.host).or_default();
                let key = &resource.key;
                names.insert(format!("{}/{}", key.namespace, key.name));
            }
        }
    }
    for (resource, object) in context.virtual_services() {
        if object.gateways.is_empty() {
            continue;
        }
        for (at, rule) in object.http.iter().enumerate() {
            for (position, route) in rule.route.iter().enumerate() {
                let destination = &route.destination;
                if destination.subset.as_ref().is_some_and(|it| !it.is_empty()) {
                    continue;
                }
                let Some(names) = choosing.get(destination.host.as_str()) else {
                    continue;
                };
                let path = FieldPath::parse("spec.http").index(at).key("route");
                let path = path.index(position).key("destination").key("host");
                for name in names.iter().take(MOST_OTHERS) {
                    let mut found = finding(
                        "IST0140",
                        Level::Warning,
                        resource,
                        path.clone(),
                        format!(
                            "subsets that VirtualService {name} chooses for {:?} do not concern requests that come by a gateway",
                            destination.host
                        ),
                    );
                    found.hint = Some("choose the subset in this route as well".to_owned());
                    findings.push(found);
                }
            }
        }
    }
}

fn check_port(
    target: &Target<'_>,
    service: &MeshService,
    resource: &Resource,
    findings: &mut Vec<Diagnostic>,
) {
    let Some(selector) = &target.destination.port else {
        findings.extend(several_ports(target, service, resource));
        return;
    };
    let number = selector.number;
    let known = service
        .ports
        .iter()
        .any(|port| u32::from(port.port) == number);
    if known || service.ports.is_empty() || number == 0 {
        return;
    }
    let what = if target.mirror {
        "mirror host:port"
    } else {
        "host:port"
    };
    let value = format!("{}:{number}", target.destination.host);
    let mut found = finding(
        "IST0101",
        Level::Error,
        resource,
        target.path().key("port").key("number"),
        format!("Referenced {what} not found: {value:?}"),
    );
    let ports: Vec<String> = service
        .ports
        .iter()
        .map(|port| port.port.to_string())
        .collect();
    found.hint = Some(format!("{} has port {}", service.object, ports.join(", ")));
    findings.push(found);
}
