//! HTTP rules as routes: one for each condition, in order.

use std::num::NonZeroU16;
use std::sync::Arc;

use mesh_ir::{
    ConfigRef, Forward, Fraction, HeaderOps, Mirror, Route, RouteAction, RouteMatch, RoutePolicy,
    Target, WeightedCluster,
};

use super::action::RedirectPort;
use super::destination::shares;
use super::headers::Changes;
use super::{Compiler, Destination, Refused, SourceMatch, WeightedDestination};
use crate::diag::FieldPath;
use crate::model::{HttpRoute, HttpRouteDestination};
use crate::translate::naming::config_ref;
use crate::translate::view::View;

/// A route whose clusters are not resolved yet.
#[derive(Clone, Debug)]
pub(in crate::translate) struct CompiledRoute {
    pub(in crate::translate) source_match: SourceMatch,
    /// Complete but for the clusters of a forward with what is hashed for them, and a redirect's port that is the request's.
    route: Route,
    destinations: Vec<WeightedDestination>,
    mirrors: Vec<(Destination, Fraction)>,
    redirect_port: RedirectPort,
}

// === impl CompiledRoute ===

impl CompiledRoute {
    /// The route with its clusters, as clients of a view see them, for a port.
    pub(in crate::translate) fn resolve(&self, view: &View<'_>, port: u16) -> Route {
        let mut route = self.route.clone();
        let cluster = |destination: &Destination| view.cluster(destination, port);
        match &mut route.action {
            RouteAction::Forward(forward) => {
                forward.target = self.target(cluster);
                let mirrors = self.mirrors.iter();
                forward.mirrors = mirrors
                    .map(|(destination, fraction)| Mirror {
                        cluster: cluster(destination),
                        fraction: *fraction,
                    })
                    .collect();
                for weighted in &self.destinations {
                    let hash = view.hash(&weighted.destination, port);
                    let hash = hash.filter(|hash| !forward.hash.contains(hash));
                    forward.hash.extend(hash);
                }
            }
            RouteAction::Redirect(redirect) if self.redirect_port == RedirectPort::OfRequest => {
                redirect.port = NonZeroU16::new(port);
            }
            RouteAction::Redirect(_) | RouteAction::Direct(_) => {}
        }
        route
    }

    pub(in crate::translate) fn is_catch_all(&self) -> bool {
        self.route.matcher.is_catch_all()
    }

    fn target(&self, cluster: impl Fn(&Destination) -> Arc<str>) -> Target {
        match self.destinations.as_slice() {
            [only] if only.request_headers.is_empty() && only.response_headers.is_empty() => {
                Target::Cluster(cluster(&only.destination))
            }
            several => Target::Weighted(
                several
                    .iter()
                    .map(|weighted| WeightedCluster {
                        cluster: cluster(&weighted.destination),
                        weight: weighted.weight,
                        request_headers: weighted.request_headers.clone(),
                        response_headers: weighted.response_headers.clone(),
                    })
                    .collect(),
            ),
        }
    }
}

/// What a rule does, independent of its conditions.
struct Action {
    action: RouteAction,
    policy: RoutePolicy,
    destinations: Vec<WeightedDestination>,
    mirrors: Vec<(Destination, Fraction)>,
    redirect_port: RedirectPort,
    request_headers: HeaderOps,
    response_headers: HeaderOps,
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The routes of a rule. A condition that is refused leaves the rule's other conditions.
    pub(super) fn http(
        &mut self,
        rule: &HttpRoute,
        path: &FieldPath,
    ) -> Result<Vec<CompiledRoute>, Refused> {
        let action = self.action(rule, path)?;
        let origin = config_ref("virtual-service", &self.resource.key);
        let rule_name = rule.name.as_deref().unwrap_or_default();
        if rule.matches.is_empty() {
            let matched = (SourceMatch::default(), RouteMatch::everything());
            return Ok(vec![self.route(rule, &action, rule_name, matched, &origin)]);
        }
        let mut routes = Vec::new();
        for (index, condition) in rule.matches.iter().enumerate() {
            let condition_path = path.key("match").index(index);
            if self.resource.refuses(&condition_path) {
                continue;
            }
            let Ok(matched) = self.condition(condition, &condition_path) else {
                continue;
            };
            let name = match condition.name.as_deref() {
                Some(name) if rule_name.is_empty() => name.to_owned(),
                Some(name) => format!("{rule_name}.{name}"),
                None => rule_name.to_owned(),
            };
            routes.push(self.route(rule, &action, &name, matched, &origin));
        }
        Ok(routes)
    }

