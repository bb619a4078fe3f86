//! `config_dump`: what a connected proxy should have, translated afresh, in the sections of Envoy's own dump.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use mesh_ir::ProxyConfig;
use mesh_xds::XdsResource;
use mesh_xds::json::any_to_json;
use mesh_xds::resource::version_of;
use serde_json::{Value, json};

use crate::debug::{Debug, Problem, Query};

/// By this sentence istioctl knows that it must ask another replica.
const NOT_CONNECTED: &str =
    "Proxy not connected to this Pilot instance. It may be connected to another instance.";
/// By these words istioctl knows that a proxy must be named.
const NO_PROXY: &str = "You must provide a proxyID in the query string";

/// A resource as a proxy gets it.
pub struct Dumped {
    /// Name.
    pub name: String,
    /// Version: the hash of its value.
    pub version: String,
    /// The encoded `Any`.
    pub any: Bytes,
}

/// The dump of a proxy by `POD.NAMESPACE`.
pub fn show(debug: &Debug, query: &Query) -> Result<Value, Problem> {
    let config = resources_of(debug, proxy(query, "config_dump")?)?;
    let clusters = section(
        "ClustersConfigDump",
        "dynamic_active_clusters",
        dump(&config.clusters),
        |one| json!({"version_info": one.version, "cluster": shown(&one)}),
    );
    let listeners = section(
        "ListenersConfigDump",
        "dynamic_listeners",
        dump(&config.listeners),
        |one| json!({"name": one.name, "active_state": {"version_info": one.version, "listener": shown(&one)}}),
    );
    let routes = section(
        "RoutesConfigDump",
        "dynamic_route_configs",
        dump(&config.routes),
        |one| json!({"version_info": one.version, "route_config": shown(&one)}),
    );
    let endpoints = section(
        "EndpointsConfigDump",
        "dynamic_endpoint_configs",
        dump(&config.endpoints),
        |one| json!({"version_info": one.version, "endpoint_config": shown(&one)}),
    );
    let mut configs = vec![clusters, listeners, routes];
    if query.get("include_eds").is_some() {
        configs.push(endpoints);
    }
    Ok(json!({ "configs": configs }))
}

/// The endpoints of a proxy by `POD.NAMESPACE`, in Envoy's form.
pub fn edsz(debug: &Debug, query: &Query) -> Result<Value, Problem> {
    let config = resources_of(debug, proxy(query, "edsz")?)?;
    Ok(dump(&config.endpoints).map(|one| shown(&one)).collect())
}

/// Whose page it is.
fn proxy<'a>(query: &'a Query, page: &str) -> Result<&'a str, Problem> {
    let proxy = query.get("proxyID").filter(|proxy| !proxy.is_empty());
    proxy.ok_or_else(|| {
        let message = format!("{NO_PROXY}: /debug/{page}?proxyID=POD.NAMESPACE");
        (StatusCode::BAD_REQUEST, message)
    })
}

/// What a connected proxy should have.
///
/// # Errors
/// When it is not connected to this replica.
pub fn resources_of(debug: &Debug, proxy: &str) -> Result<ProxyConfig, Problem> {
    let connected = debug.connections.proxies();
    // Istio takes the whole node id as well: `sidecar~ADDRESS~POD.NAMESPACE~DOMAIN`.
    let name = proxy.split('~').nth(2).unwrap_or(proxy);
    let connection = connected.get(name).ok_or_else(|| {
        let message = format!("{NOT_CONNECTED} There is no {name:?}; see /debug/connections");
        (StatusCode::NOT_FOUND, message)
    })?;
    let scope = connection.node.scope();
    Ok(debug.published().translator.translate(&scope).config)
}

/// The resources of a type.
pub fn dump<T: XdsResource>(all: &[Arc<T>]) -> impl Iterator<Item = Dumped> {
    all.iter().map(|one| Dumped {
        name: one.name().to_owned(),
        version: format!("{:016x}", version_of(&**one)),
        any: one.encode(),
    })
}

fn section(
    name: &str,
    member: &str,
    all: impl Iterator<Item = Dumped>,
    show: impl Fn(Dumped) -> Value,
) -> Value {
    let url = ["type.googleapis.com/envoy.admin.v3.", name].concat();
    json!({ "@type": url, member: all.map(show).collect::<Vec<_>>() })
}

fn shown(resource: &Dumped) -> Value {
    any_to_json(&resource.any).unwrap_or_else(|error| error.to_string().into())
}
