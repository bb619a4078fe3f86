//! Which patches of `EnvoyFilter`s are for a proxy, in which order.
//!
//! Objects of the root namespace come first, then those of the proxy's own; among them the lowest priority, then the oldest. Patches of
//! one object keep their order. A patch that is not valid is left out; the others of the object are applied.

use std::sync::Arc;

use mesh_ir::patch::{
    ChainPatch, ClusterPatch, ListenerPatch, Patch, PatchContext, PatchOperation, PatchSet,
    PatchTarget, RouteActionKind, RouteNamePatch, RoutePatch,
};
use mesh_ir::{ConfigRef, ProxyKind, ProxyScope};
use regex::Regex;

use crate::model::{
    self, ApplyTo, ClusterMatch, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilterSpec,
    FilterChainMatch, ListenerMatch, ProxyMatch, RouteConfigurationMatch, VirtualHostMatch,
};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{GATEWAY_LABEL, Snapshot};
use crate::validate::envoy_filter::encode;

/// What is laid over a proxy's configuration once it is encoded; none without any.
pub fn patches(snapshot: &Snapshot, scope: &ProxyScope) -> Option<Arc<PatchSet>> {
    let objects = snapshot.resources(Kind::EnvoyFilter);
    if objects.is_empty() {
        return None;
    }
    let root = snapshot.mesh().root_namespace();
    let mut selected: Vec<(&Arc<Resource>, &EnvoyFilterSpec)> = objects
        .iter()
        .filter_map(|resource| match &resource.object {
            Object::EnvoyFilter(spec) if !resource.malformed => Some((resource, &**spec)),
            _ => None,
        })
        .filter(|(resource, spec)| selects(resource, spec, scope, root))
        .collect();
    selected.sort_by_key(|(resource, spec)| {
        let key = &resource.key;
        let own = *key.namespace != *root;
        let priority = spec.priority.unwrap_or(0);
        (
            own,
            priority,
            resource.meta.created,
            &key.name,
            &key.namespace,
        )
    });
    let patches: Vec<Patch> = selected
        .into_iter()
        .flat_map(|(resource, spec)| {
            let patches = spec.config_patches.iter();
            patches.filter_map(move |patch| to_patch(patch, resource, scope))
        })
        .collect();
    (!patches.is_empty()).then(|| Arc::new(PatchSet::new(scope.kind, patches)))
}

fn selects(resource: &Resource, spec: &EnvoyFilterSpec, scope: &ProxyScope, root: &str) -> bool {
    let EnvoyFilterSpec {
        workload_selector,
        target_refs,
        config_patches: _,
        priority: _,
    } = spec;
    let namespace = &*resource.key.namespace;
    let own = namespace == scope.namespace;
    if !target_refs.is_empty() {
        // The other kinds are targets of waypoints.
        let is_target = |target: &model::PolicyTargetReference| {
            target.kind == "Gateway" && scope.labels.get(GATEWAY_LABEL) == Some(&target.name)
        };
        return own && target_refs.iter().any(is_target);
    }
    let labels = workload_selector
        .iter()
        .flat_map(|selector| &selector.labels);
    (own || namespace == root)
        && labels
            .into_iter()
            .all(|(name, value)| scope.labels.get(name) == Some(value))
}

