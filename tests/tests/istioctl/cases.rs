//! What is asked and what must be in the answer.

/// A command of istioctl.
pub struct Case {
    /// Its words; `POD` is a pod of reviews v1, `GATEWAY` the ingress gateway's.
    pub command: &'static str,
    /// What is printed.
    pub prints: &'static [&'static str],
    /// What is not printed.
    pub never: &'static [&'static str],
    /// How it ends.
    pub exit: Exit,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With 0.
    Success,
    /// With anything else.
    Failure,
}

/// A command that succeeds.
const fn case(command: &'static str, prints: &'static [&'static str]) -> Case {
    Case {
        command,
        prints,
        never: &["Error", "panic"],
        exit: Exit::Success,
    }
}

/// A command that fails.
const fn failing(command: &'static str, prints: &'static [&'static str]) -> Case {
    Case {
        command,
        prints,
        never: &["panic"],
        exit: Exit::Failure,
    }
}

const REVIEWS: &str = "outbound|9080||reviews.default.svc.cluster.local";
const VERSION: &str = concat!("control plane version: ", env!("CARGO_PKG_VERSION"));

/// All of them.
pub const CASES: [Case; 34] = [
    case("version --remote", &[VERSION, "(8 proxies)"]),
    case(
        "version --remote -o json",
        &["\"Component\": \"pilot\"", "\"Revision\": \"default\""],
    ),
    case(
        "proxy-status",
        &[
            "SUBSCRIBED TYPES",
            "POD.default",
            "GATEWAY.istio-system",
            "CDS,LDS,EDS,RDS",
        ],
    ),
    Case {
        never: &["STALE", "ERROR"],
        ..case("proxy-status -v 1", &["CDS", "EDS", "LDS", "RDS", "SYNCED"])
    },
    case(
        "proxy-status -o json",
        &["ClientConfig", "\"configStatus\": \"SYNCED\""],
    ),
    case(
        "proxy-status POD.default",
        &["Clusters Match", "Listeners Match", "Routes Match"],
    ),
    case(
        "proxy-status GATEWAY.istio-system",
        &["Clusters Match", "Listeners Match", "Routes Match"],
    ),
    case(
        "proxy-config clusters POD.default",
        &[
            "reviews.default.svc.cluster.local",
            "reviews.default",
            "inbound",
            "BlackHoleCluster",
        ],
    ),
    case(
        "proxy-config clusters POD.default --fqdn reviews.default.svc.cluster.local -o json",
        &[REVIEWS, "\"edsConfig\""],
    ),
    case(
        "proxy-config listeners POD.default",
        &[
            "0.0.0.0",
            "Route: 9080",
            "PassthroughCluster",
            "Cluster: inbound|9080||",
        ],
    ),
    case(
        "proxy-config listeners POD.default --port 9080 -o json",
        &["\"portValue\": 9080", "\"routeConfigName\": \"9080\""],
    ),
    case(
        "proxy-config routes POD.default",
        &["reviews.default.svc.cluster.local:9080", "inbound|9080||"],
    ),
    case(
        "proxy-config routes GATEWAY.istio-system --name http.8080 -o json",
        &["/productpage", "outbound|9080||productpage"],
    ),
    case("proxy-config endpoints POD.default", &["HEALTHY", REVIEWS]),
    case(
        "proxy-config endpoints POD.default --cluster outbound|9080||reviews.default.svc.cluster.local -o json",
        &["\"healthStatus\""],
    ),
    case("proxy-config eds POD.default", &[REVIEWS]),
    case(
        "proxy-config bootstrap POD.default",
        &["\"id\": \"sidecar~", "POD.default"],
    ),
    case(
        "proxy-config secret POD.default",
        &["Cert Chain", "ACTIVE", "ROOTCA", "true"],
    ),
    case("proxy-config ecds POD.default", &["ECDS NAME"]),
    case("proxy-config log POD.default", &["active loggers"]),
    case(
        "proxy-config all POD.default",
        &[
            "cluster/outbound|9080||reviews.default.svc.cluster.local",
            "listener/",
            "route/9080",
            "endpoint/",
        ],
    ),
    case(
        "proxy-config all POD.default -o json",
        &["ClustersConfigDump", "EndpointsConfigDump"],
    ),
    case(
        "experimental internal-debug syncz",
        &["\"cluster_acked\"", "POD.default"],
    ),
    case(
        "experimental internal-debug configz",
        &["\"VirtualService\"", "\"bookinfo\""],
    ),
    case(
        "experimental internal-debug edsz?proxyID=POD.default",
        &["\"cluster_name\"", REVIEWS],
    ),
    case(
        "experimental internal-debug registryz",
        &["reviews.default.svc.cluster.local"],
    ),
    case(
        "experimental internal-debug endpointz",
        &["reviews.default.svc.cluster.local"],
    ),
    case(
        "experimental internal-debug --list",
        &["/debug/syncz", "/debug/edsz"],
    ),
    failing(
        "experimental internal-debug edsz",
        &["You must provide a proxyID"],
    ),
    Case {
        never: &["IST0158", "IST0102", "panic"],
        ..case("analyze -n default", &[])
    },
    case(
        "experimental describe pod POD",
        &[
            "Service: reviews",
            "9080/HTTP targets pod port 9080",
            "DestinationRule: reviews",
            "PERMISSIVE",
        ],
    ),
    case(
        "experimental check-inject POD",
        &["istio-sidecar-injector", "istio-injection=enabled"],
    ),
    case("validate -f samples/bookinfo/networking", &["is valid"]),
    case("tag list", &["TAG"]),
];
