//! The servers of the Gateways that a proxy applies, by the port on which it listens for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::diag::{Diagnostic, FieldPath};
use crate::model::{PortProtocol, Server, ServerTlsMode};
use crate::snapshot::{MeshGateway, host_covers, hosts_overlap, report};
use crate::translate::rules::{ClientContext, CompiledRules};
use crate::translate::view::View;

/// One port on which a gateway listens.
pub(super) struct Port {
    /// Port of the socket.
    pub(super) target: u16,
    pub(super) bind: Option<IpAddr>,
    pub(super) serves: Serves,
    /// In the order of their Gateways' age; never empty.
    pub(super) servers: Vec<BoundServer>,
}

/// What a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    Http,
    Tcp,
    /// TLS that is left to the endpoints, routed by the name that clients ask for.
    Passthrough,
}

/// A server of a Gateway.
pub(super) struct BoundServer {
    pub(super) gateway: Arc<MeshGateway>,
    /// Port of the gateway's Service.
    pub(super) number: u16,
    pub(super) hosts: Vec<ServerHost>,
    pub(super) https_redirect: bool,
    /// The Gateway's name, as askers need it.
    names: [Arc<str>; 1],
}

/// A host of a server, for VirtualServices of one namespace or of all.
pub(super) struct ServerHost {
    namespace: Option<Arc<str>>,
    pub(super) host: Arc<str>,
}

/// The ports of all Gateways that select the proxy.
pub(super) fn ports(view: &View<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Port> {
    let targets = target_ports(view);
    let mut ports: BTreeMap<(u16, Option<IpAddr>), Port> = BTreeMap::new();
    for gateway in view.snapshot.gateways_for(view.namespace, view.labels) {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let path = FieldPath::parse("spec.servers").index(index);
            let Some((serves, number, bind)) = accept(&gateway, server, &path, diagnostics) else {
                continue;
            };
            let own = [number];
            for target in targets.get(&number).map_or(&own[..], Vec::as_slice) {
                let port = ports.entry((*target, bind)).or_insert_with(|| Port {
                    target: *target,
                    bind,
                    serves,
                    servers: Vec::new(),
                });
                if port.serves != serves {
                    let message = format!(
                        "port {number} is used for another protocol by an older server; this one is left out"
                    );
                    let path = path.key("port");
                    diagnostics.push(report::conflict(&gateway.resource, path, message));
                    continue;
                }
                port.servers
                    .push(BoundServer::new(&gateway, server, number));
            }
        }
    }
    ports.into_values().collect()
}

/// Services with this label (`"true"`) do not decide where a Gateway's servers listen: the number in the Gateway is then the pod's
/// port. It is Istio's workaround for several Services before one gateway, as Knative makes them.
const NO_TRANSLATION_LABEL: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The ports of the pod by the ports of the Services that select it.
fn target_ports(view: &View<'_>) -> BTreeMap<u16, Vec<u16>> {
    let mut targets: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for service in view
        .snapshot
        .services_selecting(view.namespace, view.labels)
    {
        let object = view.snapshot.get(&service.object);
        let label = object.and_then(|object| object.meta.labels.get(NO_TRANSLATION_LABEL));
        if label.is_some_and(|label| label == "true") {
            continue;
        }
        for port in &service.ports {
            let known = targets.entry(port.port).or_default();
            for target in view.snapshot.target_ports(&service, port, view.labels) {
                if !known.contains(&target) {
                    known.push(target);
                }
            }
        }
    }
    targets.retain(|_, targets| !targets.is_empty());
    targets
}