/// The patch if it is valid and for this proxy.
fn to_patch(
    patch: &EnvoyConfigObjectPatch,
    resource: &Resource,
    scope: &ProxyScope,
) -> Option<Patch> {
    let EnvoyConfigObjectPatch {
        apply_to,
        matches,
        patch,
    } = patch;
    let (apply_to, patch) = ((*apply_to)?, patch.as_ref()?);
    let any = EnvoyConfigObjectMatch::default();
    let matches = matches.as_ref().unwrap_or(&any);
    let context = match matches.context {
        None | Some(model::PatchContext::Any) => None,
        Some(model::PatchContext::SidecarInbound) => Some(PatchContext::SidecarInbound),
        Some(model::PatchContext::SidecarOutbound) => Some(PatchContext::SidecarOutbound),
        Some(model::PatchContext::Gateway) => Some(PatchContext::Gateway),
        Some(model::PatchContext::Waypoint) => return None,
    };
    let is_gateway = scope.kind == ProxyKind::Gateway;
    if context.is_some_and(|context| (context == PatchContext::Gateway) != is_gateway)
        || !matches_proxy(matches.proxy.as_ref(), scope)
        || matches.waypoint.is_some()
    {
        return None;
    }
    let operation = operation(patch.operation?, apply_to)?;
    let value = match operation {
        PatchOperation::Remove => Vec::new(),
        _ => encode(apply_to, patch.value.as_ref()?).ok()??,
    };
    Some(Patch {
        context,
        target: target(apply_to, matches)?,
        operation,
        value: value.into(),
        origin: ConfigRef {
            api_version: "networking.istio.io/v1alpha3".into(),
            kind: "envoy-filter".into(),
            namespace: resource.key.namespace.clone(),
            name: resource.key.name.clone(),
        },
    })
}

fn matches_proxy(proxy: Option<&ProxyMatch>, scope: &ProxyScope) -> bool {
    let Some(ProxyMatch {
        proxy_version,
        metadata,
    }) = proxy
    else {
        return true;
    };
    let is_version = |pattern: &String| {
        !scope.version.is_empty()
            && Regex::new(pattern).is_ok_and(|regex| regex.is_match(&scope.version))
    };
    proxy_version
        .iter()
        .filter(|pattern| !pattern.is_empty())
        .all(is_version)
        && metadata
            .iter()
            .all(|(name, value)| metadata_of(scope, name) == Some(value))
}

/// A text of the proxy's metadata.
fn metadata_of<'a>(scope: &'a ProxyScope, name: &str) -> Option<&'a String> {
    match name {
        "NAMESPACE" => Some(&scope.namespace),
        "CLUSTER_ID" => Some(&scope.cluster_id),
        "NETWORK" => Some(&scope.network),
        "ISTIO_VERSION" => Some(&scope.version),
        name => scope.metadata.get(name),
    }
}

fn operation(operation: model::PatchOperation, apply_to: ApplyTo) -> Option<PatchOperation> {
    Some(match operation {
        // The second has no effect yet, which the object's findings say.
        model::PatchOperation::Invalid | model::PatchOperation::MergeAndReplaceList => return None,
        model::PatchOperation::Merge => PatchOperation::Merge,
        model::PatchOperation::Add => PatchOperation::Add,
        model::PatchOperation::Remove => PatchOperation::Remove,
        model::PatchOperation::InsertBefore => PatchOperation::InsertBefore,
        model::PatchOperation::InsertAfter => PatchOperation::InsertAfter,
        model::PatchOperation::InsertFirst => PatchOperation::InsertFirst,
        model::PatchOperation::Replace => match apply_to {
            ApplyTo::NetworkFilter
            | ApplyTo::HttpFilter
            | ApplyTo::ListenerFilter
            | ApplyTo::VirtualHost => PatchOperation::Replace,
            _ => return None,
        },
    })
}

fn target(apply_to: ApplyTo, matches: &EnvoyConfigObjectMatch) -> Option<PatchTarget> {
    let listener = || listener(matches.listener.as_ref());
    let route = || route(matches.route_configuration.as_ref());
    Some(match apply_to {
        ApplyTo::Listener => PatchTarget::Listener(listener()),
        ApplyTo::FilterChain => PatchTarget::FilterChain(listener()),
        ApplyTo::ListenerFilter => PatchTarget::ListenerFilter(listener()),
        ApplyTo::NetworkFilter => PatchTarget::NetworkFilter(listener()),
        ApplyTo::HttpFilter => PatchTarget::HttpFilter(listener()),
        ApplyTo::RouteConfiguration => PatchTarget::RouteConfiguration(route()),
        ApplyTo::VirtualHost => PatchTarget::VirtualHost(route()),
        ApplyTo::HttpRoute => PatchTarget::HttpRoute(route()),
        ApplyTo::Cluster => PatchTarget::Cluster(cluster(matches.cluster.as_ref())),
        ApplyTo::Invalid | ApplyTo::ExtensionConfig | ApplyTo::Bootstrap => return None,
    })
}

