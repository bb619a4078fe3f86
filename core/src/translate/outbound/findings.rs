//! What is wrong with the rules and ports that sidecars of a view see. It is only asked for offline, and not remembered.

use std::net::IpAddr;
use std::sync::Arc;

use super::index::Layered;
use super::slots::{addresses, has_connections};
use super::unit::ANY;
use crate::diag::{Diagnostic, FieldPath};
use crate::snapshot::{MeshService, Protocol, ServicePort, report};
use crate::translate::view::View;

/// Rules in the order in which they win, then ports in the order of their services' age.
pub(super) fn findings(view: &View<'_>, layered: Layered<'_>) -> Vec<Diagnostic> {
    let mut findings = view.rule_findings();
    let mut services: Vec<&Arc<MeshService>> = view
        .snapshot
        .services_visible_from(view.namespace)
        .collect();
    services.sort_by(|a, b| {
        (a.created, &a.name, &a.namespace, &a.host).cmp(&(
            b.created,
            &b.name,
            &b.namespace,
            &b.host,
        ))
    });
    for service in services {
        for port in &service.ports {
            let addresses = addresses(view, service, port);
            let is_tls = matches!(port.protocol, Protocol::Tls | Protocol::Https);
            // TLS to hosts without addresses is told apart by their names.
            let by_name = is_tls && addresses.contains(&ANY);
            if !port.protocol.is_http() && !by_name {
                let taken = |address| taken(view, layered, service, port, address);
                findings.extend(addresses.into_iter().filter_map(taken));
            }
        }
    }
    findings
}

/// The finding that an older service has the connections to a port.
fn taken(
    view: &View<'_>,
    layered: Layered<'_>,
    service: &MeshService,
    port: &ServicePort,
    address: IpAddr,
) -> Option<Diagnostic> {
    if !has_connections(address, service) {
        return None;
    }
    let claimants = layered.claimants(address, port.port).into_iter();
    let mut claimants = claimants.filter_map(|host| layered.unit(host)?.service.as_ref());
    let takes = |claimant: &MeshService| {
        let unit = layered.unit(&claimant.host);
        let port = unit.and_then(|unit| unit.port(port.port));
        port.is_some_and(|port| port.connections.other.is_some())
    };
    let (winner, _) =
        claimants.find(|(claimant, _)| has_connections(address, claimant) && takes(claimant))?;
    if winner.host == service.host {
        return None;
    }
    let resource = view.snapshot.get(&service.object)?;
    let message = format!(
        "port {} at {address} is taken by {}; connections to {} do not reach it there",
        port.port, winner.host, service.host
    );
    Some(report::conflict(
        resource,
        FieldPath::parse("spec.ports"),
        message,
    ))
}
