//! Which headers of an incoming request go along with the calls that it causes.
//!
//! A proxy sees calls, not causes; traces and routing by user work only if applications pass these
//! headers on.

use http::HeaderMap;

/// Passed on under exactly these names.
const NAMES: &[&str] = &[
    // Traces: Envoy's request id, single-header B3, W3C, OpenTracing, Stackdriver, SkyWalking.
    "x-request-id",
    "b3",
    "traceparent",
    "tracestate",
    "x-ot-span-context",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
    // The user, and what identifies one.
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
    // Linkerd's routing for one request.
    "l5d-dtab",
];

/// Passed on whatever follows: B3 with several headers, Linkerd's context.
const PREFIXES: &[&str] = &["x-b3-", "l5d-ctx-"];

/// The headers of `incoming` that its outgoing calls carry too, repeated ones included.
pub(crate) fn propagated(incoming: &HeaderMap) -> HeaderMap {
    let mut outgoing = HeaderMap::new();
    for (name, value) in incoming {
        let text = name.as_str();
        if NAMES.contains(&text) || PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            outgoing.append(name, value.clone());
        }
    }
    outgoing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_traces_and_users_on_and_nothing_of_the_connection() {
        let mut incoming = HeaderMap::new();
        for name in ["x-b3-traceid", "end-user", "l5d-ctx-trace", "l5d-dtab"] {
            incoming.insert(name, "kept".parse().unwrap());
        }
        incoming.append("l5d-dtab", "again".parse().unwrap());
        for name in ["host", "connection", "content-length", "x-forwarded-for"] {
            incoming.insert(name, "dropped".parse().unwrap());
        }
        let outgoing = propagated(&incoming);
        assert_eq!(outgoing.len(), 5);
        assert!(outgoing.values().all(|value| value != "dropped"));
        assert_eq!(outgoing.get_all("l5d-dtab").iter().count(), 2);
    }
}
