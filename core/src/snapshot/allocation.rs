//! Addresses for hosts of ServiceEntries that have none, so that connections to them can be told apart: from networks of Istio's that
//! nobody else uses, written into `status.addresses`.
//!
//! What was given stays. A host that has none begins to look for one at a place that its name and namespace lead to, so that it mostly
//! gets the same one again when its status was lost.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::build::oldest_first;
use super::{Snapshot, entries, is_wildcard};
use crate::model::ServiceEntrySpec;
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// Addresses of 240.240.0.0/16 whose last two numbers are neither 0 nor 255.
const ROW: u16 = 254;
const COUNT: u16 = ROW * ROW;

/// What the status of an entry should say of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The ServiceEntry.
    pub entry: ResourceKey,
    /// All addresses of all its hosts.
    pub addresses: Vec<HostAddress>,
}

/// An address of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The host.
    pub host: Arc<str>,
    /// Its address.
    pub value: IpAddr,
}

/// A host within a namespace.
type Name<'a> = (&'a Arc<str>, Arc<str>);

/// The places that are taken.
#[derive(Default)]
struct Places<'a> {
    by_name: BTreeMap<Name<'a>, u16>,
    taken: BTreeMap<u16, Name<'a>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// The ServiceEntries whose status should say other addresses than it does.
    pub fn allocations(&self) -> Vec<Allocation> {
        let entries = oldest_first(self.resources(Kind::ServiceEntry));
        let entries: Vec<(&Arc<Resource>, &ServiceEntrySpec)> = entries
            .into_iter()
            .filter_map(|resource| match &resource.object {
                Object::ServiceEntry(spec) if entries::takes_addresses(resource, spec) => {
                    Some((resource, &**spec))
                }
                _ => None,
            })
            .collect();
        let mut places = Places::default();
        for (resource, spec) in &entries {
            for host in hosts(spec) {
                let given = entries::allocated(resource, &host);
                if let Some(place) = given.into_iter().find_map(place) {
                    places.keep((&resource.key.namespace, host), place);
                }
            }
        }
        for (resource, spec) in &entries {
            for host in hosts(spec) {
                // What others have given counts as well.
                let given = entries::allocated(resource, &host);
                if given.is_empty() || given.into_iter().any(|address| place(address).is_some()) {
                    places.find((&resource.key.namespace, host));
                }
            }
        }
        let wanted = entries.iter().map(|(resource, spec)| Allocation {
            entry: resource.key.clone(),
            addresses: hosts(spec)
                .flat_map(|host| places.addresses(resource, host))
                .collect(),
        });
        let differs =
            |(wanted, (resource, spec)): &(Allocation, &(&Arc<Resource>, &ServiceEntrySpec))| {
                wanted.addresses != written(resource, spec)
            };
        let changed = wanted.zip(&entries).filter(differs);
        changed.map(|(wanted, _)| wanted).collect()
    }
}

/// The hosts that are given addresses: patterns stand for several.
fn hosts(spec: &ServiceEntrySpec) -> impl Iterator<Item = Arc<str>> {
    entries::hosts(spec).filter(|host| !host.is_empty() && !is_wildcard(host))
}

/// What the status says of the hosts.
fn written(resource: &Resource, spec: &ServiceEntrySpec) -> Vec<HostAddress> {
    let of = |host: Arc<str>| {
        let given = entries::allocated(resource, &host).into_iter();
        given.map(move |value| HostAddress {
            host: host.clone(),
            value,
        })
    };
    hosts(spec).flat_map(of).collect()
}

/// The addresses of a place.
fn addresses(place: u16) -> [IpAddr; 2] {
    let number = |value: u16| u8::try_from(value + 1).unwrap_or(u8::MAX);
    let v4 = Ipv4Addr::new(240, 240, number(place / ROW), number(place % ROW));
    let v6 = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, place + 1);
    [v4.into(), v6.into()]
}

/// The place of an address, if it is one of ours.
fn place(address: IpAddr) -> Option<u16> {
    let place = match address {
        IpAddr::V4(address) => {
            let [_, _, third, fourth] = address.octets();
            (u16::from(third).checked_sub(1)?)
                .checked_mul(ROW)?
                .checked_add(u16::from(fourth).checked_sub(1)?)?
        }
        IpAddr::V6(address) => address.segments()[7].checked_sub(1)?,
    };
    (place < COUNT && addresses(place).contains(&address)).then_some(place)
}

// === impl Places ===

impl<'a> Places<'a> {
    /// Keeps a place for who has it, unless somebody older does, or it has one already.
    fn keep(&mut self, name: Name<'a>, place: u16) {
        if !self.by_name.contains_key(&name) && !self.taken.contains_key(&place) {
            self.taken.insert(place, name.clone());
            self.by_name.insert(name, place);
        }
    }

