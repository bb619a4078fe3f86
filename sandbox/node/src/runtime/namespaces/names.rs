//! The names of the cluster: which records a name has. Pure; the server is in `dns`.
//!
//! | name | records |
//! | --- | --- |
//! | `SERVICE.NAMESPACE.svc.cluster.local` | its ClusterIP; without one its pods' addresses; of an ExternalName, that name |
//! | `_PORT._PROTOCOL.SERVICE...` | SRV records: ports and the names of those who serve them |
//! | `HOST.SERVICE...` | an endpoint of a headless Service: its host name, or its address with dashes |
//! | `A-B-C-D.NAMESPACE.pod.cluster.local` | that address |
//! | `D.C.B.A.in-addr.arpa` | the name of a ClusterIP or of such an endpoint |

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt;

use crate::runtime::{KnownServices, cluster_ip};

/// The domain of the cluster.
pub const DOMAIN: &str = "cluster.local";

/// A record's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Address(Ipv4Addr),
    /// Another name, to be looked up as well.
    Alias(String),
    Port {
        port: u16,
        host: String,
    },
    /// The name of an address.
    Name(String),
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its records, of any kind.
    Values(Vec<Value>),
    /// There is no such name in the cluster.
    Nothing,
    /// The name is none of the cluster's.
    Elsewhere,
}

/// All names, in small letters and without the last dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    values: BTreeMap<String, Vec<Value>>,
}

// === impl Names ===

impl Names {
    /// The names that Services make.
    pub fn of(known: &KnownServices) -> Self {
        let mut names = Self::default();
        for service in &known.services {
            names.add_service(service, known);
        }
        for values in names.values.values_mut() {
            values.sort();
            values.dedup();
        }
        names
    }

    /// What is known of a name.
    pub fn find(&self, name: &str) -> Found {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(values) = self.values.get(&name) {
            return Found::Values(values.clone());
        }
        let Some(rest) = name.strip_suffix(DOMAIN) else {
            return Found::Elsewhere;
        };
        if !rest.is_empty() && !rest.ends_with('.') {
            return Found::Elsewhere;
        }
        if let Some(address) = pod(rest) {
            return Found::Values(vec![Value::Address(address)]);
        }
        // A name above others exists, though it has no records.
        let below = format!(".{name}");
        match self.values.keys().any(|known| known.ends_with(&below)) || rest.is_empty() {
            true => Found::Values(Vec::new()),
            false => Found::Nothing,
        }
    }

    fn add(&mut self, name: &str, value: Value) {
        let name = name.to_ascii_lowercase();
        self.values.entry(name).or_default().push(value);
    }

    fn add_address(&mut self, name: &str, address: Ipv4Addr) {
        self.add(name, Value::Address(address));
        let [a, b, c, d] = address.octets();
        let reverse = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
        self.add(&reverse, Value::Name(name.to_owned()));
    }

    fn add_service(&mut self, service: &Service, known: &KnownServices) {
        let Some(spec) = &service.spec else { return };
        let namespace = service.namespace().unwrap_or_default();
        let own = format!("{}.{namespace}.svc.{DOMAIN}", service.name_any());
        if spec.type_.as_deref() == Some("ExternalName") {
            let other = spec.external_name.clone().unwrap_or_default();
            self.add(&own, Value::Alias(other.trim_end_matches('.').to_owned()));
            return;
        }
        if let Some(IpAddr::V4(address)) = cluster_ip(service) {
            self.add_address(&own, address);
            for port in spec.ports.iter().flatten() {
                let protocol = port.protocol.as_deref().unwrap_or("TCP");
                if let (Some(name), Ok(number)) = (&port.name, u16::try_from(port.port)) {
                    self.add_port(&own, (name, protocol, number), own.clone());
                }
            }
            return;
        }
        let publishes_all = spec.publish_not_ready_addresses.unwrap_or(false);
        let slices = known.slices.iter().filter(|slice| {
            slice.namespace().as_deref() == Some(&*namespace)
                && slice.labels().get("kubernetes.io/service-name") == Some(&service.name_any())
        });
        for slice in slices {
            for endpoint in &slice.endpoints {
                if publishes_all || is_ready(endpoint) {
                    self.add_endpoint(&own, slice, endpoint);
                }
            }
        }
    }

