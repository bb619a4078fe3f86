//! The requests, and what counts of their answers.

use std::net::SocketAddr;

use crate::http;
use crate::mesh::Kind;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name in messages.
    pub name: &'static str,
    /// Which proxy.
    pub kind: Kind,
    /// Where the client connects.
    pub address: &'static str,
    /// Request line and headers, without `Connection`.
    pub head: &'static str,
}

/// What counts of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status code; empty when there was no answer.
    pub status: String,
    /// Who answered; empty when it was the proxy itself.
    pub version: String,
    /// What the backend saw.
    pub seen: String,
    /// `location` and headers that tests add.
    pub headers: Vec<String>,
}

const REVIEWS: &str = "10.96.0.10:9080";
const RATINGS: &str = "10.96.0.11:9080";
const UNKNOWN: &str = "10.96.9.9:9080";
const GATEWAY: &str = "127.0.0.1:8080";

const fn sidecar(name: &'static str, address: &'static str, head: &'static str) -> Case {
    Case { name, kind: Kind::Sidecar, address, head }
}

const fn gateway(name: &'static str, head: &'static str) -> Case {
    Case { name, kind: Kind::Gateway, address: GATEWAY, head }
}

/// Every request that both proxies must answer alike.
pub const CASES: [Case; 30] = [
    sidecar("exact path", REVIEWS, "GET /exact HTTP/1.1\r\nHost: reviews"),
    sidecar("exact path with a query", REVIEWS, "GET /exact?a=b HTTP/1.1\r\nHost: reviews"),
    sidecar("longer than the exact path", REVIEWS, "GET /exact/more?pin=v3 HTTP/1.1\r\nHost: reviews"),
    sidecar("prefix is not aware of segments", REVIEWS, "GET /prefixed HTTP/1.1\r\nHost: reviews"),
    sidecar("prefix rewrite", REVIEWS, "GET /prefix/x?y=z HTTP/1.1\r\nHost: reviews"),
    sidecar("regex", REVIEWS, "GET /item/42 HTTP/1.1\r\nHost: reviews"),
    sidecar("regex matches as a whole", REVIEWS, "GET /item/42/x?pin=v3 HTTP/1.1\r\nHost: reviews"),
    sidecar("ignored case", REVIEWS, "GET /CaSe HTTP/1.1\r\nHost: reviews"),
    sidecar("method", REVIEWS, "DELETE /method HTTP/1.1\r\nHost: reviews"),
    sidecar("header", REVIEWS, "GET /h HTTP/1.1\r\nHost: reviews\r\nend-user: jason"),
    sidecar("header present", REVIEWS, "GET /h HTTP/1.1\r\nHost: reviews\r\nx-test-present: 1"),
    sidecar("without header", REVIEWS, "GET /without HTTP/1.1\r\nHost: reviews"),
    sidecar("query", REVIEWS, "GET /?pin=v3&x=1 HTTP/1.1\r\nHost: reviews"),
    sidecar("source labels", REVIEWS, "GET /from-client HTTP/1.1\r\nHost: reviews"),
    sidecar("redirect", REVIEWS, "GET /redirect HTTP/1.1\r\nHost: reviews"),
    sidecar("direct response", REVIEWS, "GET /direct HTTP/1.1\r\nHost: reviews"),
    sidecar("header changes", REVIEWS, "GET /headers HTTP/1.1\r\nHost: reviews\r\nx-test-gone: 1\r\nx-test-set: old"),
    sidecar("authority rewrite", REVIEWS, "GET /authority HTTP/1.1\r\nHost: reviews"),
    sidecar("missing subset", REVIEWS, "GET /nowhere HTTP/1.1\r\nHost: reviews"),
    sidecar("short and long names", REVIEWS, "GET /exact HTTP/1.1\r\nHost: reviews.default.svc:9080"),
    sidecar("virtual address as host", REVIEWS, "GET /exact HTTP/1.1\r\nHost: 10.96.0.10:9080"),
    sidecar("names ignore case", REVIEWS, "GET /exact HTTP/1.1\r\nHost: Reviews.Default"),
    sidecar("no endpoints", RATINGS, "GET / HTTP/1.1\r\nHost: ratings"),
    sidecar("unknown host is refused", UNKNOWN, "GET / HTTP/1.1\r\nHost: nobody.example.com"),
    sidecar("retried codes end as they are", REVIEWS, "GET /status/503 HTTP/1.1\r\nHost: reviews\r\nend-user: jason"),
    gateway("gateway exact", "GET /exact HTTP/1.1\r\nHost: bookinfo.example.com"),
    gateway("gateway exact with a port", "GET /exact HTTP/1.1\r\nHost: bookinfo.example.com:8080"),
    gateway("gateway without a route", "GET /none HTTP/1.1\r\nHost: bookinfo.example.com"),
    gateway("gateway unknown host", "GET /exact HTTP/1.1\r\nHost: other.example.com"),
    gateway("gateway merged", "GET /merged HTTP/1.1\r\nHost: bookinfo.example.com"),
];

/// The request whose answers are counted.
pub fn weighted(kind: Kind) -> Case {
    match kind {
        Kind::Sidecar => sidecar("weighted", REVIEWS, "GET /weighted HTTP/1.1\r\nHost: reviews"),
        Kind::Gateway => gateway("weighted", "GET /weighted HTTP/1.1\r\nHost: bookinfo.example.com"),
    }
}

/// Sends a request and reads what counts of the answer.
pub fn send(case: &Case) -> Answer {
    let address: SocketAddr = case.address.parse().unwrap();
    let request = format!("{}\r\nConnection: close\r\n\r\n", case.head);
    let Ok(text) = http::exchange(address, &request) else { return Answer::default() };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let mut headers: Vec<String> = lines
        .map(str::to_ascii_lowercase)
        .filter(|line| line.starts_with("location:") || line.starts_with("x-test"))
        .collect();
    headers.sort();
    let (version, seen) = body.split_once('\n').unwrap_or_default();
    if !["v1", "v2", "v3"].contains(&version) {
        return Answer { status, headers, ..Answer::default() };
    }
    Answer { status, version: version.to_owned(), seen: seen.to_owned(), headers }
}
