//! Services: their addresses and ports.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{elements, fill, spec};
use crate::addresses::{ServiceAddresses, node_port};
use crate::status::{Cause, Status};
use crate::store::{Key, State};

/// Fills in what a Service means; what was given out before stays.
pub fn service(object: &mut Value, old: Option<&Value>) {
    let Some(fields) = spec(object) else { return };
    fill(fields, "type", "ClusterIP");
    let kind = fields["type"].as_str().unwrap_or_default().to_owned();
    let was = old.map_or(&Value::Null, |old| &old["spec"]);
    fill(fields, "sessionAffinity", "None");
    if fields["sessionAffinity"] == "ClientIP" {
        fill(
            fields,
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        );
    }
    if kind != "ExternalName" {
        fill(fields, "internalTrafficPolicy", "Cluster");
        fill(fields, "ipFamilies", json!(["IPv4"]));
        fill(fields, "ipFamilyPolicy", "SingleStack");
        if was["type"] != "ExternalName" && fields.get("clusterIP").is_none_or(is_unset) {
            for field in ["clusterIP", "clusterIPs"] {
                if !was[field].is_null() {
                    fields.insert(field.to_owned(), was[field].clone());
                }
            }
        }
    }
    if has_node_ports(&kind) {
        fill(fields, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(fields, "allocateLoadBalancerNodePorts", true);
    }
    for port in elements(fields, "ports") {
        fill(port, "protocol", "TCP");
        // Clients that speak protobuf say zero for what they do not say.
        for field in ["targetPort", "nodePort"] {
            if port.get(field) == Some(&json!(0)) {
                port.shift_remove(field);
            }
        }
        if let Some(number) = port.get("port").cloned() {
            fill(port, "targetPort", number);
        }
        if !has_node_ports(&kind) {
            port.shift_remove("nodePort");
            continue;
        }
        let before = was["ports"].as_array().into_iter().flatten();
        let same = |field: &str, other: &Value| port.get(field) == other.get(field);
        let mut before = before.filter(|other| same("port", other) && same("protocol", other));
        if let Some(number) = before
            .next()
            .and_then(|other| other.get("nodePort"))
            .cloned()
        {
            fill(port, "nodePort", number);
        }
    }
}

fn is_unset(value: &Value) -> bool {
    value.is_null() || value == ""
}

fn has_node_ports(kind: &str) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer")
}

/// Gives a Service its address and ports.
pub fn allocate(
    addresses: &ServiceAddresses,
    state: &State,
    key: &Key,
    object: &mut Value,
) -> Result<(), Status> {
    let fault = |field: &str, value: &Value, why: &str| {
        Status::invalid(
            "",
            "Service",
            &key.1,
            vec![Cause::invalid(field, value, why)],
        )
    };
    let (used, used_ports) = used(state, key);
    let Some(fields) = spec(object) else {
        return Ok(());
    };
    let kind = fields["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        fields.shift_remove("clusterIP");
        fields.shift_remove("clusterIPs");
        return Ok(());
    }
    let address = match fields.get("clusterIP").and_then(Value::as_str) {
        None | Some("") => {
            let picked = addresses.pick(&used);
            let picked = picked.ok_or_else(|| {
                Status::internal("failed to allocate a service address: the range is full")
            })?;
            picked.to_string()
        }
        Some("None") => "None".to_owned(),
        Some(given) => {
            let value = json!(given);
            let address: Ipv4Addr = given
                .parse()
                .map_err(|_| fault("spec.clusterIPs[0]", &value, "must be a valid IPv4 address"))?;
            if used.contains(&address) {
                return Err(fault(
                    "spec.clusterIPs",
                    &json!([given]),
                    "failed to allocate IP: provided IP is already allocated",
                ));
            }
            if !addresses.contains(address) {
                return Err(fault(
                    "spec.clusterIPs",
                    &json!([given]),
                    "failed to allocate IP: it is not in the valid range of service addresses",
                ));
            }
            given.to_owned()
        }
    };
    fields.insert("clusterIP".to_owned(), json!(address));
    fields.insert("clusterIPs".to_owned(), json!([address]));
    if has_node_ports(&kind) {
        allocate_ports(fields, used_ports)
            .map_err(|(value, why)| fault("spec.ports[0].nodePort", &value, why))?;
    }
    Ok(())
}

fn allocate_ports(
    fields: &mut serde_json::Map<String, Value>,
    mut used: BTreeSet<u16>,
) -> Result<(), (Value, &'static str)> {
    for port in elements(fields, "ports") {
        let given = port
            .get("nodePort")
            .filter(|port| **port != json!(0))
            .cloned();
        let number = match given.filter(|given| !given.is_null()) {
            None => node_port(&used).ok_or((Value::Null, "all node ports are taken"))?,
            Some(given) => {
                let number = given.as_u64().and_then(|port| u16::try_from(port).ok());
                let number = number.ok_or((given.clone(), "must be between 1 and 65535"))?;
                if used.contains(&number) {
                    return Err((given, "provided port is already allocated"));
                }
                number
            }
        };
        used.insert(number);
        port.insert("nodePort".to_owned(), json!(number));
    }
    Ok(())
}

/// The addresses and ports of all other Services.
fn used(state: &State, key: &Key) -> (BTreeSet<Ipv4Addr>, BTreeSet<u16>) {
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for (_, service) in state
        .list("services", None, None)
        .filter(|(other, _)| *other != key)
    {
        let spec = &service["spec"];
        let address = spec["clusterIP"].as_str();
        let address: Option<Ipv4Addr> = address.and_then(|address| address.parse().ok());
        addresses.extend(address);
        let numbers = spec["ports"].as_array().into_iter().flatten();
        let numbers = numbers.filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok());
        ports.extend(numbers);
    }
    (addresses, ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_given_once_and_kept() {
        let range = ServiceAddresses::parse("127.9.128.0/24").unwrap();
        let mut state = State::default();
        let make = |state: &mut State, name: &str| {
            let mut object = json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
            let key = ("n".to_owned(), name.to_owned());
            service(&mut object, None);
            allocate(&range, state, &key, &mut object).unwrap();
            state.put("services", key, object)
        };
        let (one, two) = (make(&mut state, "one"), make(&mut state, "two"));
        assert_ne!(one["spec"]["clusterIP"], two["spec"]["clusterIP"]);
        assert_ne!(
            one["spec"]["ports"][0]["nodePort"],
            two["spec"]["ports"][0]["nodePort"]
        );
        let mut again =
            json!({"metadata": {}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        service(&mut again, Some(&one));
        assert_eq!(again["spec"]["clusterIP"], one["spec"]["clusterIP"]);
        assert_eq!(again["spec"]["ports"], one["spec"]["ports"]);
        let mut taken =
            json!({"spec": {"type": "ClusterIP", "clusterIP": one["spec"]["clusterIP"]}});
        let key = ("n".to_owned(), "three".to_owned());
        assert!(allocate(&range, &state, &key, &mut taken).is_err());
    }
}
