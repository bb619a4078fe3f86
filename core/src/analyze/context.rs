//! What rules look at: the snapshot, and what is worked out from it once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::Options;
use super::workloads::Workloads;
use crate::model::VirtualServiceSpec;
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{MeshService, Snapshot, expand_host};

/// Name and label of the ingress gateway that every installation is assumed to have.
const INGRESS: &str = "istio-ingressgateway";
const INGRESS_LABEL: (&str, &str) = ("istio", "ingressgateway");

/// Most comparisons of names that hints may take in one run.
const HINT_BUDGET: usize = 500_000;

/// What rules look at.
pub(super) struct Context<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) istio_namespace: &'s str,
    workloads: OnceLock<Workloads>,
    subsets: OnceLock<BTreeMap<String, BTreeSet<String>>>,
    budget: Cell<usize>,
}

impl<'s> Context<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, options: &'s Options) -> Self {
        Self {
            snapshot,
            istio_namespace: &options.istio_namespace,
            workloads: OnceLock::new(),
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
    pub(super) fn workloads(&self) -> &Workloads {
        self.workloads.get_or_init(|| {
            let mut workloads = Workloads::new(self.snapshot);
            if self.has_ingress() {
                let (key, value) = INGRESS_LABEL;
                workloads.add(BTreeMap::from([
                    (key.to_owned(), value.to_owned()),
                    ("app".to_owned(), INGRESS.to_owned()),
                ]));
            }
            workloads
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

    fn has_ingress(&self) -> bool {
        self.snapshot.mesh().ingress_controller_mode.as_deref() != Some("OFF")
    }
}
