//! The servers of the Gateways that a proxy applies, by the port on which it listens for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::tls::{self, Termination};
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{PortProtocol, Server, ServerTlsMode};
use crate::snapshot::derived::certificates::OTHER_NAMESPACE;
use crate::snapshot::{MeshGateway, host_covers, hosts_overlap, report};
use crate::translate::mesh_tls::Carries;
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
    /// TLS, of which each server says by the names that clients ask for what becomes of it.
    Tls,
}

/// What becomes of a server's TLS.
#[derive(Clone, Debug)]
pub(super) enum Encryption {
    /// There is none.
    None,
    /// It is left to the endpoints.
    Passthrough,
    /// It ends here, and carries this.
    Ended(Termination, Carries),
}

/// A server that can be served.
struct Accepted {
    serves: Serves,
    number: u16,
    bind: Option<IpAddr>,
    encryption: Encryption,
}

/// A server of a Gateway.
pub(super) struct BoundServer {
    pub(super) gateway: Arc<MeshGateway>,
    /// Port of the gateway's Service.
    pub(super) number: u16,
    pub(super) hosts: Vec<ServerHost>,
    pub(super) https_redirect: bool,
    pub(super) encryption: Encryption,
    /// Name of its port, which is its own within the Gateway.
    pub(super) port_name: String,
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
            let accepted = accept(view, &gateway, server, &path, diagnostics);
            let Some(Accepted {
                serves,
                number,
                bind,
                encryption,
            }) = accepted
            else {
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
                let mut bound = BoundServer::new(&gateway, server, number, encryption.clone());
                if serves == Serves::Tls && !bound.yield_names(&port.servers) {
                    let message = format!(
                        "an older server of port {number} has all of these hosts; this one is left out"
                    );
                    let path = path.key("hosts");
                    diagnostics.push(report::conflict(&gateway.resource, path, message));
                    continue;
                }
                port.servers.push(bound);
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

/// A server as it is served, if it can be.
fn accept(
    view: &View<'_>,
    gateway: &MeshGateway,
    server: &Server,
    path: &FieldPath,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Accepted> {
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
    let (serves, encryption) = match protocol {
        protocol if protocol.is_tls() => {
            let tls = server.tls.as_ref()?;
            let mut names = tls.credential_name.iter().chain(&tls.credential_names);
            let is_elsewhere = names.any(|name| name.starts_with(OTHER_NAMESPACE));
            if is_elsewhere && !gateway.resource.origin.is_derived() {
                let message = "only listeners of the Gateway API have certificates of other namespaces; the server is left out";
                return leave_out(path.key("tls"), message);
            }
            let carries = match protocol {
                PortProtocol::Https => Carries::Http,
                _ => Carries::Tcp,
            };
            let encryption = match tls.mode.unwrap_or_default() {
                ServerTlsMode::Passthrough => Encryption::Passthrough,
                ServerTlsMode::AutoPassthrough => {
                    let message = "connections are not passed on by names of clusters (AUTO_PASSTHROUGH) yet; the server is left out";
                    return leave_out(path.key("tls").key("mode"), message);
                }
                _ => match tls::termination(view, tls, carries) {
                    Ok(termination) => Encryption::Ended(termination, carries),
                    Err((field, wrong)) => {
                        let at = path.key("tls");
                        let at = field.map_or_else(|| at.clone(), |field| at.key(field));
                        return leave_out(at, &format!("{wrong}; the server is left out"));
                    }
                },
            };
            (Serves::Tls, encryption)
        }
        PortProtocol::Udp | PortProtocol::HttpProxy => {
            let message = "gateways do not take this protocol yet; the server is left out";
            return leave_out(path.key("port").key("protocol"), message);
        }
        protocol if protocol.is_http() => (Serves::Http, Encryption::None),
        _ => (Serves::Tcp, Encryption::None),
    };
    Some(Accepted {
        serves,
        number,
        bind,
        encryption,
    })
}

// === impl BoundServer ===

impl BoundServer {
    fn new(
        gateway: &Arc<MeshGateway>,
        server: &Server,
        number: u16,
        encryption: Encryption,
    ) -> Self {
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
            encryption,
            port_name: server.port.name.clone(),
            names: [gateway.name.clone()],
        }
    }

    /// The names that TLS clients ask for to reach the server; empty for any.
    pub(super) fn server_names(&self) -> BTreeSet<Arc<str>> {
        let hosts = self.hosts.iter().map(|host| host.host.clone());
        let names: BTreeSet<Arc<str>> = hosts.collect();
        if names.contains("*") {
            return BTreeSet::new();
        }
        names
    }

    /// Gives up the hosts that other servers of a port have already: of two chains for one name no proxy takes both. Whether any are left.
    /// Those that leave TLS to the endpoints have what their rules name, and may share hosts.
    fn yield_names(&mut self, others: &[Self]) -> bool {
        if matches!(self.encryption, Encryption::Passthrough) {
            return true;
        }
        let ended = others
            .iter()
            .filter(|other| !matches!(other.encryption, Encryption::Passthrough));
        let taken: BTreeSet<Arc<str>> = ended
            .flat_map(|other| other.hosts.iter().map(|host| host.host.clone()))
            .collect();
        self.hosts.retain(|host| !taken.contains(&host.host));
        !self.hosts.is_empty()
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
