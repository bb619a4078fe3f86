//! Access logs: the providers of the lowest level that names some, without those that are disabled, each with its filter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::expression::Expression;
use mesh_ir::{AccessLog, FileLog, GrpcLog, LogSink, OtlpLog};

use super::providers::{ENVOY, Providers};
use super::{Mode, Sources};
use crate::model::{
    AccessLogging, ExtensionProvider, FileLogProvider, GrpcLogProvider, LogFormat, MeshConfig,
    OtlpLogProvider,
};

/// Names of logs where none are given.
const HTTP_LOG: &str = "http_envoy_accesslog";
const TCP_LOG: &str = "tcp_envoy_accesslog";
const OTEL_LOG: &str = "otel_envoy_accesslog";

pub(super) fn access_logs(sources: &Sources<'_>, mode: Mode) -> Vec<AccessLog> {
    let Sources { objects, providers } = sources;
    let mesh = providers.mesh();
    let defaults = defaults(mesh);
    let levels: Vec<Vec<&AccessLogging>> = objects
        .iter()
        .map(|(_, spec)| {
            let logs = spec.access_logging.iter();
            logs.filter(|log| mode.is_meant(log.matches.as_ref()))
                .collect()
        })
        .filter(|level: &Vec<_>| !level.is_empty())
        .collect();
    let says_something = objects
        .iter()
        .any(|(_, spec)| !spec.access_logging.is_empty());
    if !says_something && defaults.is_empty() {
        return of_mesh(mesh).into_iter().collect();
    }
    let logs = merge(&levels, defaults);
    let sinks = logs.iter().filter_map(|(name, filter)| {
        // What cannot be understood is not logged instead of being logged without filter.
        let readable = filter.is_none_or(|filter| Expression::parse(filter).is_ok());
        let provider = providers.get(name).filter(|_| readable)?;
        Some(AccessLog {
            sink: sink(providers, &provider)?,
            filter: filter.map(Arc::from),
        })
    });
    sinks.collect()
}

/// The names of providers with their filters.
fn merge<'t>(
    levels: &[Vec<&'t AccessLogging>],
    defaults: &'t [String],
) -> BTreeMap<&'t str, Option<&'t str>> {
    let names = |log: &'t AccessLogging| log.providers.iter().map(|provider| &*provider.name);
    let mut in_scope: BTreeSet<&str> = defaults.iter().map(String::as_str).collect();
    for level in levels {
        let named: BTreeSet<&str> = level.iter().flat_map(|log| names(log)).collect();
        if !named.is_empty() {
            in_scope = named;
        }
    }
    let mut inherited: Vec<&str> = defaults.iter().map(String::as_str).collect();
    let mut found: BTreeMap<&str, Option<&str>> = inherited
        .iter()
        .filter(|name| in_scope.contains(*name))
        .map(|name| (*name, None))
        .collect();
    for log in levels.iter().flatten() {
        let named: Vec<&str> = names(log).collect();
        if !named.is_empty() {
            inherited = named;
        }
        for name in inherited.iter().filter(|name| in_scope.contains(*name)) {
            if log.disabled == Some(true) {
                found.remove(name);
                continue;
            }
            let filter = log
                .filter
                .as_ref()
                .and_then(|filter| filter.expression.as_deref());
            found.insert(name, filter);
        }
    }
    found
}

pub(super) fn defaults(mesh: &MeshConfig) -> &[String] {
    let defaults = mesh.default_providers.as_ref();
    defaults.map_or(&[], |defaults| &defaults.access_logging)
}

/// The log of `accessLogFile`, which counts where no `Telemetry` and no default provider says something.
fn of_mesh(mesh: &MeshConfig) -> Option<AccessLog> {
    let path = mesh.access_log_file.as_deref();
    let path = path.filter(|path| !path.is_empty())?;
    Some(AccessLog {
        sink: LogSink::File(in_format_of_mesh(path, mesh)),
        filter: None,
    })
}

fn in_format_of_mesh(path: &str, mesh: &MeshConfig) -> FileLog {
    let format = mesh.access_log_format.as_deref();
    FileLog {
        path: path.into(),
        format: format.filter(|text| !text.is_empty()).map(line),
        json: mesh.access_log_encoding.as_deref() == Some("JSON"),
        omit_empty: false,
    }
}

/// Lines get their end when they are written.
fn line(text: &str) -> Arc<str> {
    text.strip_suffix('\n').unwrap_or(text).into()
}

/// Where the log of a provider goes; none if it takes no logs, or cannot be reached.
pub(super) fn sink(providers: &Providers<'_>, provider: &ExtensionProvider) -> Option<LogSink> {
    let ExtensionProvider {
        name,
        envoy_file_access_log,
        envoy_http_als,
        envoy_tcp_als,
        envoy_otel_als,
        ..
    } = provider;
    if let Some(file) = envoy_file_access_log {
        let mesh = providers.mesh();
        let of_mesh = name == ENVOY && file.log_format.is_none();
        return Some(LogSink::File(if of_mesh {
            in_format_of_mesh(&file.path, mesh)
        } else {
            self::file(file)
        }));
    }
    if let Some(service) = envoy_http_als {
        return grpc(providers, service, false);
    }
    if let Some(service) = envoy_tcp_als {
        return grpc(providers, service, true);
    }
    otlp(providers, envoy_otel_als.as_ref()?)
}

fn file(provider: &FileLogProvider) -> FileLog {
    let FileLogProvider {
        path,
        log_format,
        omit_empty_values,
    } = provider;
    let LogFormat { text, labels } = log_format.clone().unwrap_or_default();
    let (format, json) = match labels {
        Some(labels) if labels.is_empty() => (None, true),
        Some(labels) => (
            Some(serde_json::Value::Object(labels).to_string().into()),
            true,
        ),
        None => (
            text.filter(|text| !text.is_empty()).as_deref().map(line),
            false,
        ),
    };
    FileLog {
        path: path.as_str().into(),
        format,
        json,
        omit_empty: *omit_empty_values == Some(true),
    }
}

fn grpc(providers: &Providers<'_>, service: &GrpcLogProvider, tcp: bool) -> Option<LogSink> {
    let GrpcLogProvider {
        log_name,
        additional_request_headers_to_log: request,
        additional_response_headers_to_log: response,
        ..
    } = service;
    let headers = |names: &[String]| -> Vec<Arc<str>> {
        let names = names.iter().filter(|_| !tcp);
        names.map(|name| name.to_ascii_lowercase().into()).collect()
    };
    Some(LogSink::Grpc(GrpcLog {
        cluster: providers.cluster(service)?,
        name: log_name
            .as_deref()
            .unwrap_or(if tcp { TCP_LOG } else { HTTP_LOG })
            .into(),
        tcp,
        request_headers: headers(request),
        response_headers: headers(response),
    }))
}

fn otlp(providers: &Providers<'_>, service: &OtlpLogProvider) -> Option<LogSink> {
    let LogFormat { text, labels } = service.log_format.clone().unwrap_or_default();
    let labels = labels.unwrap_or_default().into_iter();
    let attributes = labels.filter_map(|(name, value)| {
        let value = value.as_str()?;
        Some((name.into(), value.into()))
    });
    let body = text.as_deref().filter(|text| !text.is_empty());
    Some(LogSink::OpenTelemetry(OtlpLog {
        cluster: providers.cluster(service)?,
        name: service.log_name.as_deref().unwrap_or(OTEL_LOG).into(),
        body: body.map_or_else(|| FileLog::DEFAULT_TEXT.into(), line),
        attributes: attributes.collect(),
    }))
}
