//! What is left of a request or a connection when it has ended: exactly one [`Record`], from which metrics and the access log
//! are written.
//!
//! ```text
//! request --decide--> Decision --forward--> Record --> Series (metrics)
//!                                              `-----> AccessLog
//! ```
//!
//! A record borrows from the buffers that the heads were read into; whoever keeps something of it copies.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::Direction;

use crate::http1::Fields;
use crate::tls::TlsFacts;

/// One request, or one TCP connection.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Which way it went, hence which side reports it.
    pub direction: Direction,
    /// The request; none for TCP connections, and for requests whose head could not be understood.
    pub request: Option<Request<'a>>,
    /// What was spoken with the client.
    pub protocol: Protocol,
    /// From the first byte of the request (or the connection) to the last byte of the response.
    pub duration: Duration,
    /// Status code that the client got; 0 if it went away before there was one, and for TCP.
    pub code: u16,
    /// What went wrong.
    pub flags: ResponseFlags,
    /// Why the code is as it is, in Envoy's words: `via_upstream`, `route_not_found`, ... Empty for TCP.
    pub details: &'a str,
    /// Why the connection ended, if the proxy ended it.
    pub termination_details: Option<&'a str>,
    /// Why the upstream could not be reached.
    pub transport_failure: Option<&'a str>,
    /// Bytes of the request's body, or from the client.
    pub bytes_received: u64,
    /// Bytes of the response's body, or to the client.
    pub bytes_sent: u64,
    /// Bytes of the request's head.
    pub request_head_bytes: u64,
    /// Bytes of the response's head.
    pub response_head_bytes: u64,
    /// Fields of the upstream's response, as they came.
    pub response: Fields<'a>,
    /// From the request's end to the response's head, of the last try.
    pub upstream_service_time: Option<Duration>,
    /// Status of a gRPC response, told by its head or behind its body.
    pub grpc_status: Option<u8>,
    /// Name of the cluster that was chosen.
    pub upstream_cluster: Option<&'a str>,
    /// Endpoint that was chosen.
    pub upstream_host: Option<SocketAddr>,
    /// Our side of the connection to it.
    pub upstream_local: Option<SocketAddr>,
    /// Where the client meant to go: the original destination where it is known, else our side of its connection.
    pub downstream_local: SocketAddr,
    /// The client.
    pub downstream_remote: SocketAddr,
    /// What the client has told in TLS that ends here; none in plaintext, and where TLS passes through.
    pub tls: Option<&'a TlsFacts>,
    /// What the endpoint has told in TLS.
    pub upstream_tls: Option<Rc<TlsFacts>>,
    /// Name of the route; empty for none.
    pub route_name: &'a str,
    /// Tries, the first one included; 0 if there was none.
    pub attempts: u32,
    /// Host of the service that the cluster is of.
    pub service: Option<&'a str>,
    /// Ids of the trace and the span that it belongs to.
    pub trace: Option<(u128, u64)>,
}

/// The request as it was sent on.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Authority as it was sent on.
    pub authority: &'a [u8],
    /// Path with query, as it was sent on.
    pub path: &'a [u8],
    /// Path with query as the client sent it, if it was rewritten.
    pub original_path: Option<&'a [u8]>,
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// `x-request-id`: the client's, or ours.
    pub request_id: Option<&'a [u8]>,
    /// `x-forwarded-for` as it was sent on.
    pub forwarded_for: Option<&'a [u8]>,
    /// The fields as they came.
    pub fields: Fields<'a>,
}

/// What was spoken with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// Bytes.
    Tcp,
}

/// A set of Envoy's response flags.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResponseFlags(u32);

macro_rules! flags {
    ($($name:ident $bit:literal $text:literal $long:literal $doc:literal,)*) => {
        impl ResponseFlags {
            $(#[doc = $doc] pub const $name: Self = Self(1 << $bit);)*

            /// Every flag with its letters.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text),)*];

            /// Every flag with its long name.
            const LONG: &'static [(Self, &'static str)] = &[$((Self::$name, $long),)*];
        }
    };
}

