//! Route tables, their virtual hosts and routes.

use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteConfiguration, VirtualHost, route::Action,
};
use mesh_ir::patch::{
    Patch, PatchContext, PatchOperation, PatchSet, PatchTarget, RouteActionKind, RoutePatch,
};
use mesh_ir::{ClusterName, Direction};

use super::{context, fits, lists, merge, value};

/// What the name of a route table says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TableName {
    name: String,
    port: Option<u32>,
    port_name: String,
    /// `NAMESPACE/NAME`.
    gateway: String,
}

// === impl TableName ===

impl TableName {
    /// Reads a name: `PORT` or `inbound|PORT||` of sidecars; `http.PORT` or `https.PORT.PORTNAME.GATEWAY.NAMESPACE` of gateways.
    fn parse(name: &str, context: PatchContext) -> Self {
        let mut table = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        if context != PatchContext::Gateway {
            let inbound: Option<ClusterName> = name.parse().ok();
            table.port = inbound
                .map(|inbound| inbound.port.into())
                .or_else(|| name.parse().ok());
            return table;
        }
        let mut parts = name.split('.');
        let scheme = parts.next();
        table.port = parts.next().and_then(|port| port.parse().ok());
        if scheme == Some("https") {
            table.port_name = parts.next().unwrap_or_default().to_owned();
            if let (Some(gateway), Some(namespace)) = (parts.next(), parts.next()) {
                table.gateway = [namespace, gateway].join("/");
            }
        }
        table
    }

    fn fits(&self, matcher: &RoutePatch) -> bool {
        fits(matcher.name.as_deref(), &self.name)
            && matcher.port.is_none_or(|port| self.port == Some(port))
            && fits(matcher.port_name.as_deref(), &self.port_name)
            && fits(matcher.gateway.as_deref(), &self.gateway)
    }
}

/// Which part of a table a patch is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Table,
    Host,
    Route,
}

type Selected<'a> = Vec<(&'a Patch, &'a RoutePatch)>;

/// The patches of a part of a table.
fn of<'a>(
    patches: &'a PatchSet,
    context: PatchContext,
    table: &TableName,
    part: Part,
) -> Selected<'a> {
    patches
        .of(context)
        .filter_map(|patch| {
            let (found, matcher) = match &patch.target {
                PatchTarget::RouteConfiguration(matcher) => (Part::Table, matcher),
                PatchTarget::VirtualHost(matcher) => (Part::Host, matcher),
                PatchTarget::HttpRoute(matcher) => (Part::Route, matcher),
                _ => return None,
            };
            (found == part && table.fits(matcher)).then_some((patch, matcher))
        })
        .collect()
}

/// A table that is a resource of its own.
pub(super) fn patched(proto: RouteConfiguration, patches: &PatchSet) -> Option<RouteConfiguration> {
    let direction = match proto.name.parse::<ClusterName>() {
        Ok(name) => name.direction,
        Err(_) => Direction::Outbound,
    };
    let mut proto = proto;
    patch_table(&mut proto, patches, context(patches, direction));
    Some(proto)
}

pub(super) fn patch_table(
    proto: &mut RouteConfiguration,
    patches: &PatchSet,
    context: PatchContext,
) {
    let table = TableName::parse(&proto.name, context);
    for (patch, _) in of(patches, context, &table, Part::Table) {
        if patch.operation == PatchOperation::Merge {
            merge(proto, &patch.value);
        }
    }
    let hosts = of(patches, context, &table, Part::Host);
    let routes = of(patches, context, &table, Part::Route);
    let known = std::mem::take(&mut proto.virtual_hosts).into_iter();
    proto.virtual_hosts = known
        .filter_map(|host| patch_host(host, &hosts, &routes))
        .collect();
    let added = hosts.iter().filter(|(patch, _)| adds_host(patch.operation));
    proto
        .virtual_hosts
        .extend(added.map(|(patch, _)| value::<VirtualHost>(patch)));
}

/// Insertions at a place are additions for virtual hosts.
fn adds_host(operation: PatchOperation) -> bool {
    matches!(
        operation,
        PatchOperation::Add
            | PatchOperation::InsertAfter
            | PatchOperation::InsertBefore
            | PatchOperation::InsertFirst
    )
}

/// A virtual host that is a resource of its own, `TABLE/HOST`, by which name it stays known.
pub(super) fn patched_host(
    name: &str,
    proto: VirtualHost,
    patches: &PatchSet,
) -> Option<VirtualHost> {
    let (table, own) = name.rsplit_once('/').unwrap_or(("", name));
    let context = context(patches, Direction::Outbound);
    let table = TableName::parse(table, context);
    let hosts = of(patches, context, &table, Part::Host);
    let routes = of(patches, context, &table, Part::Route);
    let host = VirtualHost {
        name: own.to_owned(),
        ..proto
    };
    Some(VirtualHost {
        name: name.to_owned(),
        ..patch_host(host, &hosts, &routes)?
    })
}

fn patch_host(
    mut host: VirtualHost,
    hosts: &Selected<'_>,
    routes: &Selected<'_>,
) -> Option<VirtualHost> {
    for (patch, matcher) in hosts {
        if !selects_host(matcher, &host) {
            continue;
        }
        match patch.operation {
            PatchOperation::Remove => return None,
            PatchOperation::Merge => merge(&mut host, &patch.value),
            PatchOperation::Replace => host = value(patch),
            _ => {}
        }
    }
    patch_routes(&mut host, routes);
    Some(host)
}

fn selects_host(matcher: &RoutePatch, host: &VirtualHost) -> bool {
    fits(matcher.host.as_deref(), &host.name)
        && matcher
            .domain
            .as_deref()
            .is_none_or(|domain| host.domains.iter().any(|known| known == domain))
}

/// What is removed and merged comes first, then what is put in.
fn patch_routes(host: &mut VirtualHost, patches: &Selected<'_>) {
    let here: Vec<_> = patches
        .iter()
        .filter(|(_, matcher)| selects_host(matcher, host))
        .collect();
    let routes = std::mem::take(&mut host.routes).into_iter();
    host.routes = routes
        .filter_map(|mut route| {
            for (patch, matcher) in &here {
                if !selects_route(matcher, &route) {
                    continue;
                }
                match patch.operation {
                    PatchOperation::Remove => return None,
                    PatchOperation::Merge => merge(&mut route, &patch.value),
                    _ => {}
                }
            }
            Some(route)
        })
        .collect();
    for (patch, matcher) in here {
        let selected = |route: &Route| selects_route(matcher, route);
        let named = matcher.route.is_some();
        match patch.operation {
            PatchOperation::Merge | PatchOperation::Remove | PatchOperation::Replace => {}
            // Where a route is named, it must be there.
            PatchOperation::InsertFirst if named && !host.routes.iter().any(selected) => {}
            operation => lists::apply(
                &mut host.routes,
                operation,
                || value(patch),
                named.then_some(&selected as &dyn Fn(&Route) -> bool),
            ),
        }
    }
}

fn selects_route(matcher: &RoutePatch, route: &Route) -> bool {
    let Some(wanted) = &matcher.route else {
        return true;
    };
    let kind = match &route.action {
        Some(Action::Route(_)) => Some(RouteActionKind::Forward),
        Some(Action::Redirect(_)) => Some(RouteActionKind::Redirect),
        Some(Action::DirectResponse(_)) => Some(RouteActionKind::Direct),
        _ => None,
    };
    fits(wanted.name.as_deref(), &route.name)
        && (wanted.action.is_none() || kind.is_none() || wanted.action == kind)
}
