//! The secrets that a gateway is given: those of its servers, and those that DestinationRules have it show to others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::{ProxyScope, Secret};

use super::ports::{Encryption, Port};
use super::tls;
use crate::snapshot::Snapshot;
use crate::snapshot::derived::backend_tls::is_of_policy;
use crate::translate::naming;
use crate::translate::view::View;

/// All secrets of a gateway by their names. One that a rule names and that cannot be read is left out: what needs it is not spoken to.
pub(super) fn secrets(view: &View<'_>, ports: &[Port]) -> Vec<Arc<Secret>> {
    let servers = ports.iter().flat_map(|port| &port.servers);
    let of_servers = servers.flat_map(|server| match &server.encryption {
        Encryption::Ended(termination, _) => termination.secrets.as_slice(),
        Encryption::Passthrough | Encryption::None => &[],
    });
    let mut secrets: BTreeMap<Arc<str>, Arc<Secret>> = of_servers
        .map(|secret| (secret.name.clone(), secret.clone()))
        .collect();
    let of_rules = view.snapshot.client_credentials().into_iter();
    // Only Gateways that listeners stand for may name Secrets of other namespaces.
    for name in of_rules.filter(|name| !name.contains('/') || is_of_policy(name)) {
        let certificate = match is_of_policy(name) {
            true => None,
            false => tls::certificate(view, name).ok(),
        };
        let found = [certificate, tls::trust(view, name).ok()];
        for secret in found.into_iter().flatten() {
            secrets.insert(secret.name.clone(), secret);
        }
    }
    secrets.into_values().collect()
}

/// Names of the secrets that Gateways of the Gateway API name for pods of their own. Those pods need no further right to them.
pub fn granted(snapshot: &Snapshot, scope: &ProxyScope) -> BTreeSet<Arc<str>> {
    let gateways = snapshot.gateways_for(&scope.namespace, &scope.labels);
    let own = gateways.iter().filter(|gateway| gateway.has_own_pods());
    let servers = own.flat_map(|gateway| gateway.spec.servers.iter());
    servers
        .filter_map(|server| server.tls.as_ref())
        .flat_map(|tls| {
            let one = tls.credential_name.iter();
            let trusted = tls.ca_cert_credential_name.iter();
            let trusted = trusted.map(|name| [name, naming::TRUSTED].concat());
            let all = one.chain(&tls.credential_names).cloned().chain(trusted);
            all.map(|name| naming::credential(&name))
        })
        .collect()
}
