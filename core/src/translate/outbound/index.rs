//! The units of a view with what finds those that contend with each other: for a listener, or for a domain of a route table.
//!
//! A namespace's index holds only the hosts that it sees otherwise than everybody does; all else is in the public index below it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::slots::Slot;
use super::unit::{ANY, HostUnit, PortUnit};
use crate::snapshot::{HostMap, is_wildcard};

/// Units by host, and their claims.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    units: PersistentMap<Arc<str>, Entry>,
    /// Hosts by the hosts and patterns that they read.
    readers: HostMap<Arc<BTreeSet<Arc<str>>>>,
    /// How many units have an HTTP port of a number; above a public index, how many more than the units that they take the place of.
    http: PersistentMap<u16, isize>,
    /// Units by the addresses and ports that they claim otherwise, in the order of their age.
    claims: PersistentMap<Claim, ()>,
    /// Hosts by the domains that they claim on a port.
    domains: PersistentMap<(u16, Arc<str>, Arc<str>), ()>,
}

/// A host.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// What the view sees; nothing where it does not see what the public does.
    pub(super) own: Option<Arc<HostUnit>>,
    /// What the public sees.
    pub(super) public: Option<Arc<HostUnit>>,
}

/// Address, port, creation time, name, namespace and host of a service.
type Claim = (IpAddr, u16, Option<i64>, Arc<str>, Arc<str>, Arc<str>);

/// What a view sees: its own index over the public one, or the public one alone.
#[derive(Clone, Copy)]
pub(super) struct Layered<'a> {
    pub(super) own: &'a Index,
    pub(super) public: Option<&'a Index>,
}

// === impl Index ===

impl Index {
    pub(super) fn get(&self, host: &str) -> Option<&Entry> {
        self.units.get(host)
    }

    /// What the index has for a host, where it has something.
    pub(super) fn unit(&self, host: &str) -> Option<&Arc<HostUnit>> {
        self.units.get(host)?.own.as_ref()
    }

    /// The hosts whose units read the services of a host.
    pub(super) fn readers<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        let below = is_wildcard(host).then(|| self.readers.covered_by(host));
        self.readers
            .matches(host)
            .chain(below.into_iter().flatten())
            .flat_map(|readers| readers.iter())
    }

    /// Puts another entry in the place of a host's.
    pub(super) fn set(&mut self, host: &Arc<str>, entry: Option<Entry>) {
        let old = match entry.clone() {
            Some(entry) => self.units.insert(host.clone(), entry),
            None => self.units.remove(host),
        };
        let old = old.unwrap_or_default();
        let new = entry.unwrap_or_default();
        self.count_http(old.own.as_deref(), -1);
        self.count_http(old.public.as_deref(), 1);
        self.count_http(new.own.as_deref(), 1);
        self.count_http(new.public.as_deref(), -1);
        if let Some(unit) = &old.own {
            self.forget(unit);
        }
        if let Some(unit) = &new.own {
            self.learn(unit);
        }
    }

    fn count_http(&mut self, unit: Option<&HostUnit>, by: isize) {
        let ports = unit.into_iter().flat_map(|unit| &unit.ports);
        for port in ports.filter(|port| port.is_plain_http()) {
            let count = self.http.get(&port.port).copied().unwrap_or(0) + by;
            if count == 0 {
                self.http.remove(&port.port);
            } else {
                self.http.insert(port.port, count);
            }
        }
    }

    fn forget(&mut self, unit: &HostUnit) {
        for claim in claims(unit) {
            self.claims.remove(&claim);
        }
        for domain in domains(unit) {
            self.domains.remove(&domain);
        }
        for read in &unit.reads {
            let readers = self.readers.get(read);
            let mut readers = readers
                .map(|readers| (**readers).clone())
                .unwrap_or_default();
            readers.remove(&unit.host);
            if readers.is_empty() {
                self.readers.remove(read);
            } else {
                self.readers.insert(read, Arc::new(readers));
            }
        }
    }

    fn learn(&mut self, unit: &HostUnit) {
        for claim in claims(unit) {
            self.claims.insert(claim, ());
        }
        for domain in domains(unit) {
            self.domains.insert(domain, ());
        }
        for read in &unit.reads {
            let readers = self.readers.get(read);
            let mut readers = readers
                .map(|readers| (**readers).clone())
                .unwrap_or_default();
            readers.insert(unit.host.clone());
            self.readers.insert(read, Arc::new(readers));
        }
    }
}

