//! The CRDs of Istio's kinds, made from our types. The kinds' three versions have one schema, of which `v1` is stored.
//!
//! What the derive makes is brought to what API servers want: no defaults (they would be written into users' objects), no
//! formats that they do not know, and fields that are typed as "any value" keep what is in them. Types that do not have all of
//! Istio's fields say so themselves (`x-kubernetes-preserve-unknown-fields`), so that a server keeps the others.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::object::{Component, Object, Phase, metadata};
use super::settings::Settings;
use crate::model::{DestinationRule, Gateway, ServiceEntry, VirtualService};

/// The versions, the one that is stored first.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];

/// Formats that API servers know.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

/// The CRDs, without the labels of an installation.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut all = [
        DestinationRule::crd(),
        Gateway::crd(),
        ServiceEntry::crd(),
        VirtualService::crd(),
    ];
    for crd in &mut all {
        if crd.spec.names.kind == "ServiceEntry" {
            name_selector_labels(crd);
        }
        finish(crd);
    }
    all.into()
}

/// The CRDs as objects of an installation.
pub(super) fn objects(settings: &Settings) -> Vec<Object> {
    let component = Component::Base;
    let installed = crds().into_iter().map(|mut crd| {
        let name = crd.metadata.name.take().unwrap_or_default();
        crd.metadata = metadata(&component, &settings.namespace, None, &name);
        Object::new(&component, Phase::Definitions, &crd)
    });
    installed.collect()
}

/// `workloadSelector` has `labels` here and `matchLabels` elsewhere; our type reads both.
fn name_selector_labels(crd: &mut CustomResourceDefinition) {
    let of_spec = |version: &mut CustomResourceDefinitionVersion| {
        let schema = version.schema.as_mut()?.open_api_v3_schema.as_mut()?;
        let spec = schema.properties.as_mut()?.get_mut("spec")?;
        let selector = spec.properties.as_mut()?.get_mut("workloadSelector")?;
        let fields = selector.properties.as_mut()?;
        let labels = fields.remove("matchLabels")?;
        fields.insert("labels".into(), labels)
    };
    for version in &mut crd.spec.versions {
        of_spec(version);
    }
}

fn finish(crd: &mut CustomResourceDefinition) {
    let names = &mut crd.spec.names;
    names.list_kind = Some(format!("{}List", names.kind));
    let spec_of = |version: &mut CustomResourceDefinitionVersion| {
        let schema = version.schema.as_mut()?.open_api_v3_schema.as_mut()?;
        schema.description = None;
        let properties = schema.properties.get_or_insert_default();
        properties.insert("status".into(), any_object());
        properties.get_mut("spec").map(structural)
    };
    for version in &mut crd.spec.versions {
        spec_of(version);
        version.subresources = Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
            scale: None,
        });
    }
    if let Some(first) = crd.spec.versions.first().cloned() {
        crd.spec.versions = VERSIONS
            .into_iter()
            .enumerate()
            .map(|(position, name)| CustomResourceDefinitionVersion {
                name: name.to_owned(),
                served: true,
                storage: position == 0,
                ..first.clone()
            })
            .collect();
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
        schema.minimum = Some(0.0);
        schema.maximum =
            Some(f64::from(u32::MAX)).filter(|_| schema.format.as_deref() == Some("uint32"));
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
