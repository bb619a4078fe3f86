//! The secrets that a gateway is given: those of its servers, and those that DestinationRules have it show to others.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::Secret;

use super::ports::{Encryption, Port};
use super::tls;
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
    for name in view.snapshot.client_credentials() {
        let found = [tls::certificate(view, name), tls::trust(view, name)];
        for secret in found.into_iter().flatten() {
            secrets.insert(secret.name.clone(), secret);
        }
    }
    secrets.into_values().collect()
}
