//! `WorkloadEntry`: a workload that is no pod.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cel::rule;

/// A workload that is no pod, or an endpoint of a `ServiceEntry`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.address) || has(self.network)", ADDRESS_MISSING),
    rule(
        "!(has(self.address) && self.address.startsWith('unix://')) || !has(self.ports)",
        "a Unix socket has no ports"
    )
]))]
pub struct WorkloadEntrySpec {
    /// Address, host name or Unix socket; may be absent where the network's gateway is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), extend("x-kubernetes-validations" = [
        rule(
            "!self.startsWith('unix://') || self.startsWith('unix:///') || self.startsWith('unix://@')",
            "the path of a Unix socket must be absolute, or abstract with @"
        ),
        rule("!self.startsWith('unix://') || !self.endsWith('/')", "a Unix socket is not a directory")
    ]))]
    pub address: Option<String>,
    /// Ports by the names of the service's ports.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Port>", extend(
        "maxProperties" = 128,
        "x-kubernetes-validations" = [rule(
            "self.all(key, size(key) <= 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
            "port names have at most 63 letters, digits and -, and a letter or digit at both ends"
        )]
    ))]
    pub ports: BTreeMap<String, u32>,
    /// Labels, for selectors and subsets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
    /// Network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub network: Option<String>,
    /// `region/zone/subzone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub locality: Option<String>,
    /// Relative weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Service account, for identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account: Option<String>,
}

const ADDRESS_MISSING: &str = "the address is missing";

/// A port's number.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
struct Port(#[schemars(range(min = 1, max = 65535))] u32);

/// A [`WorkloadEntrySpec`] as a group's template: its schema needs no address, since each entry brings its own.
pub(super) struct WorkloadTemplate;

impl JsonSchema for WorkloadTemplate {
    fn schema_name() -> Cow<'static, str> {
        "WorkloadTemplate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = WorkloadEntrySpec::json_schema(generator);
        let rules = schema.get_mut("x-kubernetes-validations");
        if let Some(rules) = rules.and_then(Value::as_array_mut) {
            rules.retain(|rule| rule["message"] != ADDRESS_MISSING);
        }
        schema
    }
}
