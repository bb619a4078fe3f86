//! From configuration to runtime.

use std::io;
use std::sync::Arc;

use mesh_ir::evaluate::HttpPolicy;
use mesh_ir::matching::InvalidRoute;
use mesh_ir::{
    FilterChain, ProxyConfig, RouteConfig, Routes as RoutesConfig, TelemetryPolicy, UpstreamTls,
};
use rustc_hash::FxHashMap;

use super::clusters::Clusters;
use super::names::Names;
use super::{ChainTls, ClusterIds, Http, Listener, Network, Routes, Runtime, Tcp, Transport};
use crate::rate_limit::{GlobalLimits, Limits};
use crate::telemetry::ListenerTelemetry;
use crate::tls::{InvalidTls, TlsCompiler};

/// What could not be done of a configuration. Everything else is done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A listener has no socket.
    #[error("listener {listener}: failed to bind {address}: {source}")]
    Bind {
        /// Name of the listener.
        listener: Arc<str>,
        /// What was to be bound.
        address: std::net::SocketAddr,
        /// Why it was not.
        source: io::Error,
    },
    /// A part of a route table means nothing.
    #[error("route table {table}: {invalid}")]
    Route {
        /// Name of the table.
        table: Arc<str>,
        /// What is wrong.
        invalid: InvalidRoute,
    },
    /// TLS cannot be spoken as it is configured; nothing is spoken in plaintext instead.
    #[error("{of}: {invalid}")]
    Tls {
        /// The chain or the cluster.
        of: String,
        /// What is wrong.
        invalid: InvalidTls,
    },
}

/// Compiles configurations, one after the other.
pub struct Compiler<'a> {
    /// The runtime that is to be replaced.
    pub before: &'a Runtime,
    /// Opens what is to be told about traffic.
    pub telemetry: &'a dyn Fn(&TelemetryPolicy) -> Arc<ListenerTelemetry>,
    /// Namespace of the proxy, for short names.
    pub namespace: &'a str,
    /// Reads files with keys and certificates.
    pub read_file: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The runtime of a configuration, with what was left out of it.
    pub fn compile(&self, config: &ProxyConfig) -> (Runtime, Vec<ApplyError>) {
        let mut errors = Vec::new();
        let mut tls = TlsCompiler::new(&self.before.tls, &config.secrets, self.read_file);
        let clusters = Clusters::after(&self.before.clusters, config, |cluster| {
            transport(cluster, &mut tls, &mut errors)
        });
        let ids = &clusters.ids;
        let same_positions = Arc::ptr_eq(ids, &self.before.clusters.ids);
        let mut routes = FxHashMap::default();
        for config in &*config.routes {
            let compiled = self.routes(config, &config.name, ids, &mut errors);
            routes.insert(config.name.clone(), compiled);
        }
        let mut listeners = FxHashMap::default();
        let mut destinations = FxHashMap::default();
        for config in &*config.listeners {
            // Tables within listeners are found again by the listener's and their own name, and their position, since chains may use
            // a name twice.
            let mut inline = FxHashMap::default();
            for (position, table) in inline_tables(config).enumerate() {
                let key = inline_key(config, table, position);
                let compiled = self.routes(table, &key, ids, &mut errors);
                inline.insert(Arc::as_ptr(table), compiled.clone());
                routes.insert(key, compiled);
            }
            let find = |config: &RoutesConfig| match config {
                RoutesConfig::Discovered(name) => routes.get(name).cloned(),
                RoutesConfig::Inline(table) => inline.get(&Arc::as_ptr(table)).cloned(),
            };
            let before = self.before.listener(&config.name);
            let network = |chain: &FilterChain| match &chain.network {
                mesh_ir::Network::Http(http) => Network::Http(Http {
                    config: http.clone(),
                    policy: HttpPolicy::new(http),
                    limits: Limits::new(
                        &http.filters,
                        before
                            .iter()
                            .flat_map(|before| before.limits(Some(&chain.name))),
                    ),
                    global_limits: GlobalLimits::new(&http.filters),
                    tokens: Http::tokens(http),
                    routes: find(&http.routes),
                    telemetry: (self.telemetry)(&http.telemetry),
                }),
                mesh_ir::Network::Tcp(tcp) => Network::Tcp(Tcp {
                    config: tcp.clone(),
                    clusters: tcp
                        .clusters
                        .iter()
                        .map(|(name, _)| ids.get(name).copied())
                        .collect(),
                    telemetry: (self.telemetry)(&tcp.telemetry),
                }),
            };
            let tls = |chain: &FilterChain| chain_tls(config, chain, &mut tls, &mut errors);
            let listener = match before {
                Some(before) if before.is_of(config, find, same_positions) => before.clone(),
                _ => Arc::new(Listener::new(config.clone(), network, tls)),
            };
            if !config.bind {
                destinations.insert(config.address, listener.clone());
            }
            listeners.insert(config.name.clone(), listener);
        }
        let runtime = Runtime {
            generation: self.before.generation + 1,
            listeners,
            destinations,
            clusters: clusters.clone(),
            routes,
            names: Names::after(&self.before.names, &config.names, self.namespace),
            tls: tls.finish(),
        };
        (runtime, errors)
    }

    /// The routes of a table, which is found again by its key.
    fn routes(
        &self,
        config: &Arc<RouteConfig>,
        key: &str,
        ids: &Arc<ClusterIds>,
        errors: &mut Vec<ApplyError>,
    ) -> Arc<Routes> {
        let mut invalid = Vec::new();
        let routes = Routes::new(config, ids, self.before.routes.get(key), &mut invalid);
        errors.extend(invalid.into_iter().map(|invalid| ApplyError::Route {
            table: config.name.clone(),
            invalid,
        }));
        routes
    }
}

