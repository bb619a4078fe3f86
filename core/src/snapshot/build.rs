//! Builds a snapshot from the one before and from what has changed since. A snapshot from nothing is the next one of an empty one.
//!
//! ```text
//! ChangeSet, with what old objects are converted to --> objects --> services --> instances
//!                   +-----> VirtualServices, DestinationRules, Gateways
//! ```

use std::sync::Arc;

use super::destination_rules::DestinationRules;
use super::instances::InstanceSources;
use super::labels::RelevantLabels;
use super::peer_authentications::PeerAuthentications;
use super::{
    ChangeSet, Difference, MeshGateway, Snapshot, SnapshotId, SnapshotOptions, mesh,
    workload_entries, workloads,
};
use crate::diag::Diagnostic;
use crate::model::MeshConfig;
use crate::resource::{Kind, Resource};

impl Snapshot {
    /// Indexes objects. Of several with the same key the last one counts; parts that are not valid are left out and reported.
    pub fn build(
        resources: Vec<Arc<Resource>>,
        options: &SnapshotOptions,
    ) -> (Self, Vec<Diagnostic>) {
        let snapshot = Self::empty(options).next(&resources.into_iter().collect());
        let diagnostics = snapshot.diagnostics();
        (snapshot, diagnostics)
    }

    /// The snapshot without objects.
    pub fn empty(options: &SnapshotOptions) -> Self {
        Self::of_mesh(options, Arc::default())
    }

    /// The snapshot after a change. It shares everything with this one that the change does not concern.
    pub fn next(&self, changes: &ChangeSet) -> Self {
        let objects = self.objects.next(changes);
        if changes.of(Kind::ConfigMap).next().is_none() {
            return self.changed(changes);
        }
        let (mesh, findings) = mesh::mesh_config(&objects);
        let mut snapshot = if mesh == self.mesh {
            self.changed(changes)
        } else {
            // What old objects are converted to is made anew.
            let written = objects.all().filter(|it| !it.origin.is_legacy());
            let all = written.cloned().collect();
            let snapshot = Self::of_mesh(&self.options, mesh).changed(&all);
            let mut key_sets = self.key_sets.clone();
            key_sets.update(changes, &snapshot.objects);
            Self {
                key_sets,
                previous: Some(self.id),
                difference: Difference::everything(),
                ..snapshot
            }
        };
        snapshot.mesh_findings = findings.into();
        snapshot
    }

