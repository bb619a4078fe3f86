//! Listeners, their chains and filters.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{
    Address, TrafficDirection, address, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, Listener, ListenerFilter, filter::ConfigType,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier,
    http_filter::ConfigType as HttpConfigType,
};
use mesh_ir::patch::{
    ChainPatch, ListenerPatch, Patch, PatchContext, PatchOperation, PatchSet, PatchTarget,
};
use mesh_ir::{Direction, names};
use prost::{Message, Name};

use super::cluster::merge_socket;
use super::route::patch_table;
use super::{adds, context, fits, lists, merge, merge_any, value};
use crate::resource::{ResourceType, wrap_message};

const HTTP_CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// Which part of a listener a patch is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Listener,
    Chain,
    ListenerFilter,
    NetworkFilter,
    HttpFilter,
}

/// A listener that is being patched.
struct Patching<'a> {
    patches: &'a PatchSet,
    context: PatchContext,
    /// Whether its chains are those of listeners of other ports, which are told by their destination.
    is_virtual: bool,
    name: String,
    port: Option<u32>,
}

type Selected<'a> = Vec<(&'a Patch, &'a ListenerPatch)>;

/// The patch of a part of listeners.
fn part(patch: &Patch) -> Option<(Part, &ListenerPatch)> {
    Some(match &patch.target {
        PatchTarget::Listener(matcher) => (Part::Listener, matcher),
        PatchTarget::FilterChain(matcher) => (Part::Chain, matcher),
        PatchTarget::ListenerFilter(matcher) => (Part::ListenerFilter, matcher),
        PatchTarget::NetworkFilter(matcher) => (Part::NetworkFilter, matcher),
        PatchTarget::HttpFilter(matcher) => (Part::HttpFilter, matcher),
        _ => return None,
    })
}

/// Insertions at a place are additions where there is no order.
fn adds_one(operation: PatchOperation) -> bool {
    matches!(
        operation,
        PatchOperation::Add
            | PatchOperation::InsertAfter
            | PatchOperation::InsertBefore
            | PatchOperation::InsertFirst
    )
}

pub(super) fn added(patches: &PatchSet) -> Vec<(String, Bytes)> {
    let is_listener = |patch: &Patch| matches!(patch.target, PatchTarget::Listener(_));
    patches
        .iter()
        .filter(|patch| is_listener(patch) && adds_one(patch.operation) && adds(patch, patches))
        .map(|patch| {
            let listener: Listener = value(patch);
            let any = wrap_message(ResourceType::Listener, &listener);
            (listener.name, any)
        })
        .collect()
}

pub(super) fn patched(mut listener: Listener, patches: &PatchSet) -> Option<Listener> {
    let inbound = listener.traffic_direction == i32::from(TrafficDirection::Inbound);
    let direction = if inbound {
        Direction::Inbound
    } else {
        Direction::Outbound
    };
    let name = listener.name.clone();
    let patching = Patching {
        patches,
        context: context(patches, direction),
        is_virtual: [names::VIRTUAL_INBOUND, names::VIRTUAL_OUTBOUND].contains(&name.as_str()),
        port: port_of(listener.address.as_ref()),
        name,
    };
    for (patch, _) in patching.of(Part::Listener) {
        match patch.operation {
            PatchOperation::Remove => return None,
            PatchOperation::Merge => merge(&mut listener, &patch.value),
            _ => {}
        }
    }
    patching.listener_filters(&mut listener.listener_filters);
    patching.chains(&mut listener);
    Some(listener)
}

fn port_of(address: Option<&Address>) -> Option<u32> {
    match address?.address.as_ref()? {
        address::Address::SocketAddress(socket) => match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => Some(port),
            _ => None,
        },
        _ => None,
    }
}

// === impl Patching ===

