//! Which keys there are: the schema of the values, walked along what people wrote.

use schemars::schema_for;
use serde_json::{Map, Value, json};

use super::spec::InstallSpec;
use super::without_effect::{is_without_effect, refused};
use crate::diag::{FieldPath, Segment};

/// Keys of the proxies' own configuration, which the proxy reads.
const PROXY_CONFIG: [&str; 21] = [
    "availabilityZone",
    "caCertificatesPem",
    "concurrency",
    "configPath",
    "discoveryAddress",
    "drainDuration",
    "holdApplicationUntilProxyStarts",
    "image",
    "interceptionMode",
    "logLevel",
    "meshId",
    "parentShutdownDuration",
    "privateKeyProvider",
    "proxyAdminPort",
    "proxyMetadata",
    "proxyStatsMatcher",
    "readinessProbe",
    "statNameLength",
    "statusPort",
    "terminationDrainDuration",
    "tracing",
];

/// What stands where anything may stand.
const ANYTHING: Value = Value::Bool(true);

/// The schema of the values.
pub(super) struct Keys {
    root: Value,
    /// All paths, for suggestions.
    paths: Vec<String>,
}

/// Most wrong keys of one value that are told the nearest known one.
const MOST_SUGGESTED: usize = 20;

const UNKNOWN: &str = "unknown key";

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongKey {
    /// Where.
    pub(super) path: FieldPath,
    /// What, with the nearest known one.
    pub(super) message: String,
}

/// What a value at some place should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text, whatever it looks like.
    Text,
    /// What it looks like.
    Other,
}

/// What is below a place.
enum Below<'a> {
    Schema(&'a Value),
    Unknown,
}

// === impl Keys ===

impl Keys {
    pub(super) fn new() -> Self {
        let mut root = schema_for!(InstallSpec).to_value();
        let keys: Map<String, Value> = PROXY_CONFIG
            .into_iter()
            .map(|key| (key.to_owned(), ANYTHING))
            .collect();
        if let Some(mesh) = root.pointer_mut("/$defs/MeshConfig/properties") {
            mesh["defaultConfig"] = json!({ "type": "object", "properties": keys });
        }
        let mut known = Self {
            root,
            paths: Vec::new(),
        };
        let mut paths = Vec::new();
        known.list(&known.root, "", &mut paths);
        known.paths = paths;
        known
    }

    /// The keys of a value that are not known, and those that have no effect.
    pub(super) fn check(&self, value: &Value) -> (Vec<WrongKey>, Vec<FieldPath>) {
        let mut found = Found::default();
        self.walk(value, &self.root, &FieldPath::root(), &mut found);
        (found.wrong, found.without_effect)
    }

    /// What a value at a path should be. A path without effect may be anything.
    pub(super) fn at(&self, path: &FieldPath) -> Result<Shape, WrongKey> {
        let mut schema = &self.root;
        let mut done = FieldPath::root();
        for segment in &path.0 {
            done.0.push(segment.clone());
            if let Some(reason) = refused(&done) {
                return Err(WrongKey {
                    path: done,
                    message: reason.to_owned(),
                });
            }
            if is_without_effect(&done) {
                return Ok(Shape::Other);
            }
            schema = match self.below(schema, segment) {
                Below::Schema(schema) => schema,
                Below::Unknown => return Err(self.wrong(done)),
            };
        }
        Ok(match self.is_text(schema) {
            true => Shape::Text,
            false => Shape::Other,
        })
    }

    fn walk(&self, value: &Value, schema: &Value, path: &FieldPath, found: &mut Found) {
        let mut step = |segment: Segment, child: &Value| {
            let mut path = path.clone();
            path.0.push(segment.clone());
            if let Some(reason) = refused(&path) {
                let message = reason.to_owned();
                found.wrong.push(WrongKey { path, message });
            } else if is_without_effect(&path) {
                found.without_effect.push(path);
            } else {
                match self.below(schema, &segment) {
                    Below::Schema(schema) => self.walk(child, schema, &path, found),
                    // To look for the nearest of all known keys takes its time.
                    Below::Unknown if found.wrong.len() >= MOST_SUGGESTED => {
                        let message = UNKNOWN.to_owned();
                        found.wrong.push(WrongKey { path, message });
                    }
                    Below::Unknown => found.wrong.push(self.wrong(path)),
                }
            }
        };
        match value {
            Value::Object(map) => {
                for (key, child) in map {
                    step(Segment::Key(key.as_str().into()), child);
                }
            }
            Value::Array(items) => {
                for (index, child) in items.iter().enumerate() {
                    step(Segment::Index(index), child);
                }
            }
            _ => {}
        }
    }