    /// What is wrong with objects as a whole: the mesh's settings, ServiceEntries, then DestinationRules, each the oldest first.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let entries = self.services.findings();
        let entries = entries.filter_map(|(key, found)| Some((self.get(key)?, found)));
        let mut entries: Vec<(&Arc<Resource>, &Arc<[Diagnostic]>)> = entries.collect();
        entries.sort_by_key(|(resource, _)| age(resource));
        let entries = entries
            .into_iter()
            .flat_map(|(_, found)| found.iter().cloned());
        let mesh = self.mesh_findings.iter().cloned();
        mesh.chain(entries)
            .chain(self.destination_rules.findings())
            .collect()
    }

    fn of_mesh(options: &SnapshotOptions, mesh: Arc<MeshConfig>) -> Self {
        Self {
            id: SnapshotId::next(),
            previous: None,
            difference: Difference::everything(),
            options: options.clone(),
            destination_rules: DestinationRules::new(&mesh),
            peer_authentications: PeerAuthentications::new(mesh.root_namespace()),
            mesh,
            mesh_findings: Arc::default(),
            objects: Default::default(),
            services: Default::default(),
            instances: Default::default(),
            virtual_services: Default::default(),
            gateways: Default::default(),
            relevant_labels: Default::default(),
            key_sets: Default::default(),
            derived: Default::default(),
            legacy: Default::default(),
        }
    }

    /// The snapshot after a change that leaves the mesh's settings as they are.
    fn changed(&self, changes: &ChangeSet) -> Self {
        let (mesh, domain) = (&self.mesh, &self.options.dns_domain);
        let mut legacy = self.legacy.clone();
        let objects = self.objects.next(changes);
        let converted = legacy.update(changes, &objects, mesh, domain);
        // From here on that is like what was written.
        let objects = objects.next(&converted);
        let all = changes.and(converted);
        let changes = &*all;
        let mut next = Self {
            id: SnapshotId::next(),
            previous: Some(self.id),
            objects,
            difference: Difference::default(),
            legacy,
            ..self.clone()
        };
        let services = next.services.update(changes, mesh, domain);
        let peer_authentications = next.peer_authentications.update(changes, &next.objects);
        let sources = InstanceSources {
            objects: &next.objects,
            services: &next.services,
            peer_authentications: &next.peer_authentications,
            cluster: &self.options.cluster_id,
            domain,
        };
        let hosts = services.services.union(&services.plans).cloned().collect();
        let instances = next.instances.update(
            (changes, &peer_authentications),
            &self.objects,
            sources,
            hosts,
        );
        let mut policies = next.key_sets.update(changes, &next.objects);
        let changed = changes.iter().map(|(key, _)| key);
        policies.extend(changed.filter(|key| is_policy(key.kind)).cloned());
        // What other objects stand for is treated like objects of its own kind.
        let derived = next.derived.update(changes, &next.objects, mesh, domain);
        let routing = changes.and(derived);
        next.relevant_labels = RelevantLabels::next(&self.relevant_labels, &routing);
        let gateways_differ = routing.of(Kind::Gateway).next().is_some();
        if gateways_differ {
            let written = next.objects.of(Kind::Gateway).iter();
            next.gateways = oldest_first(written.chain(next.derived.of(Kind::Gateway)))
                .into_iter()
                .filter_map(MeshGateway::new)
                .map(Arc::new)
                .collect();
        }
        let mut listed = services.addresses;
        for (_, change) in changes.of(Kind::WorkloadEntry) {
            let entries = change.both();
            listed.extend(entries.filter_map(|entry| workload_entries::address(entry)));
        }
        let virtual_services = next.virtual_services.update(&routing, mesh, domain);
        next.difference = Difference {
            everything: false,
            services: services.services,
            instances,
            virtual_services: virtual_services.hosts,
            virtual_service_objects: virtual_services.objects,
            destination_rules: next.destination_rules.update(&routing, mesh, domain),
            service_namespaces: services.namespaces,
            listed_addresses: listed,
            pod_namespaces: workloads::namespaces_with_other_pods(changes),
            secret_namespaces: changes
                .of(Kind::Secret)
                // They may hold certificates to trust.
                .chain(changes.of(Kind::ConfigMap))
                .map(|(key, _)| key.namespace.clone())
                .collect(),
            policies,
            others: gateways_differ || changes.iter().any(|(key, _)| !is_told_apart(key.kind)),
        };
        next
    }
}

/// Whether objects of a kind are policies for workloads of their namespace.
fn is_policy(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AuthorizationPolicy | Kind::RequestAuthentication | Kind::PeerAuthentication
    )
}

/// Whether a difference names what changes of a kind's objects mean, so that they are no [`Difference::others`].
fn is_told_apart(kind: Kind) -> bool {
    is_policy(kind)
        || matches!(
            kind,
            Kind::Service
                | Kind::ServiceEntry
                | Kind::WorkloadEntry
                | Kind::Pod
                | Kind::Node
                | Kind::Endpoints
                | Kind::EndpointSlice
                | Kind::VirtualService
                | Kind::DestinationRule
                | Kind::Secret
                | Kind::Ingress
                | Kind::IngressClass
                | Kind::GatewayClass
                | Kind::KubernetesGateway
                | Kind::ListenerSet
                | Kind::BackendTlsPolicy
                | Kind::ConfigMap
                | Kind::HttpRoute
                | Kind::GrpcRoute
                | Kind::TlsRoute
                | Kind::TcpRoute
                | Kind::ReferenceGrant
        )
        || kind.row().is_legacy()
}

/// Objects by creation time, then name, then namespace; those without a time come first.
pub(super) fn oldest_first<'a>(
    resources: impl IntoIterator<Item = &'a Arc<Resource>>,
) -> Vec<&'a Arc<Resource>> {
    let mut sorted: Vec<&Arc<Resource>> = resources.into_iter().collect();
    sorted.sort_by_key(|resource| age(resource));
    sorted
}

fn age(resource: &Arc<Resource>) -> (Option<i64>, &Arc<str>, &Arc<str>) {
    (
        resource.meta.created,
        &resource.key.name,
        &resource.key.namespace,
    )
}
