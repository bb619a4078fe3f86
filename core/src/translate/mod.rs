//! From a snapshot to what each kind of proxy must do. Names are Istio's.
//!
//! ```text
//! Snapshot + ProxyScope --narrow--> OutboundKey, InboundKey, GatewayKey --> lists of shared values --join--> ProxyConfig
//! ```
//!
//! Each part of a configuration is a function of the snapshot and a key that holds no more of the scope than the part depends on,
//! so that proxies with equal keys share the part. [`Translator`] remembers parts for one snapshot, and the costly cache
//! (clusters and endpoints of services, compiled rules, virtual hosts) from one snapshot to the next; [`translate`] does the same
//! without memory.

mod http_server;
mod naming;
mod rules;
mod view;

mod cache;

mod gateway;
mod inbound;
mod outbound;

mod config;
mod translator;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mesh_ir::{ProxyConfig, ProxyScope};

pub use gateway::GatewayKey;
pub use inbound::InboundKey;
pub use outbound::{Outbound, OutboundKey};
pub use translator::{Translated, Translator};

use crate::diag::Diagnostic;
use crate::snapshot::{Snapshot, report};

/// What a proxy must do, and what is wrong with or without effect in the objects that it depends on. An object that is not valid,
/// or a rule of it, is left out; everything else is translated.
pub fn translate(snapshot: &Snapshot, scope: &ProxyScope) -> (ProxyConfig, Vec<Diagnostic>) {
    let cache = cache::TranslationCache::default();
    let parts = config::ProxyResources::translate(snapshot, &cache, scope, |key| {
        Arc::new(outbound::outbound(snapshot, &cache, key))
    });
    (parts.join(), parts.diagnostics())
}

/// What the VirtualServices ask for that no proxy does yet, whomever they concern.
pub fn without_effect(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let (mesh, domain) = (snapshot.mesh(), &snapshot.options().dns_domain);
    let compile = |source| rules::CompiledRules::compile(source, mesh, domain).diagnostics;
    snapshot
        .virtual_services()
        .iter()
        .flat_map(compile)
        .filter(|found| [crate::diag::NO_EFFECT, report::UNSUPPORTED].contains(&found.code))
        .collect()
}