    fn route(
        &self,
        rule: &HttpRoute,
        action: &Action,
        name: &str,
        (source_match, matcher): (SourceMatch, RouteMatch),
        origin: &ConfigRef,
    ) -> CompiledRoute {
        let rewrite = self.path_rewrite(rule.rewrite.as_ref(), &matcher.path);
        let mut chosen = action.action.clone();
        if let RouteAction::Forward(forward) = &mut chosen {
            forward.path_rewrite = rewrite;
        }
        CompiledRoute {
            source_match,
            route: Route {
                name: name.into(),
                request_headers: action.request_headers.clone(),
                response_headers: action.response_headers.clone(),
                policy: action.policy.clone(),
                origin: Some(origin.clone()),
                ..Route::new(matcher, chosen)
            },
            destinations: action.destinations.clone(),
            mirrors: action.mirrors.clone(),
            redirect_port: action.redirect_port,
        }
    }

    /// What a rule does.
    fn action(&mut self, rule: &HttpRoute, path: &FieldPath) -> Result<Action, Refused> {
        let headers = rule.headers.as_ref();
        let headers_path = path.key("headers");
        let request = self.header_changes(
            headers.and_then(|headers| headers.request.as_ref()),
            &headers_path.key("request"),
        );
        let response = self.header_changes(
            headers.and_then(|headers| headers.response.as_ref()),
            &headers_path.key("response"),
        );
        let mut destinations = Vec::new();
        let mut mirrors = Vec::new();
        let mut redirect_port = RedirectPort::Fixed;
        let action = match (&rule.redirect, &rule.direct_response, rule.route.as_slice()) {
            (Some(redirect), None, []) => {
                let (redirect, port) = self.redirect(redirect)?;
                redirect_port = port;
                RouteAction::Redirect(redirect)
            }
            (None, Some(direct), []) => {
                RouteAction::Direct(self.direct(direct, &path.key("directResponse"))?)
            }
            (None, None, []) => return Err(Refused),
            (None, None, route) => {
                let host = request.host.clone();
                destinations = self.destinations(route, &path.key("route"))?;
                mirrors = self.mirrors(rule)?;
                RouteAction::Forward(self.forward(rule, host, path))
            }
            _ => return Err(Refused),
        };
        Ok(Action {
            action,
            policy: self.policy(rule, path),
            destinations,
            mirrors,
            redirect_port,
            request_headers: request.ops,
            response_headers: response.ops,
        })
    }

    fn forward(&mut self, rule: &HttpRoute, host: Option<Arc<str>>, path: &FieldPath) -> Forward {
        let authority = rule
            .rewrite
            .as_ref()
            .and_then(|rewrite| rewrite.authority.as_deref())
            .filter(|authority| !authority.is_empty())
            .map(Arc::from);
        Forward {
            timeout: rule
                .timeout
                .map(|text| text.0)
                .filter(|timeout| !timeout.is_zero()),
            retry: self.retry(rule.retries.as_ref(), &path.key("retries")),
            host_rewrite: authority.or(host),
            ..Forward::to(Target::Weighted(Vec::new()))
        }
    }

    fn destinations(
        &mut self,
        route: &[HttpRouteDestination],
        path: &FieldPath,
    ) -> Result<Vec<WeightedDestination>, Refused> {
        let weights: Vec<Option<i32>> = route.iter().map(|entry| entry.weight).collect();
        let shares = shares(&weights)?;
        let mut destinations = Vec::new();
        for (index, (entry, weight)) in route.iter().zip(shares).enumerate() {
            let path = path.index(index);
            let destination = self.destination(&entry.destination)?;
            let headers = entry.headers.as_ref();
            let mut changes = Vec::new();
            for (field, operations) in [
                (
                    "request",
                    headers.and_then(|headers| headers.request.as_ref()),
                ),
                (
                    "response",
                    headers.and_then(|headers| headers.response.as_ref()),
                ),
            ] {
                let path = path.key("headers").key(field);
                let Changes { ops, host } = self.header_changes(operations, &path);
                if host.is_some() {
                    self.no_effect(path.key("set").key("host"));
                }
                changes.push(ops);
            }
            let response_headers = changes.pop().unwrap_or_default();
            let request_headers = changes.pop().unwrap_or_default();
            if weight > 0 {
                destinations.push(WeightedDestination {
                    destination,
                    weight,
                    request_headers,
                    response_headers,
                });
            }
        }
        Ok(destinations)
    }
}
