//! Clusters of a service: one for each port and one for each port of each subset, with the policies of its DestinationRule.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{ClientPolicy, Cluster, ClusterKind, Endpoints, LoadBalancing, ProxyKind};

use super::endpoints::by_locality;
use crate::model::{LocalityLbSetting, SimpleLb, Subset};
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{
    DnsEndpoint, EffectiveDestinationRule, Instance, MeshService, Resolution, ServicePort, selects,
};
use crate::translate::client_tls::{self, Offered, TlsContext};
use crate::translate::locality::{ClientTopology, LocalityPolicy};
use crate::translate::mesh_tls::{self, MeshTls};
use crate::translate::naming::{config_ref, outbound_cluster, service_ref};
use crate::translate::view::View;
use crate::translate::{connection_pool, consistent_hash, endpoint_choice};

/// All that the clusters of a service depend on.
#[derive(Clone, Debug)]
pub(super) struct ServiceInputs {
    service: Arc<MeshService>,
    /// In the order of the service's ports.
    instances: Vec<Arc<[Instance]>>,
    names: Vec<Vec<DnsEndpoint>>,
    rule: Option<Arc<EffectiveDestinationRule>>,
    connect_timeout: Duration,
    tls: MeshTls,
    kind: ProxyKind,
    /// What the mesh says of localities.
    locality: LocalityLbSetting,
    /// Where clients are; none where that does not matter.
    topology: Option<ClientTopology>,
}

/// The clusters of a service with their endpoints.
#[derive(Clone, Debug)]
pub(super) struct ServiceClusters {
    inputs: ServiceInputs,
    clusters: Vec<Arc<Cluster>>,
    endpoints: Vec<Arc<Endpoints>>,
}

// === impl ServiceInputs ===

impl ServiceInputs {
    pub(super) fn of(view: &View<'_>, service: &Arc<MeshService>, kind: ProxyKind) -> Self {
        let ports = service.ports.iter();
        let snapshot = view.snapshot;
        Self {
            instances: ports
                .clone()
                .map(|port| snapshot.shared_instances(service, port).clone())
                .collect(),
            names: match service.resolution {
                Resolution::Dns => ports
                    .map(|port| snapshot.dns_endpoints(service, port))
                    .collect(),
                Resolution::Endpoints | Resolution::Passthrough => Vec::new(),
            },
            rule: view.destination_rule(service),
            connect_timeout: snapshot.mesh().connect_timeout(),
            tls: MeshTls::of(snapshot.mesh()),
            kind,
            locality: snapshot.mesh().locality_lb_setting().clone(),
            topology: view
                .topology
                .filter(|_| view.prefers_by_topology(service))
                .cloned(),
            service: service.clone(),
        }
    }

