//! The CRDs of our kinds, made from the rows of the table of kinds and from our types. The versions of a kind have one schema; the
//! current one is stored.
//!
//! What the types give is brought to what API servers want: no defaults (they would be written into users' objects), no
//! formats that they do not know, and fields that are typed as "any value" keep what is in them. Types that do not have all of
//! a kind's fields say so themselves (`x-kubernetes-preserve-unknown-fields`), so that a server keeps the others.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSON, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::schema::{OptionalEnum, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::object::{Component, Object, Phase, metadata};
use super::settings::Settings;
use crate::resource::{Column, Definition, Row, Scope, rows};

/// Formats that API servers know.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

/// The CRDs, without the labels of an installation.
pub fn crds() -> Vec<CustomResourceDefinition> {
    rows()
        .filter_map(|row| Some(crd(row, row.definition?)))
        .collect()
}

/// The CRDs as objects of an installation.
pub(super) fn objects(settings: &Settings) -> Vec<Object> {
    let component = Component::Base;
    let installed = crds().into_iter().map(|mut crd| {
        let name = crd.metadata.name.take().unwrap_or_default();
        let annotations = crd.metadata.annotations.take();
        crd.metadata = metadata(&component, settings, None, &name);
        crd.metadata.annotations = annotations;
        Object::new(&component, Phase::Definitions, &crd)
    });
    installed.collect()
}

fn crd(row: &Row, definition: &Definition) -> CustomResourceDefinition {
    let owned = |all: &[&str]| Some(all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
    let given = |all: &[&str]| owned(all).filter(|all| !all.is_empty());
    let schema = schema(definition);
    let version = |(position, name): (usize, &str)| CustomResourceDefinitionVersion {
        name: name.to_owned(),
        served: true,
        storage: position == 0,
        additional_printer_columns: Some(columns(definition)),
        schema: Some(CustomResourceValidation {
            open_api_v3_schema: Some(schema.clone()),
        }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
            scale: None,
        }),
        ..CustomResourceDefinitionVersion::default()
    };
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", row.plural, row.group())),
            annotations: annotations(row),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: row.group().to_owned(),
            names: CustomResourceDefinitionNames {
                kind: row.name.to_owned(),
                list_kind: Some(format!("{}List", row.name)),
                plural: row.plural.to_owned(),
                singular: Some(row.singular()),
                short_names: given(definition.short_names),
                categories: given(definition.categories),
            },
            scope: match row.scope {
                Scope::Cluster => "Cluster".to_owned(),
                Scope::Namespaced => "Namespaced".to_owned(),
            },
            versions: row.versions().enumerate().map(version).collect(),
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// What API servers want to see before they take a CRD of a group of Kubernetes, and what tells controllers of the Gateway API
/// which release of it is installed.
fn annotations(row: &Row) -> Option<BTreeMap<String, String>> {
    let all = [
        (
            "api-approved.kubernetes.io",
            "https://github.com/kubernetes-sigs/gateway-api/pull/2466",
        ),
        ("gateway.networking.k8s.io/bundle-version", "v1.5.0"),
        ("gateway.networking.k8s.io/channel", "experimental"),
    ];
    let owned = all.map(|(key, value)| (key.to_owned(), value.to_owned()));
    row.group()
        .ends_with(".k8s.io")
        .then(|| BTreeMap::from(owned))
}

fn columns(definition: &Definition) -> Vec<CustomResourceColumnDefinition> {
    let column = |column: &Column| CustomResourceColumnDefinition {
        name: column.name.to_owned(),
        type_: column.type_.to_owned(),
        json_path: column.path.to_owned(),
        description: Some(column.description.to_owned()).filter(|text| !text.is_empty()),
        ..CustomResourceColumnDefinition::default()
    };
    let age = Column {
        name: "Age",
        type_: "date",
        path: ".metadata.creationTimestamp",
        description: "",
    };
    definition
        .columns
        .iter()
        .chain([&age])
        .map(column)
        .collect()
}

/// The schema of whole objects.
fn schema(definition: &Definition) -> JSONSchemaProps {
    let settings = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum);
    let mut spec: Value = (definition.schema)(settings);
    if let Some(root) = spec.as_object_mut() {
        root.remove("title");
    }
    // The types make schemas of the API's own shape; a test reads each of them.
    let mut spec: JSONSchemaProps = serde_json::from_value(spec).unwrap_or_default();
    structural(&mut spec);
    JSONSchemaProps {
        type_: Some("object".into()),
        required: Some(vec!["spec".to_owned()]),
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
