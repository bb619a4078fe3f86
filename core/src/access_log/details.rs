//! What the details of a response code mean: who has answered, and why so.

/// What a detail means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// How it begins.
    pub name: &'static str,
    /// What has happened.
    pub meaning: &'static str,
    /// What to do next; empty where nothing is wrong.
    pub next: &'static str,
}

/// The meaning of a detail; what stands in braces or brackets behind it does not matter.
pub fn detail(text: &str) -> Option<&'static Detail> {
    let fits = |detail: &&Detail| {
        let rest = text.strip_prefix(detail.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '[', ':', '_']))
    };
    DETAILS
        .iter()
        .filter(fits)
        .max_by_key(|detail| detail.name.len())
}

const DETAILS: &[Detail] = &[
    Detail {
        name: "via_upstream",
        meaning: "the application has answered: the code is its own",
        next: "look at the application's log",
    },
    Detail {
        name: "route_not_found",
        meaning: "no route is for the request",
        next: "meshctl explain request METHOD URL --from POD",
    },
    Detail {
        name: "cluster_not_found",
        meaning: "the route's cluster is not there",
        next: "meshctl proxy-config clusters POD",
    },
    Detail {
        name: "no_healthy_upstream",
        meaning: "no endpoint could be chosen",
        next: "meshctl proxy-config endpoints POD",
    },
    Detail {
        name: "direct_response",
        meaning: "a route answers by itself (directResponse)",
        next: "meshctl explain request METHOD URL --from POD",
    },
    Detail {
        name: "redirect",
        meaning: "a route sends the client elsewhere",
        next: "meshctl explain request METHOD URL --from POD",
    },
    Detail {
        name: "fault_filter_abort",
        meaning: "an injected fault has answered",
        next: "fault.abort of the VirtualService",
    },
    Detail {
        name: "rbac_access_denied_matched_policy",
        meaning: "an AuthorizationPolicy has refused the request; the brackets name it, or `none` where ALLOW policies are there and none allows it",
        next: "meshctl authz can-i METHOD URL --from CLIENT",
    },
    Detail {
        name: "jwt_authn_access_denied",
        meaning: "the request's token is not accepted; the braces say why",
        next: "compare issuer, audiences and keys with the RequestAuthentication",
    },
    Detail {
        name: "ext_authz_denied",
        meaning: "the external authorizer has refused the request",
        next: "look at the authorizer's log",
    },
    Detail {
        name: "ext_authz_error",
        meaning: "the external authorizer has not answered",
        next: "is it running, and is its service visible?",
    },
    Detail {
        name: "local_rate_limited",
        meaning: "the local rate limit is used up",
        next: "raise the limit, or send less",
    },
    Detail {
        name: "request_rate_limited",
        meaning: "the rate limit service has refused the request",
        next: "raise the limit, or send less",
    },
    Detail {
        name: "upstream_reset_before_response_started",
        meaning: "the endpoint, or the connection to it, has failed before an answer began; the braces say how",
        next: "see the flags of the line",
    },
    Detail {
        name: "upstream_reset_after_response_started",
        meaning: "the answer broke off",
        next: "look at the application's log",
    },
    Detail {
        name: "upstream_response_timeout",
        meaning: "the endpoint has not answered within the route's timeout",
        next: "timeout of the VirtualService",
    },
    Detail {
        name: "upstream_per_try_timeout",
        meaning: "no try was answered within perTryTimeout",
        next: "retries.perTryTimeout of the VirtualService",
    },
    Detail {
        name: "upstream_max_stream_duration_reached",
        meaning: "the request has lasted as long as it may",
        next: "timeout of the VirtualService, or grpc-timeout of the client",
    },
    Detail {
        name: "downstream_remote_disconnect",
        meaning: "the client has gone",
        next: "compare the duration with the client's timeout",
    },
    Detail {
        name: "downstream_local_disconnect",
        meaning: "the proxy has closed the client's connection",
        next: "the text behind it says why",
    },
    Detail {
        name: "remote_reset",
        meaning: "the client has reset the stream",
        next: "look at the client",
    },
    Detail {
        name: "stream_idle_timeout",
        meaning: "nothing has moved for too long",
        next: "let the application send something now and then",
    },
    Detail {
        name: "request_overall_timeout",
        meaning: "the request did not come whole in time",
        next: "look at the client",
    },
    Detail {
        name: "http1.codec_error",
        meaning: "the client's request is not HTTP/1.1",
        next: "is it TLS, or another protocol, on a port of HTTP?",
    },
    Detail {
        name: "low_version",
        meaning: "the client speaks HTTP/1.0, which is refused (426)",
        next: "use HTTP/1.1",
    },
    Detail {
        name: "missing_host_header",
        meaning: "the request has no Host (400)",
        next: "send one",
    },
    Detail {
        name: "request_headers_too_large",
        meaning: "the head is too large (431)",
        next: "fewer or smaller headers, cookies above all",
    },
    Detail {
        name: "path_normalization_failed",
        meaning: "the path cannot be normalized (400)",
        next: "send a valid path",
    },
    Detail {
        name: "overload",
        meaning: "the proxy was overloaded",
        next: "raise the limits of its container",
    },
    Detail {
        name: "duration_timeout",
        meaning: "the connection has lasted as long as it may",
        next: "maxConnectionDuration",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_found_by_how_they_begin() {
        for (text, name) in [
            ("via_upstream", Some("via_upstream")),
            (
                "rbac_access_denied_matched_policy[none]",
                Some("rbac_access_denied_matched_policy"),
            ),
            (
                "upstream_reset_before_response_started{connection_failure}",
                Some("upstream_reset_before_response_started"),
            ),
            ("via_upstreams", None),
            ("", None),
        ] {
            assert_eq!(detail(text).map(|detail| detail.name), name, "{text}");
        }
    }
}
