//! Traces: level by level, each field of a lower one in place of that of a higher one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{Denominator, Fraction, SpanTag, TagSource, TraceProvider, Tracing as Policy};

use super::providers::{Providers, default_config, default_zipkin};
use super::{Mode, Sources};
use crate::model::{
    CustomTag, ExtensionProvider, HttpProvider, MeshConfig, OpenTelemetryProvider, ProviderHeader,
    TagSource as TagName, TagText, Tracing, ZipkinProvider,
};

/// Share of requests that are traced where nobody says, in hundredths: Istio's.
const DEFAULT_SAMPLING: f64 = 1.0;
const ZIPKIN_PATH: &str = "/api/v2/spans";

/// What all levels say together.
#[derive(Default)]
struct Merged<'t> {
    provider: Option<&'t str>,
    disabled: bool,
    sampling: Option<f64>,
    tags: Option<&'t BTreeMap<String, CustomTag>>,
    by_request_id: Option<bool>,
    istio_tags: Option<bool>,
    propagates: Option<bool>,
}

pub(super) fn tracing(sources: &Sources<'_>, mode: Mode) -> Option<Policy> {
    let Sources { objects, providers } = sources;
    let mesh = providers.mesh();
    let defaults = mesh.default_providers.as_ref();
    let mut merged = Merged {
        provider: defaults.and_then(|defaults| defaults.tracing.first().map(String::as_str)),
        ..Merged::default()
    };
    // As in Istio only the first entry of an object counts.
    let said = objects.iter().filter_map(|(_, spec)| spec.tracing.first());
    let said: Vec<&Tracing> = said.collect();
    if merged.provider.is_none() && said.is_empty() {
        return of_mesh(providers);
    }
    for tracing in said {
        if mode.is_meant(tracing.matches.as_ref()) {
            merged.overlay(tracing);
        }
    }
    if merged.disabled {
        return None;
    }
    let provider = providers.get(merged.provider?)?;
    let (provider, max_length) = trace_provider(providers, &provider)?;
    let mut policy = policy(mesh, provider, max_length);
    policy.random_sampling = share(merged.sampling.unwrap_or_else(|| sampling(mesh)));
    policy.by_request_id = merged.by_request_id.unwrap_or(true);
    policy.propagates = merged.propagates.unwrap_or(true);
    if merged.istio_tags == Some(false) {
        policy.tags.clear();
    }
    let own = merged.tags.into_iter().flatten();
    let own = own.filter_map(|(name, tag)| Some((Arc::from(name.as_str()), span_tag(tag)?)));
    policy.tags.extend(own);
    Some(policy)
}

/// What `enableTracing` and `defaultConfig.tracing` say.
fn of_mesh(providers: &Providers<'_>) -> Option<Policy> {
    let mesh = providers.mesh();
    let (provider, _) = zipkin(providers, &default_zipkin(mesh)?)?;
    let mut policy = policy(mesh, provider, None);
    let config = default_config(mesh).tracing.unwrap_or_default();
    if let Some(length) = config.max_path_tag_length {
        policy.max_path_length = length;
    }
    let tags = config.custom_tags.iter();
    let tags = tags.filter_map(|(name, tag)| Some((Arc::from(name.as_str()), span_tag(tag)?)));
    policy.tags.extend(tags);
    Some(policy)
}

fn policy(mesh: &MeshConfig, provider: TraceProvider, max_length: Option<u32>) -> Policy {
    Policy {
        provider,
        client_sampling: share(100.0),
        random_sampling: share(sampling(mesh)),
        overall_sampling: share(100.0),
        by_request_id: true,
        propagates: true,
        max_path_length: max_length.unwrap_or(Policy::DEFAULT_PATH_LENGTH),
        tags: istio_tags(mesh),
    }
}

/// `defaultConfig.tracing.sampling`, where 0 is Istio's default.
fn sampling(mesh: &MeshConfig) -> f64 {
    let config = default_config(mesh).tracing.unwrap_or_default();
    let sampling = config.sampling.filter(|sampling| *sampling != 0.0);
    sampling.unwrap_or(DEFAULT_SAMPLING)
}

