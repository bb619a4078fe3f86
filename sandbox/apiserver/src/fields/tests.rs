//! Who owns which field: server-side apply, its conflicts, and managed fields as clients know them.

use serde_json::json;

use super::apply::Merged;
use super::set::Fields;
use super::*;

const ROOT: Shape<'static> = Shape::Builtin {
    parent: "",
    field: "",
};

fn owner(manager: &str) -> Owner<'_> {
    Owner {
        manager,
        api_version: "apps/v1",
        subresource: "",
        time: "2026-01-01T00:00:00Z",
    }
}

/// Applies, and carries the owners as a write does.
fn applied(live: &Value, manager: &str, config: &Value, force: bool) -> Result<Value, String> {
    let merged = apply(ROOT, &owner(manager), live, config, force);
    let Merged {
        mut object,
        managed,
    } = merged.map_err(|status| status.message)?;
    object["metadata"]["managedFields"] = managed;
    Ok(object)
}

fn deployment(replicas: Value, image: &str) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "labels": {"l": "1"}},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": {
            "containers": [{"name": "c", "image": image, "ports": [{"containerPort": 80}]}]}}}});
    if !replicas.is_null() {
        object["spec"]["replicas"] = replicas;
    }
    object
}

#[test]
fn fields_are_written_as_clients_know_them() {
    let object = applied(&Value::Null, "m", &deployment(json!(1), "i"), false).unwrap();
    let entry = &object["metadata"]["managedFields"][0];
    assert_eq!(
        entry["fieldsV1"],
        json!({"f:metadata": {"f:labels": {"f:l": {}}}, "f:spec": {"f:replicas": {}, "f:selector": {},
            "f:template": {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {
                "k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}})
    );
    assert_eq!(entry["operation"], "Apply");
    assert_eq!(
        Fields::parse(&entry["fieldsV1"]).to_value(),
        entry["fieldsV1"]
    );
}

#[test]
fn the_same_again_changes_nothing() {
    let config = deployment(json!(1), "i");
    let first = applied(&Value::Null, "m", &config, false).unwrap();
    let later = Owner {
        time: "2027-01-01T00:00:00Z",
        ..owner("m")
    };
    let second = apply(ROOT, &later, &first, &config, false).unwrap();
    assert_eq!(second.managed, first["metadata"]["managedFields"]);
    assert_eq!(second.object, first);
}

#[test]
fn what_is_no_longer_applied_goes_unless_others_own_it() {
    let first = applied(&Value::Null, "m", &deployment(json!(1), "i"), false).unwrap();
    let alone = applied(&first, "m", &deployment(Value::Null, "i"), false).unwrap();
    assert!(alone["spec"]["replicas"].is_null());
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": 1}});
    let shared = applied(&first, "other", &other, false).unwrap();
    let left = applied(&shared, "m", &deployment(Value::Null, "i"), false).unwrap();
    assert_eq!(left["spec"]["replicas"], 1);
    let mut without = deployment(json!(1), "i");
    without["spec"]["template"]["spec"]["containers"] = json!([{"name": "d", "image": "j"}]);
    let replaced = applied(&first, "m", &without, false).unwrap();
    assert_eq!(
        replaced["spec"]["template"]["spec"]["containers"],
        json!([{"name": "d", "image": "j"}])
    );
    let mut plain = deployment(json!(1), "i");
    plain["metadata"] = json!({"name": "x"});
    let unlabelled = applied(&first, "m", &plain, false).unwrap();
    assert!(unlabelled["metadata"]["labels"].is_null());
    assert_eq!(unlabelled["metadata"]["name"], "x");
}

#[test]
fn a_field_of_others_is_a_conflict_and_force_takes_it() {
    let first = applied(&Value::Null, "m", &deployment(json!(1), "i"), false).unwrap();
    let mut scaled = first.clone();
    scaled["spec"]["replicas"] = json!(3);
    update(ROOT, &owner("kubectl-scale"), Some(&first), &mut scaled);
    let config = deployment(json!(2), "i");
    let error = applied(&scaled, "m", &config, false).unwrap_err();
    assert_eq!(
        error,
        r#"Apply failed with 1 conflict: conflict with "kubectl-scale" using apps/v1: .spec.replicas"#
    );
    let forced = applied(&scaled, "m", &config, true).unwrap();
    assert_eq!(forced["spec"]["replicas"], 2);
    assert_eq!(
        forced["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let image = deployment(Value::Null, "other");
    let error = applied(&first, "other", &image, false).unwrap_err();
    assert!(
        error.ends_with(r#"conflict with "m": .spec.template.spec.containers[name="c"].image"#),
        "{error}"
    );
}

#[test]
fn lists_keep_the_order_of_the_applied_elements() {
    let pod = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}})
    };
    let live = applied(&Value::Null, "injector", &pod(&["proxy"]), false).unwrap();
    let both = applied(&live, "m", &pod(&["a", "b"]), false).unwrap();
    let again = applied(&both, "m", &pod(&["a", "new", "b"]), false).unwrap();
    assert_eq!(
        again["spec"]["containers"],
        json!([{"name": "proxy"}, {"name": "a"}, {"name": "new"}, {"name": "b"}])
    );
}

#[test]
fn updates_own_what_they_change_and_take_it_from_others() {
    let mut object = json!({"metadata": {"name": "c"}, "data": {"a": "1", "b": "1"}});
    update(ROOT, &owner("one"), None, &mut object);
    let mut changed = object.clone();
    changed["data"] = json!({"a": "2", "c": "1"});
    update(ROOT, &owner("two"), Some(&object), &mut changed);
    let entries = &changed["metadata"]["managedFields"];
    assert_eq!(
        entries[1]["fieldsV1"],
        json!({"f:data": {"f:a": {}, "f:c": {}}})
    );
    assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {}}));
    let mut same = changed.clone();
    update(ROOT, &owner("three"), Some(&changed), &mut same);
    assert_eq!(same, changed);
}
