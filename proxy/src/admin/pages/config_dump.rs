//! `/config_dump`: the configuration in force, in Envoy's sections, with versions and times. Resources that were refused are told
//! with the reason.

mod selection;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use mesh_ir::{ClusterKind, HttpConnectionManager, Network, RouteConfig, Routes};
use mesh_xds::json::any_to_json;
use mesh_xds::{ResourceType, XdsResource};
use serde_json::{Map, Value, json};

use super::server_info::node_json;
use super::{Ask, Page, State};
use crate::telemetry::time::rfc3339;
use crate::xds::{Known, Meta, Refusal};
use selection::Selection;

pub(super) fn page(state: &State, ask: &Ask) -> Page {
    let selection = match Selection::of(&ask.query) {
        Ok(selection) => selection,
        Err(message) => return Page::error(StatusCode::BAD_REQUEST, message),
    };
    let known = state.known.copy();
    let mut configs = vec![bootstrap(state), clusters(&known)];
    if ask.query.has("include_eds") {
        configs.push(endpoints(&known));
    }
    configs.extend([
        listeners(&known),
        routes(state, &known),
        secrets(&known),
        // Extensions are not discovered; istioctl looks for the section all the same.
        section("EcdsConfigDump", []),
    ]);
    match selection.select(configs) {
        Ok(configs) => Page::json(&json!({ "configs": configs })),
        Err((status, message)) => Page::error(status, message),
    }
}

fn bootstrap(state: &State) -> Value {
    let network = &state.bootstrap.network;
    section(
        "BootstrapConfigDump",
        [
            (
                "bootstrap",
                json!({
                    "node": node_json(state),
                    "admin": { "address": super::listeners::address(network.admin) },
                    "dynamic_resources": {
                        "lds_config": { "ads": {}, "resource_api_version": "V3" },
                        "cds_config": { "ads": {}, "resource_api_version": "V3" },
                        "ads_config": { "api_type": "DELTA_GRPC", "transport_api_version": "V3" },
                    },
                }),
            ),
            ("last_updated", rfc3339(state.started_at).into()),
        ],
    )
}

fn clusters(known: &Known) -> Value {
    let kind = ResourceType::Cluster;
    let clusters = &known.config.clusters;
    let active: Vec<Value> = clusters
        .iter()
        .map(|cluster| {
            let mut item = item(known, "cluster", &**cluster);
            add_error(known, kind, &cluster.name, &mut item);
            Value::Object(item)
        })
        .collect();
    let warming: Vec<Value> = never_good(known, kind)
        .map(|(_, refusal)| json!({ "error_state": error_state(refusal) }))
        .collect();
    section(
        "ClustersConfigDump",
        [
            ("version_info", newest(known, kind)),
            ("dynamic_active_clusters", active.into()),
            ("dynamic_warming_clusters", warming.into()),
        ],
    )
}

fn listeners(known: &Known) -> Value {
    let kind = ResourceType::Listener;
    let active = known.config.listeners.iter().map(|listener| {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), (&*listener.name).into());
        let state = item(known, "listener", &**listener);
        entry.insert("active_state".to_owned(), state.into());
        add_error(known, kind, &listener.name, &mut entry);
        Value::Object(entry)
    });
    let refused = never_good(known, kind)
        .map(|(name, refusal)| json!({ "name": name, "error_state": error_state(refusal) }));
    section(
        "ListenersConfigDump",
        [
            ("version_info", newest(known, kind)),
            ("dynamic_listeners", active.chain(refused).collect()),
        ],
    )
}

fn routes(state: &State, known: &Known) -> Value {
    let inline = known.config.listeners.iter().flat_map(|listener| {
        let chains = listener.chains.iter().chain(&listener.default_chain);
        chains.filter_map(|chain| match &chain.network {
            Network::Http(HttpConnectionManager {
                routes: Routes::Inline(routes),
                ..
            }) => Some(routes),
            Network::Http(_) | Network::Tcp(_) => None,
        })
    });
    // The same table may be part of several listeners.
    let inline: BTreeMap<&str, &Arc<RouteConfig>> =
        inline.map(|routes| (&*routes.name, routes)).collect();
    let fixed: Vec<Value> = inline
        .into_values()
        .map(|routes| {
            json!({
                "route_config": resource(&**routes),
                "last_updated": rfc3339(state.started_at),
            })
        })
        .collect();
    let discovered = route_tables(known);
    section(
        "RoutesConfigDump",
        [
            ("static_route_configs", fixed.into()),
            ("dynamic_route_configs", discovered),
        ],
    )
}

