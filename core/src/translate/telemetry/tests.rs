//! What is told about the traffic of a workload, by levels.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mesh_ir::{LogSink, TelemetryPolicy};

use super::{WorkloadTelemetry, findings};
use crate::snapshot::testing::snapshot;

const MESH: &str = "
defaultConfig: {tracing: {sampling: 10}}
extensionProviders:
- {name: zipkin, zipkin: {service: zipkin.istio-system.svc.cluster.local, port: 9411}}
- {name: otel, opentelemetry: {service: istio-system/otel.istio-system.svc.cluster.local, port: 4317}}
- {name: otel-http, opentelemetry: {service: otel.istio-system.svc.cluster.local, port: 4318, http: {path: v1/traces, headers: [{name: key, value: x}]}}}
- {name: gone, zipkin: {service: nowhere.svc.cluster.local, port: 9411}}
- {name: json, envoyFileAccessLog: {path: /dev/stderr, logFormat: {labels: {code: '%RESPONSE_CODE%'}}}}
- {name: als, envoyHttpAls: {service: otel.istio-system.svc.cluster.local, port: 4317, additionalRequestHeadersToLog: [X-User]}}
- {name: tcp-als, envoyTcpAls: {service: otel.istio-system.svc.cluster.local, port: 4317}}
- {name: otel-log, envoyOtelAls: {service: otel.istio-system.svc.cluster.local, port: 4317, logFormat: {text: '%PROTOCOL%', labels: {code: '%RESPONSE_CODE%'}}}}
- {name: dog, datadog: {service: x, port: 1}}
";

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: zipkin, namespace: istio-system}
spec: {ports: [{port: 9411}]}
---
apiVersion: v1
kind: Service
metadata: {name: otel, namespace: istio-system}
spec: {ports: [{name: grpc, port: 4317}, {name: http, port: 4318}]}
---
";

/// A mesh with further settings and Telemetries; `NAMESPACE SPEC` each, with the labels `app: web` where the spec has a selector.
fn text(mesh: &str, telemetries: &[&str]) -> String {
    let mut all = SERVICES.to_owned();
    let config = serde_json::to_string(&[MESH, mesh].concat()).unwrap();
    write!(
        all,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: {config}}}\n---\n"
    )
    .unwrap();
    for (index, telemetry) in telemetries.iter().enumerate() {
        let (namespace, spec) = telemetry.split_once(' ').unwrap();
        write!(
            all,
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t{index}, namespace: {namespace}}}\nspec: {spec}\n---\n"
        )
        .unwrap();
    }
    all
}

fn telemetry(mesh: &str, telemetries: &[&str]) -> WorkloadTelemetry {
    let (snapshot, _) = snapshot(&text(mesh, telemetries));
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    WorkloadTelemetry::of(&snapshot, "shop", &labels)
}

