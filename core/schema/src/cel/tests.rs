//! Rules on values: what holds, what fails with which words, and what does not compile.

use serde_json::{Value, json};

use crate::Schema;

/// Compiles a schema with rules on `spec`.
fn schema(properties: Value, rules: Value) -> Result<Schema, Vec<String>> {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": properties, "x-kubernetes-validations": rules}}});
    Schema::compile(&schema)
        .map_err(|causes| causes.into_iter().map(|cause| cause.message).collect())
}

#[track_caller]
fn outcome(schema: &Schema, new: Value, old: Option<Value>) -> Vec<String> {
    let old = old.map(|old| json!({"spec": old}));
    let causes = schema.check(&json!({"spec": new}), old.as_ref());
    let texts = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.path, cause.message));
    texts.collect()
}

fn fields() -> Value {
    json!({
        "text": {"type": "string"}, "number": {"type": "integer"}, "share": {"type": "number"},
        "list": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "inner": {"type": "object", "properties": {"a": {"type": "string"}, "namespace": {"type": "string"}, "a-b": {"type": "string"}}},
        "time": {"type": "string", "format": "date-time"}, "wait": {"type": "string", "format": "duration"},
    })
}

/// Rules that hold for the object below.
const HOLD: &[&str] = &[
    "has(self.text) && !has(self.number)",
    "self.text.size() == 5",
    "size(self.list) == 2",
    "self.list.all(x, x.startsWith('a'))",
    "self.list.exists_one(x, x == 'ab')",
    "self.list.filter(x, x.endsWith('b')).size() == 1",
    "self.list.map(x, x + 'c') == ['aac', 'abc']",
    "self.map.all(k, self.map[k] != '')",
    "'a.b' in self.map",
    "self.map['a.b'] == 'x'",
    "self.?inner.?a.orValue('none') == 'none'",
    "self.?inner.a.orValue('none') == 'none'",
    "self.?text.hasValue()",
    "self.?text.optMap(t, t.size()).orValue(0) == 5",
    "self.?number.optMap(n, n + 1).orValue(7) == 7",
    "cel.bind(t, self.text, t + t).size() == 10",
    "self.inner.__namespace__ == 'n' && self.inner.a__dash__b == 'c'",
    "self.share == 1.0 && self.share < 2.0",
    "self.time > timestamp('2020-01-01T00:00:00Z')",
    "self.wait <= duration('1h')",
    "isURL('http://a.b/c') && url('http://a.b/c').getHost() == 'a.b'",
    "isIP('::1') && ip('10.0.0.1').family() == 4",
    "cidr('10.0.0.0/8').containsIP('10.1.1.1') && isCIDR('10.0.0.0/8')",
    "quantity('1Gi').isGreaterThan(quantity('500Mi'))",
    "'abc 123'.find('[0-9]+') == '123'",
    "self.text.matches('^h.llo$')",
    "!format.dns1123Label().validate('my-name').hasValue()",
    "[3, 1].sum() == 4 && [1, 2].isSorted()",
    "'a,b'.split(',').join('-') == 'a-b'",
    "'aXa'.replace('a', 'b') == 'bXb'",
    "sets.contains(self.list, ['aa'])",
    "dyn(self.text) == 'héllo'",
    "true || self.map.nothing == '1'",
    "self.list == ['aa', 'ab'] ? true : false",
    "!(self.text in ['x', 'y'])",
    "-5 % 3 == -2",
];

fn object() -> Value {
    json!({"text": "héllo", "list": ["aa", "ab"], "map": {"a.b": "x"}, "share": 1,
           "inner": {"namespace": "n", "a-b": "c"}, "time": "2024-01-01T00:00:00Z", "wait": "30m"})
}

#[test]
fn rules_are_evaluated_as_in_kubernetes() {
    for rule in HOLD {
        let schema = schema(fields(), json!([{"rule": rule}]))
            .unwrap_or_else(|why| panic!("{rule}: {why:?}"));
        assert_eq!(outcome(&schema, object(), None), [""; 0], "{rule}");
    }
}

