//! The CRDs of our kinds, made from the rows of the table of kinds and from our types. The versions of a kind have one schema
//! ([`Definition::open_api_schema`]); the current one is stored.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::object::{Component, Object, Phase, metadata};
use super::settings::Settings;
use crate::resource::{Column, Definition, Row, Scope, rows};

/// The CRDs, without the labels of an installation.
pub fn crds() -> Vec<CustomResourceDefinition> {
    of(|_| true)
}

fn of(is_wanted: impl Fn(&Row) -> bool) -> Vec<CustomResourceDefinition> {
    rows()
        .filter(|row| is_wanted(row))
        .filter_map(|row| Some(crd(row, row.definition?)))
        .collect()
}

/// The CRDs as objects of an installation.
pub(super) fn objects(settings: &Settings) -> Vec<Object> {
    let component = Component::Base;
    let wanted = of(|row| settings.legacy || !row.is_legacy());
    let installed = wanted.into_iter().map(|mut crd| {
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
    let schema = definition.open_api_schema();
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
        ("gateway.networking.k8s.io/bundle-version", "v1.6.0"),
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