impl Patching<'_> {
    /// The patches of a part that are for this listener.
    fn of(&self, wanted: Part) -> Selected<'_> {
        let found = self.patches.of(self.context).filter_map(part_with_patch);
        found
            .filter(|(part, _, matcher)| *part == wanted && self.selects(wanted, matcher))
            .map(|(_, patch, matcher)| (patch, matcher))
            .collect()
    }

    fn selects(&self, part: Part, matcher: &ListenerPatch) -> bool {
        let by_chain = part != Part::Listener && self.is_virtual;
        fits(matcher.name.as_deref(), &self.name)
            && (by_chain || matcher.port.is_none() || matcher.port == self.port)
    }

    fn selects_chain(&self, matcher: &ListenerPatch, chain: &FilterChain) -> bool {
        let matched = chain.filter_chain_match.clone().unwrap_or_default();
        let destination = matched.destination_port.map(|port| port.value);
        if self.is_virtual && matcher.port.is_some() && matcher.port != destination {
            return false;
        }
        let ChainPatch {
            name,
            server_name,
            transport,
            application_protocols,
            destination_port,
        } = &matcher.chain;
        let has = |list: &[String], wanted: &str| list.iter().any(|known| known == wanted);
        fits(name.as_deref(), &chain.name)
            && server_name
                .as_deref()
                .is_none_or(|name| has(&matched.server_names, name))
            && fits(transport.as_deref(), &matched.transport_protocol)
            && application_protocols
                .iter()
                .all(|protocol| has(&matched.application_protocols, protocol))
            && (destination_port.is_none() || *destination_port == destination)
    }

    fn listener_filters(&self, filters: &mut Vec<ListenerFilter>) {
        for (patch, matcher) in self.of(Part::ListenerFilter) {
            let wanted = matcher.listener_filter.as_deref();
            let selected = |filter: &ListenerFilter| fits(wanted, &filter.name);
            let named = wanted.map(|_| &selected as &dyn Fn(&ListenerFilter) -> bool);
            lists::apply(filters, patch.operation, || value(patch), named);
        }
    }

    fn chains(&self, listener: &mut Listener) {
        let patches = self.of(Part::Chain);
        let chains = std::mem::take(&mut listener.filter_chains).into_iter();
        listener.filter_chains = chains
            .filter_map(|chain| self.chain(chain, &patches))
            .collect();
        let default = listener.default_filter_chain.take();
        listener.default_filter_chain = default.and_then(|chain| self.chain(chain, &patches));
        let added = patches
            .iter()
            .filter(|(patch, _)| adds_one(patch.operation));
        listener
            .filter_chains
            .extend(added.map(|(patch, _)| value::<FilterChain>(patch)));
    }

    fn chain(&self, mut chain: FilterChain, patches: &Selected<'_>) -> Option<FilterChain> {
        for (patch, matcher) in patches {
            if !self.selects_chain(matcher, &chain) {
                continue;
            }
            match patch.operation {
                PatchOperation::Remove => return None,
                PatchOperation::Merge => merge_chain(&mut chain, value(patch)),
                _ => {}
            }
        }
        self.network_filters(&mut chain);
        Some(chain)
    }

    fn network_filters(&self, chain: &mut FilterChain) {
        let patches = self.of(Part::NetworkFilter);
        let here: Vec<_> = patches
            .iter()
            .filter(|(_, matcher)| self.selects_chain(matcher, chain))
            .collect();
        for (patch, matcher) in &here {
            let wanted = matcher.filter.as_deref();
            let selected = |filter: &Filter| fits(wanted, &filter.name);
            let named = wanted.map(|_| &selected as &dyn Fn(&Filter) -> bool);
            lists::apply(&mut chain.filters, patch.operation, || value(patch), named);
        }
        let filters = std::mem::take(&mut chain.filters).into_iter();
        let filters = filters.map(|mut filter| {
            for (patch, matcher) in &here {
                if patch.operation == PatchOperation::Merge
                    && fits(matcher.filter.as_deref(), &filter.name)
                {
                    merge_filter(&mut filter, value(patch));
                }
            }
            self.http(&mut filter, chain);
            filter
        });
        chain.filters = filters.collect();
    }

    /// Patches what a filter that serves HTTP has in it.
    fn http(&self, filter: &mut Filter, chain: &FilterChain) {
        let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type else {
            return;
        };
        if any.type_url != HttpConnectionManager::type_url() {
            return;
        }
        let Ok(mut manager) = HttpConnectionManager::decode(any.value.as_slice()) else {
            return;
        };
        let patches = self.of(Part::HttpFilter);
        let is_here = |matcher: &ListenerPatch| {
            self.selects_chain(matcher, chain)
                && matcher
                    .filter
                    .as_deref()
                    .is_none_or(|wanted| wanted == filter.name || wanted == HTTP_CONNECTION_MANAGER)
        };
        let here: Vec<_> = patches
            .iter()
            .filter(|(_, matcher)| is_here(matcher))
            .collect();
        for (patch, matcher) in &here {
            let wanted = matcher.http_filter.as_deref();
            let selected = |filter: &HttpFilter| fits(wanted, &filter.name);
            let named = wanted.map(|_| &selected as &dyn Fn(&HttpFilter) -> bool);
            lists::apply(
                &mut manager.http_filters,
                patch.operation,
                || value(patch),
                named,
            );
        }
        for http in &mut manager.http_filters {
            for (patch, matcher) in &here {
                if patch.operation == PatchOperation::Merge
                    && fits(matcher.http_filter.as_deref(), &http.name)
                {
                    merge_http_filter(http, value(patch));
                }
            }
        }
        if let Some(RouteSpecifier::RouteConfig(table)) = &mut manager.route_specifier {
            patch_table(table, self.patches, self.context);
        }
        any.value = manager.encode_to_vec();
    }
}

fn part_with_patch(patch: &Patch) -> Option<(Part, &Patch, &ListenerPatch)> {
    let (part, matcher) = part(patch)?;
    Some((part, patch, matcher))
}

/// A transport socket is merged with one of the same name.
fn merge_chain(chain: &mut FilterChain, mut patch: FilterChain) {
    let known = chain.transport_socket.as_mut();
    if let (Some(known), Some(socket)) = (known, &patch.transport_socket)
        && known.name == socket.name
    {
        merge_socket(known, socket);
        patch.transport_socket = None;
    }
    merge(chain, &patch.encode_to_vec());
}

/// The name and the configuration of a filter; one without configuration has nothing to merge with.
fn merge_filter(filter: &mut Filter, patch: Filter) {
    let Some(ConfigType::TypedConfig(below)) = &mut filter.config_type else {
        return;
    };
    if let Some(ConfigType::TypedConfig(above)) = &patch.config_type {
        merge_any(below, above);
    }
    if !patch.name.is_empty() {
        filter.name = patch.name;
    }
}

fn merge_http_filter(filter: &mut HttpFilter, patch: HttpFilter) {
    let Some(HttpConfigType::TypedConfig(below)) = &mut filter.config_type else {
        return;
    };
    if let Some(HttpConfigType::TypedConfig(above)) = &patch.config_type {
        merge_any(below, above);
    }
    if !patch.name.is_empty() {
        filter.name = patch.name;
    }
}
