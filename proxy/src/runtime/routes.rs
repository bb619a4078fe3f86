//! Route tables whose targets are resolved to clusters.

use std::sync::Arc;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::matching::{InvalidRoute, Matched, RouteTable};
use mesh_ir::{RouteAction, RouteConfig, Target};
use smallvec::SmallVec;

use super::ClusterId;

/// A route table of one runtime.
#[derive(Debug)]
pub struct Routes {
    /// The table.
    pub table: Arc<RouteTable>,
    /// By virtual host, route and position among the targets; none for clusters that do not exist.
    targets: Vec<Vec<SmallVec<[Option<ClusterId>; 1]>>>,
}

// === impl Routes ===

impl Routes {
    pub(super) fn new(table: Arc<RouteTable>, find: impl Fn(&str) -> Option<ClusterId>) -> Self {
        let targets = table
            .config()
            .virtual_hosts
            .iter()
            .map(|host| {
                let routes = host.routes.iter();
                routes.map(|route| resolve(&route.action, &find)).collect()
            })
            .collect();
        Self { table, targets }
    }

    /// The cluster that a request is forwarded to; none if it does not exist.
    pub fn cluster(&self, forwarding: &Forwarding<'_>) -> Option<ClusterId> {
        let Forwarding {
            matched, picked, ..
        } = forwarding;
        *self.targets(matched).get(picked.index)?
    }

    /// The clusters among which a route picks, in the order of its targets; none for those that do not exist.
    pub fn targets(&self, matched: &Matched<'_>) -> &[Option<ClusterId>] {
        let host = self.targets.get(matched.virtual_host_index);
        host.and_then(|routes| routes.get(matched.route_index))
            .map_or(&[], |targets| targets.as_slice())
    }
}

fn resolve(
    action: &RouteAction,
    find: &impl Fn(&str) -> Option<ClusterId>,
) -> SmallVec<[Option<ClusterId>; 1]> {
    match action {
        RouteAction::Forward(forward) => match &forward.target {
            Target::Cluster(name) => std::iter::once(find(name)).collect(),
            Target::Weighted(clusters) => clusters
                .iter()
                .map(|weighted| find(&weighted.cluster))
                .collect(),
        },
        RouteAction::Redirect(_) | RouteAction::Direct(_) => SmallVec::new(),
    }
}

/// The table of a configuration; the one before if it is of the same one.
pub(super) fn table(
    config: &Arc<RouteConfig>,
    before: Option<&Arc<Routes>>,
    invalid: &mut Vec<InvalidRoute>,
) -> Arc<RouteTable> {
    if let Some(before) = before
        && (Arc::ptr_eq(before.table.config(), config) || before.table.config() == config)
    {
        return before.table.clone();
    }
    let (table, found) = RouteTable::compile(config.clone());
    invalid.extend(found);
    Arc::new(table)
}
