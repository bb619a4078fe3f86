//! The files of a pod that tell names and addresses: `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.

use std::fmt::Write;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::PodDNSConfig;

use super::world::DNS;
use crate::runtime::PodSpec;

/// Domains that names are looked up in, after those of the namespace.
const DOMAIN: &str = "cluster.local";

/// `/etc/hosts`.
pub fn hosts(spec: &PodSpec, address: Ipv4Addr) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    );
    let host = spec.host_name();
    let pod = spec.pod.spec.as_ref();
    let domain = pod.and_then(|pod| pod.subdomain.as_deref());
    let names = match domain.filter(|domain| !domain.is_empty()) {
        Some(domain) => format!("{host}.{domain}.{}.svc.{DOMAIN}\t{host}", spec.namespace()),
        None => host,
    };
    line(&mut text, &format!("{address}\t{names}"));
    for alias in pod.iter().flat_map(|pod| pod.host_aliases.iter().flatten()) {
        let names = alias.hostnames.clone().unwrap_or_default();
        line(&mut text, &format!("{}\t{}", alias.ip, names.join("\t")));
    }
    text
}

/// `/etc/resolv.conf`, by the pod's DNS policy. `machine` is this machine's own file.
pub fn resolv_conf(spec: &PodSpec, machine: &str) -> String {
    let pod = spec.pod.spec.as_ref();
    let policy = pod.and_then(|pod| pod.dns_policy.as_deref());
    let config = pod.and_then(|pod| pod.dns_config.clone());
    let mut text = match policy {
        Some("None") => String::new(),
        Some("Default") => machine.to_owned(),
        _ => format!(
            "search {}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\nnameserver {DNS}\noptions ndots:5\n",
            spec.namespace()
        ),
    };
    if let Some(config) = config {
        add(&mut text, &config);
    }
    text
}

/// What a pod adds: later lines of `search` replace earlier ones, so all are one line.
fn add(text: &mut String, config: &PodDNSConfig) {
    let PodDNSConfig {
        nameservers,
        options,
        searches,
    } = config;
    if let Some(searches) = searches {
        let known: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("search "))
            .flat_map(str::split_whitespace)
            .collect();
        let all: Vec<&str> = known
            .into_iter()
            .chain(searches.iter().map(String::as_str))
            .collect();
        let line_of_all = format!("search {}", all.join(" "));
        let others: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("search "))
            .collect();
        *text = [others.join("\n"), line_of_all]
            .join("\n")
            .trim()
            .to_owned()
            + "\n";
    }
    for server in nameservers.iter().flatten() {
        line(text, &format!("nameserver {server}"));
    }
    for option in options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        match &option.value {
            Some(value) => line(text, &format!("options {name}:{value}")),
            None => line(text, &format!("options {name}")),
        }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn spec(spec: Value) -> PodSpec {
        let pod = json!({"metadata": {"name": "p-1", "namespace": "shop"}, "spec": spec});
        PodSpec {
            pod: Arc::new(serde_json::from_value(pod).unwrap()),
            directory: PathBuf::new(),
        }
    }

    #[test]
    fn names_are_looked_up_as_the_policy_says() {
        let with = |policy: Value| resolv_conf(&spec(policy), "nameserver 192.0.2.1\n");
        let usual = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        assert_eq!(with(json!({"containers": []})), usual);
        let default = json!({"containers": [], "dnsPolicy": "Default"});
        assert_eq!(with(default), "nameserver 192.0.2.1\n");
        let own = json!({"containers": [], "dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["10.96.0.10"], "searches": ["a.test"], "options": [{"name": "ndots", "value": "2"}]}});
        assert_eq!(
            with(own),
            "search a.test\nnameserver 10.96.0.10\noptions ndots:2\n"
        );
    }

    #[test]
    fn a_pod_knows_its_own_names() {
        let address = Ipv4Addr::new(10, 244, 0, 9);
        let plain = hosts(&spec(json!({"containers": []})), address);
        assert!(plain.ends_with("10.244.0.9\tp-1\n"), "{plain}");
        let member = json!({"containers": [], "hostname": "db-0", "subdomain": "db",
            "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["old.test", "older.test"]}]});
        let member = hosts(&spec(member), address);
        let end =
            "10.244.0.9\tdb-0.db.shop.svc.cluster.local\tdb-0\n192.0.2.7\told.test\tolder.test\n";
        assert!(member.ends_with(end), "{member}");
    }
}
