//! Route tables whose targets are resolved to clusters.

use std::sync::Arc;

use mesh_ir::evaluate::{Forwarding, RateLimitRules};
use mesh_ir::matching::{InvalidRoute, Kept, Matched, RouteTable};
use mesh_ir::{RouteAction, RouteConfig, RoutePolicy, Target, VirtualHost};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{ClusterId, ClusterIds};
use crate::rate_limit::Limiter;
use crate::telemetry::substitution::Substitution;

/// A route table of one runtime.
#[derive(Debug)]
pub struct Routes {
    /// The table.
    pub table: Arc<RouteTable>,
    /// What its targets are positions in.
    ids: Arc<ClusterIds>,
    hosts: Vec<Arc<ResolvedHost>>,
    /// Values of header changes that have command operators or escaped percent signs.
    substitutions: FxHashMap<Arc<str>, Arc<Substitution>>,
}

/// What is made of a virtual host.
#[derive(Debug)]
struct ResolvedHost {
    /// By route and position among the targets; none for clusters that do not exist.
    targets: Vec<SmallVec<[Option<ClusterId>; 1]>>,
    substitutions: Vec<(Arc<str>, Arc<Substitution>)>,
    /// By route; empty where no route has any. Those that were there before go on counting.
    limits: Arc<[Option<RouteLimits>]>,
}

/// How the rate of a route's requests is limited.
#[derive(Debug)]
pub struct RouteLimits {
    /// The route's own limit, in place of that of the server.
    pub limiter: Option<Arc<Limiter>>,
    /// What descriptors are made from.
    pub rules: RateLimitRules,
}

// === impl Routes ===

impl Routes {
    /// The routes of a configuration, whose invalid parts are left out. Of a table that has changed, only the virtual hosts that have
    /// are made again; one that is the same is the value before, if the clusters have kept their positions.
    pub(super) fn new(
        config: &Arc<RouteConfig>,
        ids: &Arc<ClusterIds>,
        before: Option<&Arc<Self>>,
        invalid: &mut Vec<InvalidRoute>,
    ) -> Arc<Self> {
        let same =
            |before: &RouteTable| Arc::ptr_eq(before.config(), config) || before.config() == config;
        let table = match before.map(|before| &before.table) {
            Some(before) if same(before) => before.clone(),
            before => {
                let before = before.map(|before| &**before);
                let (table, found) = RouteTable::compile_after(config.clone(), before);
                invalid.extend(found);
                Arc::new(table)
            }
        };
        let same_ids = before.is_some_and(|before| Arc::ptr_eq(&before.ids, ids));
        let same_table = |before: &&Arc<Self>| Arc::ptr_eq(&before.table, &table);
        if let Some(before) = before.filter(same_table)
            && same_ids
        {
            return before.clone();
        }
        let mut kept = Kept::new(before.map(|before| &**before.table.config()));
        let resolved = |host: &Arc<VirtualHost>| {
            let known = kept.position(host);
            let known = known.and_then(|position| before?.hosts.get(position));
            match known {
                Some(known) if same_ids => known.clone(),
                known => {
                    let limits = known.map(|known| known.limits.clone());
                    Arc::new(ResolvedHost::new(host, ids, limits))
                }
            }
        };
        let hosts: Vec<_> = table.config().virtual_hosts.iter().map(resolved).collect();
        let substitutions = hosts.iter().flat_map(|host| &host.substitutions);
        Arc::new(Self {
            substitutions: substitutions.cloned().collect(),
            ids: ids.clone(),
            hosts,
            table,
        })
    }

    /// Whether some header changes have values that are not literal.
    pub fn substitutes(&self) -> bool {
        !self.substitutions.is_empty()
    }

    /// The compiled form of a value of a header change; none for literal ones.
    pub fn substitution(&self, value: &str) -> Option<&Substitution> {
        self.substitutions.get(value).map(|text| &**text)
    }

    /// The cluster that a request is forwarded to; none if it does not exist.
    pub fn cluster(&self, forwarding: &Forwarding<'_>) -> Option<ClusterId> {
        let Forwarding {
            matched, picked, ..
        } = forwarding;
        *self.targets(matched).get(picked.index)?
    }

