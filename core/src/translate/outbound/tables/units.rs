//! The hosts that are looked at again, and what has to be made again because of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Update;
use super::edit::Edit;
use crate::translate::outbound::index::{Entry, Layered};
use crate::translate::outbound::unit::{HostUnit, PortUnit};

// === impl Update: units ===

impl Update<'_> {
    pub(super) fn layered(&self) -> Layered<'_> {
        self.next.layered(self.public)
    }

    pub(super) fn units(&mut self, hosts: &BTreeSet<Arc<str>>) {
        let mut clusters = Edit::new(&self.next.clusters, self.public.map(|side| &side.clusters));
        let mut endpoints = Edit::new(
            &self.next.endpoints,
            self.public.map(|side| &side.endpoints),
        );
        for host in hosts {
            let old = self.next.index.get(host).cloned();
            let new = self.entry(host, old.as_ref());
            if old.is_none() && new.is_none() {
                continue;
            }
            let (old, shown) = (old.unwrap_or_default(), new.clone().unwrap_or_default());
            self.touch(&old, &shown);
            // Without an entry the view has what the public has.
            let below = self.public.and_then(|side| side.index.unit(host));
            let now = if new.is_some() {
                shown.own.as_ref()
            } else {
                below
            };
            let all = [&old.own, &old.public, &shown.own, &shown.public];
            for unit in all.into_iter().flatten() {
                for cluster in unit.clusters().iter().flat_map(|all| all.clusters()) {
                    clusters.stale.insert(cluster.name.clone());
                }
                for cluster in unit.clusters().iter().flat_map(|all| all.endpoints()) {
                    endpoints.stale.insert(cluster.cluster.clone());
                }
            }
            let now = now.and_then(|unit| unit.clusters());
            for cluster in now.iter().flat_map(|all| all.clusters()) {
                clusters.set(&cluster.name, Some(cluster.clone()));
            }
            for cluster in now.iter().flat_map(|all| all.endpoints()) {
                endpoints.set(&cluster.cluster, Some(cluster.clone()));
            }
            self.next.index.set(host, new);
        }
        self.next.clusters = clusters.finish();
        self.next.endpoints = endpoints.finish();
    }

    /// What the index should have for a host.
    fn entry(&self, host: &Arc<str>, old: Option<&Entry>) -> Option<Entry> {
        let known = old.and_then(|old| old.own.as_ref());
        let build = |known: [Option<&Arc<HostUnit>>; 2]| {
            let known = known.into_iter().flatten();
            HostUnit::build(self.view, self.kind, host, known).map(Arc::new)
        };
        let Some(public) = self.public else {
            let own = build([known, None])?;
            return Some(Entry {
                own: Some(own),
                public: None,
            });
        };
        let below = public.index.unit(host);
        if !HostUnit::is_special(self.view, self.kind, host, below.map(|unit| &**unit)) {
            return None;
        }
        Some(Entry {
            own: build([known, below]),
            public: below.cloned(),
        })
    }

    /// Notes what differs between two entries of a host.
    fn touch(&mut self, old: &Entry, new: &Entry) {
        if self.public.is_none() {
            self.touch_difference(old.own.as_deref(), new.own.as_deref());
            return;
        }
        // The view may turn from one to the other.
        let units = [&old.own, &old.public, &new.own, &new.public];
        for unit in units.into_iter().flatten() {
            self.touch_difference(Some(unit), None);
        }
    }

    fn touch_difference(&mut self, old: Option<&HostUnit>, new: Option<&HostUnit>) {
        let (before, now) = (old.and_then(HostUnit::named), new.and_then(HostUnit::named));
        if before != now {
            let both = before.into_iter().chain(now);
            let namespaces = both.map(|(namespace, _)| namespace.clone());
            self.next.touched.names.extend(namespaces);
        }
        let ports = |unit: Option<&HostUnit>| -> BTreeSet<u16> {
            let ports = unit.into_iter().flat_map(|unit| &unit.ports);
            ports.map(|port| port.port).collect()
        };
        let host = old.or(new).map(|unit| unit.host.clone());
        let Some(host) = host else { return };
        for number in &ports(old) | &ports(new) {
            let (old, new) = (
                old.and_then(|unit| unit.port(number)),
                new.and_then(|unit| unit.port(number)),
            );
            if old != new {
                self.touch_port(&host, number, old, new);
            }
        }
    }

    fn touch_port(
        &mut self,
        host: &Arc<str>,
        number: u16,
        old: Option<&PortUnit>,
        new: Option<&PortUnit>,
    ) {
        let touched = &mut self.next.touched;
        touched.virtual_hosts.insert((number, host.clone()));
        let listening = |port: Option<&PortUnit>| {
            port.map(|port| (port.claims.clone(), port.protocol, port.connections.clone()))
        };
        if listening(old) != listening(new) {
            let claims = old.into_iter().chain(new).flat_map(|port| &port.claims);
            touched
                .slots
                .extend(claims.map(|address| (*address, number)));
        }
        let domains = |port: Option<&PortUnit>| -> Vec<Arc<str>> {
            let host = port.and_then(|port| port.virtual_host.as_ref());
            host.map(|host| host.domains.clone()).unwrap_or_default()
        };
        let (old, new) = (domains(old), domains(new));
        if old != new {
            let all = old.into_iter().chain(new);
            touched.domains.extend(all.map(|domain| (number, domain)));
        }
    }
}