#[test]
fn rules_that_cannot_be_compiled_are_refused() {
    for (rule, why) in [
        ("", "rule is not specified"),
        ("self.", "no viable alternative"),
        ("self.text = 'a'", "token recognition error"),
        ("selv.text == ''", "undeclared reference to 'selv'"),
        ("self.text.isFoo()", "undeclared reference to 'isFoo'"),
        (
            "lists.range(1000000).size() > 0",
            "undeclared reference to 'range'",
        ),
        ("Message{a: 1}.a == 1", "undeclared reference to 'Message'"),
        ("self.text.matches('(')", "is not a regular expression"),
        ("self.nothing == 1", "undefined field 'nothing'"),
        ("self.inner.b == ''", "undefined field 'b'"),
        (
            "self.list.all(x, x.y == 1)",
            "type 'string' does not support field selection",
        ),
        (
            "self.list[0].z == 1",
            "type 'string' does not support field selection",
        ),
        ("oldSelf.nothing == 1", "undefined field 'nothing'"),
        ("@meter(true, false, null)", "token recognition error"),
    ] {
        let causes = schema(fields(), json!([{"rule": rule}])).unwrap_err();
        assert!(causes[0].contains(why), "{rule}: {causes:?}");
    }
    for (rule, why) in [
        (
            json!({"rule": "true", "messageExpression": "self."}),
            "compilation failed",
        ),
        (
            json!({"rule": "true", "reason": "Because"}),
            "supported values",
        ),
        (
            json!({"rule": "true", "fieldPath": ".nothing"}),
            "that the schema has",
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            "oldSelf is not used",
        ),
    ] {
        let causes = schema(fields(), json!([rule])).unwrap_err();
        assert!(causes[0].contains(why), "{rule}: {causes:?}");
    }
}

#[test]
fn broken_rules_are_told_with_field_reason_and_message() {
    let rules = json!([
        {"rule": "self.text != 'bad'", "message": "text is bad", "fieldPath": ".text", "reason": "FieldValueForbidden"},
        {"rule": "!has(self.number) || self.number < 3", "messageExpression": "'not ' + string(self.number)", "fieldPath": ".inner['a-b']"},
        {"rule": "self.list.size() < 9"},
    ]);
    let schema = schema(fields(), rules).unwrap();
    assert_eq!(
        outcome(
            &schema,
            json!({"text": "bad", "number": 4, "list": []}),
            None
        ),
        [
            "spec.text: Forbidden: text is bad",
            "spec.inner.a-b: Invalid value: \"object\": not 4",
        ]
    );
    assert_eq!(
        outcome(&schema, json!({"text": "good"}), None),
        [
            "spec: Invalid value: \"object\": no such key: list evaluating rule: self.list.size() < 9"
        ]
    );
}

#[test]
fn transitions_are_rules_of_updates() {
    let rules = json!([{"rule": "self.text == oldSelf.text", "message": "text is immutable"},
        {"rule": "oldSelf.hasValue() || self.number == 1", "optionalOldSelf": true, "message": "begins with 1"}]);
    let schema = schema(fields(), rules).unwrap();
    assert_eq!(
        outcome(&schema, json!({"text": "a", "number": 1}), None),
        [""; 0]
    );
    assert_eq!(
        outcome(&schema, json!({"text": "a", "number": 2}), None),
        ["spec: Invalid value: \"object\": begins with 1"]
    );
    let old = || Some(json!({"text": "a", "number": 1}));
    assert_eq!(
        outcome(&schema, json!({"text": "a", "number": 2}), old()),
        [""; 0]
    );
    assert_eq!(
        outcome(&schema, json!({"text": "b", "number": 1}), old()),
        ["spec: Invalid value: \"object\": text is immutable"]
    );
}

#[test]
fn costs_are_bounded() {
    let nested = "self.list.all(a, self.list.all(b, self.list.all(c, self.list.all(d, a + b + c + d != 'x'))))";
    let collecting = "self.list.map(a, self.list.map(b, self.list.map(c, [a, b, c]))).size() > 0";
    let doubling =
        "['a'].map(a, [a,a,a,a].map(b, [b,b,b,b].map(c, [c,c,c,c].map(d, d + d + d)))).size() > 0";
    let list: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for rule in [nested, collecting] {
        let schema = schema(fields(), json!([{"rule": rule}, {"rule": "false"}])).unwrap();
        let causes = outcome(&schema, json!({"list": list}), None);
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(causes[0].contains("cost too much"), "{causes:?}");
    }
    let schema = schema(fields(), json!([{"rule": doubling}])).unwrap();
    assert_eq!(outcome(&schema, json!({}), None), [""; 0]);
}

#[test]
fn hostile_rules_end_in_errors() {
    for rule in [
        "(".repeat(1000),
        format!("{}true{}", "(".repeat(200), ")".repeat(200)),
        format!("true{}", " && true".repeat(3000)),
        format!("1{} > 0", "+1".repeat(1000)),
        format!("{}true", "!".repeat(5000)),
        format!("{}true", "true ? true : ".repeat(500)),
        format!("self{}", ".a".repeat(5000)),
        "-(-9223372036854775807 - 1) == 0".to_owned(),
        "[9223372036854775807, 1].sum() == 0".to_owned(),
        "'%.99999999999f'.format([1.0]) == ''".to_owned(),
        "quantity('1').add(quantity('9223372036854775807')).isGreaterThan(quantity('1')) && false"
            .to_owned(),
        "\u{0}\u{feff}'".to_owned(),
    ] {
        let short: String = rule.chars().take(40).collect();
        match schema(fields(), json!([{"rule": rule}])) {
            Err(causes) => assert!(!causes.is_empty()),
            Ok(schema) => {
                let _ = (short, outcome(&schema, object(), None));
            }
        }
    }
}
