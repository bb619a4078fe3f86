//! What words, environment and files amount to.

use mesh_ir::{Capture, ProxyKind};
use proptest::prelude::*;
use tracing::level_filters::LevelFilter;

use super::*;

/// What the injector writes.
const INJECTED: [(&str, &str); 11] = [
    ("POD_NAME", "reviews-v1-5d8"),
    ("POD_NAMESPACE", "default"),
    ("INSTANCE_IP", "10.1.2.3"),
    ("SERVICE_ACCOUNT", "bookinfo-reviews"),
    (
        "PROXY_CONFIG",
        r#"{"concurrency":2,"discoveryAddress":"istiod.istio-system.svc:15012","terminationDrainDuration":"7s"}"#,
    ),
    ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
    ("ISTIO_META_WORKLOAD_NAME", "reviews-v1"),
    ("ISTIO_META_INTERCEPTION_MODE", "REDIRECT"),
    (
        "ISTIO_METAJSON_LABELS",
        r#"{"app":"reviews","version":"v1"}"#,
    ),
    (
        "ISTIO_KUBE_APP_PROBERS",
        r#"{"/app-health/a/readyz":{"httpGet":{"path":"/health","scheme":"HTTP","port":9080},"timeoutSeconds":3}}"#,
    ),
    (
        "ISTIO_PROMETHEUS_ANNOTATIONS",
        r#"{"scrape":"true","path":"","port":"9080"}"#,
    ),
];

const SANDBOX: [(&str, &str); 5] = [
    ("MESH_POD_ADDRESS", "127.8.0.5"),
    ("MESH_APP_ADDRESS", "127.8.1.5"),
    ("MESH_BIND_ADDRESS", "127.8.0.5"),
    ("MESH_LOW_PORT_OFFSET", "20000"),
    ("MESH_ROOT", "/sandbox/root"),
];

fn bootstrap(more: &[(&str, &str)]) -> Result<Bootstrap, InvalidEnvironment> {
    let variables = INJECTED.iter().chain(more).copied();
    Bootstrap::new(&Args::new(ProxyKind::Sidecar), variables.collect())
}

#[test]
fn an_injected_sidecar_knows_itself() {
    let it = bootstrap(&[]).unwrap();
    assert_eq!(
        it.node.id(),
        "sidecar~10.1.2.3~reviews-v1-5d8.default~default.svc.cluster.local"
    );
    assert_eq!(it.node.cluster, "reviews.default");
    assert_eq!(it.node.text("SERVICE_ACCOUNT"), Some("bookinfo-reviews"));
    assert_eq!(it.node.scope().capture, Capture::Redirect);
    assert_eq!(
        it.peer.workload.to_string(),
        "reviews-v1;default;reviews;v1;Kubernetes"
    );
    assert_eq!((it.workers, it.drain), (2, Duration::from_secs(7)));
    assert_eq!(it.network.admin, ([127, 0, 0, 1], 15000).into());
    assert_eq!(it.network.health, ([0, 0, 0, 0], 15021).into());
    assert_eq!(it.log_level, LevelFilter::WARN);
    assert_eq!(
        it.discovery,
        Discovery::Tls {
            host: "istiod.istio-system.svc".into(),
            port: 15012,
            roots: "/var/run/secrets/istio/root-cert.pem".into(),
            token: "/var/run/secrets/tokens/istio-token".into(),
        }
    );
    let metrics = AppMetrics {
        port: 9080,
        path: "/metrics".into(),
    };
    assert_eq!(it.app_metrics, Some(metrics));
    let probe = Probe {
        action: ProbeAction::Http {
            port: 9080,
            path: "/health".into(),
            headers: vec![],
        },
        timeout: Duration::from_secs(3),
    };
    assert_eq!(it.probes["/app-health/a/readyz"], probe);
}

#[test]
fn in_the_sandbox_the_pods_addresses_hold() {
    let it = bootstrap(&SANDBOX).unwrap();
    let (pod, app) = ([127, 8, 0, 5].into(), [127, 8, 1, 5].into());
    assert_eq!(it.node.scope().capture, Capture::Loopback { pod, app });
    assert_eq!(it.network.admin, SocketAddr::new(pod, 15000));
    assert_eq!(it.network.metrics, SocketAddr::new(pod, 15090));
    assert_eq!(it.network.app, app);
    let Discovery::Tls { token, .. } = it.discovery else {
        panic!("{:?}", it.discovery)
    };
    let expected = "/sandbox/root/var/run/secrets/tokens/istio-token";
    assert_eq!(token, PathBuf::from(expected));
    for (from, to) in [
        (([127, 8, 0, 9], 80), ([127, 8, 0, 9], 20080)),
        (([127, 8, 0, 9], 8080), ([127, 8, 0, 9], 8080)),
        (([192, 0, 2, 1], 80), ([192, 0, 2, 1], 80)),
    ] {
        assert_eq!(it.network.view.at_socket(from.into()), to.into());
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = bootstrap(&[
        ("POD_NAME", ""),
        ("INSTANCE_IP", "x"),
        (
            "PROXY_CONFIG",
            r#"{"concurrency":"two","discoveryAddress":"istiod"}"#,
        ),
        ("MESH_POD_ADDRESS", "127.0.0.1"),
        ("ISTIO_METAJSON_LABELS", "{"),
    ])
    .unwrap_err()
    .to_string();
    for part in [
        "POD_NAME is not set",
        "concurrency of PROXY_CONFIG is \"two\", expected a whole number",
        "discoveryAddress of PROXY_CONFIG is \"istiod\"",
        "belong together",
        "ISTIO_METAJSON_LABELS is no JSON",
        "INSTANCE_IP is \"x\"",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn levels_are_envoys_or_istios() {
    for (text, level) in [
        ("warning", Some(LevelFilter::WARN)),
        ("default:info,ads:debug", Some(LevelFilter::INFO)),
        ("off", Some(LevelFilter::OFF)),
        ("loud", None),
        ("ads:debug", None),
    ] {
        assert_eq!(parse_level(text), level, "{text}");
    }
}

proptest! {
    /// Whatever stands in the variables, it is understood or told as a mistake.
    #[test]
    fn environments_never_panic(
        config in "\\PC{0,20}",
        drain in "[0-9hms.é-]{0,8}",
        offset in any::<u32>(),
        ip in "[0-9a-f.:,]{0,12}",
    ) {
        let of_drain = serde_json::json!({ "terminationDrainDuration": drain }).to_string();
        for config in [config, of_drain] {
            let variables = [
                ("PROXY_CONFIG", config.as_str()),
                ("MESH_LOW_PORT_OFFSET", &offset.to_string()),
                ("INSTANCE_IP", &ip),
                ("ISTIO_KUBE_APP_PROBERS", &config),
            ];
            let args = Args::new(ProxyKind::Gateway);
            if let Ok(it) = Bootstrap::new(&args, variables.into_iter().collect()) {
                it.network.view.at_socket(([127, 0, 0, 1], 1023).into());
            }
        }
    }
}
