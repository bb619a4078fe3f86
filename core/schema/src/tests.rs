//! Schemas on values: which causes they give, and what is left out and filled in.

use serde_json::{Value, json};

use super::Schema;

fn schema() -> Schema {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10, "exclusiveMaximum": true, "multipleOf": 1},
        "big": {"type": "integer", "format": "int32"},
        "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "name": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-zé]+$"},
        "ports": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"}}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "labels": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
        "weight": {"x-kubernetes-int-or-string": true},
        "when": {"type": "string", "format": "date-time", "nullable": true},
        "kind": {"type": "object", "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
            "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
        "either": {"type": "string", "anyOf": [{"pattern": "^a"}, {"maxLength": 1}], "not": {"enum": ["ab"]}},
        "part": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
    }}}});
    Schema::compile(&schema).unwrap()
}

#[track_caller]
fn causes(spec: Value) -> Vec<String> {
    let causes = schema().check(&json!({"spec": spec}), None);
    let texts = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.path, cause.message));
    texts.collect()
}

#[test]
fn unknown_fields_are_removed_and_named() {
    let mut object = json!({"metadata": {"name": "n"}, "foo": 1, "spec": {"size": 1, "bar": 1, "any": {"x": 1},
        "labels": {"a": "b"}, "part": {"apiVersion": "v1", "kind": "X", "metadata": {}, "z": 1}, "ports": [{"name": "p", "q": 1}]}});
    let unknown = schema().prune(&mut object);
    let paths: Vec<String> = unknown.iter().map(|one| one.path.to_string()).collect();
    assert_eq!(paths, ["foo", "spec.bar", "spec.ports[0].q"]);
    assert_eq!(unknown[2].known, ["name", "protocol"]);
    assert_eq!(object["spec"]["any"]["x"], 1);
    assert_eq!(object["spec"]["labels"]["a"], "b");
    assert_eq!(object["spec"]["part"]["z"], 1);
    assert_eq!(object["metadata"]["name"], "n");
}

#[test]
fn defaults_are_filled_in_where_their_parent_is() {
    let mut object = json!({"spec": {"mode": null, "size": null, "when": null, "ports": [{"name": "p"}], "labels": {"a": null}}});
    schema().default(&mut object);
    assert_eq!(
        object,
        json!({"spec": {"mode": "a", "when": null, "ports": [{"name": "p", "protocol": "TCP"}], "labels": {}}})
    );
}

#[test]
fn good_values_pass() {
    for spec in [
        json!({"size": 1, "mode": "b", "weight": "1", "when": null}),
        json!({"size": 2.0, "weight": 3, "name": "aé", "when": "2024-01-01T00:00:00Z", "set": ["a", "b"]}),
        json!({"size": 9, "kind": {"y": ""}, "either": "abc", "part": {"apiVersion": "v1", "kind": "K"}, "labels": {"a": ""}}),
    ] {
        assert_eq!(causes(spec), [""; 0]);
    }
}

#[test]
fn bad_values_are_told_in_the_words_of_api_servers() {
    #[rustfmt::skip]
    let cases = [
        (json!({}), "spec.size: Required value"),
        (json!({"size": 0}), "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        (json!({"size": 10}), "spec.size: Invalid value: 10: spec.size in body should be less than 10"),
        (json!({"size": 1.5}), "spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\""),
        (json!({"size": "1"}), "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\""),
        (json!({"size": 1, "big": 2_147_483_648_i64}), "spec.big: Invalid value: 2147483648: spec.big in body must be of type int32: 2147483648"),
        (json!({"size": 1, "mode": "c"}), "spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\""),
        (json!({"size": 1, "name": "é"}), "spec.name: Invalid value: \"é\": spec.name in body should be at least 2 chars long"),
        (json!({"size": 1, "name": "abcd"}), "spec.name: Too long: may not be more than 3 bytes"),
        (json!({"size": 1, "name": "A1"}), "spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-zé]+$'"),
        (json!({"size": 1, "ports": [{"name": "a"}, {"name": "a"}]}), "spec.ports[1]: Duplicate value: {\"name\":\"a\"}"),
        (json!({"size": 1, "ports": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]}), "spec.ports: Too many: 4: must have at most 3 items"),
        (json!({"size": 1, "set": ["a", "a"]}), "spec.set[1]: Duplicate value: \"a\""),
        (json!({"size": 1, "labels": {}}), "spec.labels: Invalid value: 0: spec.labels in body should have at least 1 properties"),
        (json!({"size": 1, "labels": {"a": 1}}), "spec.labels.a: Invalid value: \"integer\": spec.labels.a in body must be of type string: \"integer\""),
        (json!({"size": 1, "weight": 1.5}), "spec.weight: Invalid value: \"number\": spec.weight in body must be of type integer,string: \"number\""),
        (json!({"size": 1, "when": "today"}), "spec.when: Invalid value: \"today\": spec.when in body must be of type date-time: \"today\""),
        (json!({"size": 1, "kind": {"x": "", "y": ""}}), "spec.kind: Invalid value: \"\": \"spec.kind\" must validate one and only one schema (oneOf). Found 2 valid alternatives"),
        (json!({"size": 1, "either": "ab"}), "spec.either: Invalid value: \"\": \"spec.either\" must not validate the schema (not)"),
        (json!({"size": 1, "part": {"kind": "K"}}), "spec.part.apiVersion: Required value"),
        (json!({"size": 1, "any": null}), "spec.any: Invalid value: \"null\": spec.any in body must be of type object: \"null\""),
    ];
    for (spec, expected) in cases {
        assert_eq!(causes(spec.clone()), [expected], "{spec}");
    }
    assert_eq!(
        causes(json!({"size": 1, "either": "bc"})),
        [
            "spec.either: Invalid value: \"\": \"spec.either\" must validate at least one schema (anyOf)",
            "spec.either: Invalid value: \"bc\": spec.either in body should match '^a'",
        ]
    );
}

