//! What a CRD says of our kinds beyond their row, and the schema that it carries.
//!
//! What the types give is brought to what API servers want: no defaults (they would be written into users' objects), no
//! formats that they do not know, and fields that are typed as "any value" keep what is in them. Types that do not have all of
//! a kind's fields say so themselves (`x-kubernetes-preserve-unknown-fields`), so that a server keeps the others.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::schema::{OptionalEnum, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::kinds::Definition;

/// Formats that API servers know.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

impl Definition {
    /// The schema of whole objects.
    pub(crate) fn open_api_schema(&self) -> JSONSchemaProps {
        let settings = SchemaSettings::openapi3()
            .with(|settings| {
                settings.inline_subschemas = true;
                settings.meta_schema = None;
            })
            .with_transform(StructuralSchemaRewriter)
            .with_transform(OptionalEnum);
        let mut spec: Value = (self.schema)(settings);
        if let Some(root) = spec.as_object_mut() {
            root.remove("title");
        }
        // The types make schemas of the API's own shape; a test reads each of them.
        let mut spec: JSONSchemaProps = serde_json::from_value(spec).unwrap_or_default();
        structural(&mut spec);
        JSONSchemaProps {
            type_: Some("object".into()),
            // Without anything that must be in it, the spec itself can be left out.
            required: spec.required.is_some().then(|| vec!["spec".to_owned()]),
            properties: Some(
                [
                    ("spec".to_owned(), spec),
                    ("status".to_owned(), any_object()),
                ]
                .into(),
            ),
            ..JSONSchemaProps::default()
        }
    }
}

/// An object with whatever is in it.
fn any_object() -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("object".into()),
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..JSONSchemaProps::default()
    }
}

/// Brings a schema, and all in it, to what API servers want.
fn structural(schema: &mut JSONSchemaProps) {
    schema.default = None;
    // Absent is how a field is left out; the readers of these kinds do not know null.
    schema.nullable = None;
    if let Some(all) = &mut schema.enum_ {
        all.retain(|JSON(value)| !value.is_null());
    }
    let unsigned = schema
        .format
        .as_deref()
        .is_some_and(|format| format.starts_with("uint"));
    if unsigned {
        schema.minimum.get_or_insert(0.0);
        if schema.format.as_deref() == Some("uint32") {
            schema.maximum.get_or_insert(f64::from(u32::MAX));
        }
    }
    let format = schema.format.take();
    schema.format = format.filter(|format| FORMATS.contains(&format.as_str()));
    if let Some(text) = &mut schema.description {
        // Line breaks of the source mean nothing.
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if schema.type_.is_none() && schema.x_kubernetes_int_or_string.is_none() {
        schema.x_kubernetes_preserve_unknown_fields = Some(true);
    }
    for child in schema
        .properties
        .iter_mut()
        .flat_map(|all| all.values_mut())
    {
        structural(child);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => structural(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(structural),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(other)) = &mut schema.additional_properties {
        structural(other);
    }
}
