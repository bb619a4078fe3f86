//! The form in which a client wants objects: whole, as rows of a table, or only their metadata.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kinds::Served;
use super::request::Request;
use super::table::{self, Include};

/// What the header `Accept` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Whole,
    Table(Include),
    Metadata,
}

/// A form, for objects of a kind.
#[derive(Clone, Debug)]
pub struct Projection {
    pub form: Form,
    pub served: Served,
}

// === impl Form ===

impl Form {
    /// The first form in the header that is known here.
    pub fn of(request: &Request) -> Self {
        for range in request.accept.split(',') {
            let mut words = range.split(';').map(str::trim);
            let media = words.next().unwrap_or_default();
            let value = |name: &str| {
                let mut found = words
                    .clone()
                    .filter_map(|word| word.split_once('='))
                    .filter(|(key, _)| *key == name);
                found.next().map(|(_, value)| value)
            };
            if !matches!(media, "application/json" | "*/*" | "application/*") {
                continue;
            }
            match (value("as"), value("v")) {
                (Some("Table"), Some("v1")) => {
                    let include = request.query.get("includeObject").unwrap_or_default();
                    return Self::Table(Include::parse(include));
                }
                (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), _) => {
                    return Self::Metadata;
                }
                (Some(_), _) => {}
                (None, _) => return Self::Whole,
            }
        }
        Self::Whole
    }
}

// === impl Projection ===

impl Projection {
    /// One object that is stored.
    pub fn object(&self, object: &Value, now: Timestamp) -> Value {
        self.one(object, now, true)
    }

    /// The object of an event of a watch; only the first one of a table tells its columns.
    pub fn event(&self, object: &Value, now: Timestamp, first: bool) -> Value {
        self.one(object, now, first)
    }

    fn one(&self, object: &Value, now: Timestamp, columns: bool) -> Value {
        match self.form {
            Form::Whole => self.served.encode(object),
            Form::Metadata => partial(object),
            Form::Table(include) => {
                let version = &object["metadata"]["resourceVersion"];
                let metadata = json!({"resourceVersion": version});
                self.table(
                    include,
                    metadata,
                    std::slice::from_ref(object),
                    now,
                    columns,
                )
            }
        }
    }

    /// A list of objects that are stored.
    pub fn list<'a>(
        &self,
        metadata: Value,
        objects: impl Iterator<Item = &'a Value>,
        now: Timestamp,
    ) -> Value {
        match self.form {
            Form::Whole => {
                let items: Vec<Value> = objects.map(|object| self.item(object)).collect();
                json!({
                    "kind": self.served.kind.list, "apiVersion": self.served.api_version(),
                    "metadata": metadata, "items": items,
                })
            }
            Form::Metadata => {
                let items: Vec<Value> = objects.map(partial).collect();
                json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                })
            }
            Form::Table(include) => {
                let objects: Vec<Value> = objects.cloned().collect();
                self.table(include, metadata, &objects, now, true)
            }
        }
    }

    /// Elements of lists of built-in kinds do not repeat what the list says.
    fn item(&self, object: &Value) -> Value {
        let mut object = self.served.encode(object);
        if let Some(fields) = object.as_object_mut()
            && !self.served.kind.is_custom()
        {
            fields.shift_remove("kind");
            fields.shift_remove("apiVersion");
        }
        object
    }

    fn table(
        &self,
        include: Include,
        metadata: Value,
        objects: &[Value],
        now: Timestamp,
        with_columns: bool,
    ) -> Value {
        let custom = self.served.custom().map(|custom| &*custom.columns);
        let request = table::Request {
            group: &self.served.kind.group,
            plural: &self.served.kind.plural,
            custom,
            include,
            now,
            with_columns,
        };
        table::table(&request, metadata, objects)
    }
}

fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
