//! What rules look at: the snapshot, and what is worked out from it once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::Options;
use super::pods::{Namespaces, Pods};
use crate::model::{GatewaySpec, VirtualServiceSpec};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{MeshService, Snapshot, expand_host};
use crate::source::parse_whole;

/// Name of the ingress gateway that every installation is assumed to have.
const INGRESS: &str = "istio-ingressgateway";

/// Most comparisons of names that hints may take in one run.
const HINT_BUDGET: usize = 500_000;

/// What rules look at.
pub(super) struct Context<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) options: &'s Options,
    pub(super) istio_namespace: &'s str,
    pods: OnceLock<Pods<'s>>,
    namespaces: OnceLock<Namespaces<'s>>,
    mesh_value: OnceLock<Value>,
    names: OnceLock<HashMap<&'s str, &'s Arc<MeshService>>>,
    subsets: OnceLock<BTreeMap<String, BTreeSet<String>>>,
    budget: Cell<usize>,
}

impl<'s> Context<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, options: &'s Options) -> Self {
        Self {
            snapshot,
            options,
            istio_namespace: &options.istio_namespace,
            pods: OnceLock::new(),
            namespaces: OnceLock::new(),
            mesh_value: OnceLock::new(),
            names: OnceLock::new(),
            subsets: OnceLock::new(),
            budget: Cell::new(HINT_BUDGET),
        }
    }

    /// The VirtualServices with their objects.
    pub(super) fn virtual_services(
        &self,
    ) -> impl Iterator<Item = (&'s Arc<Resource>, &'s VirtualServiceSpec)> + use<'s> {
        let objects = self.snapshot.resources(Kind::VirtualService);
        objects
            .iter()
            .filter_map(|resource| match &resource.object {
                Object::VirtualService(spec) => Some((resource, &**spec)),
                _ => None,
            })
    }

    /// Istio's Gateways with their objects.
    pub(super) fn gateways(
        &self,
    ) -> impl Iterator<Item = (&'s Arc<Resource>, &'s GatewaySpec)> + use<'s> {
        let objects = self.snapshot.resources(Kind::Gateway);
        objects
            .iter()
            .filter_map(|resource| match &resource.object {
                Object::Gateway(spec) => Some((resource, &**spec)),
                _ => None,
            })
    }

    /// The fully qualified form of a host that an object of a namespace names.
    pub(super) fn expand(&self, host: &str, namespace: &str) -> String {
        expand_host(host, namespace, &self.snapshot.options().dns_domain)
    }

    /// The service of a fully qualified host that one of some namespaces sees.
    pub(super) fn service<'n>(
        &self,
        host: &str,
        namespaces: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'s Arc<MeshService>> {
        let mut namespaces = namespaces.into_iter();
        namespaces.find_map(|namespace| self.snapshot.find_service(host, namespace))
    }

    /// The first service with a short name, whatever its namespace.
    pub(super) fn service_named(&self, name: &str) -> Option<&'s Arc<MeshService>> {
        let names = self.names.get_or_init(|| {
            let mut names = HashMap::new();
            for service in self.snapshot.services() {
                names.entry(&*service.name).or_insert(service);
            }
            names
        });
        names.get(name).copied()
    }

    /// Whether a namespace has a service of exactly this host, whoever sees it.
    pub(super) fn has_service(&self, host: &str, namespace: &str) -> bool {
        let mut services = self.snapshot.services_of(host).iter();
        services.any(|service| &*service.namespace == namespace)
    }

    /// Whether a host is there in every cluster or installation although no object says so.
    pub(super) fn is_given(&self, host: &str) -> bool {
        let domain = &self.snapshot.options().dns_domain;
        let name = host
            .strip_suffix(&**domain)
            .and_then(|rest| rest.strip_suffix(".svc."));
        match name.and_then(|name| name.split_once('.')) {
            Some(("kubernetes", "default")) => true,
            Some((INGRESS, namespace)) => self.has_ingress() && namespace == self.istio_namespace,
            _ => false,
        }
    }

    /// The pods, with the ingress gateway's.
    pub(super) fn pods(&self) -> &Pods<'s> {
        self.pods.get_or_init(|| {
            let ingress = self.has_ingress().then_some(self.istio_namespace);
            Pods::new(self.snapshot, ingress)
        })
    }

    /// The namespaces that are objects.
    pub(super) fn namespaces(&self) -> &Namespaces<'s> {
        self.namespaces
            .get_or_init(|| Namespaces::new(self.snapshot))
    }

    /// Whether all objects of a kind are at hand: what is not there is missing.
    pub(super) fn knows(&self, kind: Kind) -> bool {
        !self.options.unseen.contains(&kind)
    }

    /// The mesh's settings as they are written; null when there are none.
    pub(super) fn mesh_value(&self) -> &Value {
        self.mesh_value.get_or_init(|| {
            let maps = self.snapshot.resources(Kind::ConfigMap).iter();
            let mut texts = maps
                .filter(|map| &*map.key.name == "istio")
                .filter(|map| &*map.key.namespace == self.istio_namespace)
                .filter_map(|map| map.raw.pointer("/data/mesh")?.as_str());
            let document = texts
                .next()
                .and_then(|text| parse_whole("mesh", text).0.into_iter().next());
            document.map_or(Value::Null, |document| (*document.value).clone())
        })
    }

    /// Names of subsets by fully qualified host or pattern, of all DestinationRules.
    pub(super) fn subsets(&self) -> &BTreeMap<String, BTreeSet<String>> {
        self.subsets.get_or_init(|| {
            let mut subsets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for resource in self.snapshot.resources(Kind::DestinationRule) {
                if let Object::DestinationRule(rule) = &resource.object {
                    let host = self.expand(&rule.host, &resource.key.namespace);
                    let names = rule.subsets.iter().map(|subset| subset.name.clone());
                    subsets.entry(host).or_default().extend(names);
                }
            }
            subsets
        })
    }

    /// The most similar of some names, if one is similar enough to be a slip of the pen. Says nothing once a run has made
    /// many comparisons.
    pub(super) fn similar<'n>(
        &self,
        name: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        const SIMILAR: f64 = 0.85;
        let mut best: Option<(f64, &str)> = None;
        for candidate in names {
            let left = self.budget.get().checked_sub(1)?;
            self.budget.set(left);
            let similarity = strsim::jaro_winkler(name, candidate);
            if similarity >= SIMILAR && best.is_none_or(|(most, _)| similarity > most) {
                best = Some((similarity, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    pub(super) fn has_ingress(&self) -> bool {
        self.options.assume_ingress
            && self.snapshot.mesh().ingress_controller_mode.as_deref() != Some("OFF")
    }
}
