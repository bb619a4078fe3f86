//! The lists of rules that a shift changes: HTTP and TCP rules of a VirtualService, and the rules of a route of the Gateway API.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A list of rules of an object.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Section {
    /// `spec.http` of a VirtualService.
    #[default]
    Http,
    /// `spec.tcp` of a VirtualService.
    Tcp,
    /// `spec.rules` of an HTTPRoute.
    Rules,
}

// === impl Section ===

impl Section {
    /// The field's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Rules => "rules",
        }
    }

    pub(super) fn is_http(&self) -> bool {
        *self == Self::Http
    }

    /// Where a rule keeps its destinations.
    const fn destinations(self) -> &'static str {
        match self {
            Self::Http | Self::Tcp => "route",
            Self::Rules => "backendRefs",
        }
    }

    /// The rules of a raw object.
    pub(super) fn rules(self, object: &Value) -> &[Value] {
        let rules = object.pointer(&format!("/spec/{}", self.name()));
        let rules = rules.and_then(Value::as_array);
        rules.map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn rules_mut(self, object: &mut Value) -> Option<&mut Vec<Value>> {
        let rules = object.pointer_mut(&format!("/spec/{}", self.name()))?;
        rules.as_array_mut()
    }

    /// The destinations of a rule of a raw object.
    pub(super) fn routes_of(self, object: &Value, index: usize) -> Vec<Value> {
        let rule = self.rules(object).get(index);
        let routes = rule.and_then(|rule| rule.get(self.destinations()));
        routes
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn set_routes(self, object: &mut Value, index: usize, routes: &[Value]) {
        let rule = self
            .rules_mut(object)
            .and_then(|rules| rules.get_mut(index));
        if let Some(Value::Object(rule)) = rule {
            let routes = Value::Array(routes.to_vec());
            rule.insert(self.destinations().to_owned(), routes);
        }
    }
}
