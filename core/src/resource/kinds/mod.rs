//! The one table of the kinds that are known. Everything that knows kinds reads it: decoding and validation, the control plane's
//! watches and store, the CRDs and the RBAC of an installation, `analyze` and the API server of the sandbox.
//!
//! The same name in two groups is two kinds: [`Kind::Gateway`] is Istio's, [`Kind::KubernetesGateway`] the Gateway API's.

mod extensions;
mod gateway_api;
mod kubernetes;
mod legacy;
mod networking;
mod security;
mod telemetry;

use serde_json::Value;

use super::Kind;
use super::compile::Compiled;

/// What is known about a kind.
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// Name as objects spell it, `VirtualService`.
    pub name: &'static str,
    /// Name in URLs, RBAC rules and the CRD's own name.
    pub plural: &'static str,
    /// All API versions that are accepted. The first is the current one; of kinds that we install, it is the one that is stored.
    pub api_versions: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// Whether the control plane watches it.
    pub watch: Watch,
    /// Whether the control plane writes its objects' status.
    pub writes_status: bool,
    /// JSON pointers to what counts as a change for the mesh, beside labels, annotations and deletion.
    pub significant: &'static [&'static str],
    /// Whether anything acts on its objects.
    pub effect: Effect,
    /// Its CRD, for kinds that an installation defines.
    pub definition: Option<&'static Definition>,
    /// Decodes and validates an object.
    pub(super) compile: fn(&Value, &Row) -> Compiled,
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the cluster as a whole.
    Cluster,
    /// In namespaces.
    Namespaced,
}

/// Whether the control plane watches a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// In all namespaces. Every API server has the kind.
    Always,
    /// In all namespaces, those that a field selector selects. Every API server has the kind.
    Selected(&'static str),
    /// In all namespaces, while its CRD is installed.
    WhenInstalled,
    /// Not at all.
    Never,
}

/// Whether anything acts on objects of a kind. `analyze` and the control plane name what has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Every field that matters to a mesh.
    Full,
    /// Some fields; findings name each other one that is set.
    Partly,
    /// Nothing yet.
    None,
}

/// The CRD of a kind, beside what its row says.
pub struct Definition {
    /// Short names for `kubectl get`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds for `kubectl get`.
    pub categories: &'static [&'static str],
    /// Columns of `kubectl get`, before the age.
    pub columns: &'static [Column],
    /// JSON schema of `spec`, with references into `$defs`.
    pub schema: fn(schemars::generate::SchemaSettings) -> Value,
}

/// A column of `kubectl get`.
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// Type, such as `string`.
    pub type_: &'static str,
    /// JSON path, such as `.spec.hosts`.
    pub path: &'static str,
    /// One line of help; may be empty.
    pub description: &'static str,
}

/// The rows of each group.
const GROUPS: [&[Row]; 7] = [
    kubernetes::ROWS,
    networking::ROWS,
    security::ROWS,
    telemetry::ROWS,
    extensions::ROWS,
    gateway_api::ROWS,
    legacy::ROWS,
];

/// A row for one of Istio's or the Gateway API's kinds that has a type and a check of its own.
///
/// `typed!(Kind, Spec, check, api versions, plural, definition)`
macro_rules! typed {
    ($kind:ident, $spec:ty, $check:path, $versions:expr, $plural:expr, $definition:expr) => {
        Row {
            definition: Some($definition),
            compile: |value, row| {
                compile::spec::<$spec>(value, row, Object::$kind, |object, at, violations| {
                    $check(object, at, violations);
                })
            },
            ..Row::without_type(Kind::$kind, stringify!($kind), $plural, $versions)
        }
    };
}
use typed;

/// The definition of a kind whose `spec` is a type of ours.
macro_rules! definition {
    ($spec:ty, $short_names:expr, $categories:expr, $columns:expr) => {
        Definition {
            short_names: $short_names,
            categories: $categories,
            columns: $columns,
            schema: |settings| {
                settings
                    .into_generator()
                    .into_root_schema_for::<$spec>()
                    .into()
            },
        }
    };
}
use definition;

