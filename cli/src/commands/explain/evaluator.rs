//! Decides requests as the proxies of a mesh decide them: the client's proxy, then that of a server. Configurations are translated once
//! for each proxy.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use mesh_core::explain::{
    Arrival, Hop, Outcome, ProxiedWorkload, Security, Share, address_of, explain,
};
use mesh_core::snapshot::Snapshot;
use mesh_core::translate::translate;
use mesh_ir::matching::PlainRequest;
use mesh_ir::{Direction, ProxyConfig, ProxyKind, ProxyScope};

use crate::asked::Asked;

/// What one proxy on the way decides.
pub struct Decided {
    /// Whose proxy it is.
    pub proxy: String,
    /// What it decides.
    pub hop: Hop,
    /// What the servers' proxies decide, one for each target that has any.
    pub servers: Vec<(String, Hop)>,
}

/// The proxies of a mesh.
pub struct Evaluator<'a> {
    snapshot: &'a Snapshot,
    configs: RefCell<HashMap<ProxyScope, Rc<ProxyConfig>>>,
}

// === impl Evaluator ===

impl<'a> Evaluator<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            configs: RefCell::default(),
        }
    }

    /// What a proxy is told.
    pub fn config(&self, scope: &ProxyScope) -> Rc<ProxyConfig> {
        let mut configs = self.configs.borrow_mut();
        if let Some(known) = configs.get(scope) {
            return known.clone();
        }
        let config = Rc::new(translate(self.snapshot, scope).0);
        configs.insert(scope.clone(), config.clone());
        config
    }

    /// What becomes of a request of a client, or of one that comes to a gateway.
    pub fn decide(&self, client: &ProxiedWorkload, asked: &Asked) -> Decided {
        let snapshot = self.snapshot;
        let config = self.config(&client.scope);
        let is_gateway = client.scope.kind == ProxyKind::Gateway;
        let address = address_of(snapshot, &asked.host, &client.scope.namespace);
        let source = SocketAddr::new(client.address(), 0);
        let arrival = Arrival {
            direction: Direction::Outbound,
            source,
            destination: SocketAddr::new(address, client.port(snapshot, asked.port)),
            server_name: asked.is_tls.then_some(&asked.host),
            // Of who comes to a gateway nothing is known.
            peer: None,
        };
        let hop = explain(&config, arrival, &asked.request);
        let request = changed(&asked.request, &hop.outcome);
        let targets = hop.outcome.targets().iter();
        let servers = targets.filter_map(|target| self.server(client, target, source, &request));
        let servers = servers.collect();
        let proxy = if is_gateway {
            client.name.clone()
        } else {
            format!("sidecar of {}", client.name)
        };
        Decided {
            proxy,
            hop,
            servers,
        }
    }

    /// What the proxy beside a target's first healthy endpoint decides; none if there is no such proxy.
    fn server(
        &self,
        client: &ProxiedWorkload,
        target: &Share,
        source: SocketAddr,
        request: &PlainRequest,
    ) -> Option<(String, Hop)> {
        let endpoint = target.endpoints.iter().find(|endpoint| endpoint.healthy)?;
        let destination: SocketAddr = endpoint.address.parse().ok()?;
        let server = ProxiedWorkload::at(self.snapshot, destination.ip())?;
        let config = self.config(&server.scope);
        let arrival = Arrival {
            direction: Direction::Inbound,
            source,
            destination,
            server_name: None,
            peer: client
                .identity
                .as_ref()
                .filter(|_| endpoint.security == Security::MutualTls),
        };
        let hop = explain(&config, arrival, request);
        Some((format!("sidecar of {}", server.name), hop))
    }
}

/// The request as the next proxy gets it.
fn changed(request: &PlainRequest, outcome: &Outcome) -> PlainRequest {
    let mut request = request.clone();
    if let Outcome::Forward { path, host, .. } = outcome {
        if let Some(path) = path {
            request.path.clone_from(path);
        }
        if let Some(host) = host {
            request.authority = host.to_string();
        }
    }
    request
}
