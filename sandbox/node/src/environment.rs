//! The environment of a container: its own variables, resolved and expanded, over what the back end gives.
//!
//! Pure: ConfigMaps and Secrets come through [`Sources`], so the same code runs in tests without a cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, ResourceFieldSelector,
    Secret,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

use super::quantity;

/// Where referenced objects are looked up, in the pod's namespace.
pub trait Sources {
    /// A ConfigMap by name.
    fn config_map(&self, name: &str) -> Option<ConfigMap>;
    /// A Secret by name.
    fn secret(&self, name: &str) -> Option<Secret>;
}

/// Why a container's configuration cannot be made yet. Never contains values of Secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The object does not exist (yet).
    #[error("{kind} {name:?} not found")]
    Missing { kind: &'static str, name: String },
    /// The object lacks the key.
    #[error("key {key:?} not found in {kind} {name:?}")]
    MissingKey {
        kind: &'static str,
        name: String,
        key: String,
    },
    /// A field path that the downward API does not know.
    #[error("field path {0:?} is not supported by the downward API")]
    FieldPath(String),
    /// A resource that containers do not have.
    #[error("resource {0:?} is not supported by the downward API")]
    Resource(String),
    /// Something the sandbox's node does not do.
    #[error("{0}")]
    Unsupported(String),
}

/// What the downward API knows about a pod beyond its object.
#[derive(Clone, Debug)]
pub struct Facts {
    pub pod_ip: String,
    pub host_ip: String,
    pub node_name: String,
    /// CPUs of the node, for containers without a limit.
    pub cpus: u64,
    /// Memory of the node in bytes, for containers without a limit.
    pub memory: u64,
}

/// All variables of a container, later ones already merged over earlier ones.
pub fn resolve(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    base: Vec<(String, String)>,
    sources: &dyn Sources,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut variables: BTreeMap<String, String> = base.into_iter().collect();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let data = if let Some(reference) = &source.config_map_ref {
            let map = sources.config_map(&reference.name);
            map.map(|map| map.data.unwrap_or_default()).ok_or((
                "configmap",
                &reference.name,
                reference.optional,
            ))
        } else if let Some(reference) = &source.secret_ref {
            sources.secret(&reference.name).map(text_of).ok_or((
                "secret",
                &reference.name,
                reference.optional,
            ))
        } else {
            continue;
        };
        match data {
            Ok(data) => variables.extend(
                data.into_iter()
                    .map(|(key, value)| (format!("{prefix}{key}"), value)),
            ),
            Err((_, _, Some(true))) => {}
            Err((kind, name, _)) => {
                return Err(ConfigError::Missing {
                    kind,
                    name: name.clone(),
                });
            }
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(variable, pod, container, facts, &variables, sources)? {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

fn text_of(secret: Secret) -> BTreeMap<String, String> {
    let data = secret.data.unwrap_or_default();
    data.into_iter()
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}

fn value_of(
    variable: &EnvVar,
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    known: &BTreeMap<String, String>,
    sources: &dyn Sources,
) -> Result<Option<String>, ConfigError> {
    match &variable.value_from {
        None => Ok(Some(expand(
            variable.value.as_deref().unwrap_or_default(),
            known,
        ))),
        Some(source) => referenced(source, pod, container, facts, sources),
    }
}

fn referenced(
    source: &EnvVarSource,
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    sources: &dyn Sources,
) -> Result<Option<String>, ConfigError> {
    if let Some(ObjectFieldSelector { field_path, .. }) = &source.field_ref {
        return field(pod, facts, field_path).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return resource(pod, Some(container), facts, selector).map(Some);
    }
    if let Some(selector) = &source.config_map_key_ref {
        let data = sources
            .config_map(&selector.name)
            .map(|map| map.data.unwrap_or_default());
        return keyed(
            "configmap",
            &selector.name,
            &selector.key,
            selector.optional,
            data,
        );
    }
    if let Some(selector) = &source.secret_key_ref {
        let data = sources.secret(&selector.name).map(text_of);
        return keyed(
            "secret",
            &selector.name,
            &selector.key,
            selector.optional,
            data,
        );
    }
    Err(ConfigError::Unsupported(
        "fileKeyRef is not supported by the sandbox".to_owned(),
    ))
}

fn keyed(
    kind: &'static str,
    name: &str,
    key: &str,
    optional: Option<bool>,
    data: Option<BTreeMap<String, String>>,
) -> Result<Option<String>, ConfigError> {
    let name = name.to_owned();
    match data.map(|mut data| data.remove(key)) {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        None => Err(ConfigError::Missing { kind, name }),
        Some(None) => Err(ConfigError::MissingKey {
            kind,
            name,
            key: key.to_owned(),
        }),
    }
}

/// A field of the pod, by the paths that the downward API of Kubernetes knows.
pub fn field(pod: &Pod, facts: &Facts, path: &str) -> Result<String, ConfigError> {
    if let Some((map, key)) = path
        .strip_suffix("']")
        .and_then(|rest| rest.split_once("['"))
    {
        let entries = match map {
            "metadata.labels" => pod.labels(),
            "metadata.annotations" => pod.annotations(),
            _ => return Err(ConfigError::FieldPath(path.to_owned())),
        };
        return Ok(entries.get(key).cloned().unwrap_or_default());
    }
    let account = || {
        pod.spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone())
    };
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => quoted_lines(pod.labels()),
        "metadata.annotations" => quoted_lines(pod.annotations()),
        "spec.nodeName" => facts.node_name.clone(),
        "spec.serviceAccountName" => account().unwrap_or_else(|| "default".to_owned()),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.clone(),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        _ => return Err(ConfigError::FieldPath(path.to_owned())),
    })
}

