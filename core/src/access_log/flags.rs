//! What the flags of a line mean: Envoy's short names, what a person usually finds behind them, and what to look at.

/// A flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As in the log.
    pub short: &'static str,
    /// As `%RESPONSE_FLAGS_LONG%` tells it.
    pub long: &'static str,
    /// What has happened.
    pub meaning: &'static str,
    /// What is usually behind it.
    pub causes: &'static [&'static str],
    /// What to do next.
    pub next: &'static [&'static str],
}

/// A flag by its short or long name, in any case.
pub fn flag(name: &str) -> Option<&'static Flag> {
    FLAGS
        .iter()
        .find(|flag| flag.short.eq_ignore_ascii_case(name) || flag.long.eq_ignore_ascii_case(name))
}

const ENDPOINTS: &str = "meshctl proxy-config endpoints POD --cluster CLUSTER";
const ROUTES: &str = "meshctl proxy-config routes POD";
const REQUEST: &str = "meshctl explain request METHOD URL --from POD";
const AUTHZ: &str = "meshctl authz can-i METHOD URL --from CLIENT";
const ANALYZE: &str = "meshctl analyze";

/// All of them.
pub const FLAGS: &[Flag] = &[
    Flag {
        short: "UH",
        long: "NoHealthyUpstream",
        meaning: "no endpoint of the cluster could be chosen (503)",
        causes: &[
            "no pod of the service is ready",
            "a route names a subset whose labels no pod has",
            "outlier detection or health checks have taken out all endpoints",
        ],
        next: &[ENDPOINTS, ANALYZE],
    },
    Flag {
        short: "UF",
        long: "UpstreamConnectionFailure",
        meaning: "no connection to the endpoint (503)",
        causes: &[
            "nothing listens on that port in the pod, or it listens on 127.0.0.1 only",
            "mutual TLS does not match: one side is STRICT and the other sends plaintext, or a DestinationRule turns it off",
            "a network policy or firewall is in between",
        ],
        next: &[
            "meshctl explain request METHOD URL --from POD   # how it is spoken to, and whether TLS agrees",
            ANALYZE,
        ],
    },
    Flag {
        short: "UO",
        long: "UpstreamOverflow",
        meaning: "a limit of connections or requests was reached (503)",
        causes: &[
            "connectionPool of the DestinationRule: maxConnections, http1MaxPendingRequests, http2MaxRequests, maxRetries",
        ],
        next: &["meshctl proxy-config clusters POD --fqdn HOST -o json   # circuitBreakers"],
    },
    Flag {
        short: "NR",
        long: "NoRouteFound",
        meaning: "no route, or no filter chain, is for what the client asked (404)",
        causes: &[
            "the Host is not one that a VirtualService or a Service has",
            "no rule of the VirtualService matches, and there is none without match",
            "at a gateway: no Gateway serves the host or the port",
            "a server with STRICT mutual TLS was spoken to in plaintext",
        ],
        next: &[REQUEST, ROUTES],
    },
    Flag {
        short: "URX",
        long: "UpstreamRetryLimitExceeded",
        meaning: "all tries have failed: retries, or attempts to connect, are used up",
        causes: &["the endpoints fail; the other flags and the details say how"],
        next: &[ENDPOINTS],
    },
    Flag {
        short: "NC",
        long: "NoClusterFound",
        meaning: "the route names a cluster that the proxy does not have (503)",
        causes: &[
            "the destination's host does not exist or is not visible (exportTo, Sidecar)",
            "the DestinationRule does not define the subset",
        ],
        next: &["meshctl proxy-config clusters POD --fqdn HOST", ANALYZE],
    },
    Flag {
        short: "DC",
        long: "DownstreamConnectionTermination",
        meaning: "the client has gone before it had its answer",
        causes: &[
            "its own timeout is shorter than the answer took",
            "it was ended or was restarted",
        ],
        next: &["compare the duration with the client's timeout"],
    },
    Flag {
        short: "UC",
        long: "UpstreamConnectionTermination",
        meaning: "the endpoint has closed the connection during the request (503)",
        causes: &[
            "the application has crashed or was restarted",
            "its keep-alive timeout is shorter than the proxy's, so that it closes a connection that is just used again",
        ],
        next: &[
            "kubectl logs POD --previous",
            "retryOn: reset, or idleTimeout of the DestinationRule below the application's",
        ],
    },
    Flag {
        short: "UT",
        long: "UpstreamRequestTimeout",
        meaning: "the endpoint has not answered in time (504)",
        causes: &["timeout, or perTryTimeout, of the rule of the VirtualService"],
        next: &[REQUEST],
    },
    Flag {
        short: "UR",
        long: "UpstreamRemoteReset",
        meaning: "the endpoint has reset the stream (503)",
        causes: &[
            "the application has given the request up",
            "a server of HTTP/2 was spoken to that does not speak it",
        ],
        next: &["name the port by its protocol (http, http2, grpc), or set appProtocol"],
    },
    Flag {
        short: "LR",
        long: "LocalReset",
        meaning: "the proxy has reset the stream",
        causes: &["a limit of the proxy, or an answer that it could not pass on"],
        next: &["look at the details of the line"],
    },
    Flag {
        short: "DI",
        long: "DelayInjected",
        meaning: "a fault has delayed the request",
        causes: &["fault.delay of a rule of a VirtualService"],
        next: &[REQUEST],
    },
    Flag {
        short: "FI",
        long: "FaultInjected",
        meaning: "a fault has answered the request",
        causes: &["fault.abort of a rule of a VirtualService"],
        next: &[REQUEST],
    },
    Flag {
        short: "RL",
        long: "RateLimited",
        meaning: "a rate limit has refused the request (429)",
        causes: &["a local or global rate limit"],
        next: &["look at the EnvoyFilter, or the policy, that sets the limit"],
    },
    Flag {
        short: "UAEX",
        long: "UnauthorizedExternalService",
        meaning: "an external authorizer has refused the request (403)",
        causes: &[
            "an AuthorizationPolicy with action CUSTOM; the authorizer said no, or did not answer",
        ],
        next: &[AUTHZ, "the log of the authorizer"],
    },
    Flag {
        short: "RLSE",
        long: "RateLimitServiceError",
        meaning: "the rate limit service has not answered",
        causes: &["the service is down or unreachable"],
        next: &[ENDPOINTS],
    },
    Flag {
        short: "DPE",
        long: "DownstreamProtocolError",
        meaning: "what the client has sent is not the protocol (400)",
        causes: &[
            "plaintext to a port of TLS or the other way round",
            "bad framing, bad or too large heads",
            "a port whose name says http but that speaks something else",
        ],
        next: &["name the port by its protocol (tcp, mongo, ...)"],
    },
    Flag {
        short: "UPE",
        long: "UpstreamProtocolError",
        meaning: "what the endpoint has sent is not the protocol (502)",
        causes: &[
            "the port speaks another protocol than its name says",
            "it speaks TLS, and the mesh sends plaintext to it",
        ],
        next: &[
            "name the port by its protocol, or set appProtocol",
            "DestinationRule with tls.mode SIMPLE, if the application speaks TLS itself",
        ],
    },
    Flag {
        short: "SI",
        long: "StreamIdleTimeout",
        meaning: "nothing has moved for too long (408 or 504)",
        causes: &["a stream without traffic: the idle timeout of the proxy or route"],
        next: &["let the application send something now and then"],
    },
    Flag {
        short: "DT",
        long: "DurationTimeout",
        meaning: "the connection has lasted as long as it may",
        causes: &["maxConnectionDuration of the DestinationRule"],
        next: &["meshctl proxy-config clusters POD --fqdn HOST -o json"],
    },
    Flag {
        short: "IH",
        long: "InvalidEnvoyRequestHeaders",
        meaning: "a header that instructs the proxy has a bad value (400)",
        causes: &["an x-envoy-* header of the client"],
        next: &["leave it out"],
    },
    Flag {
        short: "OM",
        long: "OverloadManagerTerminated",
        meaning: "the proxy was overloaded and has refused the request",
        causes: &["memory or connections of the proxy are used up"],
        next: &["raise the limits of the proxy's container"],
    },
    Flag {
        short: "DF",
        long: "DnsResolutionFailed",
        meaning: "the name of the destination has no address (503)",
        causes: &["a ServiceEntry with resolution DNS whose name does not resolve in the pod"],
        next: &["meshctl proxy-config clusters POD --fqdn HOST"],
    },
    Flag {
        short: "NFCF",
        long: "NoFilterConfigFound",
        meaning: "a filter has no configuration yet",
        causes: &["the control plane has not sent it"],
        next: &["meshctl proxy-status"],
    },
    Flag {
        short: "LH",
        long: "FailedLocalHealthCheck",
        meaning: "the proxy is not healthy and refuses requests",
        causes: &["it was told to fail health checks, or drains"],
        next: &["meshctl proxy-status"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_by_both_names() {
        assert_eq!(flag("uf"), flag("UpstreamConnectionFailure"));
        assert_eq!(flag("XX"), None);
        let mut names: Vec<&str> = FLAGS.iter().map(|flag| flag.short).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FLAGS.len(), "each once");
    }
}