/// The claims of a unit to listeners, but for those of HTTP ports.
fn claims(unit: &HostUnit) -> impl Iterator<Item = Claim> {
    let service = unit.service.iter();
    service.flat_map(|(service, _)| {
        let ports = unit.ports.iter().filter(|port| !port.protocol.is_http());
        ports.flat_map(move |port| {
            port.claims.iter().map(move |address| {
                let (name, namespace) = (service.name.clone(), service.namespace.clone());
                (
                    *address,
                    port.port,
                    service.created,
                    name,
                    namespace,
                    service.host.clone(),
                )
            })
        })
    })
}

fn domains(unit: &HostUnit) -> impl Iterator<Item = (u16, Arc<str>, Arc<str>)> {
    unit.ports.iter().flat_map(|port| {
        let domains = port.virtual_host.iter().flat_map(|host| &host.domains);
        domains.map(|domain| (port.port, domain.clone(), unit.host.clone()))
    })
}

// === impl PortUnit ===

impl PortUnit {
    /// Whether it is one of the HTTP ports that share a listener by number.
    pub(super) fn is_plain_http(&self) -> bool {
        self.protocol.is_http() && self.claims.contains(&ANY)
    }
}

// === impl Layered ===

impl<'a> Layered<'a> {
    /// The unit of a host that the view sees.
    pub(super) fn unit(self, host: &str) -> Option<&'a Arc<HostUnit>> {
        match self.own.get(host) {
            Some(entry) => entry.own.as_ref(),
            None => self.public?.unit(host),
        }
    }

    /// What arrives at an address and port.
    pub(super) fn slot(self, address: IpAddr, port: u16) -> Option<Slot> {
        let count = |index: &Index| index.http.get(&port).copied().unwrap_or(0);
        let http = count(self.own) + self.public.map_or(0, count) > 0;
        let claimants = self.claimants(address, port);
        let claimants = claimants
            .into_iter()
            .filter_map(|host| self.unit(host))
            .filter_map(|unit| Some((&**unit, unit.port(port)?)));
        Slot::of(address, http, claimants)
    }

    /// The hosts of the services that claim an address and port, HTTP ports aside, the oldest first.
    pub(super) fn claimants(self, address: IpAddr, port: u16) -> Vec<&'a Arc<str>> {
        let of = |index: &'a Index| {
            index
                .claims
                .iter_from(move |(a, p, ..)| (*a, *p) < (address, port))
                .map(|(claim, ())| claim)
                .take_while(move |(a, p, ..)| (*a, *p) == (address, port))
        };
        let own = self.own;
        let public = self.public.into_iter().flat_map(of);
        let public = public.filter(|(.., host)| own.get(host).is_none());
        let mut claims: Vec<&Claim> = of(own).chain(public).collect();
        claims.sort_unstable();
        claims.into_iter().map(|(.., host)| host).collect()
    }

    /// All addresses and ports where something may arrive.
    pub(super) fn all_slots(self) -> BTreeSet<(IpAddr, u16)> {
        let of = |index: &'a Index| {
            let claims = index.claims.iter();
            let claims = claims.map(|((address, port, ..), ())| (*address, *port));
            claims.chain(index.http.iter().map(|(port, _)| (ANY, *port)))
        };
        let public = self.public.into_iter().flat_map(of);
        of(self.own).chain(public).collect()
    }

    /// The hosts that claim a domain on a port.
    pub(super) fn claimants_of_domain(
        self,
        port: u16,
        domain: &'a str,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        let of = move |index: &'a Index| {
            index
                .domains
                .iter_from(move |(p, d, _)| (*p, &**d) < (port, domain))
                .map(|(claim, ())| claim)
                .take_while(move |(p, d, _)| (*p, &**d) == (port, domain))
                .map(|(_, _, host)| host)
        };
        let own = self.own;
        let public = self.public.into_iter().flat_map(of);
        of(own).chain(public.filter(move |host| own.get(host).is_none()))
    }

    /// The hosts with a virtual host on a port.
    pub(super) fn routed_on(self, port: u16) -> BTreeSet<Arc<str>> {
        let of = |index: &'a Index| {
            index
                .domains
                .iter_from(move |(known, ..)| *known < port)
                .take_while(move |((known, ..), ())| *known == port)
                .map(|((_, _, host), ())| host.clone())
        };
        of(self.own)
            .chain(self.public.into_iter().flat_map(of))
            .collect()
    }
}