flags! {
    NO_HEALTHY_UPSTREAM 0 "UH" "NoHealthyUpstream" "No endpoint could be chosen.",
    CONNECTION_FAILURE 1 "UF" "UpstreamConnectionFailure" "No connection to the upstream.",
    OVERFLOW 2 "UO" "UpstreamOverflow" "A limit of the cluster was reached.",
    NO_ROUTE 3 "NR" "NoRouteFound" "No route, or no chain, for what the client asked.",
    RETRIES_EXHAUSTED 4 "URX" "UpstreamRetryLimitExceeded" "Every try has failed.",
    NO_CLUSTER 5 "NC" "NoClusterFound" "The route's cluster does not exist.",
    DURATION_TIMEOUT 6 "DT" "DurationTimeout" "The connection lasted too long.",
    CLIENT_TERMINATED 7 "DC" "DownstreamConnectionTermination" "The client went away.",
    LOCAL_RESET 8 "LR" "LocalReset" "The proxy broke the upstream's connection off.",
    UPSTREAM_RESET 9 "UR" "UpstreamRemoteReset" "The upstream broke the connection off.",
    UPSTREAM_TERMINATED 10 "UC" "UpstreamConnectionTermination" "The upstream ended the connection.",
    UPSTREAM_TIMEOUT 11 "UT" "UpstreamRequestTimeout" "The upstream took too long.",
    PROTOCOL_ERROR 12 "DPE" "DownstreamProtocolError" "The client's bytes are not HTTP as it should be.",
    UPSTREAM_PROTOCOL_ERROR 13 "UPE" "UpstreamProtocolError" "The upstream's bytes are not HTTP as it should be.",
    IDLE_TIMEOUT 14 "SI" "StreamIdleTimeout" "Nothing happened for too long.",
    DIRECT_REJECT 15 "UAEX" "UnauthorizedExternalService" "Access was denied.",
    DELAY_INJECTED 16 "DI" "DelayInjected" "The request was delayed by a fault that is configured.",
    RATE_LIMITED 18 "RL" "RateLimited" "The request was one too many.",
    RATE_LIMIT_SERVICE_ERROR 19 "RLSE" "RateLimitServiceError" "Nobody could be asked whether the request was one too many.",
    FAULT_INJECTED 17 "FI" "FaultInjected" "The request was answered by a fault that is configured.",
}

// === impl Record ===

impl<'a> Record<'a> {
    /// The value of a request's field as it was sent on, by its lower-case name or pseudo-name.
    pub fn request_field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let request = self.request.as_ref()?;
        let own = match name {
            ":method" => Some(request.method),
            ":authority" | "host" => Some(request.authority),
            ":path" => Some(request.path),
            ":scheme" => Some(request.scheme),
            "x-request-id" => request.request_id,
            "x-forwarded-for" => request.forwarded_for,
            "x-envoy-original-path" => request.original_path,
            _ => return request.fields.joined(name),
        };
        own.map(Cow::Borrowed)
    }

    /// The value of a response's field as it was sent on, by its lower-case name.
    pub fn response_field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        match name {
            ":status" => Some(Cow::Owned(self.code.to_string().into_bytes())),
            "x-envoy-upstream-service-time" => self
                .upstream_service_time
                .map(|time| Cow::Owned(time.as_millis().to_string().into_bytes())),
            _ => self.response.joined(name),
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// As `%PROTOCOL%` shows it; none for TCP.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Http10 => Some("HTTP/1.0"),
            Self::Http11 => Some("HTTP/1.1"),
            Self::Http2 => Some("HTTP/2"),
            Self::Tcp => None,
        }
    }
}

// === impl ResponseFlags ===

impl ResponseFlags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// The set as a number, whose bits are this proxy's own.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The long names joined by commas, `-` for none.
    pub fn long(self) -> String {
        let names = Self::LONG.iter().filter(|(flag, _)| self.contains(*flag));
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        if names.is_empty() {
            return "-".to_owned();
        }
        names.join(",")
    }

    /// Whether no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of these are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for ResponseFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for ResponseFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for ResponseFlags {
    /// The letters joined by commas, `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        let mut rest = false;
        for (_, text) in Self::ALL.iter().filter(|(flag, _)| self.contains(*flag)) {
            if std::mem::replace(&mut rest, true) {
                f.write_str(",")?;
            }
            f.write_str(text)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