    /// Finds a place for who has none; nothing changes where all are taken.
    fn find(&mut self, name: Name<'a>) {
        if self.by_name.contains_key(&name) {
            return;
        }
        let first = first(&name);
        let free = (first..COUNT)
            .chain(0..first)
            .find(|place| !self.taken.contains_key(place));
        if let Some(place) = free {
            self.keep(name, place);
        }
    }

    fn addresses(&self, resource: &'a Resource, host: Arc<str>) -> Vec<HostAddress> {
        let place = self.by_name.get(&(&resource.key.namespace, host.clone()));
        let values = match place {
            Some(place) => addresses(*place).to_vec(),
            None => entries::allocated(resource, &host),
        };
        let address = |value| HostAddress {
            host: host.clone(),
            value,
        };
        values.into_iter().map(address).collect()
    }
}

/// Where a host begins to look: FNV-1a, which is the same everywhere and always.
fn first((namespace, host): &Name<'_>) -> u16 {
    let bytes = namespace.bytes().chain([b'/']).chain(host.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u16::try_from(hash % u64::from(COUNT)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::snapshot;

    fn entry(name: &str, hosts: &str, rest: &str) -> String {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
             metadata: {{name: {name}, namespace: default{rest}\n"
        )
        .replace("HOSTS", hosts)
    }

    fn dns(name: &str, hosts: &str, status: &str) -> String {
        let rest = format!(
            "}}\nspec: {{hosts: {hosts}, resolution: DNS, ports: [{{number: 80, name: http, protocol: HTTP}}]}}\nstatus: {status}"
        );
        entry(name, hosts, &rest)
    }

    fn shown(text: &str) -> Vec<String> {
        let allocations = snapshot(text).0.allocations();
        let lines = allocations.iter().flat_map(|allocation| {
            let name = &allocation.entry.name;
            let all = allocation.addresses.iter();
            all.map(move |address| format!("{name} {} {}", address.host, address.value))
        });
        lines.collect()
    }

    #[test]
    fn every_place_has_addresses_of_its_own() {
        for at in [0, 1, ROW - 1, ROW, COUNT - 1] {
            assert_eq!(addresses(at).map(place), [Some(at); 2]);
        }
        assert_eq!(addresses(0)[0].to_string(), "240.240.1.1");
        assert_eq!(addresses(COUNT - 1)[0].to_string(), "240.240.254.254");
        for other in [
            "240.240.0.1",
            "240.240.1.255",
            "10.0.1.1",
            "2001:2::",
            "2001:3::1",
        ] {
            assert_eq!(place(other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn hosts_are_given_addresses_of_both_families() {
        let given = shown(&dns("a", "[a.example, '*.b.example']", "{}"));
        let [first, second] = given.as_slice() else {
            panic!("{given:?}");
        };
        assert!(first.starts_with("a a.example 240.240."), "{first}");
        assert!(second.starts_with("a a.example 2001:2::"), "{second}");
        assert_eq!(shown(&dns("a", "[a.example, '*.b.example']", "{}")), given);
    }

    #[test]
    fn what_was_given_stays() {
        let status = "{addresses: [{value: 240.240.1.1, host: a.example}, {value: '2001:2::1', host: a.example}]}";
        assert!(shown(&dns("a", "[a.example]", status)).is_empty());
        // Somebody else's is left alone, a second one of the same is not.
        let others = "{addresses: [{value: 10.9.9.9, host: b.example}]}";
        let given = shown(
            &[
                dns("a", "[a.example]", status),
                dns("b", "[b.example]", others),
                dns(
                    "c",
                    "[c.example]",
                    "{addresses: [{value: 240.240.1.1, host: c.example}]}",
                ),
            ]
            .concat(),
        );
        assert_eq!(given.len(), 2, "{given:?}");
        assert!(given[0].starts_with("c c.example 240.240.") && !given[0].ends_with("240.240.1.1"));
    }

    #[test]
    fn entries_that_need_none_get_none() {
        let with = |spec: &str, label: &str| {
            entry(
                "a",
                "",
                &format!(
                    "{label}}}\nspec: {{hosts: [a.example], ports: [{{number: 80, name: http, protocol: HTTP}}], {spec}}}"
                ),
            )
        };
        assert_eq!(shown(&with("resolution: DNS", "")).len(), 2);
        for (spec, label) in [
            ("resolution: NONE", ""),
            ("resolution: DNS, addresses: [10.0.0.1]", ""),
            (
                "resolution: DNS",
                ", labels: {networking.istio.io/enable-autoallocate-ip: 'false'}",
            ),
        ] {
            assert!(shown(&with(spec, label)).is_empty(), "{spec} {label}");
        }
    }
}
