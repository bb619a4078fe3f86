//! Builds the indices of a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::destination_rules::DestinationRules;
use super::entries::{Entries, EntryPlan};
use super::instances::Instances;
use super::objects::Objects;
use super::{
    HostMap, MeshGateway, MeshService, MeshVirtualService, Selecting, Snapshot, SnapshotOptions,
    Visibility, kubernetes, mesh,
};
use crate::diag::Diagnostic;
use crate::model::MeshConfig;
use crate::resource::{Kind, Object, Resource, ResourceKey};

impl Snapshot {
    /// Indexes objects. Of several with the same key the last one counts; parts that are not valid are left out and reported.
    pub fn build(
        resources: Vec<Arc<Resource>>,
        options: &SnapshotOptions,
    ) -> (Self, Vec<Diagnostic>) {
        let objects = Objects::new(resources);
        let (mesh, mut diagnostics) = mesh::mesh_config(&objects);
        let domain = &options.dns_domain;
        let (services, plans) = build_services(&objects, &mesh, domain, &mut diagnostics);
        let destination_rules = DestinationRules::build(
            objects.of(Kind::DestinationRule),
            &mesh,
            domain,
            &mut diagnostics,
        );
        let virtual_services: Vec<Arc<MeshVirtualService>> =
            oldest_first(objects.of(Kind::VirtualService))
                .into_iter()
                .filter_map(|resource| MeshVirtualService::new(resource, &mesh, domain))
                .map(Arc::new)
                .collect();
        let snapshot = Self {
            instances: Instances::build(&objects, &options.cluster_id, &services, &plans),
            by_host: index_hosts(&services),
            selecting: index_selecting(&services),
            relevant_labels: relevant_labels(&objects, &virtual_services),
            virtual_services,
            treats_clients_alike: destination_rules.are_alike_for_clients(&services)
                && services
                    .iter()
                    .all(|service| service.visibility == Visibility::Public)
                && services
                    .windows(2)
                    .all(|pair| matches!(pair, [a, b] if a.host != b.host)),
            services,
            destination_rules,
            gateways: oldest_first(objects.of(Kind::Gateway))
                .into_iter()
                .filter_map(MeshGateway::new)
                .map(Arc::new)
                .collect(),
            mesh,
            options: options.clone(),
            objects,
        };
        (snapshot, diagnostics)
    }
}

/// Objects by creation time, then name, then namespace; those without a time come first.
pub(super) fn oldest_first(resources: &[Arc<Resource>]) -> Vec<&Arc<Resource>> {
    let mut sorted: Vec<&Arc<Resource>> = resources.iter().collect();
    sorted.sort_by(|a, b| {
        (a.meta.created, &a.key.name, &a.key.namespace).cmp(&(
            b.meta.created,
            &b.key.name,
            &b.key.namespace,
        ))
    });
    sorted
}

fn build_services(
    objects: &Objects,
    mesh: &MeshConfig,
    domain: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Arc<MeshService>>, BTreeMap<ResourceKey, EntryPlan>) {
    let mut built = Entries::build(objects.of(Kind::ServiceEntry), mesh);
    diagnostics.append(&mut built.diagnostics);
    let kubernetes = objects
        .of(Kind::Service)
        .iter()
        .filter_map(|resource| kubernetes::kubernetes_service(resource, mesh, domain));
    let mut services: Vec<Arc<MeshService>> =
        kubernetes.chain(built.services).map(Arc::new).collect();
    services.sort_by(|a, b| {
        (&a.host, a.registry, a.created, &a.namespace, &a.object).cmp(&(
            &b.host,
            b.registry,
            b.created,
            &b.namespace,
            &b.object,
        ))
    });
    (services, built.plans)
}

fn index_hosts(services: &[Arc<MeshService>]) -> HostMap<Vec<Arc<MeshService>>> {
    let mut by_host = HostMap::default();
    for service in services {
        by_host.entry(&service.host, Vec::new).push(service.clone());
    }
    by_host
}

fn index_selecting(services: &[Arc<MeshService>]) -> Selecting {
    let mut selecting = Selecting::new();
    for service in services {
        if let Some((key, value)) = service.selector.first_key_value() {
            selecting
                .entry(service.namespace.clone())
                .or_default()
                .entry((key.clone(), value.clone()))
                .or_default()
                .push(service.clone());
        }
    }
    selecting
}

fn relevant_labels(
    objects: &Objects,
    virtual_services: &[Arc<MeshVirtualService>],
) -> BTreeSet<String> {
    let sources = virtual_services.iter().flat_map(|rules| {
        let spec = &rules.spec;
        let http = spec.http.iter().flat_map(|rule| &rule.matches);
        let tls = spec.tls.iter().flat_map(|rule| &rule.matches);
        let tcp = spec.tcp.iter().flat_map(|rule| &rule.matches);
        http.map(|condition| &condition.source_labels)
            .chain(tls.map(|condition| &condition.source_labels))
            .chain(tcp.map(|condition| &condition.source_labels))
    });
    let rules = objects.of(Kind::DestinationRule).iter();
    let selectors = rules.filter_map(|resource| match &resource.object {
        Object::DestinationRule(spec) => spec.workload_selector.as_ref(),
        _ => None,
    });
    sources
        .chain(selectors.map(|selector| &selector.match_labels))
        .flat_map(|labels| labels.keys().cloned())
        .collect()
}