/// Discovered endpoints, and those that are part of their cluster: Envoy lists both under what was discovered.
fn endpoints(known: &Known) -> Value {
    let mut list = dynamic(known, "endpoint_config", &known.config.endpoints);
    let fixed = known.config.clusters.iter().filter_map(|cluster| {
        let ClusterKind::Static(endpoints) = &cluster.kind else {
            return None;
        };
        Some(json!({ "endpoint_config": resource(&**endpoints) }))
    });
    if let Value::Array(list) = &mut list {
        list.extend(fixed);
    }
    section("EndpointsConfigDump", [("dynamic_endpoint_configs", list)])
}

/// The proxy's own certificate and whom it trusts, and secrets that were discovered. Keys are never shown.
fn secrets(known: &Known) -> Value {
    let meta = known.identified.map(|updated| Meta {
        version: String::new(),
        updated,
    });
    let own = known.identity.iter();
    let own = own.map(|secret| (secret, item_of(meta.as_ref(), "secret", &**secret)));
    let discovered = known.config.secrets.iter();
    let discovered = discovered.map(|secret| (secret, item(known, "secret", &**secret)));
    let list = own.chain(discovered).map(|(secret, mut entry)| {
        entry.insert("name".to_owned(), (&*secret.name).into());
        Value::Object(entry)
    });
    section(
        "SecretsConfigDump",
        [("dynamic_active_secrets", list.collect())],
    )
}

fn section<const N: usize>(name: &str, members: [(&str, Value); N]) -> Value {
    let mut section = Map::new();
    let url = ["type.googleapis.com/envoy.admin.v3.", name].concat();
    section.insert("@type".to_owned(), url.into());
    // As protobuf's JSON, empty lists are left out.
    let members = members.into_iter().filter(|(_, value)| match value {
        Value::Array(list) => !list.is_empty(),
        _ => true,
    });
    section.extend(members.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(section)
}

/// Discovered route tables with all of their virtual hosts, however these came.
fn route_tables(known: &Known) -> Value {
    let kind = ResourceType::VirtualHost;
    let tables = known.config.routes.iter().map(|table| {
        let mut item = item_of(known.table_meta(&table.name), "route_config", &**table);
        add_error(known, ResourceType::Route, &table.name, &mut item);
        let mut hosts = known.refused(kind);
        if let Some((_, refusal)) =
            hosts.find(|(name, _)| kind.collection(name) == Some(&*table.name))
        {
            item.insert("error_state".to_owned(), error_state(refusal));
        }
        Value::Object(item)
    });
    let refused = never_good(known, ResourceType::Route)
        .map(|(_, refusal)| json!({ "error_state": error_state(refusal) }));
    tables.chain(refused).collect()
}

fn dynamic<T: XdsResource>(known: &Known, field: &str, resources: &[Arc<T>]) -> Value {
    let items = resources.iter().map(|resource| {
        let mut item = item(known, field, &**resource);
        add_error(known, T::TYPE, resource.name(), &mut item);
        Value::Object(item)
    });
    let refused = never_good(known, T::TYPE)
        .map(|(_, refusal)| json!({ "error_state": error_state(refusal) }));
    items.chain(refused).collect()
}

/// A resource with its version and time.
fn item<T: XdsResource>(known: &Known, field: &str, value: &T) -> Map<String, Value> {
    item_of(known.meta(T::TYPE, value.name()), field, value)
}

fn item_of(meta: Option<&Meta>, field: &str, value: &impl XdsResource) -> Map<String, Value> {
    let mut item = Map::new();
    if let Some(meta) = meta {
        item.insert("version_info".to_owned(), meta.version.as_str().into());
    }
    item.insert(field.to_owned(), resource(value));
    if let Some(meta) = meta {
        item.insert("last_updated".to_owned(), rfc3339(meta.updated).into());
    }
    item
}

/// A resource as it is on the wire.
fn resource(value: &impl XdsResource) -> Value {
    any_to_json(&value.encode()).unwrap_or_else(|error| error.to_string().into())
}

fn add_error(known: &Known, kind: ResourceType, name: &str, item: &mut Map<String, Value>) {
    if let Some(refusal) = known.refused.get(&(kind, name.to_owned())) {
        item.insert("error_state".to_owned(), error_state(refusal));
    }
}

fn error_state(refusal: &Refusal) -> Value {
    let Refusal {
        version,
        reason,
        at,
    } = refusal;
    json!({
        "details": reason,
        "version_info": version,
        "last_update_attempt": rfc3339(*at),
    })
}

/// Resources of which every version was refused.
fn never_good(known: &Known, kind: ResourceType) -> impl Iterator<Item = (&str, &Refusal)> {
    known
        .refused(kind)
        .filter(move |(name, _)| known.meta(kind, name).is_none())
}

/// The version of the resource that changed last: what stands for the version of all.
fn newest(known: &Known, kind: ResourceType) -> Value {
    let metas = known
        .resources
        .get(&kind)
        .into_iter()
        .flat_map(|it| it.values());
    let newest = metas.max_by_key(|meta| meta.updated);
    newest.map_or("", |meta| meta.version.as_str()).into()
}