    /// How the rate of a route's requests is limited.
    pub fn limits(&self, matched: &Matched<'_>) -> Option<&RouteLimits> {
        let host = self.hosts.get(matched.virtual_host_index)?;
        host.limits.get(matched.route_index)?.as_ref()
    }

    /// The limits of all routes.
    pub fn limiters(&self) -> impl Iterator<Item = &Arc<Limiter>> {
        let limits = self.hosts.iter().flat_map(|host| &*host.limits);
        limits
            .flatten()
            .filter_map(|limits| limits.limiter.as_ref())
    }

    /// The clusters among which a route picks, in the order of its targets; none for those that do not exist.
    pub fn targets(&self, matched: &Matched<'_>) -> &[Option<ClusterId>] {
        let host = self.hosts.get(matched.virtual_host_index);
        host.and_then(|host| host.targets.get(matched.route_index))
            .map_or(&[], |targets| targets.as_slice())
    }
}

// === impl ResolvedHost ===

impl ResolvedHost {
    fn new(
        host: &VirtualHost,
        ids: &ClusterIds,
        limits: Option<Arc<[Option<RouteLimits>]>>,
    ) -> Self {
        // What cannot be compiled was refused when it came.
        let compile = |(_, value): (&Arc<str>, &Arc<str>)| {
            let compiled = Substitution::compile(value).ok()?;
            Some((value.clone(), Arc::new(compiled)))
        };
        let routes = host.routes.iter();
        Self {
            targets: routes.map(|route| resolve(&route.action, ids)).collect(),
            substitutions: formats(host).filter_map(compile).collect(),
            limits: limits.unwrap_or_else(|| limits_of(host)),
        }
    }
}

fn limits_of(host: &VirtualHost) -> Arc<[Option<RouteLimits>]> {
    let has_limits =
        |policy: &RoutePolicy| policy.local_rate_limit.is_some() || !policy.rate_limits.is_empty();
    if !host.routes.iter().any(|route| has_limits(&route.policy)) {
        return Arc::default();
    }
    let limits = |policy: &RoutePolicy| RouteLimits {
        limiter: policy
            .local_rate_limit
            .clone()
            .map(Limiter::new)
            .map(Arc::new),
        // What cannot be compiled was refused when it came.
        rules: RateLimitRules::new(&policy.rate_limits).unwrap_or_default(),
    };
    let routes = host.routes.iter().map(|route| &route.policy);
    routes
        .map(|policy| has_limits(policy).then(|| limits(policy)))
        .collect()
}

/// Whether this proxy knows all command operators in header changes.
///
/// # Errors
/// Names the header and the operator that it does not know.
pub fn check_substitutions(config: &RouteConfig) -> Result<(), String> {
    let mut formats = config.virtual_hosts.iter().flat_map(|host| formats(host));
    formats.try_for_each(|(name, value)| {
        Substitution::compile(value)
            .map(drop)
            .map_err(|reason| format!("the value {value:?} of header {name}: {reason}"))
    })
}

/// Names and values of header changes that are not literal.
fn formats(host: &VirtualHost) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
    let ops = host.routes.iter().flat_map(|route| {
        let weighted = match &route.action {
            RouteAction::Forward(forward) => match &forward.target {
                Target::Weighted(clusters) => clusters.as_slice(),
                Target::Cluster(_) => &[],
            },
            RouteAction::Redirect(_) | RouteAction::Direct(_) => &[],
        };
        let weighted = weighted
            .iter()
            .flat_map(|one| [&one.request_headers, &one.response_headers]);
        [&route.request_headers, &route.response_headers]
            .into_iter()
            .chain(weighted)
    });
    ops.flat_map(|ops| &ops.set)
        .filter(|set| set.value.contains('%'))
        .map(|set| (&set.name, &set.value))
}

fn resolve(action: &RouteAction, ids: &ClusterIds) -> SmallVec<[Option<ClusterId>; 1]> {
    let find = |name: &Arc<str>| ids.get(name).copied();
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
