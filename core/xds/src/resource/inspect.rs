//! Listener filters: what is found out about a connection before a chain is chosen.

use envoy_types::pb::envoy::config::listener::v3::{ListenerFilter, listener_filter};
use envoy_types::pb::envoy::extensions::filters::listener::{
    http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst,
    proxy_protocol::v3::ProxyProtocol, tls_inspector::v3::TlsInspector,
};
use mesh_ir::Inspect;
use prost::{Message, Name};

use super::border::{At, InvalidResource};
use super::{pack, unpack};

/// In the order in which they must run: a PROXY protocol header comes before everything else.
pub(super) fn to_proto(value: &Inspect) -> Vec<ListenerFilter> {
    let Inspect {
        proxy_protocol,
        original_destination,
        tls,
        http,
    } = *value;
    [
        proxy_protocol.then(|| {
            filter(
                "envoy.filters.listener.proxy_protocol",
                &ProxyProtocol::default(),
            )
        }),
        original_destination
            .then(|| filter("envoy.filters.listener.original_dst", &OriginalDst {})),
        tls.then(|| {
            filter(
                "envoy.filters.listener.tls_inspector",
                &TlsInspector::default(),
            )
        }),
        http.then(|| {
            filter(
                "envoy.filters.listener.http_inspector",
                &HttpInspector::default(),
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn filter<T: Message + Name>(name: &str, config: &T) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        filter_disabled: None,
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack(config))),
    }
}

pub(super) fn from_proto(
    filters: Vec<ListenerFilter>,
    at: &At<'_>,
) -> Result<Inspect, InvalidResource> {
    let mut inspect = Inspect::default();
    let list = at.field("listener_filters");
    for (index, filter) in filters.into_iter().enumerate() {
        add(filter, &mut inspect, &list.index(index))?;
    }
    Ok(inspect)
}

fn add(filter: ListenerFilter, inspect: &mut Inspect, at: &At<'_>) -> Result<(), InvalidResource> {
    open!(at, filter => ListenerFilter {
        keep { name, config_type }
        refuse { filter_disabled }
        ignore {}
    });
    let Some(listener_filter::ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let config = at.field("typed_config");
    if let Some(proto) = unpack::<ProxyProtocol>(&any, &config)? {
        check_proxy_protocol(proto, &config)?;
        inspect.proxy_protocol = true;
    } else if any.type_url == OriginalDst::type_url() {
        inspect.original_destination = true;
    } else if any.type_url == TlsInspector::type_url() {
        inspect.tls = true;
    } else if any.type_url == HttpInspector::type_url() {
        inspect.http = true;
    } else {
        return Err(at.value(format!(
            "the listener filter {name:?} ({}) is not supported by this proxy",
            any.type_url
        )));
    }
    Ok(())
}

fn check_proxy_protocol(proto: ProxyProtocol, at: &At<'_>) -> Result<(), InvalidResource> {
    open!(at, proto => ProxyProtocol {
        keep {}
        refuse {
            rules, allow_requests_without_proxy_protocol, pass_through_tlvs, disallowed_versions, tlv_location,
        }
        ignore { stat_prefix }
    });
    Ok(())
}