    /// The policy for a port of a subset.
    fn policy(&self, port: &ServicePort, subset: Option<&Subset>) -> EffectiveTrafficPolicy<'_> {
        let rule = self.rule.as_deref();
        let name = subset.map(|subset| subset.name.as_str());
        let subset = rule.zip(name).and_then(|(rule, name)| rule.subset(name));
        EffectiveTrafficPolicy::effective(
            rule.and_then(|rule| rule.traffic_policy.as_ref()),
            subset.and_then(|subset| subset.traffic_policy.as_ref()),
            port.port,
        )
    }

    /// Which endpoints are preferred by where clients are, if that counts.
    fn locality<'a>(&'a self, policy: &EffectiveTrafficPolicy<'a>) -> Option<LocalityPolicy<'a>> {
        LocalityPolicy::of(policy, self.service.distribution, &self.locality)
    }

    /// The service accounts of the service's workloads.
    fn accounts(&self) -> BTreeSet<Arc<str>> {
        let instances = self.instances.iter().flat_map(|instances| instances.iter());
        let accounts = instances.filter_map(|instance| instance.account.as_ref());
        let mut found = BTreeSet::new();
        for account in accounts {
            // There may be thousands of instances, of few accounts.
            if !found.contains(account) {
                found.insert(account.clone());
            }
        }
        found
    }

    /// Which endpoints of a port take the mesh's own TLS. Of original destinations nothing is known one by one.
    fn offered(&self, index: usize, kind: &ClusterKind) -> Offered {
        let instances = self.instances.get(index).map_or(&[][..], |all| all);
        match kind {
            _ if self.service.external => Offered::Nowhere,
            ClusterKind::Eds => Offered::BySome,
            ClusterKind::OriginalDestination
                if !instances.is_empty()
                    && instances.iter().all(|instance| instance.offers_mtls) =>
            {
                Offered::Everywhere
            }
            ClusterKind::OriginalDestination
            | ClusterKind::StrictDns(_)
            | ClusterKind::Static(_) => Offered::Nowhere,
        }
    }

    /// Whether both lead to the same clusters.
    fn is_equal(&self, other: &Self) -> bool {
        let same_instances =
            |(a, b): (&Arc<[Instance]>, &Arc<[Instance]>)| Arc::ptr_eq(a, b) || a == b;
        let same_rule = match (&self.rule, &other.rule) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.same(b),
            _ => false,
        };
        same_rule
            && self.kind == other.kind
            && self.connect_timeout == other.connect_timeout
            && self.tls == other.tls
            && self.topology == other.topology
            && self.locality == other.locality
            && self.names == other.names
            && self.service == other.service
            && self.instances.len() == other.instances.len()
            && self
                .instances
                .iter()
                .zip(&other.instances)
                .all(same_instances)
    }
}

// === impl ServiceClusters ===

impl ServiceClusters {
    /// The clusters of a service; the very same as one of those that are known already where it leads to the same.
    pub(super) fn of<'k>(
        view: &View<'_>,
        service: &Arc<MeshService>,
        kind: ProxyKind,
        known: impl IntoIterator<Item = &'k Arc<Self>>,
    ) -> Arc<Self> {
        let inputs = ServiceInputs::of(view, service, kind);
        let same = known
            .into_iter()
            .find(|known| known.inputs.is_equal(&inputs));
        same.cloned()
            .unwrap_or_else(|| Arc::new(Self::build(inputs)))
    }

    pub(super) fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters
    }

    pub(super) fn endpoints(&self) -> &[Arc<Endpoints>] {
        &self.endpoints
    }

    fn build(inputs: ServiceInputs) -> Self {
        let mut clusters = Vec::new();
        let mut all_endpoints = Vec::new();
        let subsets = inputs.rule.as_ref().map_or(&[][..], |rule| &rule.subsets);
        let accounts = inputs.accounts();
        for (index, port) in inputs.service.ports.iter().enumerate() {
            let variants =
                std::iter::once(None).chain(subsets.iter().map(|(subset, _)| Some(subset)));
            for subset in variants {
                let policy = inputs.policy(port, subset);
                let locality = inputs.locality(&policy);
                let cluster = cluster(&inputs, &accounts, (index, port), subset);
                if cluster.kind == ClusterKind::Eds {
                    let instances = inputs.instances.get(index).map_or(&[][..], |all| all);
                    let instances = instances.iter().filter(|instance| {
                        subset.is_none_or(|subset| in_subset(subset, &instance.labels))
                    });
                    let nowhere = ClientTopology::default();
                    let topology = inputs.topology.as_ref().unwrap_or(&nowhere);
                    all_endpoints.push(Arc::new(Endpoints {
                        cluster: cluster.name.clone(),
                        localities: match locality {
                            Some(policy) => policy.apply(topology, instances),
                            None => by_locality(instances),
                        },
                    }));
                }
                clusters.push(Arc::new(cluster));
            }
        }
        Self {
            inputs,
            clusters,
            endpoints: all_endpoints,
        }
    }
}

