//! What a CustomResourceDefinition says of one version of its kind.

use mesh_schema::Schema;
use serde_json::{Value, json};

use crate::status::Cause;
use crate::table::PrinterColumn;

/// One version of a custom resource.
#[derive(Debug)]
pub struct Custom {
    /// `openAPIV3Schema`; null when there is none.
    pub schema: Value,
    pub columns: Vec<PrinterColumn>,
    /// Field selectors that the definition allows.
    pub selectable: Vec<String>,
    compiled: Compiled,
}

#[derive(Debug)]
enum Compiled {
    /// The definition has no schema.
    None,
    Schema(Box<Schema>),
    /// Definitions are checked before they are stored; only one that was stored before that can have such a schema.
    Broken(String),
}

impl Custom {
    pub fn new(schema: Value, columns: Vec<PrinterColumn>, selectable: Vec<String>) -> Self {
        let compiled = match Schema::compile(&schema) {
            _ if !schema.is_object() => Compiled::None,
            Ok(schema) => Compiled::Schema(Box::new(schema)),
            Err(causes) => {
                let first = causes.first();
                let why = first.map(|cause| format!("{}: {}", cause.path, cause.message));
                Compiled::Broken(why.unwrap_or_default())
            }
        };
        Self {
            schema,
            columns,
            selectable,
            compiled,
        }
    }

    /// The object without fields that the schema does not have, and the paths of those.
    pub fn prune(&self, mut object: Value) -> (Value, Vec<String>) {
        let unknown = match &self.compiled {
            Compiled::Schema(schema) => schema.prune(&mut object),
            Compiled::None | Compiled::Broken(_) => Vec::new(),
        };
        let paths = unknown.into_iter().map(|field| field.path.to_string());
        (object, paths.collect())
    }

    /// Fills in the defaults of the schema.
    pub fn default(&self, object: &mut Value) {
        if let Compiled::Schema(schema) = &self.compiled {
            schema.default(object);
        }
    }

    /// What is wrong with an object by the schema and its rules.
    pub fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        match &self.compiled {
            Compiled::None => Vec::new(),
            Compiled::Schema(schema) => {
                let causes = schema.check(object, old);
                causes.into_iter().map(Cause::from).collect()
            }
            Compiled::Broken(why) => {
                let why = format!("the schema of the CustomResourceDefinition is invalid: {why}");
                vec![Cause::invalid("spec", &json!("object"), &why)]
            }
        }
    }
}