fn logs(policy: &TelemetryPolicy) -> String {
    let logs = policy.access_logs.iter().map(|log| {
        let sink = match &log.sink {
            LogSink::File(file) => format!("{} {:?}", file.path, file.format),
            LogSink::Grpc(log) => format!("{} {} {:?}", log.cluster, log.name, log.request_headers),
            LogSink::OpenTelemetry(log) => {
                format!("{} {} {:?}", log.cluster, log.body, log.attributes)
            }
        };
        let filter = log.filter.as_ref().map(|filter| format!(" if {filter}"));
        sink + &filter.unwrap_or_default()
    });
    logs.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check_logs(mesh: &str, telemetries: &[&str], client: &str, server: &str) {
    let found = telemetry(mesh, telemetries);
    assert_eq!(logs(found.http(false)), client, "client");
    assert_eq!(logs(found.http(true)), server, "server");
}

#[test]
fn the_mesh_has_a_log_where_nobody_says_something() {
    check_logs("", &[], "", "");
    let file = "accessLogFile: /dev/stdout\naccessLogFormat: '%PROTOCOL%'\n";
    check_logs(
        file,
        &[],
        "/dev/stdout Some(\"%PROTOCOL%\")",
        "/dev/stdout Some(\"%PROTOCOL%\")",
    );
    let envoy = "/dev/stdout Some(\"%PROTOCOL%\")";
    check_logs(
        &[file, "defaultProviders: {accessLogging: [envoy]}"].concat(),
        &[],
        envoy,
        envoy,
    );
    check_logs(file, &["shop {accessLogging: [{disabled: true}]}"], "", "");
    check_logs(
        file,
        &["other {accessLogging: [{disabled: true}]}"],
        envoy,
        envoy,
    );
}

#[test]
fn the_lowest_level_that_names_providers_counts() {
    let default = "/dev/stdout None";
    let json = "/dev/stderr Some(\"{\\\"code\\\":\\\"%RESPONSE_CODE%\\\"}\")";
    let mesh = "istio-system {accessLogging: [{providers: [{name: envoy}]}]}";
    check_logs("", &[mesh], default, default);
    let namespace = "shop {accessLogging: [{providers: [{name: json}]}]}";
    check_logs("", &[mesh, namespace], json, json);
    let off = "shop {selector: {matchLabels: {app: web}}, accessLogging: [{match: {mode: CLIENT}, disabled: true}]}";
    check_logs("", &[mesh, off], "", default);
    let filter = "shop {selector: {matchLabels: {app: web}}, accessLogging: [{match: {mode: SERVER}, filter: {expression: 'response.code >= 400'}}]}";
    check_logs(
        "",
        &[mesh, filter],
        default,
        "/dev/stdout None if response.code >= 400",
    );
    let wrong = "shop {accessLogging: [{filter: {expression: 'metadata.x == 1'}}]}";
    check_logs("", &[mesh, wrong], "", "");
}

#[test]
fn logs_go_to_services_that_are_known() {
    let cluster = "outbound|4317||otel.istio-system.svc.cluster.local";
    let all = "shop {accessLogging: [{providers: [{name: als}, {name: tcp-als}, {name: otel-log}, {name: gone}]}]}";
    let found = telemetry("", &[all]);
    let otel = format!("{cluster} %PROTOCOL% [(\"code\", \"%RESPONSE_CODE%\")]");
    let http = format!("{cluster} http_envoy_accesslog [\"x-user\"]\n{otel}");
    assert_eq!(logs(found.http(false)), http);
    let tcp = format!("{otel}\n{cluster} tcp_envoy_accesslog []");
    assert_eq!(logs(found.tcp(false)), tcp);
}

#[track_caller]
fn check_traces(mesh: &str, telemetries: &[&str], client: Option<&str>, server: Option<&str>) {
    let found = telemetry(mesh, telemetries);
    let show = |policy: &TelemetryPolicy| {
        let tracing = policy.tracing.as_ref()?;
        let own = tracing
            .tags
            .keys()
            .filter(|name| !name.starts_with("istio."));
        let own: Vec<_> = own.collect();
        let share = f64::from(tracing.random_sampling.numerator) / 10_000.0;
        Some(format!("{} {share} {own:?}", tracing.provider.cluster()))
    };
    assert_eq!(show(found.http(false)).as_deref(), client, "client");
    assert_eq!(show(found.http(true)).as_deref(), server, "server");
    assert_eq!(found.tcp(false).tracing, None);
}

#[test]
fn each_field_of_a_lower_level_counts() {
    let zipkin = "outbound|9411||zipkin.istio-system.svc.cluster.local 10 []";
    let otel = "outbound|4317||otel.istio-system.svc.cluster.local 50 [\"a\"]";
    check_traces("", &[], None, None);
    check_traces("enableTracing: true", &[], Some(zipkin), Some(zipkin));
    let default = "defaultProviders: {tracing: [zipkin]}";
    check_traces(default, &[], Some(zipkin), Some(zipkin));
    let mesh = "istio-system {tracing: [{providers: [{name: otel}], customTags: {a: {literal: {value: b}}}}]}";
    let namespace = "shop {tracing: [{randomSamplingPercentage: 50}]}";
    check_traces(default, &[mesh, namespace], Some(otel), Some(otel));
    let off = "shop {selector: {matchLabels: {app: web}}, tracing: [{match: {mode: SERVER}, disableSpanReporting: true}]}";
    check_traces(default, &[mesh, namespace, off], Some(otel), None);
    check_traces(
        "",
        &["shop {tracing: [{providers: [{name: gone}]}]}"],
        None,
        None,
    );
    check_traces(
        "",
        &["shop {tracing: [{randomSamplingPercentage: 5}]}"],
        None,
        None,
    );
}

#[test]
fn metrics_are_changed_by_all_levels_together() {
    let mesh = "istio-system {metrics: [{providers: [{name: prometheus}], overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: \
                {host: {value: request.host}, source_app: {operation: REMOVE}}}]}]}";
    let namespace = "shop {metrics: [{overrides: [{match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {host: {operation: REMOVE}}}, \
                     {match: {metric: REQUEST_SIZE}, disabled: true}, {tagOverrides: {wrong: {value: metadata.x}}}]}]}";
    let found = telemetry("", &[mesh, namespace]);
    let show = |policy: &TelemetryPolicy| -> Vec<String> {
        let changes = policy.metrics.changes.iter();
        changes
            .map(|(metric, change)| {
                format!(
                    "{} {} {:?} {:?}",
                    metric.filter_name(),
                    change.dropped,
                    change.removed,
                    change.set
                )
            })
            .collect()
    };
    let size = "request_bytes true {} {}";
    assert_eq!(
        show(found.http(false)),
        [
            "requests_total false {\"source_app\"} {\"host\": \"request.host\"}",
            size
        ]
    );
    assert_eq!(
        show(found.http(true)),
        ["requests_total false {\"host\", \"source_app\"} {}", size]
    );
    let elsewhere = telemetry("", &["shop {metrics: [{providers: [{name: dog}]}]}"]);
    assert!(
        elsewhere
            .http(false)
            .metrics
            .changes
            .values()
            .all(|change| change.dropped)
    );
    assert_eq!(elsewhere.http(false).metrics.changes.len(), 10);
}

#[test]
fn what_is_not_obeyed_is_told() {
    let (snapshot, _) = snapshot(&text(
        "",
        &[
            "a {accessLogging: [{filter: {expression: 'metadata.x'}, providers: [{name: none}, {name: envoy}, {name: gone}]}]}",
            "b {tracing: [{providers: [{name: dog}]}]}",
            "c {metrics: [{reportingInterval: 5s, overrides: [{match: {customMetric: x}, tagOverrides: {a: {value: 'now()'}}}]}]}",
            "d {accessLogging: [{filter: {expression: 'response.code == 1'}}]}",
            "e {accessLogging: [{disabled: true}], tracing: [{providers: [{name: zipkin}]}]}",
        ],
    ));
    let found: Vec<String> = findings(&snapshot)
        .iter()
        .map(|found| format!("{} {}", found.code, found.path))
        .collect();
    assert_eq!(
        found,
        [
            "MESH0004 spec.accessLogging[0].filter.expression",
            "MESH0004 spec.accessLogging[0].providers[0]",
            "MESH0004 spec.accessLogging[0].providers[2]",
            "MESH0004 spec.tracing[0].providers[0]",
            "MESH0001 spec.metrics[0].reportingInterval",
            "MESH0001 spec.metrics[0].overrides[0].match.customMetric",
            "MESH0004 spec.metrics[0].overrides[0].tagOverrides.a.value",
            "MESH0001 spec.accessLogging",
        ]
    );
}
