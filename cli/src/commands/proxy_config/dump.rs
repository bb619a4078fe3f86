//! A proxy's `/config_dump` and `/clusters`, as far as their sections go. The resources in them stay whole, so that JSON output
//! shows all that the proxy said.

use anyhow::Context as _;
use serde_json::Value;

use crate::failure::{self, Advice as _};
use crate::input;

/// Where the resources of a section are: the list, and the path to the resource in each item.
type Lists = &'static [(&'static str, &'static [&'static str])];

const CLUSTERS: Lists = &[
    ("static_clusters", &["cluster"]),
    ("dynamic_active_clusters", &["cluster"]),
];
const LISTENERS: Lists = &[
    ("static_listeners", &["listener"]),
    ("dynamic_listeners", &["active_state", "listener"]),
];
const ROUTES: Lists = &[
    ("static_route_configs", &["route_config"]),
    ("dynamic_route_configs", &["route_config"]),
];
const ENDPOINTS: Lists = &[
    ("static_endpoint_configs", &["endpoint_config"]),
    ("dynamic_endpoint_configs", &["endpoint_config"]),
];
const SECRETS: Lists = &[
    ("static_secrets", &["secret"]),
    ("dynamic_active_secrets", &["secret"]),
];
const WARMING_SECRETS: Lists = &[("dynamic_warming_secrets", &["secret"])];

/// The whole configuration of a proxy.
pub struct Dump {
    configs: Vec<Value>,
}

/// Endpoints from either of the two places that tell them.
pub enum EndpointSource {
    /// `/clusters`: with the health that the proxy sees.
    Live(Vec<Value>),
    /// The configuration.
    Dump(Dump),
}

// === impl Dump ===

impl Dump {
    /// Reads a file, or standard input for `-`.
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let input = input::read(name)?;
        Self::parse(&input.text).with_context(|| format!("failed to read {name}"))
    }

    /// Reads the JSON of `/config_dump`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Self::new(json(text)?)
    }

    fn new(mut value: Value) -> anyhow::Result<Self> {
        match value.get_mut("configs").map(Value::take) {
            Some(Value::Array(configs)) => Ok(Self { configs }),
            _ => Err(failure::data(
                "this is no config_dump: it has no list `configs`",
            ))
            .hint("save one with: curl localhost:15000/config_dump?include_eds"),
        }
    }

    /// The clusters.
    pub fn clusters(&self) -> anyhow::Result<Vec<&Value>> {
        self.section("ClustersConfigDump", CLUSTERS)
    }

    /// The listeners that take connections.
    pub fn listeners(&self) -> anyhow::Result<Vec<&Value>> {
        self.section("ListenersConfigDump", LISTENERS)
    }

    /// The route configurations, also those inside of listeners.
    pub fn routes(&self) -> anyhow::Result<Vec<&Value>> {
        self.section("RoutesConfigDump", ROUTES)
    }

    /// The endpoints.
    pub fn endpoints(&self) -> anyhow::Result<Vec<&Value>> {
        self.section("EndpointsConfigDump", ENDPOINTS)
            .hint("endpoints are only in dumps that were asked for them: /config_dump?include_eds")
    }

    /// The secrets, each with its status in istioctl's words.
    pub fn secrets(&self) -> anyhow::Result<Vec<(&'static str, &Value)>> {
        let mut all = Vec::new();
        for (status, lists) in [("ACTIVE", SECRETS), ("WARMING", WARMING_SECRETS)] {
            let section = self.section("SecretsConfigDump", lists)?;
            all.extend(section.into_iter().map(|secret| (status, secret)));
        }
        Ok(all)
    }

    /// Everything, section by section.
    pub fn configs(&self) -> &[Value] {
        &self.configs
    }

    fn section(&self, name: &str, lists: Lists) -> anyhow::Result<Vec<&Value>> {
        let of_type = |config: &&Value| {
            let name_of = config.get("@type").and_then(Value::as_str);
            name_of.is_some_and(|text| text.rsplit(['.', '/']).next() == Some(name))
        };
        let mut sections = self.configs.iter().filter(of_type).peekable();
        if sections.peek().is_none() {
            return Err(failure::data(format!(
                "config dump has no configuration type envoy.admin.v3.{name}"
            )));
        }
        Ok(sections
            .flat_map(|section| resources(section, lists))
            .collect())
    }
}

fn resources(section: &Value, lists: Lists) -> impl Iterator<Item = &Value> {
    lists.iter().flat_map(move |(list, path)| {
        let items = section
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items.filter_map(|item| path.iter().try_fold(item, |value, key| value.get(key)))
    })
}

// === impl EndpointSource ===

impl EndpointSource {
    /// Reads a file, or standard input for `-`: either of the two forms.
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let input = input::read(name)?;
        Self::parse(&input.text).with_context(|| format!("failed to read {name}"))
    }

    /// Reads the JSON of `/clusters` or of `/config_dump`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut value = json(text)?;
        match value.get_mut("cluster_statuses").map(Value::take) {
            Some(Value::Array(statuses)) => Ok(Self::Live(statuses)),
            // A proxy without clusters: the list is left out where it is empty.
            None if value.as_object().is_some_and(serde_json::Map::is_empty) => {
                Ok(Self::Live(Vec::new()))
            }
            _ => Dump::new(value).map(Self::Dump),
        }
    }
}

fn json(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).map_err(|error| failure::data(format!("this is not JSON: {error}")))
}
