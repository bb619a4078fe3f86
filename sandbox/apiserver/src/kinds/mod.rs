//! Kinds: what the server knows about each resource, built in or defined by a CustomResourceDefinition.
//!
//! ```text
//! (group, version, plural) -> Served -> Kind      several versions, and old groups, lead to one kind
//! ```
//!
//! Objects lie in the store in one version of their kind; [`Served`] converts on the way in and out.

mod builtin;
mod convert;
mod custom;
pub mod definition;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub use convert::Conversion;
pub use custom::Custom;

/// One kind of object.
#[derive(Debug)]
pub struct Kind {
    pub group: String,
    /// The version in which objects are stored.
    pub version: String,
    pub kind: String,
    pub list: String,
    pub plural: String,
    pub singular: String,
    pub short: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// True when `metadata.generation` counts changes of what is wanted.
    pub generation: bool,
    /// True when the status is written by its own path.
    pub status: bool,
    pub scale: Option<Scale>,
    /// Further parts, for discovery: name and kind.
    pub parts: &'static [(&'static str, &'static str)],
    /// True for kinds that are questions: they can be created, get an answer, and are not kept.
    pub transient: bool,
    /// What a CustomResourceDefinition says, by version.
    pub custom: BTreeMap<String, Arc<Custom>>,
}

/// Where a kind keeps the number of its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    pub spec: Vec<String>,
    pub status: Vec<String>,
    /// Where the selector is, as a text or as a label selector.
    pub selector: Vec<String>,
}

/// A kind as seen at one group and version.
#[derive(Clone, Debug)]
pub struct Served {
    pub kind: Arc<Kind>,
    pub group: String,
    pub version: String,
    pub conversion: Conversion,
}

/// All kinds.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    served: BTreeMap<(String, String, String), Served>,
    /// The order in which clients prefer groups and versions.
    order: Vec<(String, String)>,
}

// === impl Kind ===

impl Kind {
    /// The name of the table in the store, and of the resource in messages: `deployments.apps`.
    pub fn id(&self) -> String {
        super::status::qualified(&self.plural, &self.group)
    }

    /// `apps/v1`, of the stored version.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// True for kinds of CustomResourceDefinitions.
    pub fn is_custom(&self) -> bool {
        !self.custom.is_empty()
    }

    /// True for the built-in kind `plural` of `group`.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// `GROUP/VERSION`, or the version alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

// === impl Served ===

impl Served {
    /// `apps/v1`, as it is served here.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// What the definition of the custom resource says of this version.
    pub fn custom(&self) -> Option<&Custom> {
        self.kind.custom.get(&self.version).map(|custom| &**custom)
    }

    /// The object as stored, from how it came in.
    pub fn decode(&self, object: &mut Value) {
        self.conversion.decode(object);
        object["apiVersion"] = Value::String(self.kind.api_version());
        object["kind"] = Value::String(self.kind.kind.clone());
    }

    /// The object as served here, from how it is stored.
    pub fn encode(&self, object: &Value) -> Value {
        let mut object = object.clone();
        self.conversion.encode(&mut object);
        object["apiVersion"] = Value::String(self.api_version());
        object
    }
}

// === impl Kinds ===

impl Kinds {
    /// The kinds that every cluster has.
    pub fn builtin() -> Self {
        let mut kinds = Self::default();
        builtin::register(&mut kinds);
        kinds
    }

    /// Serves a kind at a group and version.
    pub fn serve(&mut self, kind: &Arc<Kind>, group: &str, version: &str, conversion: Conversion) {
        let place = (group.to_owned(), version.to_owned());
        if !self.order.contains(&place) {
            self.order.push(place);
        }
        let key = (group.to_owned(), version.to_owned(), kind.plural.clone());
        let served = Served {
            kind: kind.clone(),
            group: group.to_owned(),
            version: version.to_owned(),
            conversion,
        };
        self.served.insert(key, served);
    }

    /// Stops serving a kind at all its versions.
    pub fn remove(&mut self, group: &str, plural: &str) {
        self.served
            .retain(|_, served| !(served.kind.is(group, plural)));
        let served = &self.served;
        self.order.retain(|(group, version)| {
            served
                .keys()
                .any(|(other, at, _)| other == group && at == version)
        });
    }

    /// The kind at a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Served> {
        self.served
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The kind that is stored in a table.
    pub fn table(&self, group: &str, plural: &str) -> Option<&Served> {
        let mut found = self.served.values();
        found.find(|served| served.group == group && served.kind.is(group, plural))
    }

    /// All paths that lead to the objects of a kind.
    pub fn paths(&self, kind: &Kind) -> impl Iterator<Item = &Served> {
        let served = self.served.values();
        served.filter(move |served| served.kind.is(&kind.group, &kind.plural))
    }

    /// All kinds of a group and version, by plural.
    pub fn at(&self, group: &str, version: &str) -> impl Iterator<Item = &Served> {
        let first = (group.to_owned(), version.to_owned(), String::new());
        let place = (first.0.clone(), first.1.clone());
        self.served
            .range(first..)
            .take_while(move |((group, version, _), _)| (group, version) == (&place.0, &place.1))
            .map(|(_, served)| served)
    }

    /// All groups with their versions, in the order of preference.
    pub fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for (group, version) in &self.order {
            match groups.iter_mut().find(|(name, _)| name == group) {
                Some((_, versions)) => versions.push(version),
                None => groups.push((group, vec![version])),
            }
        }
        groups
    }
}