#[test]
fn what_was_stored_may_stay() {
    let old = json!({"spec": {"size": 0, "mode": "a"}});
    let new = json!({"spec": {"size": 0, "mode": "b"}});
    assert!(schema().check(&new, Some(&old)).is_empty());
    assert_eq!(schema().check(&new, None).len(), 1);
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    #[rustfmt::skip]
    let cases = [
        (json!({"type": "string", "pattern": "("}), "pattern: Invalid value: \"(\": \"(\" is not a regular expression: unclosed group"),
        (json!({"properties": {}}), "type: Required value: must not be empty for specified fields"),
        (json!({"type": "thing"}), "type: Unsupported value: \"thing\": supported values: \"object\", \"array\", \"string\", \"integer\", \"number\", \"boolean\""),
        (json!({"type": "array"}), "items: Required value: must be specified"),
        (json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}), "uniqueItems: Forbidden: cannot be true; use x-kubernetes-list-type: set"),
        (json!({"type": "object", "additionalProperties": false}), "additionalProperties: Forbidden: additionalProperties cannot be set to false"),
        (json!({"type": "string", "default": 1}), "default: Invalid value: \"integer\": <root> in body must be of type string: \"integer\""),
        (json!({"type": "object", "$ref": "#/x"}), "$ref: Forbidden: is not supported in structural schemas"),
        (json!({"type": "string", "oneOf": [{"type": "string"}]}), "oneOf[0].type: Forbidden: must not be set inside allOf, anyOf, oneOf and not"),
        (json!({"type": "string", "minLength": -1}), "minLength: Invalid value: -1: must be a whole number that is not negative"),
        (json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"], "items": {"type": "object", "properties": {"a": {"type": "string"}}}}),
            "x-kubernetes-list-map-keys[0]: Invalid value: \"a\": entries must be required or have a default"),
    ];
    for (inner, expected) in cases {
        let schema = json!({"type": "object", "properties": {"x": inner}});
        let causes = Schema::compile(&schema).unwrap_err();
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.path, cause.message))
            .collect();
        assert_eq!(texts, [format!("properties.x.{expected}")], "{schema}");
    }
    let int_or_string = json!({"type": "object", "properties": {"x": {
        "x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^a"}}});
    let schema = Schema::compile(&int_or_string).unwrap();
    assert!(schema.check(&json!({"x": 1}), None).is_empty());
    assert_eq!(schema.check(&json!({"x": "b"}), None).len(), 1);
}

#[test]
fn one_error_does_not_silence_the_rules_on_other_values() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [{"rule": "self.a != self.b", "message": "a is b"}],
        "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}, "mode": {"type": "string", "enum": ["x"]},
            "inner": {"type": "object", "x-kubernetes-validations": [{"rule": "self.c != ''", "message": "c is empty"}],
                "properties": {"c": {"type": "string"}}}}}}});
    let schema = Schema::compile(&schema).unwrap();
    let paths = |object: Value| -> Vec<String> {
        let causes = schema.check_all(&object);
        causes.iter().map(|cause| cause.path.to_string()).collect()
    };
    let inner = json!({"c": ""});
    assert_eq!(
        paths(json!({"spec": {"a": "1", "b": "1", "mode": "y", "inner": inner}})),
        ["spec.mode", "spec", "spec.inner"]
    );
    assert_eq!(
        paths(json!({"spec": {"a": 1, "b": "1", "inner": inner}})),
        ["spec.a", "spec.inner"]
    );
    // An API server evaluates no rule then, and says so.
    let causes = schema.check(&json!({"spec": {"a": "1", "b": "1", "mode": "y"}}), None);
    assert_eq!(causes.len(), 2);
    assert!(
        causes[1]
            .message
            .starts_with("some validation rules were not checked")
    );
}
