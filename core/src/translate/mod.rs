//! From a snapshot to what each kind of proxy must do. Names are Istio's.
//!
//! ```text
//! Snapshot + ProxyScope --narrow--> OutboundKey, InboundKey, GatewayKey --> layers of shared values --> ProxyTables
//! ```
//!
//! Each part of a configuration is a function of the snapshot and a key that holds no more of the scope than the part depends on,
//! so that proxies with equal keys share the part. [`Translator`] keeps the parts up to date from one snapshot to the next: it looks
//! only at the hosts that a change concerns. [`translate`] does the same from nothing.

mod client_tls;
mod connection_pool;
mod connections;
mod consistent_hash;
mod endpoint_choice;
mod envoy_filters;
mod http_server;
mod locality;
mod mesh_tls;
mod naming;
mod policies;
mod rules;
mod telemetry;
mod view;

mod cache;

mod gateway;
mod inbound;
mod outbound;

mod config;
mod translator;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mesh_ir::{ProxyConfig, ProxyScope, ProxyTables};

pub use envoy_filters::patches;
pub use gateway::GatewayKey;
pub use inbound::InboundKey;
pub use locality::ClientTopology;
pub use outbound::{Outbound, OutboundKey, Public, PublicKey};
pub use policies::is_dry_run;
pub use translator::{Translated, Translator};

use crate::diag::Diagnostic;
use crate::snapshot::Snapshot;
use cache::TranslationCache;
use config::LocalResources;

/// What a proxy must do, and what is wrong with or without effect in the objects that it depends on. An object that is not valid,
/// or a rule of it, is left out; everything else is translated.
pub fn translate(snapshot: &Snapshot, scope: &ProxyScope) -> (ProxyConfig, Vec<Diagnostic>) {
    let cache = TranslationCache::default();
    let key = OutboundKey::of(snapshot, scope);
    let public = Arc::new(Public::new(snapshot, &cache, &key.public()));
    let outbound = Outbound::new(snapshot, &cache, &key, &public);
    let own = LocalResources::translate(snapshot, &cache, scope);
    let mut diagnostics = outbound.findings(snapshot, &cache, &key);
    diagnostics.extend(own.diagnostics().iter().cloned());
    let own = ProxyTables::of(&own.to_config(), None);
    (outbound.tables.over(&own).to_config(), diagnostics)
}

/// What VirtualServices and Telemetries ask for that no proxy does yet, whomever they concern.
pub fn without_effect(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let (mesh, domain) = (snapshot.mesh(), &snapshot.options().dns_domain);
    let compile = |source| rules::CompiledRules::compile(source, mesh, domain).diagnostics;
    let written = snapshot.virtual_services();
    let written = written.filter(|rules| !rules.is_derived());
    let rules = written.flat_map(compile);
    rules
        .chain(telemetry::findings(snapshot))
        .filter(|found| [crate::diag::NO_EFFECT, crate::diag::UNSUPPORTED].contains(&found.code))
        .collect()
}
