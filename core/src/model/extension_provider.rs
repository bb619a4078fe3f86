//! `extensionProviders` of the mesh configuration: services that telemetry and policies refer to by name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DurationText, ExtAuthzGrpcProvider, ExtAuthzHttpProvider};

/// A service that telemetry and policies refer to. One of its fields says what it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProvider {
    /// Name that it is referred to by.
    pub name: String,
    /// A collector of Zipkin's spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<ZipkinProvider>,
    /// A collector of OpenTelemetry's spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opentelemetry: Option<OpenTelemetryProvider>,
    /// Prometheus, which fetches metrics from proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Value>,
    /// An access log in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_file_access_log: Option<FileLogProvider>,
    /// A service that takes Envoy's access log of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_http_als: Option<GrpcLogProvider>,
    /// A service that takes Envoy's access log of connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_tcp_als: Option<GrpcLogProvider>,
    /// A service that takes OpenTelemetry's log records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_otel_als: Option<OtlpLogProvider>,
    /// An authorizer that is asked over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_ext_authz_http: Option<ExtAuthzHttpProvider>,
    /// An authorizer that is asked by gRPC (`envoy.service.auth.v3.Authorization`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_ext_authz_grpc: Option<ExtAuthzGrpcProvider>,
    /// All other kinds.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// A service by its host and port.
pub trait ProviderService {
    /// `HOST`, or `NAMESPACE/HOST`.
    fn service(&self) -> &str;
    /// Port.
    fn port(&self) -> u32;
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            /// `HOST`, or `NAMESPACE/HOST`.
            pub service: String,
            /// Port.
            pub port: u32,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl ProviderService for $name {
            fn service(&self) -> &str {
                &self.service
            }

            fn port(&self) -> u32 {
                self.port
            }
        }
    )*};
}

services! {
    /// A collector of Zipkin's spans.
    ZipkinProvider {
        /// Longest path in a tag.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_tag_length: Option<u32>,
        /// Whether ids of traces have 64 bits.
        #[serde(rename = "enable64bitTraceId", skip_serializing_if = "Option::is_none")]
        enable_64bit_trace_id: Option<bool>,
        /// Path that spans are posted to; `/api/v2/spans`.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// `USE_B3`, or `USE_B3_WITH_W3C_PROPAGATION`.
        #[serde(skip_serializing_if = "Option::is_none")]
        trace_context_option: Option<String>,
        /// Limit for it to answer; nothing acts on it yet.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<DurationText>,
        /// Headers of the requests; nothing acts on them yet.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        headers: Vec<ProviderHeader>,
    }

    /// A collector of OpenTelemetry's spans, by gRPC unless `http` is set.
    OpenTelemetryProvider {
        /// Longest path in a tag.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_tag_length: Option<u32>,
        /// How it is spoken to by HTTP.
        #[serde(skip_serializing_if = "Option::is_none")]
        http: Option<HttpProvider>,
        /// How it is spoken to by gRPC.
        #[serde(skip_serializing_if = "Option::is_none")]
        grpc: Option<GrpcProvider>,
        /// What is found out about where the proxy runs; nothing acts on it.
        #[serde(skip_serializing_if = "Option::is_none")]
        resource_detectors: Option<Value>,
        /// Dynatrace's sampler; nothing acts on it.
        #[serde(skip_serializing_if = "Option::is_none")]
        dynatrace_sampler: Option<Value>,
    }

    /// A service that takes Envoy's access log.
    GrpcLogProvider {
        /// Name of the log; `http_envoy_accesslog` or `tcp_envoy_accesslog`.
        #[serde(skip_serializing_if = "Option::is_none")]
        log_name: Option<String>,
        /// State of Envoy's filters, of which there is none here.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        filter_state_objects_to_log: Vec<String>,
        /// Further headers of requests.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        additional_request_headers_to_log: Vec<String>,
        /// Further headers of responses.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        additional_response_headers_to_log: Vec<String>,
        /// Further trailers of responses; nothing acts on them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        additional_response_trailers_to_log: Vec<String>,
    }

    /// A service that takes OpenTelemetry's log records.
    OtlpLogProvider {
        /// Name of the log; `otel_envoy_accesslog`.
        #[serde(skip_serializing_if = "Option::is_none")]
        log_name: Option<String>,
        /// Body and attributes.
        #[serde(skip_serializing_if = "Option::is_none")]
        log_format: Option<LogFormat>,
        /// State of Envoy's filters, of which there is none here.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        filter_state_objects_to_log: Vec<String>,
    }
}

/// How a collector is spoken to by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpProvider {
    /// Path.
    pub path: String,
    /// Limit for it to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// Headers of the requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ProviderHeader>,
}

/// How a collector is spoken to by gRPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcProvider {
    /// Limit for it to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// Metadata of the calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub initial_metadata: Vec<ProviderHeader>,
}

/// A header that a collector is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderHeader {
    /// Name.
    pub name: String,
    /// Value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// An environment variable of the control plane that has the value; nothing acts on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_name: Option<String>,
}

/// An access log in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileLogProvider {
    /// The file; `/dev/stdout`.
    pub path: String,
    /// Format of lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Whether operators without value are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omit_empty_values: Option<bool>,
}

/// Format of an access log, with Envoy's command operators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogFormat {
    /// As a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// As an object; in OpenTelemetry's records, the attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<serde_json::Map<String, Value>>,
}

/// Providers where a `Telemetry` does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProviders {
    /// Of traces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tracing: Vec<String>,
    /// Of metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Of access logs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_logging: Vec<String>,
}
