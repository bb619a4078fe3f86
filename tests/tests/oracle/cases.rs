//! The requests, and what must come out, by the rules of Istio's reference.

use crate::mesh::{Kind, Mode};

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name in messages.
    pub name: &'static str,
    /// Which proxy.
    pub kind: Kind,
    /// What happens to hosts that nobody knows.
    pub mode: Mode,
    /// Where the client connects.
    pub address: &'static str,
    /// Request line and headers, without `Connection`; in TCP all that is sent.
    pub head: &'static str,
    /// Status, and who answers, if it is not the proxy; in TCP what comes back.
    pub expect: &'static str,
}

/// What only HTTP/1.1 has, and paths that answer differently the second time.
const HTTP1_ONLY: [&str; 6] = [
    "http://",
    "Connection:",
    "Upgrade:",
    "Transfer-Encoding:",
    "CONNECT ",
    " /single-",
];

// === impl Case ===

impl Case {
    /// The same request by HTTP/2; none where there is no such request.
    pub fn by_http2(&self) -> Option<Self> {
        let (line, fields) = self.head.split_once(" HTTP/1.1\r\n")?;
        if HTTP1_ONLY.iter().any(|text| self.head.contains(text)) || self.is_refused_differently() {
            return None;
        }
        // Cases live as long as the test.
        let head = format!("{line} HTTP/2\r\n{fields}").leak();
        let name = format!("{} by HTTP/2", self.name).leak();
        Some(Self {
            name,
            head,
            ..*self
        })
    }

    /// Whether protocols differ in what is no request.
    fn is_refused_differently(&self) -> bool {
        self.expect == "400"
    }
}

const REVIEWS: &str = "10.96.0.10:9080";
const RATINGS: &str = "10.96.0.11:9080";
const SHOP: &str = "10.96.0.14:9080";
const ECHO: &str = "10.96.0.13:9090";
/// Hosts outside, whatever they resolve to.
pub const OUTSIDE: &str = "10.96.8.8:8080";
const UNKNOWN: &str = "10.97.0.1:9080";
const UNKNOWN_PORT: &str = "10.97.0.1:9081";
const GATEWAY: &str = "127.0.0.1:8080";

const fn sidecar(
    name: &'static str,
    address: &'static str,
    head: &'static str,
    expect: &'static str,
) -> Case {
    Case {
        name,
        kind: Kind::Sidecar,
        mode: Mode::RegistryOnly,
        address,
        head,
        expect,
    }
}

const fn gateway(name: &'static str, head: &'static str, expect: &'static str) -> Case {
    Case {
        name,
        kind: Kind::Gateway,
        mode: Mode::RegistryOnly,
        address: GATEWAY,
        head,
        expect,
    }
}

const fn open(
    name: &'static str,
    address: &'static str,
    head: &'static str,
    expect: &'static str,
) -> Case {
    Case {
        name,
        kind: Kind::Sidecar,
        mode: Mode::AllowAny,
        address,
        head,
        expect,
    }
}