/// What a pair of API version and kind is.
pub(super) enum Lookup {
    Known(&'static Row),
    /// The group has this kind, but not in this version.
    WrongVersion(&'static Row),
    Unknown,
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.into_iter().flatten()
}

pub(super) fn lookup(api_version: &str, name: &str) -> Lookup {
    let mut same_group = None;
    for row in rows().filter(|row| row.name == name) {
        if row.api_versions.contains(&api_version) {
            return Lookup::Known(row);
        }
        let is_group = |known: &&&str| group(known) == group(api_version);
        if row.api_versions.iter().find(is_group).is_some() {
            same_group = Some(row);
        }
    }
    same_group.map_or(Lookup::Unknown, Lookup::WrongVersion)
}

/// The group of an API version; empty for `v1`.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

// === impl Row ===

impl Row {
    /// A namespaced kind of ours whose objects are kept as they are, and on which nothing acts.
    const fn without_type(
        kind: Kind,
        name: &'static str,
        plural: &'static str,
        api_versions: &'static [&'static str],
    ) -> Self {
        Self {
            kind,
            name,
            plural,
            api_versions,
            scope: Scope::Namespaced,
            watch: Watch::WhenInstalled,
            writes_status: true,
            significant: &["/spec"],
            effect: Effect::None,
            definition: None,
            compile: super::compile::untyped,
        }
    }

    /// The current API version, `networking.istio.io/v1`.
    pub fn api_version(&self) -> &'static str {
        self.api_versions.first().copied().unwrap_or_default()
    }

    /// The group of the current API version; empty for Kubernetes' core.
    pub fn group(&self) -> &'static str {
        group(self.api_version())
    }

    /// The versions of the current group, the current one first: `v1`, `v1beta1`.
    pub fn versions(&self) -> impl Iterator<Item = &'static str> {
        let current = self.group();
        self.api_versions
            .iter()
            .filter(move |known| group(known) == current)
            .map(|known| known.split_once('/').map_or(*known, |(_, version)| version))
    }

    /// Name of one object, in lower case.
    pub fn singular(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

// === impl Kind ===

impl Kind {
    /// The kind of an API version and name; none for kinds that a mesh does not need.
    pub fn of(api_version: &str, name: &str) -> Option<Kind> {
        match lookup(api_version, name) {
            Lookup::Known(row) => Some(row.kind),
            Lookup::WrongVersion(_) | Lookup::Unknown => None,
        }
    }

    /// The kind that somebody names on a command line or in a URL: by name, singular, plural or short name in any case, with
    /// the group after a dot where two groups have the name (`gateways.gateway.networking.k8s.io`). Istio's kinds come before
    /// those of the Gateway API.
    pub fn named(text: &str) -> Option<Kind> {
        let (name, group) = match text.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let is_named = |row: &&Row| {
            row.name.eq_ignore_ascii_case(name)
                || row.plural.eq_ignore_ascii_case(name)
                || row.definition.is_some_and(|definition| {
                    let mut short = definition.short_names.iter();
                    short.any(|short| short.eq_ignore_ascii_case(name))
                })
        };
        rows()
            .filter(|row| group.is_none_or(|group| row.group().eq_ignore_ascii_case(group)))
            .find(is_named)
            .map(|row| row.kind)
    }

    /// Every kind.
    pub fn all() -> impl Iterator<Item = Kind> {
        rows().map(|row| row.kind)
    }

    /// What is known about the kind.
    pub fn row(self) -> &'static Row {
        // A test holds that each kind has a row.
        rows()
            .find(|row| row.kind == self)
            .unwrap_or(&kubernetes::ROWS[0])
    }

    /// Name of the kind, `VirtualService`. Two groups may have the same.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Name in URLs, `virtualservices`.
    pub fn plural(self) -> &'static str {
        self.row().plural
    }

    /// The current API version, `networking.istio.io/v1`.
    pub fn api_version(self) -> &'static str {
        self.row().api_version()
    }

    /// Whether objects of this kind live in namespaces.
    pub fn is_namespaced(self) -> bool {
        self.row().scope == Scope::Namespaced
    }
}

#[cfg(test)]
mod tests;
