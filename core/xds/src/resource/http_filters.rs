//! HTTP filters, in their order; the router, which must be the last one, is understood.

use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::http::{
    cors::v3::Cors, ext_authz::v3::ExtAuthz, fault::v3::HttpFault,
    jwt_authn::v3::JwtAuthentication, local_ratelimit::v3::LocalRateLimit,
    ratelimit::v3::RateLimit, rbac::v3::Rbac, router::v3::Router,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter as Proto, http_filter::ConfigType,
};
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::policy::{ExtensionConfig, ExtensionFilter, ExternalAuthorization};
use mesh_ir::{HttpFilter, MetricsPolicy};

use super::border::{At, InvalidResource};
use super::{
    authorization, cors, extension, external_authorization, fault, filter_list, jwt, metrics, pack,
    rate_limit, unpack,
};

const ROUTER: &str = "envoy.filters.http.router";

/// Changes to metrics are a filter as well, which only Istio's own build of Envoy has.
pub(super) fn to_proto(filters: &[HttpFilter], metrics: &MetricsPolicy) -> Vec<Proto> {
    let router = filter(ROUTER, pack(&Router::default()));
    let stats = metrics::to_any(metrics).map(|config| Proto {
        is_optional: true,
        ..filter(metrics::STATS, config)
    });
    let filters = filters.iter().flat_map(of);
    filters.chain(stats).chain([router]).collect()
}

/// The filters that stand for one: policies are a filter for each action, and an authorizer needs one that says what it is asked about.
fn of(value: &HttpFilter) -> Vec<Proto> {
    let one = |name, config| vec![filter(name, config)];
    match value {
        HttpFilter::Fault => one(fault::NAME, pack(&HttpFault::default())),
        HttpFilter::Cors => one(cors::NAME, pack(&Cors {})),
        HttpFilter::Authenticate(tokens) => one(jwt::NAME, pack(&jwt::to_proto(tokens))),
        HttpFilter::Authorize(policies) => authorization::filters(policies)
            .iter()
            .map(|rules| filter(authorization::HTTP, pack(&rules.to_http())))
            .collect(),
        HttpFilter::ExternalAuthorize(external) => external_filters(external),
        HttpFilter::LocalRateLimit(limit) => {
            one(rate_limit::LOCAL, pack(&rate_limit::local(limit)))
        }
        HttpFilter::RateLimit(limit) => one(rate_limit::GLOBAL, pack(&rate_limit::global(limit))),
        HttpFilter::Extension(extension) => {
            let ExtensionFilter {
                name,
                config,
                optional,
            } = &**extension;
            vec![Proto {
                name: name.to_string(),
                is_optional: *optional,
                disabled: false,
                config_type: Some(match extension::to_proto(config) {
                    extension::Config::Inline(any) => ConfigType::TypedConfig(any),
                    extension::Config::Discovered(source) => ConfigType::ConfigDiscovery(*source),
                }),
            }]
        }
    }
}

fn external_filters(value: &ExternalAuthorization) -> Vec<Proto> {
    let ExternalAuthorization { provider, policies } = value;
    let rules = |rules: authorization::Filter| filter(authorization::HTTP, pack(&rules.to_http()));
    let Some(provider) = provider else {
        return vec![rules(authorization::denies(policies))];
    };
    let gated = !external_authorization::is_about_everything(policies);
    let asks = external_authorization::to_http(provider, gated);
    let prefix = [&external_authorization::rule_prefix(&provider.name), "-"].concat();
    let before = gated.then(|| rules(authorization::asks(policies, &prefix)));
    before
        .into_iter()
        .chain([filter(external_authorization::HTTP, pack(&asks))])
        .collect()
}

fn filter(name: &str, config: Any) -> Proto {
    Proto {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..Proto::default()
    }
}

type Found = filter_list::Found<HttpFilter>;

pub(super) fn from_proto(
    filters: Vec<Proto>,
    at: &At<'_>,
) -> Result<(Vec<HttpFilter>, MetricsPolicy), InvalidResource> {
    let metrics = filters.iter().find_map(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) if !filter.disabled => metrics::from_any(any),
        _ => None,
    });
    let found: Vec<Found> = at.list("http_filters", filters, from_one)?;
    let list = at.field("http_filters");
    if !matches!(found.last(), Some(Found::Router)) {
        return Err(list.value("the last filter must be the router"));
    }
    let filters = filter_list::join(found, &list)?;
    Ok((filters, metrics.unwrap_or_default()))
}

fn from_one(proto: Proto, at: &At<'_>) -> Result<Found, InvalidResource> {
    let Proto {
        name,
        is_optional,
        disabled,
        config_type,
    } = proto;
    if disabled {
        return Ok(Found::Nothing);
    }
    let extension = |config: ExtensionConfig| {
        Found::Filter(HttpFilter::Extension(Arc::new(ExtensionFilter {
            name: name.as_str().into(),
            config,
            optional: is_optional,
        })))
    };
    let found = match config_type {
        Some(ConfigType::TypedConfig(any)) => match extension::from_inline(&any) {
            Some(config) => Some(extension(config)),
            None => from_config(&any, &at.field("typed_config"))?,
        },
        Some(ConfigType::ConfigDiscovery(source)) => {
            let at = at.field("config_discovery");
            Some(extension(extension::from_discovered(source, &at)?))
        }
        None => (name == ROUTER).then_some(Found::Router),
    };
    match found {
        Some(found) => Ok(found),
        None if is_optional => Ok(Found::Nothing),
        None => Err(at.value(format!(
            "the HTTP filter {name:?} is not supported by this proxy"
        ))),
    }
}

/// None if the filter is unknown.
fn from_config(any: &Any, at: &At<'_>) -> Result<Option<Found>, InvalidResource> {
    if unpack::<Router>(any, at)?.is_some() {
        return Ok(Some(Found::Router));
    }
    if let Some(proto) = unpack::<HttpFault>(any, at)? {
        // Failures of all routes would be failures of none in particular.
        return if proto == HttpFault::default() {
            Ok(Some(Found::Filter(HttpFilter::Fault)))
        } else {
            Err(at.value("only routes can inject faults"))
        };
    }
    if unpack::<Cors>(any, at)?.is_some() {
        return Ok(Some(Found::Filter(HttpFilter::Cors)));
    }
    if let Some(proto) = unpack::<JwtAuthentication>(any, at)? {
        let tokens = Arc::new(jwt::from_proto(proto, at)?);
        return Ok(Some(Found::Filter(HttpFilter::Authenticate(tokens))));
    }
    if let Some(proto) = unpack::<Rbac>(any, at)? {
        return authorization::Filter::from_http(proto, at).map(|rules| Some(Found::Rules(rules)));
    }
    if let Some(proto) = unpack::<ExtAuthz>(any, at)? {
        let asks = external_authorization::from_http(proto, at)?;
        return Ok(Some(Found::Asks(Box::new(asks))));
    }
    if let Some(proto) = unpack::<LocalRateLimit>(any, at)? {
        let limit = Arc::new(rate_limit::from_local(proto, at)?);
        return Ok(Some(Found::Filter(HttpFilter::LocalRateLimit(limit))));
    }
    if let Some(proto) = unpack::<RateLimit>(any, at)? {
        let limit = Arc::new(rate_limit::from_global(proto, at)?);
        return Ok(Some(Found::Filter(HttpFilter::RateLimit(limit))));
    }
    Ok(extension::is_without_effect(any).then_some(Found::Nothing))
}
