//! The debug types of the ADS stream: `istio.io/debug` with a page as resource name, `istio.io/debug/syncz` and
//! `istio.io/debug/config_dump` as istioctl's `proxy-status` asks for them, and `istio.io/connections`.

use bytes::Bytes;
use http::StatusCode;
use mesh_xds::discovery::{Any, Node};
use mesh_xds::server::TypeStatus;
use mesh_xds::{NodeInfo, ResourceType};
use prost::Message as _;

use super::messages::{
    ClientConfig, ClustersConfigDump, ConfigStatus, DynamicListener, GenericXdsConfig,
    ListenersConfigDump, RoutesConfigDump, Versioned, any,
};
use super::pages::{Dumped, dump, find, resources_of};
use super::{Debug, Query};
use crate::ads::{Connection, DebugAnswer, DebugRequest};

/// By these words istioctl knows that it should list the pages.
const NO_PAGE: &str = "404 page not found";

const PAGE: &str = "istio.io/debug";
const SYNCZ: &str = "istio.io/debug/syncz";
const CONFIG_DUMP: &str = "istio.io/debug/config_dump";
const CONNECTIONS: &str = "istio.io/connections";

impl Debug {
    /// Answers a request of a stream.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn exchange(&self, request: &DebugRequest) -> Result<DebugAnswer, String> {
        match request.type_url.as_str() {
            SYNCZ => Ok(self.syncz()),
            CONFIG_DUMP => self.config_dump(&request.names),
            CONNECTIONS => Ok(self.nodes()),
            PAGE => self.json_page(&request.names),
            url => match url.strip_prefix("istio.io/debug/") {
                Some(page) => self.json_page(&[page.to_owned()]),
                None => Err(format!("{url:?} is no debug type")),
            },
        }
    }

    fn syncz(&self) -> DebugAnswer {
        let proxies = self.connections.proxies();
        let each = proxies.values().map(|connection| {
            let message = client_config(connection);
            let any = any("envoy.service.status.v3.ClientConfig", &message);
            (connection.node.id(), any)
        });
        each.collect()
    }

    fn nodes(&self) -> DebugAnswer {
        let proxies = self.connections.proxies();
        let each = proxies.values().map(|connection| {
            let node: Node = connection.node.to_node();
            (
                connection.node.id(),
                any("envoy.config.core.v3.Node", &node),
            )
        });
        each.collect()
    }

    fn config_dump(&self, names: &[String]) -> Result<DebugAnswer, String> {
        let [proxy] = names else {
            return Err("name one proxy, POD.NAMESPACE".to_owned());
        };
        let config = match resources_of(self, proxy) {
            Ok(config) => config,
            Err((_, message)) => return Ok(vec![(proxy.clone(), text(message))]),
        };
        let clusters = ClustersConfigDump {
            version_info: String::new(),
            dynamic_active_clusters: dump(&config.clusters).map(versioned).collect(),
        };
        let listeners = ListenersConfigDump {
            version_info: String::new(),
            dynamic_listeners: dump(&config.listeners)
                .map(|one| DynamicListener {
                    name: one.name.clone(),
                    active_state: Some(versioned(one)),
                })
                .collect(),
        };
        let routes = RoutesConfigDump {
            dynamic_route_configs: dump(&config.routes).map(versioned).collect(),
        };
        let sections = [
            any("envoy.admin.v3.ClustersConfigDump", &clusters),
            any("envoy.admin.v3.ListenersConfigDump", &listeners),
            any("envoy.admin.v3.RoutesConfigDump", &routes),
        ];
        Ok(sections.map(|section| (proxy.clone(), section)).into())
    }

    /// A page of `/debug`, named with its query: `config_dump?proxyID=web.default`.
    fn json_page(&self, names: &[String]) -> Result<DebugAnswer, String> {
        let [name] = names else {
            return Err("name one page, such as syncz".to_owned());
        };
        let (path, query) = name.split_once('?').unwrap_or((name, ""));
        let page = match self.page(path, &Query::parse(query)) {
            Ok(page) => page.to_string(),
            // What is wrong is a text as well, in which istioctl looks for words that it knows.
            Err((StatusCode::NOT_FOUND, message)) if find(path).is_none() => {
                format!("{NO_PAGE}: {message}")
            }
            Err((_, message)) => message,
        };
        Ok(vec![(name.clone(), text(page))])
    }
}

/// A page as a resource.
fn text(page: String) -> Any {
    Any {
        type_url: PAGE.to_owned(),
        value: Bytes::from(page),
    }
}

fn client_config(connection: &Connection) -> ClientConfig {
    let types = connection.progress().types;
    let node: &NodeInfo = &connection.node;
    let each = ResourceType::ALL.iter().map(|kind| {
        let status = types.get(kind);
        let sent = status.and_then(|status| status.sent.as_ref());
        GenericXdsConfig {
            type_url: kind.type_url().to_owned(),
            version_info: sent
                .map(|sent| sent.version.to_string())
                .unwrap_or_default(),
            config_status: config_status(status).into(),
        }
    });
    ClientConfig {
        node: Some(node.to_node()),
        generic_xds_configs: each.collect(),
    }
}

/// A proxy that has come back and has everything was sent nothing, and is in step all the same.
fn config_status(status: Option<&TypeStatus>) -> ConfigStatus {
    let Some(status) = status.filter(|status| status.subscribed) else {
        return ConfigStatus::NotSent;
    };
    if !status.refused.is_empty() {
        return ConfigStatus::Error;
    }
    match (&status.sent, &status.acked) {
        (None, _) if status.synced.is_some() => ConfigStatus::Synced,
        (None, _) => ConfigStatus::NotSent,
        (Some(sent), Some(acked)) if sent.nonce == acked.nonce => ConfigStatus::Synced,
        (Some(_), _) => ConfigStatus::Stale,
    }
}

fn versioned(one: Dumped) -> Versioned {
    Versioned {
        version_info: one.version,
        resource: Any::decode(one.any).ok(),
    }
}
