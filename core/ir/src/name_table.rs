//! Addresses of host names (Istio's NDS), for proxies that resolve names on behalf of their workload.
//!
//! There is one table for each namespace of services. All clients share it: what differs between them are the short names that the
//! search domains of a pod complete, and those every client derives for itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The hosts of the services of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameTable {
    /// The namespace of the services, by which the table is named.
    pub namespace: Arc<str>,
    /// By lower-case host.
    pub hosts: BTreeMap<Arc<str>, NamedHost>,
}

/// What a host name stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamedHost {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Name of the Service, for which the forms `NAME.NAMESPACE` and `NAME.NAMESPACE.svc` stand as well, and in its own namespace the
    /// name alone; none for hosts that have one name only.
    pub service: Option<Arc<str>>,
}

/// Addresses by all names under which the clients of a namespace know hosts. Where several have the same, whole hosts win over short
/// forms, those with a namespace over those without, and then the first by namespace and host.
pub fn resolvable_names<'a>(
    tables: impl IntoIterator<Item = &'a NameTable> + Clone,
    namespace: &str,
) -> BTreeMap<Arc<str>, &'a [IpAddr]> {
    let hosts = || {
        tables.clone().into_iter().flat_map(|table| {
            let hosts = table.hosts.iter();
            hosts.map(move |(host, named)| (&*table.namespace, host, named))
        })
    };
    let services = || {
        hosts().filter_map(|(of, _, named)| Some((of, named.service.as_ref()?, &*named.addresses)))
    };
    let mut names = BTreeMap::new();
    for (_, host, named) in hosts() {
        names.entry(host.clone()).or_insert(&*named.addresses);
    }
    for (of, service, addresses) in services() {
        let short = [&**service, of].join(".");
        let with_svc = [&*short, ".svc"].concat();
        names.entry(short.into()).or_insert(addresses);
        names.entry(with_svc.into()).or_insert(addresses);
    }
    for (_, service, addresses) in services().filter(|(of, ..)| *of == namespace) {
        names.entry(service.clone()).or_insert(addresses);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(namespace: &str, hosts: &[(&str, Option<&str>, u8)]) -> NameTable {
        let hosts = hosts.iter().map(|(host, service, address)| {
            let named = NamedHost {
                addresses: vec![[10, 0, 0, *address].into()],
                service: service.map(Arc::from),
            };
            (Arc::from(*host), named)
        });
        NameTable {
            namespace: namespace.into(),
            hosts: hosts.collect(),
        }
    }

    #[test]
    fn short_names_are_those_of_the_clients_namespace() {
        let tables = [
            table("a", &[("x.a.svc.cluster.local", Some("x"), 1)]),
            table(
                "b",
                &[
                    ("x.a", None, 3),
                    ("x.b.svc.cluster.local", Some("x"), 2),
                    ("y", None, 4),
                    ("y.b.svc.cluster.local", Some("y"), 5),
                ],
            ),
        ];
        let in_b = resolvable_names(&tables, "b");
        let found = |name: &str| Some(in_b.get(name)?.first()?.to_string());
        for (name, address) in [
            ("x", Some("10.0.0.2")),
            // Whole hosts win.
            ("y", Some("10.0.0.4")),
            ("x.a", Some("10.0.0.3")),
            ("x.a.svc", Some("10.0.0.1")),
            ("x.b", Some("10.0.0.2")),
            ("x.b.svc.cluster.local", Some("10.0.0.2")),
            ("x.c", None),
        ] {
            assert_eq!(found(name).as_deref(), address, "{name}");
        }
        assert_eq!(resolvable_names(&tables, "c").get("x"), None);
    }
}
