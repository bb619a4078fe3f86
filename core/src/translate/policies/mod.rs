//! The security policies of a workload as filters of what others ask of it: of its inbound side, and of a gateway.
//!
//! ```text
//! policies for the workload --> CUSTOM of each provider, tokens, DENY and ALLOW and AUDIT --> HTTP filters, network filters
//! ```

mod authentication;
mod authorization;
mod providers;
mod trust_domains;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::policy::{
    Authorization, AuthorizationAction, AuthorizationPolicy, ExternalAuthorization,
    RequestAuthentication,
};
use mesh_ir::{HttpFilter, Listener, Network, NetworkFilter};

use crate::resource::Kind;
use crate::snapshot::Snapshot;
use authorization::Compiler;
pub use authorization::is_dry_run;

/// The policies of a workload.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkloadPolicies {
    http: Vec<HttpFilter>,
    network: Vec<NetworkFilter>,
}

// === impl WorkloadPolicies ===

impl WorkloadPolicies {
    /// Of the workload with these labels.
    pub(super) fn of(
        snapshot: &Snapshot,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Self {
        let compiler = Compiler::of(snapshot.mesh());
        let mut decided = Authorization::default();
        // By the name of the provider.
        let mut asked: BTreeMap<&str, Vec<AuthorizationPolicy>> = BTreeMap::new();
        for resource in snapshot.policies_for(Kind::AuthorizationPolicy, namespace, labels) {
            let Some(compiled) = compiler.compile(resource) else {
                continue;
            };
            match compiled.action {
                AuthorizationAction::Deny => decided.deny.push(compiled.policy),
                AuthorizationAction::Allow => decided.allow.push(compiled.policy),
                AuthorizationAction::Audit => decided.audit.push(compiled.policy),
                AuthorizationAction::Custom => {
                    let of_provider = asked.entry(compiled.provider).or_default();
                    of_provider.push(compiled.policy);
                }
            }
        }
        let asked = asked
            .into_iter()
            .map(|(name, policies)| ExternalAuthorization {
                provider: providers::authorizer(snapshot, name, namespace),
                policies,
            });
        let tokens = snapshot.policies_for(Kind::RequestAuthentication, namespace, labels);
        let tokens = authentication::merged(snapshot, tokens);
        Self::filters(asked.collect(), tokens, decided)
    }

    /// Authorizers are asked before tokens are checked, as in Istio.
    fn filters(
        asked: Vec<ExternalAuthorization>,
        tokens: RequestAuthentication,
        decided: Authorization,
    ) -> Self {
        let of_connections = |asked: &ExternalAuthorization| ExternalAuthorization {
            provider: asked.provider.clone(),
            policies: AuthorizationAction::Custom.for_tcp(&asked.policies),
        };
        let mut network: Vec<NetworkFilter> = asked
            .iter()
            .map(|asked| NetworkFilter::ExternalAuthorize(Arc::new(of_connections(asked))))
            .collect();
        let mut http: Vec<HttpFilter> = asked
            .into_iter()
            .map(|asked| HttpFilter::ExternalAuthorize(Arc::new(asked)))
            .collect();
        if !tokens.rules.is_empty() {
            http.push(HttpFilter::Authenticate(Arc::new(tokens)));
        }
        if !decided.is_empty() {
            network.push(NetworkFilter::Authorize(Arc::new(decided.for_tcp())));
            http.push(HttpFilter::Authorize(Arc::new(decided)));
        }
        Self { http, network }
    }

    /// The listener with its chains behind the policies: requests where they are routed, else connections.
    pub(super) fn guard(&self, mut listener: Listener) -> Arc<Listener> {
        for chain in listener
            .chains
            .iter_mut()
            .chain(&mut listener.default_chain)
        {
            match &mut chain.network {
                Network::Http(server) => {
                    server.filters.splice(0..0, self.http.iter().cloned());
                }
                Network::Tcp(_) => {
                    chain.filters.splice(0..0, self.network.iter().cloned());
                }
            }
        }
        Arc::new(listener)
    }
}