/// Labels or annotations in the format of the downward API's files: `key="value"` lines, the value quoted as Go does.
fn quoted_lines(entries: &BTreeMap<String, String>) -> String {
    let lines = entries.iter().map(|(key, value)| {
        // Only control characters, quotes and backslashes differ from plain text.
        let mut line = format!("{key}=\"");
        for letter in value.chars() {
            match letter {
                '"' => line.push_str("\\\""),
                '\\' => line.push_str("\\\\"),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                other => line.push(other),
            }
        }
        line.push('"');
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A resource request or limit, divided and rounded up as Kubernetes does.
pub fn resource(
    pod: &Pod,
    container: Option<&Container>,
    facts: &Facts,
    selector: &ResourceFieldSelector,
) -> Result<String, ConfigError> {
    let named = selector
        .container_name
        .as_deref()
        .filter(|name| !name.is_empty());
    let spec = pod.spec.as_ref();
    let container = match named {
        Some(name) => spec.and_then(|spec| {
            spec.containers
                .iter()
                .find(|container| container.name == name)
        }),
        None => container,
    };
    let resources = container.and_then(|container| container.resources.as_ref());
    let of = |entries: Option<&BTreeMap<String, Quantity>>, name: &str| {
        entries
            .and_then(|entries| entries.get(name))
            .and_then(|amount| quantity::milli(&amount.0))
    };
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let milli = match selector.resource.as_str() {
        "limits.cpu" => of(limits, "cpu").unwrap_or(i128::from(facts.cpus) * 1000),
        "limits.memory" => of(limits, "memory").unwrap_or(i128::from(facts.memory) * 1000),
        "requests.cpu" => of(requests, "cpu").or(of(limits, "cpu")).unwrap_or(0),
        "requests.memory" => of(requests, "memory").or(of(limits, "memory")).unwrap_or(0),
        "limits.ephemeral-storage" => of(limits, "ephemeral-storage").unwrap_or(0),
        "requests.ephemeral-storage" => of(requests, "ephemeral-storage").unwrap_or(0),
        other => return Err(ConfigError::Resource(other.to_owned())),
    };
    let divisor = selector
        .divisor
        .as_ref()
        .and_then(|divisor| quantity::milli(&divisor.0));
    let divisor = divisor.filter(|divisor| *divisor > 0).unwrap_or(1000);
    Ok((milli + divisor - 1).div_euclid(divisor).to_string())
}

/// Replaces `$(NAME)` by known variables; unknown ones stay, `$$(NAME)` is a literal `$(NAME)`.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (before, from_dollar) = rest.split_at(start);
        result.push_str(before);
        if let Some(after) = from_dollar.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = from_dollar
            .strip_prefix("$(")
            .and_then(|reference| reference.split_once(')'))
        {
            match variables.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&from_dollar[..name.len() + 3]),
            }
            rest = after;
        } else {
            result.push('$');
            rest = &from_dollar[1..];
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests;