/// What is empty or 0 is not said.
fn text(text: Option<&String>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty())
        .map(|text| text.as_str().into())
}

fn number(number: Option<u32>) -> Option<u32> {
    number.filter(|number| *number != 0)
}

fn listener(matches: Option<&ListenerMatch>) -> ListenerPatch {
    let Some(ListenerMatch {
        port_number,
        // Names of ports are none of any listener.
        port_name: _,
        filter_chain,
        listener_filter,
        name,
    }) = matches
    else {
        return ListenerPatch::default();
    };
    let filter = filter_chain
        .as_ref()
        .and_then(|chain| chain.filter.as_ref());
    let http_filter = filter.and_then(|filter| filter.sub_filter.as_ref());
    ListenerPatch {
        name: text(name.as_ref()),
        port: number(*port_number),
        chain: chain(filter_chain.as_ref()),
        listener_filter: text(listener_filter.as_ref()),
        filter: filter.map(|filter| filter.name.as_str().into()),
        http_filter: http_filter.map(|filter| filter.name.as_str().into()),
    }
}

fn chain(matches: Option<&FilterChainMatch>) -> ChainPatch {
    let Some(FilterChainMatch {
        name,
        sni,
        transport_protocol,
        application_protocols,
        filter: _,
        destination_port,
    }) = matches
    else {
        return ChainPatch::default();
    };
    let protocols = application_protocols
        .iter()
        .flat_map(|list| list.split(','));
    ChainPatch {
        name: text(name.as_ref()),
        server_name: text(sni.as_ref()),
        transport: text(transport_protocol.as_ref()),
        application_protocols: protocols
            .map(str::trim)
            .filter(|protocol| !protocol.is_empty())
            .map(Into::into)
            .collect(),
        destination_port: number(*destination_port),
    }
}

fn route(matches: Option<&RouteConfigurationMatch>) -> RoutePatch {
    let Some(RouteConfigurationMatch {
        port_number,
        port_name,
        gateway,
        vhost,
        name,
    }) = matches
    else {
        return RoutePatch::default();
    };
    let none = VirtualHostMatch::default();
    let VirtualHostMatch {
        name: host,
        domain_name,
        route,
    } = vhost.as_ref().unwrap_or(&none);
    RoutePatch {
        name: text(name.as_ref()),
        port: number(*port_number),
        port_name: text(port_name.as_ref()),
        gateway: text(gateway.as_ref()),
        host: text(host.as_ref()),
        domain: text(domain_name.as_ref()),
        route: route.as_ref().map(|route| RouteNamePatch {
            name: text(route.name.as_ref()),
            action: match route.action {
                None | Some(model::RouteActionMatch::Any) => None,
                Some(model::RouteActionMatch::Route) => Some(RouteActionKind::Forward),
                Some(model::RouteActionMatch::Redirect) => Some(RouteActionKind::Redirect),
                Some(model::RouteActionMatch::DirectResponse) => Some(RouteActionKind::Direct),
            },
        }),
    }
}

fn cluster(matches: Option<&ClusterMatch>) -> ClusterPatch {
    let Some(ClusterMatch {
        port_number,
        service,
        subset,
        name,
    }) = matches
    else {
        return ClusterPatch::default();
    };
    ClusterPatch {
        name: text(name.as_ref()),
        port: number(*port_number),
        service: text(service.as_ref()),
        subset: text(subset.as_ref()),
    }
}

#[cfg(test)]
mod tests;
