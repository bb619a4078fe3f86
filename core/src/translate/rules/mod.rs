//! VirtualServices compiled once, independent of who asks: routes with their conditions on clients, and destinations whose port
//! and cluster are resolved later.
//!
//! ```text
//! VirtualService --compile--> CompiledRules --for a client and a port--> Vec<Route>
//! ```
//!
//! A rule that was refused when its object was compiled is left out, as is a condition; the object's other rules still count. What is
//! wrong with an object was told then, and is not told again here.

mod action;
mod condition;
mod connection;
mod delegate;
mod destination;
mod headers;
mod http;
mod mirror;
mod policy;
mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use connection::CompiledConnection;
pub(super) use destination::{Destination, WeightedDestination};
pub(super) use http::CompiledRoute;
pub(super) use retry::default_retry;

use crate::diag::{Diagnostic, FieldPath};
use crate::model::MeshConfig;
use crate::resource::Resource;
use crate::snapshot::{MeshVirtualService, report};

/// A VirtualService, ready to be applied to clients.
#[derive(Clone, Debug)]
pub(super) struct CompiledRules {
    pub(super) source: Arc<MeshVirtualService>,
    pub(super) http: Vec<CompiledRoute>,
    tcp: Vec<CompiledConnection>,
    tls: Vec<CompiledConnection>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Which clients, gateways and ports a rule is for.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceMatch {
    /// Gateways of the match itself; they replace the conditions on the source.
    gateways: Vec<Arc<str>>,
    labels: BTreeMap<String, String>,
    namespace: Option<String>,
    port: Option<u16>,
}

/// Who asks for rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientContext<'a> {
    /// `mesh` for a sidecar; `namespace/name` of the Gateways that a gateway applies on the port.
    pub(super) gateways: &'a [Arc<str>],
    pub(super) namespace: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    /// Service port of the request.
    pub(super) port: u16,
}

/// Collects what is wrong with one object.
pub(super) struct Compiler<'a> {
    resource: &'a Resource,
    domain: &'a str,
    mesh: &'a MeshConfig,
    diagnostics: Vec<Diagnostic>,
}

/// A rule is left out; the reason was told when its object was compiled, or is among the diagnostics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

// === impl CompiledRules ===

impl CompiledRules {
    pub(super) fn compile(
        source: &Arc<MeshVirtualService>,
        mesh: &MeshConfig,
        domain: &str,
    ) -> Self {
        let mut compiler = Compiler {
            resource: &source.resource,
            domain,
            mesh,
            diagnostics: Vec::new(),
        };
        let mut http = Vec::new();
        for (index, rule) in source.spec.http.iter().enumerate() {
            let path = FieldPath::parse("spec.http").index(index);
            if compiler.is_refused(&path) {
                continue;
            }
            http.extend(match &rule.delegate {
                Some(delegate) => compiler.delegating(source, rule, delegate, &path),
                None => compiler.http(rule, &path).unwrap_or_default(),
            });
        }
        let mut tcp = Vec::new();
        for (index, rule) in source.spec.tcp.iter().enumerate() {
            let path = FieldPath::parse("spec.tcp").index(index);
            if compiler.is_refused(&path) {
                continue;
            }
            tcp.extend(compiler.tcp(rule, &path).unwrap_or_default());
        }
        let mut tls = Vec::new();
        for (index, rule) in source.spec.tls.iter().enumerate() {
            let path = FieldPath::parse("spec.tls").index(index);
            if compiler.is_refused(&path) {
                continue;
            }
            tls.extend(compiler.tls(rule, &path).unwrap_or_default());
        }
        Self {
            source: source.clone(),
            http,
            tcp,
            tls,
            diagnostics: compiler.diagnostics,
        }
    }

    /// Whether all clients of the mesh are treated alike.
    pub(super) fn is_for_all_clients(&self) -> bool {
        let http = self.http.iter().map(|route| &route.source_match);
        let connections = self.tcp.iter().chain(&self.tls);
        let connections = connections.map(|rule| &rule.source_match);
        http.chain(connections).all(SourceMatch::is_everybody)
    }

    /// The routes for a client up to the first that takes all requests.
    pub(super) fn routes<'a>(&'a self, client: &ClientContext<'_>) -> Vec<&'a CompiledRoute> {
        let mut routes = Vec::new();
        for route in self
            .http
            .iter()
            .filter(|route| route.source_match.admits(client))
        {
            routes.push(route);
            if route.is_catch_all() {
                break;
            }
        }
        routes
    }

    /// The TCP rules for a client, or those of TLS, in their order.
    pub(super) fn connections(
        &self,
        client: &ClientContext<'_>,
        is_tls: bool,
    ) -> impl Iterator<Item = &CompiledConnection> {
        let rules = if is_tls { &self.tls } else { &self.tcp };
        rules.iter().filter(|rule| rule.source_match.admits(client))
    }
}

// === impl SourceMatch ===

impl SourceMatch {
    fn admits(&self, client: &ClientContext<'_>) -> bool {
        let source = if self.gateways.is_empty() {
            self.namespace
                .as_ref()
                .is_none_or(|namespace| namespace == client.namespace)
                && self
                    .labels
                    .iter()
                    .all(|(key, value)| client.labels.get(key) == Some(value))
        } else {
            self.gateways
                .iter()
                .any(|gateway| client.gateways.contains(gateway))
        };
        source && self.port.is_none_or(|port| port == client.port)
    }

    /// Whether it treats all sidecars alike. Gateways of the match replace the conditions on the source.
    fn is_everybody(&self) -> bool {
        !self.gateways.is_empty() || self.labels.is_empty() && self.namespace.is_none()
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    /// Whether a rule was refused when the object was compiled, for something else than one of its conditions.
    fn is_refused(&self, rule: &FieldPath) -> bool {
        self.resource.refuses_beyond(rule, &rule.key("match"))
    }

    fn unsupported(&mut self, path: FieldPath, message: impl Into<String>) -> Refused {
        self.diagnostics
            .push(report::unsupported(self.resource, path, message));
        Refused
    }

    fn no_effect(&mut self, path: FieldPath) {
        self.diagnostics
            .push(report::no_effect(self.resource, path));
    }
}

/// A port number. Those that are none were refused when the object was compiled.
fn port(number: u32) -> Result<u16, Refused> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or(Refused)
}