/// What becomes of the TLS of a chain's clients.
fn chain_tls(
    listener: &mesh_ir::Listener,
    chain: &FilterChain,
    tls: &mut TlsCompiler<'_>,
    errors: &mut Vec<ApplyError>,
) -> ChainTls {
    let Some(settings) = &chain.tls else {
        return ChainTls::None;
    };
    match tls.server(settings) {
        Ok(side) => ChainTls::Ended(side),
        Err(invalid) => {
            let of = format!("listener {}, filter chain {}", listener.name, chain.name);
            errors.push(ApplyError::Tls { of, invalid });
            ChainTls::NotReady
        }
    }
}

/// Whether and how TLS is spoken to a cluster's endpoints.
fn transport(
    cluster: &mesh_ir::Cluster,
    tls: &mut TlsCompiler<'_>,
    errors: &mut Vec<ApplyError>,
) -> Transport {
    let settings = match &cluster.client.tls {
        UpstreamTls::Plaintext => return Transport::Plaintext,
        UpstreamTls::Always(settings) | UpstreamTls::WhereOffered(settings) => settings,
    };
    match tls.client(settings) {
        Ok(side) => Transport::Tls(side),
        Err(invalid) => {
            let reason = invalid.to_string().into();
            let of = format!("cluster {}", cluster.name);
            errors.push(ApplyError::Tls { of, invalid });
            Transport::NotReady(reason)
        }
    }
}

/// The route tables that are parts of a listener.
fn inline_tables(listener: &mesh_ir::Listener) -> impl Iterator<Item = &Arc<RouteConfig>> {
    let chains = listener.chains.iter().chain(&listener.default_chain);
    chains.filter_map(|chain| match &chain.network {
        mesh_ir::Network::Http(http) => match &http.routes {
            RoutesConfig::Inline(table) => Some(table),
            RoutesConfig::Discovered(_) => None,
        },
        mesh_ir::Network::Tcp(_) => None,
    })
}

/// What an inline table is found by; discovered ones have no line feed in their names.
fn inline_key(listener: &mesh_ir::Listener, table: &RouteConfig, position: usize) -> Arc<str> {
    format!("{}\n{}\n{position}", listener.name, table.name).into()
}
