//! The backends of a rule of an HTTPRoute in the words of a VirtualService's destinations, and back, so that both get new weights in the
//! same way.
//!
//! ```text
//! backendRefs --destinations--> [{destination: {host, subset}, backend, weight}] --Reader--> the same, reweighted --written--> backendRefs
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Refusal;
use crate::resource::ResourceKey;
use crate::snapshot::MeshService;

/// The field in which a destination keeps the backend that it stands for.
const BACKEND: &str = "backend";
/// The Gateway API allows no larger weight.
const LARGEST: u64 = 1_000_000;

/// A service with its versions, as routes name them.
#[derive(Clone, Copy)]
pub(super) struct Backends<'a> {
    pub(super) service: &'a MeshService,
    pub(super) versions: &'a BTreeMap<Arc<str>, Arc<MeshService>>,
}

// === impl Backends ===

impl<'a> Backends<'a> {
    /// The version that a backend of a route in a namespace is.
    pub(super) fn version_of(&self, backend: &Value, namespace: &str) -> Option<&'a Arc<str>> {
        let named = service_of(backend, namespace)?;
        let mut versions = self.versions.iter();
        let found = versions.find(|(_, service)| named == (&service.namespace, &service.name));
        found.map(|(version, _)| version)
    }

    /// Whether a backend is the service or a version of it.
    pub(super) fn is_own(&self, backend: &Value, namespace: &str) -> bool {
        self.is_whole(backend, namespace) || self.version_of(backend, namespace).is_some()
    }

    fn is_whole(&self, backend: &Value, namespace: &str) -> bool {
        service_of(backend, namespace) == Some((&self.service.namespace, &self.service.name))
    }

    /// Backends as destinations.
    pub(super) fn destinations(&self, backends: &[Value], namespace: &str) -> Vec<Value> {
        let one = |backend: &Value| {
            let destination = match self.version_of(backend, namespace) {
                Some(version) => json!({"host": &*self.service.host, "subset": &**version}),
                None if self.is_whole(backend, namespace) => json!({"host": &*self.service.host}),
                None => json!({}),
            };
            let weight = backend.get("weight").and_then(Value::as_u64).unwrap_or(1);
            json!({"destination": destination, BACKEND: backend, "weight": weight})
        };
        backends.iter().map(one).collect()
    }

    /// Destinations as backends of a route. Those that are new are like the first of the service's that was there before.
    pub(super) fn written(
        &self,
        destinations: &[Value],
        before: &[Value],
        route: &ResourceKey,
    ) -> Result<Vec<Value>, Refusal> {
        let namespace = &route.namespace;
        let like = before
            .iter()
            .find(|backend| self.is_own(backend, namespace));
        let one = |destination: &Value| {
            let weight = destination.get("weight").and_then(Value::as_u64);
            let weight = weight.unwrap_or_default();
            if weight > LARGEST {
                return Err(Refusal::state(format!(
                    "{route} would need the weight {weight}, and {LARGEST} is the largest that the Gateway API allows"
                ))
                .hint("write smaller weights into the object first"));
            }
            let subset = destination.pointer("/destination/subset");
            let subset = subset.and_then(Value::as_str);
            let known = destination.get(BACKEND);
            let is_same = |backend: &&Value| {
                self.version_of(backend, namespace)
                    .map(|version| &**version)
                    == subset
            };
            let mut backend = match (known.filter(is_same), subset) {
                (Some(backend), _) => backend.clone(),
                (None, Some(version)) => self.added(version, known, like, route)?,
                (None, None) => known.cloned().unwrap_or_default(),
            };
            if let Value::Object(fields) = &mut backend {
                fields.insert("weight".to_owned(), json!(weight));
            }
            Ok(backend)
        };
        destinations.iter().map(one).collect()
    }

    /// The backend of a version that the rule does not have yet. What the API server would add is written at once, so that the object
    /// afterwards is the one that is remembered.
    fn added(
        &self,
        version: &str,
        whole: Option<&Value>,
        like: Option<&Value>,
        route: &ResourceKey,
    ) -> Result<Value, Refusal> {
        let Some(service) = self.versions.get(version) else {
            let message = format!(
                "no Service selects version {version} of {}",
                self.service.host
            );
            return Err(Refusal::state(message).hint("add a Service for it"));
        };
        if service.namespace != route.namespace {
            return Err(Refusal::state(format!(
                "{route} has no backend for version {version}, and Services of another namespace are not added to it"
            ))
            .hint(format!(
                "add the backend {} of namespace {} to it with weight 0, and a ReferenceGrant there that allows it",
                service.name, service.namespace
            )));
        }
        let port = like.and_then(|like| like.get("port"));
        let number = port.and_then(Value::as_u64);
        let ports = || service.ports.iter().map(|port| u64::from(port.port));
        if let Some(number) = number.filter(|number| !ports().any(|port| port == *number)) {
            return Err(Refusal::state(format!(
                "the Service {} of namespace {} has no port {number}, to which {route} sends requests",
                service.name, service.namespace
            ))
            .hint("give it the ports that the service has"));
        }
        let mut fields = match whole {
            Some(Value::Object(fields)) => fields.clone(),
            _ => Map::new(),
        };
        fields.insert("group".to_owned(), json!(""));
        fields.insert("kind".to_owned(), json!("Service"));
        fields.insert("name".to_owned(), json!(&*service.name));
        if let Some(port) = port {
            fields.entry("port").or_insert_with(|| port.clone());
        }
        Ok(Value::Object(fields))
    }
}

/// Namespace and name of the Service that a backend is, of a route in a namespace.
pub(super) fn service_of<'v>(backend: &'v Value, namespace: &'v str) -> Option<(&'v str, &'v str)> {
    let text = |field: &str| backend.get(field).and_then(Value::as_str);
    let is_service = matches!(text("kind"), None | Some("" | "Service"))
        && matches!(text("group"), None | Some(""));
    let namespace = text("namespace").unwrap_or(namespace);
    is_service.then_some((namespace, text("name")?))
}
