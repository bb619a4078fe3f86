//! Logs, spans and changes to metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::{
    AccessLog, Denominator, FileLog, Fraction, GrpcLog, LogSink, Metric, MetricChange,
    MetricsPolicy, OtlpLog, SpanTag, TagSource, TelemetryPolicy, TraceProvider, Tracing,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::{any_text, duration, text};

pub(super) fn policy() -> impl Strategy<Value = TelemetryPolicy> {
    (vec(access_log(), 0..3), of(tracing()), metrics()).prop_map(
        |(access_logs, tracing, metrics)| TelemetryPolicy {
            access_logs,
            tracing,
            metrics,
        },
    )
}

fn access_log() -> impl Strategy<Value = AccessLog> {
    let format = prop_oneof![
        Just((None, false)),
        Just((None, true)),
        text().prop_map(|text| (Some(text), false)),
        Just((
            Some(r#"{"a":"%PROTOCOL%","b":[true,null,{"c":1.5,"d":-2}]}"#.into()),
            true
        )),
    ];
    let file = (text(), format, any::<bool>()).prop_map(|(path, (format, json), omit_empty)| {
        LogSink::File(FileLog {
            path,
            format,
            json,
            omit_empty,
        })
    });
    let names = || vec("[a-z-]{1,8}".prop_map(Arc::from), 0..2);
    let http = (text(), text(), names(), names()).prop_map(
        |(cluster, name, request_headers, response_headers)| {
            LogSink::Grpc(GrpcLog {
                cluster,
                name,
                tcp: false,
                request_headers,
                response_headers,
            })
        },
    );
    let tcp = (text(), text()).prop_map(|(cluster, name)| {
        LogSink::Grpc(GrpcLog {
            cluster,
            name,
            tcp: true,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
        })
    });
    let otlp = (text(), text(), any_text(), vec((text(), any_text()), 0..3)).prop_map(
        |(cluster, name, body, attributes)| {
            LogSink::OpenTelemetry(OtlpLog {
                cluster,
                name,
                body,
                attributes,
            })
        },
    );
    let filter = of(Just(Arc::from("response.code >= 400")));
    (prop_oneof![file, http, tcp, otlp], filter)
        .prop_map(|(sink, filter)| AccessLog { sink, filter })
}

fn share() -> impl Strategy<Value = Fraction> {
    (0u32..=1_000_000).prop_map(|numerator| Fraction {
        numerator,
        per: Denominator::Million,
    })
}

fn tracing() -> impl Strategy<Value = Tracing> {
    let all = (
        provider(),
        [share(), share(), share()],
        any::<[bool; 2]>(),
        0u32..1000,
        tags(),
    );
    all.prop_map(
        |(
            provider,
            [client, random, overall],
            [by_request_id, propagates],
            max_path_length,
            tags,
        )| {
            Tracing {
                provider,
                client_sampling: client,
                random_sampling: random,
                overall_sampling: overall,
                by_request_id,
                propagates,
                max_path_length,
                tags,
            }
        },
    )
}

fn provider() -> BoxedStrategy<TraceProvider> {
    let headers = || vec((text(), text()), 0..2);
    let zipkin = (text(), text(), text(), any::<[bool; 2]>()).prop_map(
        |(cluster, path, host, [long_ids, w3c])| TraceProvider::Zipkin {
            cluster,
            path,
            host,
            long_ids,
            w3c,
        },
    );
    let grpc = (text(), duration(), headers(), text()).prop_map(
        |(cluster, timeout, metadata, service)| TraceProvider::OtlpGrpc {
            cluster,
            timeout,
            metadata,
            service,
        },
    );
    let http = (text(), text(), duration(), headers(), text()).prop_map(
        |(cluster, path, timeout, headers, service)| TraceProvider::OtlpHttp {
            cluster,
            uri: format!("http://{path}").into(),
            timeout,
            headers,
            service,
        },
    );
    prop_oneof![zipkin, grpc, http].boxed()
}

fn tags() -> impl Strategy<Value = BTreeMap<Arc<str>, SpanTag>> {
    let without = |source| SpanTag {
        source,
        default: "".into(),
    };
    let tag = prop_oneof![
        any_text().prop_map(move |value| without(TagSource::Literal(value))),
        any_text().prop_map(move |value| without(TagSource::Format(value))),
        (text(), any_text()).prop_map(|(name, default)| SpanTag {
            source: TagSource::Environment(name),
            default,
        }),
        ("[a-z-]{1,8}", any_text()).prop_map(|(name, default)| SpanTag {
            source: TagSource::Header(name.into()),
            default,
        }),
    ];
    btree_map(text(), tag, 0..4)
}

fn metrics() -> impl Strategy<Value = MetricsPolicy> {
    let change = (
        any::<bool>(),
        btree_set(text(), 0..2),
        btree_map(text(), any_text(), 0..2),
    )
        .prop_map(|(dropped, removed, set)| MetricChange {
            dropped,
            removed,
            set,
        });
    btree_map(proptest::sample::select(Metric::ALL.to_vec()), change, 0..3)
        .prop_map(|changes| MetricsPolicy { changes })
}