fn in_subset(subset: &Subset, labels: &std::collections::BTreeMap<String, String>) -> bool {
    subset.labels.is_empty() || selects(&subset.labels, labels)
}

fn cluster(
    inputs: &ServiceInputs,
    accounts: &BTreeSet<Arc<str>>,
    (index, port): (usize, &ServicePort),
    subset: Option<&Subset>,
) -> Cluster {
    let rule = inputs.rule.as_deref();
    let blocks = inputs.policy(port, subset);
    let locality = inputs.locality(&blocks);
    let simple = blocks.load_balancer.and_then(|settings| settings.simple);
    let hash = blocks
        .load_balancer
        .and_then(|settings| settings.consistent_hash.as_ref());
    let kind = kind(inputs, index, subset, simple);
    let subset_name = subset.map_or("", |subset| &subset.name);
    let mut client = ClientPolicy {
        connect_timeout: inputs.connect_timeout,
        balancing: if kind == ClusterKind::OriginalDestination {
            LoadBalancing::ClusterProvided
        } else {
            hash.map_or_else(|| load_balancing(simple), consistent_hash::balancing)
        },
        weighted_localities: kind == ClusterKind::Eds
            && locality.is_some_and(LocalityPolicy::is_weighted),
        ..ClientPolicy::default()
    };
    connection_pool::apply(&mut client, port.protocol, blocks.connection_pool);
    client.limits.retry_budget = blocks.retry_budget.map(connection_pool::retry_budget);
    endpoint_choice::apply(&mut client, &blocks);
    let has_selector = rule.is_some_and(|rule| rule.workload_selector.is_some());
    let context = TlsContext {
        protocol: port.protocol,
        http: client.protocol,
        names: &inputs.service.subject_alt_names,
        has_secrets: inputs.kind == ProxyKind::Gateway || has_selector,
        mesh: &inputs.tls,
        accounts,
        server_name: mesh_tls::server_name(port.port, subset_name, &inputs.service.host),
        offered: inputs.offered(index, &kind),
    };
    client.tls = client_tls::upstream(blocks.tls, &context);
    Cluster {
        name: outbound_cluster(port.port, subset_name, &inputs.service.host),
        kind,
        client,
        services: vec![service_ref(&inputs.service)],
        origin: rule
            .and_then(|rule| rule.resources.first())
            .map(|resource| config_ref("destination-rule", &resource.key)),
    }
}

/// Gateways do not know original destinations, so that they use the endpoints of headless services.
fn kind(
    inputs: &ServiceInputs,
    index: usize,
    subset: Option<&Subset>,
    simple: Option<SimpleLb>,
) -> ClusterKind {
    let sidecar = inputs.kind == ProxyKind::Sidecar;
    if sidecar && simple == Some(SimpleLb::Passthrough) {
        return ClusterKind::OriginalDestination;
    }
    match inputs.service.resolution {
        Resolution::Passthrough if sidecar => ClusterKind::OriginalDestination,
        Resolution::Endpoints | Resolution::Passthrough => ClusterKind::Eds,
        Resolution::Dns => {
            let names = inputs.names.get(index).map_or(&[][..], Vec::as_slice);
            let chosen = names
                .iter()
                .filter(|name| subset.is_none_or(|subset| in_subset(subset, &name.labels)));
            ClusterKind::StrictDns(chosen.map(|name| (name.host.clone(), name.port)).collect())
        }
    }
}

fn load_balancing(simple: Option<SimpleLb>) -> LoadBalancing {
    match simple {
        Some(SimpleLb::RoundRobin) => LoadBalancing::RoundRobin,
        Some(SimpleLb::Random) => LoadBalancing::Random,
        None
        | Some(
            SimpleLb::Unspecified
            | SimpleLb::LeastConn
            | SimpleLb::LeastRequest
            | SimpleLb::Passthrough,
        ) => LoadBalancing::LeastRequest,
    }
}