/// Whether a server can be served, with its port and address.
fn accept(
    gateway: &MeshGateway,
    server: &Server,
    path: &FieldPath,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Serves, u16, Option<IpAddr>)> {
    // Without a port or protocol, or with a part that compiling the object refuses.
    if gateway.resource.refuses(path) {
        return None;
    }
    let number = u16::try_from(server.port.number).ok()?;
    let bind = server.bind.as_deref().filter(|bind| !bind.is_empty());
    let mut leave_out = |field: FieldPath, message: &str| {
        diagnostics.push(report::unsupported(&gateway.resource, field, message));
        None
    };
    let bind = match bind.map(str::parse).transpose() {
        Ok(bind) => bind,
        Err(_) => {
            let message = "Unix sockets are not supported yet; the server is left out";
            return leave_out(path.key("bind"), message);
        }
    };
    let protocol = PortProtocol::parse(&server.port.protocol)?;
    let serves = match protocol {
        protocol if protocol.is_tls() => match server.tls.as_ref().and_then(|tls| tls.mode) {
            Some(ServerTlsMode::Passthrough) => Serves::Passthrough,
            _ => {
                let message = "gateways do not terminate TLS yet, nor pass it on by names of clusters (AUTO_PASSTHROUGH); the server is left out";
                return leave_out(path.key("port").key("protocol"), message);
            }
        },
        PortProtocol::Udp | PortProtocol::HttpProxy => {
            let message = "gateways do not take this protocol yet; the server is left out";
            return leave_out(path.key("port").key("protocol"), message);
        }
        protocol if protocol.is_http() => Serves::Http,
        _ => Serves::Tcp,
    };
    Some((serves, number, bind))
}

// === impl BoundServer ===

impl BoundServer {
    fn new(gateway: &Arc<MeshGateway>, server: &Server, number: u16) -> Self {
        let own = &gateway.resource.key.namespace;
        let host = |text: &String| {
            let (namespace, host) = match text.split_once('/') {
                None | Some(("*", _)) => (None, text.rsplit('/').next().unwrap_or_default()),
                Some((".", host)) => (Some(own.clone()), host),
                Some((namespace, host)) => (Some(namespace.into()), host),
            };
            ServerHost {
                namespace,
                host: host.to_ascii_lowercase().into(),
            }
        };
        Self {
            gateway: gateway.clone(),
            number,
            hosts: server.hosts.iter().map(host).collect(),
            https_redirect: server
                .tls
                .as_ref()
                .is_some_and(|tls| tls.https_redirect == Some(true)),
            names: [gateway.name.clone()],
        }
    }

    /// The server, as rules see it.
    pub(super) fn client_context<'a>(&'a self, view: &'a View<'_>) -> ClientContext<'a> {
        ClientContext {
            gateways: &self.names,
            namespace: view.namespace,
            labels: view.labels,
            port: self.number,
        }
    }

    /// Whether an object names the server's Gateway and has a host of it.
    pub(super) fn is_for(&self, rules: &CompiledRules) -> bool {
        rules.source.gateways.contains(&self.gateway.name) && !self.hosts_of(rules).is_empty()
    }

    /// The part of a rule's names that the server serves for objects of a namespace.
    pub(super) fn names_of(
        &self,
        names: &BTreeSet<Arc<str>>,
        namespace: &Arc<str>,
    ) -> BTreeSet<Arc<str>> {
        let allowed = |host: &&ServerHost| {
            let of = host.namespace.as_ref();
            of.is_none_or(|of| of == namespace)
        };
        let served = self.hosts.iter().filter(allowed).map(|host| &host.host);
        served
            .flat_map(|served| {
                names.iter().filter_map(move |name| {
                    if host_covers(served, name) {
                        Some(name.clone())
                    } else {
                        host_covers(name, served).then(|| served.clone())
                    }
                })
            })
            .collect()
    }

    /// The hosts of an object that the server serves: of an object's host and a server's host the narrower one.
    pub(super) fn hosts_of(&self, rules: &CompiledRules) -> Vec<Arc<str>> {
        let namespace = &rules.source.resource.key.namespace;
        let mut hosts: Vec<Arc<str>> = Vec::new();
        for host in &rules.source.hosts {
            let served = self.hosts.iter().filter(|served| {
                let allowed = served.namespace.as_ref();
                allowed.is_none_or(|allowed| allowed == namespace)
                    && hosts_overlap(&served.host, host)
            });
            for served in served {
                let narrower = if host_covers(&served.host, host) {
                    host
                } else {
                    &served.host
                };
                if !hosts.contains(narrower) {
                    hosts.push(narrower.clone());
                }
            }
        }
        hosts
    }
}