fn share(percent: f64) -> Fraction {
    Fraction {
        numerator: (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32,
        per: Denominator::Million,
    }
}

/// What Istio tells of the workload. What differs from one to the other is found in the proxy's environment, so that workloads can share
/// their configuration.
fn istio_tags(mesh: &MeshConfig) -> BTreeMap<Arc<str>, SpanTag> {
    let environment = |name: &str, default: &str| SpanTag {
        source: TagSource::Environment(name.into()),
        default: default.into(),
    };
    let id = default_config(mesh).mesh_id.filter(|id| !id.is_empty());
    let mesh_id = SpanTag {
        source: TagSource::Literal(id.as_deref().unwrap_or_else(|| mesh.trust_domain()).into()),
        default: "".into(),
    };
    BTreeMap::from([
        (
            "istio.canonical_revision".into(),
            environment("CANONICAL_REVISION", "latest"),
        ),
        (
            "istio.canonical_service".into(),
            environment("CANONICAL_SERVICE", "unknown"),
        ),
        ("istio.mesh_id".into(), mesh_id),
        (
            "istio.namespace".into(),
            environment("POD_NAMESPACE", "default"),
        ),
    ])
}

fn span_tag(tag: &CustomTag) -> Option<SpanTag> {
    let CustomTag {
        literal,
        environment,
        header,
        formatter,
    } = tag;
    let (source, default) = if let Some(TagText { value }) = literal {
        (TagSource::Literal(value.as_str().into()), None)
    } else if let Some(TagName {
        name,
        default_value,
    }) = environment
    {
        (
            TagSource::Environment(name.as_str().into()),
            default_value.as_deref(),
        )
    } else if let Some(TagName {
        name,
        default_value,
    }) = header
    {
        let name = name.to_ascii_lowercase();
        (TagSource::Header(name.into()), default_value.as_deref())
    } else {
        let TagText { value } = formatter.as_ref()?;
        (TagSource::Format(value.as_str().into()), None)
    };
    let default = default.unwrap_or_default().into();
    Some(SpanTag { source, default })
}

// === impl Merged ===

impl<'t> Merged<'t> {
    fn overlay(&mut self, tracing: &'t Tracing) {
        let Tracing {
            matches: _,
            providers,
            random_sampling_percentage,
            disable_span_reporting,
            custom_tags,
            use_request_id_for_trace_sampling,
            disable_context_propagation,
            enable_istio_tags,
        } = tracing;
        if let Some(provider) = providers.first() {
            self.provider = Some(&provider.name);
        }
        if let Some(disabled) = disable_span_reporting {
            self.disabled = *disabled;
        }
        if !custom_tags.is_empty() {
            self.tags = Some(custom_tags);
        }
        self.sampling = random_sampling_percentage.or(self.sampling);
        self.by_request_id = use_request_id_for_trace_sampling.or(self.by_request_id);
        self.istio_tags = enable_istio_tags.or(self.istio_tags);
        self.propagates = disable_context_propagation
            .map(|disabled| !disabled)
            .or(self.propagates);
    }
}

/// Who gets spans, and the longest path in them; none if it takes no spans, or cannot be reached.
pub(super) fn trace_provider(
    providers: &Providers<'_>,
    provider: &ExtensionProvider,
) -> Option<(TraceProvider, Option<u32>)> {
    if let Some(provider) = &provider.zipkin {
        return zipkin(providers, provider);
    }
    open_telemetry(providers, provider.opentelemetry.as_ref()?)
}

fn zipkin(
    providers: &Providers<'_>,
    provider: &ZipkinProvider,
) -> Option<(TraceProvider, Option<u32>)> {
    let path = provider.path.as_deref().filter(|path| !path.is_empty());
    let traced = TraceProvider::Zipkin {
        cluster: providers.cluster(provider)?,
        path: path.unwrap_or(ZIPKIN_PATH).into(),
        host: providers.host(provider).into(),
        long_ids: provider.enable_64bit_trace_id != Some(true),
        w3c: provider.trace_context_option.as_deref() == Some("USE_B3_WITH_W3C_PROPAGATION"),
    };
    Some((traced, provider.max_tag_length))
}

fn open_telemetry(
    providers: &Providers<'_>,
    provider: &OpenTelemetryProvider,
) -> Option<(TraceProvider, Option<u32>)> {
    let cluster = providers.cluster(provider)?;
    let headers = |headers: &[ProviderHeader]| -> Vec<(Arc<str>, Arc<str>)> {
        let headers = headers.iter();
        let headers = headers.filter_map(|header| {
            let value = header.value.as_deref()?;
            Some((header.name.as_str().into(), value.into()))
        });
        headers.collect()
    };
    let limit = |timeout: Option<Duration>| timeout.unwrap_or(TraceProvider::DEFAULT_TIMEOUT);
    let service = "".into();
    let traced = match &provider.http {
        Some(HttpProvider {
            path,
            timeout,
            headers: given,
        }) => {
            let host = providers.host(provider);
            let path = if path.starts_with('/') {
                path.clone()
            } else {
                format!("/{path}")
            };
            TraceProvider::OtlpHttp {
                cluster,
                uri: format!("http://{host}:{}{path}", provider.port).into(),
                timeout: limit(timeout.map(|text| text.0)),
                headers: headers(given),
                service,
            }
        }
        None => {
            let grpc = provider.grpc.clone().unwrap_or_default();
            TraceProvider::OtlpGrpc {
                cluster,
                timeout: limit(grpc.timeout.map(|text| text.0)),
                metadata: headers(&grpc.initial_metadata),
                service,
            }
        }
    };
    Some((traced, provider.max_tag_length))
}
