//! EgressRules as ServiceEntries. Where an old rule said HTTPS, applications spoke HTTP to that port and the proxy spoke TLS; a
//! DestinationRule beside says so today.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::services::Host;
use super::{Converted, Converter, LegacyKind, Source};
use crate::diag::Level;

/// A port of the rule.
struct Port {
    number: u32,
    protocol: String,
    /// The proxy speaks TLS to it.
    originates: bool,
}

/// Converts all of them.
pub(super) fn convert(converter: &Converter<'_>) -> Vec<Converted> {
    let rules = converter.of(LegacyKind::EgressRule);
    rules
        .flat_map(|(source, spec)| one(converter, source, &spec).unwrap_or_default())
        .collect()
}

fn one(converter: &Converter<'_>, source: Source<'_>, spec: &Fields<'_>) -> Option<Vec<Converted>> {
    let target = spec.object("destination");
    let host = target
        .as_ref()
        .and_then(|target| Host::of(target, source.namespace(), converter.around));
    let Some(host) = host else {
        spec.note(spec.at("destination"), Level::Error, "names no service");
        return None;
    };
    spec.lost(
        "useEgressProxy",
        "has no counterpart: a VirtualService leads to the egress gateway",
    );
    let ports: Vec<Port> = spec.objects("ports").iter().filter_map(port).collect();
    if ports.is_empty() {
        spec.note(spec.at("ports"), Level::Error, "names no port");
        return None;
    }
    let name = match source.name() {
        "" => host.object_name(),
        name => name.to_owned(),
    };
    let made = |kind, spec| Converted {
        value: converter.object(("networking.istio.io/v1", kind), (source, &name), spec),
        sources: vec![source.position],
    };
    let mut converted = vec![made("ServiceEntry", entry(&name, &host.text, &ports))];
    if ports.iter().any(|port| port.originates) {
        converted.push(made("DestinationRule", origination(&host.text, &ports)));
    }
    Some(converted)
}

fn port(fields: &Fields<'_>) -> Option<Port> {
    let number = fields.count("port")?;
    let protocol = fields
        .filled("protocol")
        .unwrap_or("http")
        .to_ascii_uppercase();
    let originates = protocol == "HTTPS";
    Some(Port {
        number,
        protocol: if originates {
            "HTTP".to_owned()
        } else {
            protocol
        },
        originates,
    })
}

fn entry(name: &str, host: &str, ports: &[Port]) -> Value {
    let mut spec = Map::new();
    let is_address = host
        .split('/')
        .next()
        .is_some_and(|host| host.parse::<IpAddr>().is_ok());
    if is_address {
        // Addresses need a name of their own; nobody asks for it.
        spec.insert("hosts".into(), json!([format!("{name}.egress.internal")]));
        spec.insert("addresses".into(), json!([host]));
    } else {
        spec.insert("hosts".into(), json!([host]));
    }
    let ports = ports.iter().map(|port| {
        let name = format!("{}-{}", port.protocol.to_ascii_lowercase(), port.number);
        json!({"number": port.number, "name": name, "protocol": port.protocol})
    });
    spec.insert("ports".into(), ports.collect());
    spec.insert("location".into(), "MESH_EXTERNAL".into());
    let resolution = if is_address || host.starts_with('*') {
        "NONE"
    } else {
        "DNS"
    };
    spec.insert("resolution".into(), resolution.into());
    spec.into()
}

fn origination(host: &str, ports: &[Port]) -> Value {
    let settings = ports.iter().filter(|port| port.originates).map(|port| {
        let mut tls = json!({"mode": "SIMPLE"});
        if !host.starts_with('*') {
            tls["sni"] = host.into();
        }
        json!({"port": {"number": port.number}, "tls": tls})
    });
    let settings: Vec<Value> = settings.collect();
    json!({"host": host, "trafficPolicy": {"portLevelSettings": settings}})
}