    fn below<'a>(&'a self, schema: &'a Value, segment: &Segment) -> Below<'a> {
        let schema = self.resolve(schema);
        let Some(object) = schema.as_object() else {
            return Below::Schema(&ANYTHING);
        };
        let properties = object.get("properties").and_then(Value::as_object);
        match segment {
            Segment::Key(key) => {
                if let Some(child) = properties.and_then(|all| all.get(&**key)) {
                    return Below::Schema(child);
                }
                match object.get("additionalProperties") {
                    Some(Value::Bool(false)) => Below::Unknown,
                    Some(child) => Below::Schema(child),
                    None if properties.is_some() => Below::Unknown,
                    // A scalar; what is below it is told as a wrong type.
                    None => Below::Schema(&ANYTHING),
                }
            }
            Segment::Index(_) => Below::Schema(object.get("items").unwrap_or(&ANYTHING)),
        }
    }

    /// Follows references, and looks through "this or null".
    fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        // Schemas of finite types end soon; the bound is for safety.
        for _ in 0..16 {
            let either = schema.get("anyOf").and_then(Value::as_array);
            let real = either.and_then(|all| all.iter().find(|one| one["type"] != "null"));
            if let Some(real) = real {
                schema = real;
                continue;
            }
            let reference = schema.get("$ref").and_then(Value::as_str);
            let target = reference.and_then(|text| self.root.pointer(text.trim_start_matches('#')));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn is_text(&self, schema: &Value) -> bool {
        let schema = self.resolve(schema);
        let is_string = |kind: &Value| kind == "string";
        match &schema["type"] {
            Value::Array(kinds) => kinds.iter().any(is_string),
            Value::Null => schema["oneOf"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| is_string(&one["type"]))),
            kind => is_string(kind),
        }
    }

    fn wrong(&self, path: FieldPath) -> WrongKey {
        let message = match self.nearest(&path.to_string()) {
            Some(nearest) => format!("unknown key; the nearest known one is {nearest}"),
            None => UNKNOWN.to_owned(),
        };
        WrongKey { path, message }
    }

    /// The nearest known path: a brother with a similar name, a path that ends alike, or the most similar one.
    fn nearest(&self, path: &str) -> Option<&str> {
        let (parent, name) = split(path);
        let similar = |known: &&String| {
            let (of, other) = split(known);
            let most = 1.max(name.len() / 3);
            of == parent && strsim::damerau_levenshtein(other, name) <= most
        };
        let brother = self.paths.iter().filter(similar).min_by_key(|known| {
            let (_, other) = split(known);
            strsim::damerau_levenshtein(other, name)
        });
        let ends_alike = || {
            let same = |known: &&String| split(known).1.eq_ignore_ascii_case(name);
            let alike = self.paths.iter().filter(same);
            alike.min_by_key(|known| strsim::damerau_levenshtein(known, path))
        };
        let most_similar = || {
            let all = self.paths.iter();
            all.min_by_key(|known| strsim::damerau_levenshtein(known, path))
        };
        let found = brother.or_else(ends_alike).or_else(most_similar);
        found.map(String::as_str)
    }

    fn list(&self, schema: &Value, path: &str, paths: &mut Vec<String>) {
        let schema = self.resolve(schema);
        if let Some(item) = schema.get("items") {
            self.list(item, &format!("{path}[0]"), paths);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, child) in properties.into_iter().flatten() {
            let path = match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            self.list(child, &path, paths);
            paths.push(path);
        }
    }
}

#[derive(Default)]
struct Found {
    wrong: Vec<WrongKey>,
    without_effect: Vec<FieldPath>,
}

/// A path's parent and last key.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}
