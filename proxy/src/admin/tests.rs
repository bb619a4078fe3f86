//! The ports over real sockets, with an application behind the agent.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::Method;
use mesh_ir::ProxyKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::page::{Ask, Page, Query};
use super::*;
use crate::args::Args;
use crate::bootstrap::Environment;
use crate::lifecycle::{Drain, Stage};
use crate::telemetry::access_log::AccessLogs;
use crate::xds::{Known, Refusal};

/// A proxy that forwards nothing, with these variables beside those that it needs.
fn state(more: &[(&str, &str)]) -> Arc<State> {
    let variables = [
        ("POD_NAME", "a"),
        ("POD_NAMESPACE", "default"),
        ("INSTANCE_IP", "127.0.0.1"),
        ("PROXY_CONFIG", r#"{"discoveryAddress":"istiod:15012"}"#),
    ];
    let variables = variables.iter().chain(more).copied();
    let args = Args::new(ProxyKind::Sidecar);
    let bootstrap = Bootstrap::new(&args, variables.collect::<Environment>()).unwrap();
    Arc::new(State {
        bootstrap: Arc::new(bootstrap),
        metrics: Arc::new(Metrics::new()),
        reporter: Arc::new(Reporter::new(Arc::new(AccessLogs::new("/".into())))),
        known: Arc::default(),
        runtime: ArcSwap::default(),
        lifecycle: Lifecycle::new(),
        open: Open::default(),
        started: Instant::now(),
        started_at: SystemTime::UNIX_EPOCH,
        log: LogLevel {
            current: ArcSwap::from_pointee(LevelFilter::WARN),
            set: Box::new(|_| true),
        },
    })
}

async fn ask(port: AdminPort, state: &Arc<State>, method: Method, target: &str) -> (u16, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let ask = Ask {
        method,
        path: path.to_owned(),
        query: Query::parse(query),
    };
    let Page { status, body, .. } = port.answer(state, ask).await;
    (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

async fn get(port: AdminPort, state: &Arc<State>, target: &str) -> (u16, String) {
    ask(port, state, Method::GET, target).await
}

/// An application that gives every request the same answer; its address.
async fn application(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).await.is_ok() {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn health_follows_the_stage() {
    let state = state(&[]);
    for (stage, status) in [
        (Stage::Starting, 503),
        (Stage::Live, 200),
        (Stage::Draining, 503),
        (Stage::Quitting, 503),
    ] {
        state.lifecycle.advance(stage);
        assert_eq!(get(AdminPort::Admin, &state, "/ready").await.0, status);
        assert_eq!(
            get(AdminPort::Agent, &state, "/healthz/ready").await.0,
            status
        );
        assert_eq!(
            get(AdminPort::Health, &state, "/healthz/ready").await.0,
            status
        );
    }
}

#[tokio::test]
async fn a_proxy_that_drains_or_is_said_to_be_unfit_is_not_ready() {
    let ready = async |state: &Arc<State>| {
        let admin = get(AdminPort::Admin, state, "/ready").await;
        let health = get(AdminPort::Health, state, "/healthz/ready").await;
        assert_eq!(admin.0, health.0);
        admin
    };
    let live = (200, "LIVE\n".to_owned());
    let draining = (503, "DRAINING\n".to_owned());
    let state = state(&[]);
    state.lifecycle.advance(Stage::Live);
    let post = async |port, path| ask(port, &state, Method::POST, path).await.0;
    assert_eq!(ready(&state).await, live);
    assert_eq!(post(AdminPort::Admin, "/healthcheck/fail").await, 200);
    assert_eq!(ready(&state).await, draining);
    assert_eq!(post(AdminPort::Admin, "/healthcheck/ok").await, 200);
    assert_eq!(ready(&state).await, live);
    assert_eq!(
        post(AdminPort::Admin, "/drain_listeners?skip_exit").await,
        400
    );
    assert_eq!(ready(&state).await, live);
    assert_eq!(post(AdminPort::Agent, "/drain").await, 200);
    assert_eq!(ready(&state).await, draining);
    assert_eq!(post(AdminPort::Admin, "/healthcheck/ok").await, 200);
    assert_eq!(ready(&state).await, draining);
    let drains = |grace, inbound_only, exit| Drain {
        grace,
        inbound_only,
        exit,
    };
    assert_eq!(
        *state.lifecycle.drains().borrow(),
        drains(true, false, false)
    );
    for (query, expected) in [
        ("", drains(false, false, false)),
        ("?inboundonly", drains(false, true, false)),
        ("?graceful&inboundonly", drains(true, true, true)),
        ("?graceful&skip_exit", drains(true, false, false)),
    ] {
        let path = ["/drain_listeners", query].concat();
        let asked = ask(AdminPort::Admin, &state, Method::POST, &path).await;
        assert_eq!(asked.0, 200);
        assert_eq!(*state.lifecycle.drains().borrow(), expected, "{query}");
    }
}

#[tokio::test]
async fn what_changes_the_proxy_needs_post() {
    let state = state(&[]);
    for path in [
        "/drain",
        "/drain_listeners",
        "/quitquitquit",
        "/healthcheck/fail",
        "/healthcheck/ok",
        "/logging?level=info",
    ] {
        assert_eq!(get(AdminPort::Admin, &state, path).await.0, 405, "{path}");
    }
    assert_eq!(state.lifecycle.stage(), Stage::Starting);
    let (status, _) = ask(AdminPort::Admin, &state, Method::POST, "/stats").await;
    assert_eq!(status, 405);
    let (status, text) = ask(
        AdminPort::Admin,
        &state,
        Method::POST,
        "/logging?level=debug",
    )
    .await;
    assert_eq!(
        (status, text.as_str()),
        (200, "active loggers:\n  proxy: debug\n")
    );
    let (status, _) = ask(
        AdminPort::Admin,
        &state,
        Method::POST,
        "/logging?level=loud",
    )
    .await;
    assert_eq!(status, 400);
    let (status, _) = ask(AdminPort::Agent, &state, Method::POST, "/quitquitquit").await;
    assert_eq!((status, state.lifecycle.stage()), (200, Stage::Quitting));
}

#[tokio::test]
async fn doors_have_their_own_pages_only() {
    let state = state(&[]);
    for (port, path) in [
        (AdminPort::Health, "/stats"),
        (AdminPort::Metrics, "/config_dump"),
        (AdminPort::Agent, "/config_dump"),
        (AdminPort::Admin, "/healthz/ready"),
        (AdminPort::Agent, "/app-health/a/readyz"),
    ] {
        assert_eq!(get(port, &state, path).await.0, 404, "{port:?} {path}");
    }
    let (status, text) = get(AdminPort::Metrics, &state, "/stats/prometheus").await;
    assert!(
        status == 200 && text.contains("envoy_server_live 0\n"),
        "{text}"
    );
}

#[tokio::test]
async fn stats_are_filtered() {
    let state = state(&[]);
    let (_, text) = get(
        AdminPort::Admin,
        &state,
        "/stats?filter=%5Eserver%5C.(live%7Cconc)",
    )
    .await;
    let names: Vec<&str> = text
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(names, ["server.concurrency", "server.live"]);
    let (_, text) = get(
        AdminPort::Admin,
        &state,
        "/stats?filter=server&usedonly&format=json",
    )
    .await;
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    let stats = stats["stats"].as_array().unwrap();
    assert!(stats.iter().all(|stat| stat["value"] != 0), "{text}");
    assert!(
        stats
            .iter()
            .any(|stat| stat["name"] == "server.concurrency"),
        "{text}"
    );
    assert_eq!(
        get(AdminPort::Admin, &state, "/stats?filter=(").await.0,
        400
    );
}

#[tokio::test]
async fn refused_resources_are_in_the_dump() {
    let state = state(&[]);
    let refusal = Refusal {
        version: "7".to_owned(),
        reason: "route_config: unsupported".to_owned(),
        at: SystemTime::UNIX_EPOCH,
    };
    let kind = mesh_xds::ResourceType::Listener;
    let known = Known {
        refused: BTreeMap::from([((kind, "0.0.0.0_80".to_owned()), refusal)]),
        ..Known::default()
    };
    state.known.change(|it| *it = known);
    let (_, text) = get(AdminPort::Admin, &state, "/config_dump").await;
    let dump: serde_json::Value = serde_json::from_str(&text).unwrap();
    let configs = dump["configs"].as_array().unwrap();
    let types: Vec<&str> = configs
        .iter()
        .map(|config| {
            config["@type"]
                .as_str()
                .unwrap()
                .rsplit('.')
                .next()
                .unwrap()
        })
        .collect();
    let expected = [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "ListenersConfigDump",
        "RoutesConfigDump",
        "SecretsConfigDump",
        "EcdsConfigDump",
    ];
    assert_eq!(types, expected);
    assert_eq!(
        configs[2]["dynamic_listeners"],
        serde_json::json!([{
            "name": "0.0.0.0_80",
            "error_state": {
                "details": "route_config: unsupported",
                "version_info": "7",
                "last_update_attempt": "1970-01-01T00:00:00.000Z",
            },
        }])
    );
    let (status, text) = get(
        AdminPort::Admin,
        &state,
        "/config_dump?resource=dynamic_listeners&name_regex=x",
    )
    .await;
    assert_eq!((status, text.as_str()), (200, "{\n  \"configs\": []\n}\n"));
}

#[tokio::test]
async fn the_agent_runs_the_applications_probes() {
    let good = application("HTTP/1.1 204 No Content\r\n\r\n").await.port();
    let bad = application("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
        .await
        .port();
    let mute = application("").await.port();
    let probers = serde_json::json!({
        "/app-health/a/readyz": { "httpGet": { "path": "/x?y=z", "port": good, "scheme": "HTTP" } },
        "/app-health/a/livez": { "httpGet": { "path": "/", "port": bad, "httpHeaders": [{ "name": "Host", "value": "b" }] } },
        "/app-health/a/startupz": { "tcpSocket": { "port": good } },
        "/app-health/b/readyz": { "httpGet": { "path": "/", "port": mute }, "timeoutSeconds": 1 },
        "/app-health/b/livez": { "grpc": { "port": good } },
    });
    let state = state(&[("ISTIO_KUBE_APP_PROBERS", &probers.to_string())]);
    for (path, status) in [
        ("/app-health/a/readyz", 204),
        ("/app-health/a/livez", 500),
        ("/app-health/a/startupz", 200),
        ("/app-health/b/readyz", 500),
        ("/app-health/b/livez", 500),
        ("/app-health/c/livez", 404),
    ] {
        assert_eq!(
            get(AdminPort::Agent, &state, path).await.0,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn metrics_of_the_application_are_merged() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nmy_metric 4";
    let port = application(answer).await.port();
    let annotations =
        |port: u16| format!(r#"{{"scrape":"true","path":"/metrics","port":"{port}"}}"#);
    let state_of = |port| state(&[("ISTIO_PROMETHEUS_ANNOTATIONS", &annotations(port))]);
    let (_, text) = get(AdminPort::Agent, &state_of(port), "/stats/prometheus").await;
    for line in [
        "my_metric 4",
        "mesh_agent_scrape_failed 0",
        "envoy_server_live 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
    // Nobody listens there: the proxy's own metrics are still told.
    let unused = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let (_, text) = get(
        AdminPort::Agent,
        &state_of(unused.port()),
        "/stats/prometheus",
    )
    .await;
    for line in ["mesh_agent_scrape_failed 1", "envoy_server_live 0"] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
}

#[tokio::test]
async fn an_answer_gets_out_when_the_proxy_ends() {
    let state = state(&[]);
    let server = Server::bind(AdminPort::Admin, ([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let address = server.address().unwrap();
    tokio::spawn(server.run(state.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "POST /quitquitquit HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    state.open.all_closed().await;
    let error = Server::bind(AdminPort::Admin, address)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("failed to listen on"), "{error}");
}

#[tokio::test]
async fn requests_for_other_hosts_and_of_other_origins_are_refused() {
    let state = state(&[]);
    for (port, path) in [
        (AdminPort::Admin, "/config_dump"),
        (AdminPort::Admin, "/stats"),
        (AdminPort::Admin, "/drain"),
        (AdminPort::Admin, "/drain_listeners"),
        (AdminPort::Admin, "/healthcheck/fail"),
        (AdminPort::Admin, "/logging?level=debug"),
        (AdminPort::Admin, "/quitquitquit"),
        (AdminPort::Agent, "/quitquitquit"),
        (AdminPort::Agent, "/drain"),
    ] {
        for field in [
            "host: evil.example",
            "host: localhost\r\norigin: http://evil.example",
        ] {
            let server = Server::bind(port, ([127, 0, 0, 1], 0).into())
                .await
                .unwrap();
            let address = server.address().unwrap();
            let serving = tokio::spawn(server.run(state.clone()));
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!(
                "POST {path} HTTP/1.1\r\n{field}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 403 "),
                "{path} {field}: {answer}"
            );
            serving.abort();
        }
    }
    assert_eq!(state.lifecycle.stage(), Stage::Starting);
    assert_eq!(**state.log.current.load(), LevelFilter::WARN);
}

#[tokio::test]
async fn certificates_are_shown_and_keys_are_not() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let uri = "spiffe://cluster.local/ns/default/sa/web";
    params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
    params.serial_number = Some(0xab12_u64.into());
    params.not_after = rcgen::date_time_ymd(2999, 1, 1);
    let chain = params.self_signed(&key).unwrap().pem();
    let own = |name: &str, kind| {
        Arc::new(mesh_ir::Secret {
            name: name.into(),
            kind,
        })
    };
    let state = state(&[]);
    let identity = vec![
        own(
            "default",
            mesh_ir::SecretKind::Certificate {
                chain: chain.as_str().into(),
                key: mesh_ir::SecretText(key.serialize_pem().into()),
            },
        ),
        own(
            "ROOTCA",
            mesh_ir::SecretKind::Trust {
                roots: chain.into(),
            },
        ),
    ];
    state.known.change(|known| known.identity = identity.into());
    let (status, text) = get(AdminPort::Admin, &state, "/certs").await;
    assert_eq!(status, 200);
    assert!(!text.contains("KEY"), "{text}");
    let page: serde_json::Value = serde_json::from_str(&text).unwrap();
    let chain = &page["certificates"][0]["cert_chain"][0];
    assert_eq!(chain["path"], "default");
    assert_eq!(chain["serial_number"], "ab12");
    assert_eq!(
        chain["subject_alt_names"],
        serde_json::json!([{ "uri": uri }])
    );
    assert_eq!(chain["expiration_time"], "2999-01-01T00:00:00.000Z");
    let days: u64 = chain["days_until_expiration"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(days > 300_000, "{days}");
    assert_eq!(page["certificates"][1]["ca_cert"][0]["path"], "ROOTCA");
}

#[tokio::test]
async fn what_is_missing_at_the_start_and_the_memory_are_told() {
    let state = state(&[]);
    let get = async |path: &str| -> serde_json::Value {
        let (status, text) = get(AdminPort::Admin, &state, path).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let missing = get("/init_dump").await;
    let missing = &missing["unready_targets_dumps"][0]["target_names"];
    assert_eq!(*missing, serde_json::json!(["CDS", "LDS"]));
    state.lifecycle.advance(Stage::Live);
    assert_eq!(get("/init_dump").await, serde_json::json!({}));
    let memory = get("/memory").await;
    let resident: u64 = memory["total_physical_bytes"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(resident > 1 << 20, "{resident}");
}
