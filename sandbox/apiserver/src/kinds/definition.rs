//! Kinds from CustomResourceDefinitions.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Conversion, Custom, Kind, Kinds, Scale};
use crate::table::printer_columns;

/// Serves the kind that a definition describes, in all its versions.
pub fn serve(kinds: &mut Kinds, definition: &Value) {
    let spec = &definition["spec"];
    let group = text(&spec["group"]);
    let plural = text(&spec["names"]["plural"]);
    if kinds
        .table(&group, &plural)
        .is_some_and(|served| !served.kind.is_custom())
    {
        return;
    }
    let versions = list(&spec["versions"]);
    let storage = versions.iter().find(|version| version["storage"] == true);
    let Some(storage) = storage else { return };
    let kind = Arc::new(kind(spec, storage));
    kinds.remove(&group, &plural);
    let mut names: Vec<String> = versions
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| text(&version["name"]))
        .collect();
    names.sort_by_key(|name| Reverse(priority(name)));
    for version in names {
        kinds.serve(&kind, &group, &version, Conversion::None);
    }
}

fn kind(spec: &Value, storage: &Value) -> Kind {
    let names = &spec["names"];
    let parts = &storage["subresources"];
    let versions = list(&spec["versions"]).iter();
    let custom: BTreeMap<String, Arc<Custom>> = versions
        .map(|version| (text(&version["name"]), Arc::new(custom(version))))
        .collect();
    Kind {
        group: text(&spec["group"]),
        version: text(&storage["name"]),
        kind: text(&names["kind"]),
        list: text(&names["listKind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        generation: true,
        status: parts["status"].is_object(),
        scale: parts["scale"].is_object().then(|| Scale {
            spec: path(&parts["scale"]["specReplicasPath"]),
            status: path(&parts["scale"]["statusReplicasPath"]),
            selector: path(&parts["scale"]["labelSelectorPath"]),
        }),
        parts: &[],
        transient: false,
        custom,
    }
}

fn custom(version: &Value) -> Custom {
    let schema = version["schema"]["openAPIV3Schema"].clone();
    let selectable = list(&version["selectableFields"]).iter();
    let selectable = selectable
        .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned())
        .collect();
    Custom::new(schema, printer_columns(version), selectable)
}

/// The order of versions: `v2`, `v1`, `v1beta2`, `v1alpha1`, and then others by name.
fn priority(version: &str) -> (u8, u64, u64, Reverse<String>) {
    let other = (0, 0, 0, Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else {
        return other;
    };
    let digits = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, stage) = rest.split_at(digits);
    let Ok(major) = major.parse() else {
        return other;
    };
    let (rank, minor) = match stage {
        "" => return (3, major, 0, Reverse(String::new())),
        stage if stage.starts_with("beta") => (2, &stage[4..]),
        stage if stage.starts_with("alpha") => (1, &stage[5..]),
        _ => return other,
    };
    match minor.parse() {
        Ok(minor) => (rank, major, minor, Reverse(String::new())),
        Err(_) => other,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The steps of `.spec.replicas`.
fn path(value: &Value) -> Vec<String> {
    let steps = value.as_str().unwrap_or_default().split('.');
    steps
        .filter(|step| !step.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_preferred_by_their_maturity() {
        let mut versions = ["v1alpha3", "foo", "v1", "v1beta1", "v2", "v1beta2"];
        versions.sort_by_key(|version| Reverse(priority(version)));
        assert_eq!(
            versions,
            ["v2", "v1", "v1beta2", "v1beta1", "v1alpha3", "foo"]
        );
    }

    #[test]
    fn a_definition_brings_a_kind_in_all_served_versions() {
        let mut kinds = Kinds::builtin();
        let version = |name: &str, storage: bool, served: bool| {
            json!({"name": name, "storage": storage, "served": served,
                   "schema": {"openAPIV3Schema": {"type": "object"}}, "subresources": {"status": {}}})
        };
        let definition = json!({"spec": {"group": "ex.io", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "listKind": "ThingList", "singular": "thing", "shortNames": ["th"]},
            "versions": [version("v1beta1", false, true), version("v1", true, true), version("v1alpha1", false, false)]}});
        serve(&mut kinds, &definition);
        let thing = kinds.find("ex.io", "v1beta1", "things").unwrap();
        assert!(thing.kind.status && thing.kind.is_custom());
        assert_eq!(thing.kind.api_version(), "ex.io/v1");
        assert!(kinds.find("ex.io", "v1alpha1", "things").is_none());
        let groups = kinds.groups();
        assert_eq!(groups.last().unwrap(), &("ex.io", vec!["v1", "v1beta1"]));
        kinds.remove("ex.io", "things");
        assert!(kinds.find("ex.io", "v1", "things").is_none());
    }
}
