//! Heads in and out, and what is refused.

use http::{HeaderMap, HeaderValue, Request, Response};

use super::*;
use crate::http1::{
    Framing, HeadLimits, RequestHead, RequestLine, RequestRef, ResponseHead, Trailers, Unchanged,
};

fn request(uri: &str, fields: &[(&'static str, &str)]) -> http::request::Parts {
    let mut request = Request::new(());
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in fields {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request.into_parts().0
}

#[track_caller]
fn refused(parts: &http::request::Parts) -> &'static str {
    let read = read_request(
        &mut RequestHead::default(),
        &mut Vec::new(),
        parts,
        true,
        HeadLimits::FIRST,
    );
    read.err().map_or("", |refusal| refusal.details)
}

#[test]
fn a_head_becomes_lines_of_http1_and_fields_of_http2_again() {
    let fields = [
        ("host", "A:80"),
        ("cookie", "a=1"),
        ("x-two", "1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("x-two", "2"),
    ];
    let parts = request("http://a:80/p/q?x=1", &fields);
    let (mut head, mut bytes) = (RequestHead::default(), Vec::new());
    read_request(&mut head, &mut bytes, &parts, false, HeadLimits::FIRST).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        "GET /p/q?x=1 HTTP/2\r\nhost: a:80\r\nx-two: 1\r\nx-two: 2\r\nte: trailers\r\ncookie: a=1; b=2\r\n\r\n"
    );
    assert_eq!(head.framing, Framing::Chunked);
    let request = RequestRef {
        head: &head,
        bytes: &bytes,
    };
    assert_eq!(request.method(), b"GET");
    assert_eq!(
        (request.path(), request.query()),
        (&b"/p/q"[..], Some(&b"x=1"[..]))
    );
    assert_eq!(request.authority(), b"a:80");
    let line = RequestLine {
        path: request.path_and_query(),
        query: None,
        host: b"other",
    };
    let written = write_request(request, line, &Unchanged).unwrap();
    assert_eq!(written.uri(), "http://other/p/q?x=1");
    assert_eq!(written.headers()["te"], "trailers");
    assert_eq!(written.headers()["cookie"], "a=1; b=2");
    assert_eq!(written.headers().get_all("x-two").iter().count(), 2);
    assert!(!written.headers().contains_key("host"));
}

#[test]
fn what_servers_could_understand_differently_is_refused() {
    assert_eq!(refused(&request("http://a/", &[("host", "a")])), "");
    assert_eq!(
        refused(&request("http://a/", &[("host", "b")])),
        "http2.contradicting_host_header"
    );
    assert_eq!(
        refused(&request("/", &[("host", "b"), ("host", "b")])),
        "http2.repeated_host_header"
    );
    assert_eq!(refused(&request("/", &[])), "missing_host_header");
    assert_eq!(
        refused(&request("/", &[("host", "a b")])),
        "http2.invalid_host_header"
    );
    let length = [("content-length", "1"), ("content-length", "2")];
    assert_eq!(
        refused(&request("http://a/", &length)),
        "http2.invalid_content_length"
    );
    assert_eq!(
        refused(&request("http://a", &[("expect", "x")])),
        "http2.invalid_expectation"
    );
    let mut lower = request("http://a/", &[]);
    lower.method = http::Method::from_bytes(b"get").unwrap();
    assert_eq!(refused(&lower), "http2.invalid_method");
}

#[test]
fn responses_keep_their_code_and_length() {
    let response = Response::builder()
        .status(404)
        .header("content-length", "3");
    let (parts, ()) = response.body(()).unwrap().into_parts();
    let (mut head, mut bytes) = (ResponseHead::default(), Vec::new());
    read_response(
        &mut head,
        &mut bytes,
        &parts,
        (false, false),
        HeadLimits::FIRST,
    )
    .unwrap();
    assert_eq!((head.code, head.framing), (404, Framing::Length(3)));
    assert_eq!(head.reason(&bytes), b"Not Found");
    read_response(
        &mut head,
        &mut bytes,
        &parts,
        (false, true),
        HeadLimits::FIRST,
    )
    .unwrap();
    assert_eq!(head.framing, Framing::None);
    let written = write_response(&head, &bytes, &Unchanged);
    assert_eq!(
        (written.status().as_u16(), written.headers().len()),
        (404, 1)
    );
}

#[test]
fn trailers_pass_but_for_those_of_heads() {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from_static("5"));
    map.insert("content-length", HeaderValue::from_static("5"));
    let mut read = Trailers::default();
    read_trailers(&mut read, &map).unwrap();
    let written = trailers(read.fields());
    assert_eq!(
        (written.len(), &written["grpc-status"]),
        (1, &HeaderValue::from_static("5"))
    );
}