/// Every request that both proxies must answer alike.
pub const CASES: &[Case] = &[
    // Patches of EnvoyFilters
    sidecar(
        "denied by a filter of a patch",
        REVIEWS,
        "GET /forbidden/x HTTP/1.1\r\nHost: reviews",
        "403",
    ),
    sidecar(
        "route of a patch",
        REVIEWS,
        "GET /patched HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    gateway(
        "denied at a gateway by a filter of a patch",
        "GET /forbidden HTTP/1.1\r\nHost: bookinfo.example.com",
        "403",
    ),
    // Paths
    sidecar(
        "exact path",
        REVIEWS,
        "GET /exact HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "exact path with a query",
        REVIEWS,
        "GET /exact?a=b HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "longer than the exact path",
        REVIEWS,
        "GET /exact/more?pin=v3 HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "paths have a case",
        REVIEWS,
        "GET /EXACT?pin=v3 HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "prefix is not aware of segments",
        REVIEWS,
        "GET /prefixed HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "prefix rewrite",
        REVIEWS,
        "GET /prefix/x?y=z HTTP/1.1\r\nHost: reviews",
        "200 v2",
    ),
    sidecar(
        "regex",
        REVIEWS,
        "GET /item/42 HTTP/1.1\r\nHost: reviews",
        "200 v2",
    ),
    sidecar(
        "regex matches as a whole",
        REVIEWS,
        "GET /item/42/x?pin=v3 HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "regex does not see the query",
        REVIEWS,
        "GET /item/42?pin=v3 HTTP/1.1\r\nHost: reviews",
        "200 v2",
    ),
    sidecar(
        "ignored case",
        REVIEWS,
        "GET /CaSe HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    // Method, headers, query, authority, port, source
    sidecar(
        "method",
        REVIEWS,
        "DELETE /method HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "header",
        REVIEWS,
        "GET /h HTTP/1.1\r\nHost: reviews\r\nend-user: jason",
        "200 v2",
    ),
    sidecar(
        "header values have a case",
        REVIEWS,
        "GET /h?pin=v3 HTTP/1.1\r\nHost: reviews\r\nend-user: Jason",
        "200 v3",
    ),
    sidecar(
        "header names have none",
        REVIEWS,
        "GET /h HTTP/1.1\r\nHost: reviews\r\nEND-USER: jason",
        "200 v2",
    ),
    sidecar(
        "header present",
        REVIEWS,
        "GET /h HTTP/1.1\r\nHost: reviews\r\nx-test-present: 1",
        "200 v3",
    ),
    sidecar(
        "header prefix",
        REVIEWS,
        "GET /h HTTP/1.1\r\nHost: reviews\r\nx-test-prefix: abc",
        "200 v1",
    ),
    sidecar(
        "header regex",
        REVIEWS,
        "GET /h HTTP/1.1\r\nHost: reviews\r\nx-test-regex: abc",
        "200 v2",
    ),
    sidecar(
        "header regex as a whole",
        REVIEWS,
        "GET /?pin=v3 HTTP/1.1\r\nHost: reviews\r\nx-test-regex: abcd",
        "200 v3",
    ),
    sidecar(
        "without header",
        REVIEWS,
        "GET /without HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "with the unwanted header",
        REVIEWS,
        "GET /without?pin=v3 HTTP/1.1\r\nHost: reviews\r\nx-test-absent: 1",
        "200 v3",
    ),
    sidecar(
        "query",
        REVIEWS,
        "GET /?pin=v3&x=1 HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "query regex",
        REVIEWS,
        "GET /?x=1&pin=v2 HTTP/1.1\r\nHost: reviews",
        "200 v2",
    ),
    sidecar(
        "both conditions",
        REVIEWS,
        "GET /both HTTP/1.1\r\nHost: reviews\r\nx-test-a: 1",
        "200 v1",
    ),
    sidecar(
        "one of two conditions",
        REVIEWS,
        "GET /both?pin=v3 HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "the other match",
        REVIEWS,
        "GET /either HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "authority",
        REVIEWS,
        "GET /authority-match HTTP/1.1\r\nHost: reviews.default",
        "200 v3",
    ),
    sidecar(
        "port",
        REVIEWS,
        "GET /port HTTP/1.1\r\nHost: reviews",
        "200 v3",
    ),
    sidecar(
        "source labels",
        REVIEWS,
        "GET /from-client HTTP/1.1\r\nHost: reviews",
        "200 v2",
    ),
    // Timeouts and retries
    sidecar(
        "timeout",
        REVIEWS,
        "GET /slow HTTP/1.1\r\nHost: reviews",
        "504",
    ),
    sidecar(
        "retries until it works",
        REVIEWS,
        "GET /flaky-2-a HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "retries end",
        REVIEWS,
        "GET /flaky-9-a HTTP/1.1\r\nHost: reviews",
        "503 v1",
    ),
    sidecar(
        "retries of a slow try",
        REVIEWS,
        "GET /slow-once-a HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "no retries",
        REVIEWS,
        "GET /single-1-a HTTP/1.1\r\nHost: reviews",
        "503 v1",
    ),
    sidecar(
        "default retries of what is not idempotent",
        REVIEWS,
        "POST /exact HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0",
        "200 v1",
    ),
    sidecar(
        "retried codes end as they are",
        REVIEWS,
        "GET /status/503 HTTP/1.1\r\nHost: reviews\r\nend-user: jason",
        "503 v2",
    ),
    // Redirects, direct responses, rewrites, header changes
    sidecar(
        "redirect",
        REVIEWS,
        "GET /redirect HTTP/1.1\r\nHost: reviews",
        "302",
    ),
    sidecar(
        "redirect with a query",
        REVIEWS,
        "GET /redirect?a=b HTTP/1.1\r\nHost: reviews",
        "302",
    ),
    sidecar(
        "redirect of the port",
        REVIEWS,
        "GET /redirect-port?a=b HTTP/1.1\r\nHost: reviews",
        "301",
    ),
    sidecar(
        "direct response",
        REVIEWS,
        "GET /direct HTTP/1.1\r\nHost: reviews",
        "418",
    ),
    sidecar(
        "direct response without a body",
        REVIEWS,
        "GET /direct-empty HTTP/1.1\r\nHost: reviews",
        "204",
    ),
    sidecar(
        "command operators in header values",
        REVIEWS,
        "GET /operators/a?b HTTP/1.1\r\nHost: reviews\r\nx-test-user: anna\r\nx-test-none: kept",
        "200 v1",
    ),
    sidecar(
        "header changes",
        REVIEWS,
        "GET /headers HTTP/1.1\r\nHost: reviews\r\nx-test-gone: 1\r\nx-test-set: old",
        "200 v1",
    ),
    sidecar(
        "header additions",
        REVIEWS,
        "GET /add HTTP/1.1\r\nHost: reviews\r\nx-test-added: first",
        "200 v1",
    ),
    sidecar(
        "authority rewrite",
        REVIEWS,
        "GET /authority HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "exact rewrite",
        REVIEWS,
        "GET /rewrite-exact?a=b HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    sidecar(
        "regex rewrite",
        REVIEWS,
        "GET /regex-rewrite/abc/d/e?f=g HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    // Destinations
    sidecar(
        "missing subset",
        REVIEWS,
        "GET /nowhere HTTP/1.1\r\nHost: reviews",
        "503",
    ),
    sidecar(
        "destination in another host",
        REVIEWS,
        "GET /other-service HTTP/1.1\r\nHost: reviews",
        "200 v2",
    ),
    sidecar(
        "no endpoints",
        RATINGS,
        "GET / HTTP/1.1\r\nHost: ratings",
        "503",
    ),
    sidecar(
        "service entry",
        OUTSIDE,
        "GET / HTTP/1.1\r\nHost: outside.example.com",
        "200 v2",
    ),
    // Delegates
    sidecar(
        "delegate",
        SHOP,
        "POST /cart/pay HTTP/1.1\r\nHost: shop\r\nContent-Length: 0",
        "200 v2",
    ),
    sidecar(
        "delegate without a condition of its own",
        SHOP,
        "GET /cart/pay HTTP/1.1\r\nHost: shop",
        "200 v1",
    ),
    sidecar(
        "delegate beyond its root",
        SHOP,
        "GET /basket HTTP/1.1\r\nHost: shop",
        "200 v3",
    ),
    sidecar(
        "missing delegate",
        SHOP,
        "GET /nowhere HTTP/1.1\r\nHost: shop",
        "200 v3",
    ),
    // Failures, other origins, copies
    sidecar(
        "injected abort",
        SHOP,
        "GET /abort HTTP/1.1\r\nHost: shop",
        "418",
    ),
    sidecar(
        "abort without a percentage",
        SHOP,
        "GET /no-share HTTP/1.1\r\nHost: shop",
        "200 v1",
    ),
    sidecar(
        "injected delay",
        SHOP,
        "GET /delay HTTP/1.1\r\nHost: shop",
        "200 v1",
    ),
    sidecar(
        "allowed origin",
        SHOP,
        "GET /cors HTTP/1.1\r\nHost: shop\r\nOrigin: https://a.example",
        "200 v1",
    ),
    sidecar(
        "other origin",
        SHOP,
        "GET /cors HTTP/1.1\r\nHost: shop\r\nOrigin: https://x.example",
        "200 v1",
    ),
    sidecar(
        "preflight",
        SHOP,
        "OPTIONS /cors HTTP/1.1\r\nHost: shop\r\nOrigin: https://x.b.example\r\nAccess-Control-Request-Method: PUT",
        "200",
    ),
    sidecar(
        "preflight of another origin",
        SHOP,
        "OPTIONS /cors HTTP/1.1\r\nHost: shop\r\nOrigin: https://x.example\r\nAccess-Control-Request-Method: PUT",
        "200",
    ),
    sidecar(
        "no preflight",
        SHOP,
        "OPTIONS /cors HTTP/1.1\r\nHost: shop\r\nOrigin: https://a.example",
        "200 v1",
    ),
    sidecar(
        "preflight where every origin is allowed",
        SHOP,
        "OPTIONS /share HTTP/1.1\r\nHost: shop\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: PUT",
        "200",
    ),
    sidecar(
        "mirrored",
        SHOP,
        "GET /mirror HTTP/1.1\r\nHost: shop",
        "200 v1",
    ),
    // Names
    sidecar(
        "long name with a port",
        REVIEWS,
        "GET /exact HTTP/1.1\r\nHost: reviews.default.svc:9080",
        "200 v1",
    ),
    sidecar(
        "full name",
        REVIEWS,
        "GET /exact HTTP/1.1\r\nHost: reviews.default.svc.cluster.local",
        "200 v1",
    ),
    sidecar(
        "virtual address as host",
        REVIEWS,
        "GET /exact HTTP/1.1\r\nHost: 10.96.0.10:9080",
        "200 v1",
    ),
    sidecar(
        "names ignore case",
        REVIEWS,
        "GET /exact HTTP/1.1\r\nHost: Reviews.Default",
        "200 v1",
    ),
    sidecar(
        "the host counts, not the address",
        RATINGS,
        "GET /exact HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    // What nobody knows
    sidecar(
        "unknown host is refused",
        UNKNOWN,
        "GET / HTTP/1.1\r\nHost: nobody.example.com",
        "502",
    ),
    sidecar(
        "unknown port is refused",
        UNKNOWN_PORT,
        "GET / HTTP/1.1\r\nHost: nobody.example.com",
        "",
    ),
    open(
        "unknown host passes",
        UNKNOWN,
        "GET / HTTP/1.1\r\nHost: nobody.example.com",
        "200 v9",
    ),
    open(
        "known hosts as ever",
        REVIEWS,
        "GET /exact HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    // TCP
    sidecar("tcp", ECHO, "some bytes", "some bytes"),
    // Methods, and targets without a path
    sidecar(
        "an unusual method",
        REVIEWS,
        "PROPFIND /exact HTTP/1.1\r\nHost: reviews",
        "200 v1",
    ),
    gateway(
        "methods have a case",
        "get /exact HTTP/1.1\r\nHost: bookinfo.example.com",
        "400",
    ),
    gateway(
        "an unknown method",
        "FOO /exact HTTP/1.1\r\nHost: bookinfo.example.com",
        "400",
    ),
    sidecar(
        "a tunnel that nobody has asked for",
        REVIEWS,
        "CONNECT reviews:9080 HTTP/1.1\r\nHost: reviews:9080",
        "404",
    ),
    gateway(
        "a tunnel through a gateway",
        "CONNECT bookinfo.example.com:80 HTTP/1.1\r\nHost: bookinfo.example.com:80",
        "404",
    ),
    gateway(
        "options of the server as a whole",
        "OPTIONS * HTTP/1.1\r\nHost: bookinfo.example.com",
        "404",
    ),
    sidecar(
        "an escaped NUL",
        REVIEWS,
        "GET /exact%00 HTTP/1.1\r\nHost: reviews",
        "400",
    ),
    // gRPC
    gateway(
        "a call without a route",
        "POST /none HTTP/1.1\r\nHost: bookinfo.example.com\r\nContent-Type: application/grpc\r\nContent-Length: 0",
        "200",
    ),
    sidecar(
        "a call that is denied",
        REVIEWS,
        "POST /forbidden/x HTTP/1.1\r\nHost: reviews\r\nContent-Type: application/grpc\r\nContent-Length: 0",
        "200",
    ),
    sidecar(
        "a call that is answered",
        REVIEWS,
        "POST /exact HTTP/1.1\r\nHost: reviews\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 0",
        "200 v1",
    ),
    // Gateways
    gateway(
        "gateway exact",
        "GET /exact HTTP/1.1\r\nHost: bookinfo.example.com",
        "200 v1",
    ),
    gateway(
        "gateway exact with a port",
        "GET /exact HTTP/1.1\r\nHost: bookinfo.example.com:8080",
        "200 v1",
    ),
    gateway(
        "gateway host ignores case",
        "GET /exact HTTP/1.1\r\nHost: BookInfo.Example.Com",
        "200 v1",
    ),
    gateway(
        "gateway without a route",
        "GET /none HTTP/1.1\r\nHost: bookinfo.example.com",
        "404",
    ),
    gateway(
        "gateway unknown host",
        "GET /exact HTTP/1.1\r\nHost: other.example.com",
        "404",
    ),
    gateway(
        "gateway merged",
        "GET /merged HTTP/1.1\r\nHost: bookinfo.example.com",
        "200 v3",
    ),
    gateway(
        "gateway wildcard",
        "GET / HTTP/1.1\r\nHost: a.wild.example.com",
        "200 v2",
    ),
    gateway(
        "gateway wildcard needs a name",
        "GET / HTTP/1.1\r\nHost: wild.example.com",
        "404",
    ),
];

/// The request whose answers are counted.
pub fn weighted(kind: Kind) -> Case {
    match kind {
        Kind::Sidecar => sidecar(
            "weighted",
            REVIEWS,
            "GET /weighted HTTP/1.1\r\nHost: reviews",
            "",
        ),
        Kind::Gateway => gateway(
            "weighted",
            "GET /weighted HTTP/1.1\r\nHost: bookinfo.example.com",
            "",
        ),
    }
}
