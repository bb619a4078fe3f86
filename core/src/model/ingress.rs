//! `Ingress` of Kubernetes: hosts and paths that a gateway leads to services. Both forms of backends are read, that of `networking.k8s.io/v1`
//! and the older one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Hosts and paths with their backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Name of the IngressClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// For requests that no rule takes; `backend` in old versions.
    #[serde(alias = "backend", skip_serializing_if = "Option::is_none")]
    pub default_backend: Option<IngressBackend>,
    /// Hosts that are served by TLS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTls>,
    /// Rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<IngressRule>,
}

/// Hosts with the Secret of their certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Hosts; all when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// The paths of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    /// The host; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<IngressPaths>,
}

/// Paths of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressPaths {
    /// The paths.
    pub paths: Vec<IngressPath>,
}

/// A path with its backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath {
    /// The path; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_type: Option<String>,
    /// Where to.
    pub backend: IngressBackend,
}

/// A port of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<IngressService>,
    /// Something else; nothing of that kind is supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
    /// The service, in old versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Name or number of its port, in old versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_port: Option<Value>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressService {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: IngressPort,
}

/// A port by name or number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressPort {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
}

/// `IngressClass`: which controller obeys the Ingresses of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClassSpec {
    /// The controller, `istio.io/ingress-controller` for ours.
    pub controller: String,
}

// === impl IngressBackend ===

impl IngressBackend {
    /// The service and its port, whichever form says it.
    pub fn service(&self) -> Option<(&str, IngressPort)> {
        if let Some(service) = &self.service {
            return Some((&service.name, service.port.clone()));
        }
        let port = match self.service_port.as_ref()? {
            Value::String(name) => IngressPort {
                name: Some(name.clone()),
                number: name.parse().ok(),
            },
            number => IngressPort {
                name: None,
                number: u16::try_from(number.as_u64()?).ok(),
            },
        };
        Some((self.service_name.as_deref()?, port))
    }
}
