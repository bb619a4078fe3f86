//! What a question on the command line means: who asks, for what, at which workloads.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::anyhow;
use mesh_core::authz::Workload;
use mesh_core::snapshot::{Snapshot, TargetPort, expand_host};
use mesh_ir::matching::PlainRequest;
use mesh_ir::policy::PeerIdentity;

use crate::asked::Asked;
use crate::failure::{self, Advice as _};

/// Who asks.
#[derive(Debug)]
pub struct Client {
    /// None without mutual TLS.
    pub identity: Option<PeerIdentity>,
    pub address: Option<IpAddr>,
}

/// What is asked for.
#[derive(Debug)]
pub struct Target {
    pub request: PlainRequest,
    /// Whoever serves it, with the number of its own port.
    pub workloads: Vec<(Workload, u16)>,
}

// === impl Client ===

impl Client {
    /// `NAMESPACE/SERVICE_ACCOUNT`, and perhaps `.POD`, whose address counts then.
    pub fn parse(text: &str, snapshot: &Snapshot) -> anyhow::Result<Self> {
        let wrong = || failure::usage(format!("{text:?} is not NAMESPACE/SERVICE_ACCOUNT[.POD]"));
        let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
        let pods = Workload::all(snapshot);
        let pod = rest.rsplit_once('.').and_then(|(account, name)| {
            let mut pods = pods.iter();
            let pod = pods.find(|pod| *pod.namespace == *namespace && *pod.name == *name)?;
            Some((account, pod.address))
        });
        let (account, address) = pod.unwrap_or((rest, None));
        let domain = snapshot.mesh().trust_domain();
        let uri = format!("spiffe://{domain}/ns/{namespace}/sa/{account}");
        let identity = PeerIdentity::parse(&uri).map_err(|_| wrong())?;
        Ok(Self {
            identity: Some(identity),
            address,
        })
    }

    /// The address that policies see.
    pub fn ip(&self) -> IpAddr {
        self.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
    }
}

// === impl Target ===

impl Target {
    /// Who serves a request.
    pub fn of(asked: Asked, namespace: &str, snapshot: &Snapshot) -> anyhow::Result<Self> {
        let workloads = serving(&asked.host, asked.port, namespace, snapshot)?;
        Ok(Self {
            request: asked.request,
            workloads,
        })
    }
}

/// The workloads that serve a port of a host.
fn serving(
    host: &str,
    port: u16,
    namespace: &str,
    snapshot: &Snapshot,
) -> anyhow::Result<Vec<(Workload, u16)>> {
    let domain = &snapshot.options().dns_domain;
    // `reviews.shop` and `reviews.shop.svc` are short names too.
    let full = match host.split('.').collect::<Vec<_>>().as_slice() {
        [name, of] | [name, of, "svc"] => format!("{name}.{of}.svc.{domain}"),
        _ => expand_host(host, namespace, domain).to_string(),
    };
    let found = snapshot
        .find_service(host, namespace)
        .or_else(|| snapshot.find_service(&full, namespace));
    let Some(service) = found else {
        return Err(anyhow!("there is no service for the host {host:?}")).hint(
            "name it as a client in the namespace would, or with its namespace: reviews.shop",
        );
    };
    let Some(served) = service.ports.iter().find(|known| known.port == port) else {
        let ports: Vec<String> = service.ports.iter().map(|it| it.port.to_string()).collect();
        return Err(anyhow!("the service {} has no port {port}", service.host))
            .hint(format!("its ports are {}", ports.join(", ")));
    };
    let mut serving = Vec::new();
    for workload in Workload::of_service(snapshot, service) {
        let numbers = match &served.target {
            TargetPort::Number(number) => [*number].into(),
            TargetPort::Name(_) => snapshot.target_ports(service, served, &workload.labels),
        };
        let number = numbers.first().copied().unwrap_or(port);
        serving.push((workload, number));
    }
    if serving.is_empty() {
        return Err(anyhow!("no pod and no workload serves {}", service.host))
            .hint("give the files of the workloads as well, or ask the cluster");
    }
    Ok(serving)
}
