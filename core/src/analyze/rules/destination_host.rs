//! Destinations whose host, or whose port of it, no service has (IST0101).

use crate::analyze::context::Context;
use crate::analyze::routes::{Target, targets};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, Level};
use crate::resource::Resource;
use crate::snapshot::MeshService;

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.DestinationHostAnalyzer",
    summary: "destinations of VirtualServices are hosts and ports of services that the VirtualService sees",
    codes: &["IST0101"],
    check,
};

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
    let services: Vec<_> = context.snapshot.services().collect();
    if let Some(hidden) = services.iter().find(|service| &*service.host == host) {
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
    if services.iter().any(|service| *service.host == full) {
        return Some(format!(
            "write {full:?}; only names without dots are completed"
        ));
    }
    let name = host.split('.').next().unwrap_or(host);
    if let Some(other) = services.iter().find(|service| &*service.name == name) {
        return Some(format!("did you mean {:?}?", &*other.host));
    }
    let own = &resource.key.namespace;
    let visible = services
        .iter()
        .filter(|service| service.visibility.sees(own));
    let similar = context.similar(host, visible.map(|service| &*service.host))?;
    let service = services.iter().find(|service| &*service.host == similar)?;
    let short = service.namespace == *own;
    let name = if short { &service.name } else { &service.host };
    Some(format!("did you mean {:?}?", &**name))
}

fn check_port(
    target: &Target<'_>,
    service: &MeshService,
    resource: &Resource,
    findings: &mut Vec<Diagnostic>,
) {
    let Some(selector) = &target.destination.port else {
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
