//! What expressions are understood, and what they say.

use std::borrow::Cow;

use super::{Attribute, Attributes, Expression, HeaderMap, Value};

struct Request;

impl Attributes for Request {
    fn attribute(&self, attribute: Attribute) -> Option<Value<'_>> {
        match attribute {
            Attribute::ResponseCode => Some(Value::Int(503)),
            Attribute::RequestPath => Some(Value::Text("/a/b?c=d".into())),
            Attribute::RequestHost => Some(Value::Text("reviews".into())),
            Attribute::DestinationPort => Some(Value::Int(9080)),
            Attribute::ConnectionMtls => Some(Value::Bool(true)),
            _ => None,
        }
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Cow<'_, str>> {
        (map == HeaderMap::Request && name == "x-user").then_some("jason".into())
    }
}

#[track_caller]
fn check(text: &str, expect: Option<&str>) {
    let expression = Expression::parse(text).unwrap();
    let value = expression.text(&Request);
    assert_eq!(value.as_deref(), expect, "{text}");
}

#[track_caller]
fn refused(text: &str, expect: &str) {
    assert_eq!(Expression::parse(text).unwrap_err(), expect, "{text}");
}

#[test]
fn attributes_are_compared() {
    check("response.code >= 400", Some("true"));
    check("response.code == 200 || connection.mtls", Some("true"));
    check("response.code in [200, 503]", Some("true"));
    check(
        "!(response.code < 500) && request.host != 'x'",
        Some("true"),
    );
    check("request.path.startsWith(\"/a\")", Some("true"));
    check("request.path.matches('^/b')", Some("false"));
    check("request.headers['X-User'] == \"jason\"", Some("true"));
    check("'x-user' in request.headers", Some("true"));
    check("'x-group' in request.headers", Some("false"));
    check("has(request.headers.x_user)", Some("false"));
    check("has(request.headers['x-user'])", Some("true"));
    check("has(response.grpc_status)", Some("false"));
    check("size(request.host) + 1", Some("8"));
    check("-1 + 2 * 3", Some("5"));
    check("response.code > 499.5", Some("true"));
}

#[test]
fn values_become_texts() {
    check("string(destination.port)", Some("9080"));
    check(
        "request.host + ':' + string(destination.port)",
        Some("reviews:9080"),
    );
    check("response.code >= 500 ? \"5xx\" : 'other'", Some("5xx"));
}

#[test]
fn what_cannot_be_computed_is_passed_over_where_the_other_side_decides() {
    check("request.headers['x-group'] == 'a'", None);
    check(
        "request.headers['x-group'] == 'a' || response.code == 503",
        Some("true"),
    );
    check(
        "response.code == 503 || request.headers['x-group'] == 'a'",
        Some("true"),
    );
    check(
        "request.headers['x-group'] == 'a' && response.code == 200",
        Some("false"),
    );
    check(
        "request.headers['x-group'] == 'a' && response.code == 503",
        None,
    );
    check("1 / 0", None);
    check("9223372036854775807 + 1", None);
    check("response.code < 'a'", None);
}

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    refused(
        "request.time > 1",
        "request.time is not an attribute that is known here",
    );
    refused("metadata.x", "metadata is not known here");
    refused(
        "request.path.replace('a', 'b')",
        "the method replace is not known here",
    );
    refused("timestamp('x')", "the function timestamp is not known here");
    refused("response.code >=", "it ends too early");
    refused("(response.code", ") is expected, and there is the end");
    refused("'abc", "the text at 'abc does not end");
    refused("response.code 5", "5 is not expected");
    refused(
        "request.path.matches('(')",
        "\"(\" is not a pattern: regex parse error:\n    (\n    ^\nerror: unclosed group",
    );
    refused(&"(".repeat(500), "it is nested too deep");
    refused(&"!".repeat(500), "it is nested too deep");
    refused(&"1+".repeat(100_000), "it has more than 512 words");
}

#[test]
fn any_text_is_understood_or_refused() {
    proptest::proptest!(|(text in "[a-z.()'\\[\\]!&|<>=?:+*/ 0-9]{0,40}")| {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = expression.evaluate(&Request);
        }
    });
}