    /// An endpoint of a headless Service.
    fn add_endpoint(&mut self, service: &str, slice: &EndpointSlice, endpoint: &Endpoint) {
        let addresses = endpoint.addresses.iter();
        for address in addresses.filter_map(|address| address.parse::<Ipv4Addr>().ok()) {
            let host = endpoint
                .hostname
                .clone()
                .unwrap_or_else(|| address.to_string().replace('.', "-"));
            let own = format!("{host}.{service}");
            self.add(service, Value::Address(address));
            self.add_address(&own, address);
            for port in slice.ports.iter().flatten() {
                let protocol = port.protocol.as_deref().unwrap_or("TCP");
                let number = port.port.and_then(|port| u16::try_from(port).ok());
                if let (Some(name), Some(number)) = (&port.name, number) {
                    self.add_port(service, (name, protocol, number), own.clone());
                }
            }
        }
    }

    fn add_port(&mut self, service: &str, port: (&str, &str, u16), host: String) {
        let (name, protocol, port) = port;
        if !name.is_empty() {
            let protocol = protocol.to_ascii_lowercase();
            let at = format!("_{name}._{protocol}.{service}");
            self.add(&at, Value::Port { port, host });
        }
    }
}

fn is_ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|conditions| conditions.ready) != Some(false)
}

/// The address in the name of a pod, which comes without the domain.
fn pod(name: &str) -> Option<Ipv4Addr> {
    let mut parts = name.strip_suffix(".pod.")?.split('.');
    let (address, _namespace, None) = (parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    address.replace('-', ".").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn known() -> KnownServices {
        let service = |name: &str, spec: serde_json::Value| {
            let value = json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let ports =
            json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
        let slice = json!({
            "metadata": {"name": "db-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4", "ports": [{"name": "sql", "port": 5432}],
            "endpoints": [
                {"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["10.244.0.6"], "conditions": {"ready": true}},
                {"addresses": ["10.244.0.7"], "conditions": {"ready": false}}],
        });
        KnownServices {
            services: vec![
                service("web", json!({"clusterIP": "10.96.0.20", "ports": ports})),
                service("db", json!({"clusterIP": "None"})),
                service(
                    "far",
                    json!({"type": "ExternalName", "externalName": "far.test"}),
                ),
            ],
            slices: vec![Arc::new(serde_json::from_value(slice).unwrap())],
            ..KnownServices::default()
        }
    }

    fn address(last: u8) -> Value {
        Value::Address(Ipv4Addr::new(10, 244, 0, last))
    }

    #[test]
    fn services_and_their_pods_have_names() {
        let names = Names::of(&known());
        let find = |name: &str| names.find(name);
        let web = "web.n.svc.cluster.local";
        let cluster_ip = Value::Address(Ipv4Addr::new(10, 96, 0, 20));
        assert_eq!(find(web), Found::Values(vec![cluster_ip.clone()]));
        assert_eq!(
            find("WEB.n.svc.cluster.local."),
            Found::Values(vec![cluster_ip])
        );
        let port = Value::Port {
            port: 53,
            host: web.to_owned(),
        };
        assert_eq!(
            find("_dns._udp.web.n.svc.cluster.local"),
            Found::Values(vec![port])
        );
        assert_eq!(
            find("db.n.svc.cluster.local"),
            Found::Values(vec![address(5), address(6)]),
            "only those that are ready"
        );
        assert_eq!(
            find("db-0.db.n.svc.cluster.local"),
            Found::Values(vec![address(5)])
        );
        assert_eq!(
            find("10-244-0-6.db.n.svc.cluster.local"),
            Found::Values(vec![address(6)])
        );
        let far = Value::Alias("far.test".to_owned());
        assert_eq!(find("far.n.svc.cluster.local"), Found::Values(vec![far]));
        let name = Value::Name("db-0.db.n.svc.cluster.local".to_owned());
        assert_eq!(find("5.0.244.10.in-addr.arpa"), Found::Values(vec![name]));
    }

    #[test]
    fn other_names_are_unknown_or_not_ours() {
        let names = Names::of(&known());
        for (name, found) in [
            ("gone.n.svc.cluster.local", Found::Nothing),
            ("n.svc.cluster.local", Found::Values(vec![])),
            ("cluster.local", Found::Values(vec![])),
            ("example.com", Found::Elsewhere),
            ("notcluster.local", Found::Elsewhere),
            ("1.2.0.192.in-addr.arpa", Found::Elsewhere),
            (
                "10-244-0-9.n.pod.cluster.local",
                Found::Values(vec![address(9)]),
            ),
        ] {
            assert_eq!(names.find(name), found, "{name}");
        }
    }
}
