//! Compiled route tables.

use std::borrow::Cow;
use std::sync::Arc;

use super::criteria::Criteria;
use super::domains::{Domains, DomainsBuilder, strip_port};
use super::kept::Kept;
use super::redirect;
use super::request::RequestView;
use super::rewrite::Rewriter;
use super::text::{InvalidRegex, Text};
use crate::trace::{Origin, Stage, Step, StepOutcome, Trace};
use crate::{Forward, Route, RouteAction, RouteConfig, VirtualHost};

/// A route table ready for requests.
#[derive(Clone, Debug)]
pub struct RouteTable {
    config: Arc<RouteConfig>,
    domains: Arc<Domains>,
    hosts: Vec<CompiledVirtualHost>,
}

/// A virtual host ready for requests.
#[derive(Clone, Debug)]
pub struct CompiledVirtualHost {
    /// Position in [`RouteConfig::virtual_hosts`].
    index: usize,
    routes: Arc<[CompiledRoute]>,
}

#[derive(Clone, Debug)]
struct CompiledRoute {
    /// Position in [`VirtualHost::routes`]; invalid routes leave gaps.
    index: usize,
    criteria: Criteria,
    rewriter: Option<Rewriter>,
    /// Origins whose pages may read the answers.
    origins: Box<[Text]>,
}

/// The route that a request takes.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a> {
    /// Virtual host.
    pub virtual_host: &'a VirtualHost,
    /// Position in [`RouteConfig::virtual_hosts`].
    pub virtual_host_index: usize,
    /// Route.
    pub route: &'a Route,
    /// Position in [`VirtualHost::routes`].
    pub route_index: usize,
    rewriter: Option<&'a Rewriter>,
    origins: &'a [Text],
}

/// A part of a route table that was left out because it means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("virtual host {virtual_host:?}: {reason}")]
pub struct InvalidRoute {
    /// Name of the virtual host.
    pub virtual_host: Arc<str>,
    /// What is wrong.
    pub reason: InvalidRouteReason,
}

/// Why a part was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRouteReason {
    /// An expression of a route cannot be compiled; the route never matches.
    #[error("route {index} ({name:?}): {invalid}")]
    Regex {
        /// Position of the route.
        index: usize,
        /// Name of the route; may be empty.
        name: Arc<str>,
        /// The expression.
        #[source]
        invalid: InvalidRegex,
    },
    /// Another virtual host has the domain already and keeps it.
    #[error("the domain {0:?} belongs to another virtual host already")]
    DuplicateDomain(Arc<str>),
}

// === impl RouteTable ===

impl RouteTable {
    /// Compiles a table. What is invalid is left out and reported, everything else works.
    pub fn compile(config: Arc<RouteConfig>) -> (Self, Vec<InvalidRoute>) {
        Self::compile_after(config, None)
    }

    /// The same for a table that comes after another. Virtual hosts that are the very same values are taken over as they are, and the
    /// lookup of domains if those are the same; what was invalid in them is not reported again.
    pub fn compile_after(
        config: Arc<RouteConfig>,
        before: Option<&Self>,
    ) -> (Self, Vec<InvalidRoute>) {
        let mut invalid = Vec::new();
        let domains = match before.filter(|before| has_same_domains(&config, &before.config)) {
            Some(before) => before.domains.clone(),
            None => Arc::new(domains(&config, &mut invalid)),
        };
        let mut hosts = Vec::with_capacity(config.virtual_hosts.len());
        let mut kept = Kept::new(before.map(|before| &*before.config));
        for (index, host) in config.virtual_hosts.iter().enumerate() {
            let known = kept.position(host);
            let known = known.and_then(|position| before?.hosts.get(position));
            let routes = match known {
                Some(known) => known.routes.clone(),
                None => routes(host, &mut invalid),
            };
            hosts.push(CompiledVirtualHost { index, routes });
        }
        let table = Self {
            config,
            domains,
            hosts,
        };
        (table, invalid)
    }

    /// The table that this was compiled from.
    pub fn config(&self) -> &Arc<RouteConfig> {
        &self.config
    }

    /// The virtual host of an authority (`Host` header).
    pub fn virtual_host(&self, authority: impl AsRef<[u8]>) -> Option<&CompiledVirtualHost> {
        let authority = authority.as_ref();
        let host = if self.config.ignore_port_in_host {
            strip_port(authority)
        } else {
            authority
        };
        self.hosts.get(self.domains.find(host)?)
    }

    /// The first route that matches, in the virtual host of the request's authority.
    pub fn route<'a>(&'a self, request: &impl RequestView) -> Option<Matched<'a>> {
        self.explain_route(request, &mut ())
    }

    /// As [`Self::route`], with every route that is tried taken down.
    #[inline]
    pub fn explain_route<'a, T: Trace>(
        &'a self,
        request: &impl RequestView,
        trace: &mut T,
    ) -> Option<Matched<'a>> {
        let host = self.virtual_host(request.authority());
        trace.record(|| self.host_step(host, request));
        let host = host?;
        let route = host.routes.iter().find(|route| {
            trace.record(|| self.route_step(host, route, request));
            route.criteria.is_match(request)
        })?;
        self.matched(host, route)
    }

    fn host_step(&self, host: Option<&CompiledVirtualHost>, request: &impl RequestView) -> Step {
        let authority = String::from_utf8_lossy(request.authority());
        let name = host
            .and_then(|host| host.config(self))
            .map(|host| &host.name);
        Step {
            stage: Stage::VirtualHost,
            subject: name.map_or("none", |name| name).to_owned(),
            origin: None,
            outcome: StepOutcome::Note(match name {
                Some(_) => format!("serves the authority {authority:?}"),
                None => format!("no domain of {} matches {authority:?}", self.config.name),
            }),
        }
    }

    fn route_step(
        &self,
        host: &CompiledVirtualHost,
        route: &CompiledRoute,
        request: &impl RequestView,
    ) -> Step {
        let config = host
            .config(self)
            .and_then(|host| host.routes.get(route.index));
        let name = config.map_or("", |config| &*config.name);
        Step {
            stage: Stage::Route,
            subject: match name {
                "" => format!("#{}", route.index),
                name => format!("#{} {name}", route.index),
            },
            origin: config.and_then(|config| {
                Some(Origin {
                    object: config.origin.clone()?,
                    field: String::new(),
                })
            }),
            outcome: match route.criteria.mismatch(request) {
                None => StepOutcome::Matched,
                Some(mismatch) => StepOutcome::NotMatched(mismatch),
            },
        }
    }

    /// The route at known positions, as [`Matched`] gives them; for callers that keep positions instead of borrows.
    pub fn at(&self, virtual_host_index: usize, route_index: usize) -> Option<Matched<'_>> {
        let host = self.hosts.get(virtual_host_index)?;
        let route = host
            .routes
            .iter()
            .find(|route| route.index == route_index)?;
        self.matched(host, route)
    }

    fn matched<'a>(
        &'a self,
        host: &'a CompiledVirtualHost,
        route: &'a CompiledRoute,
    ) -> Option<Matched<'a>> {
        let virtual_host: &VirtualHost = self.config.virtual_hosts.get(host.index)?;
        Some(Matched {
            virtual_host,
            virtual_host_index: host.index,
            route: virtual_host.routes.get(route.index)?,
            route_index: route.index,
            rewriter: route.rewriter.as_ref(),
            origins: &route.origins,
        })
    }
}

/// Whether two tables give the same domains to virtual hosts of the same positions.
fn has_same_domains(config: &RouteConfig, before: &RouteConfig) -> bool {
    let (hosts, known) = (&config.virtual_hosts, &before.virtual_hosts);
    let same = |(a, b): (&Arc<VirtualHost>, &Arc<VirtualHost>)| {
        Arc::ptr_eq(a, b) || a.domains == b.domains
    };
    hosts.len() == known.len() && hosts.iter().zip(known).all(same)
}

fn domains(config: &RouteConfig, invalid: &mut Vec<InvalidRoute>) -> Domains {
    let mut domains = DomainsBuilder::default();
    for (index, host) in config.virtual_hosts.iter().enumerate() {
        for domain in &host.domains {
            if !domains.add(domain, index) {
                invalid.push(InvalidRoute {
                    virtual_host: host.name.clone(),
                    reason: InvalidRouteReason::DuplicateDomain(domain.clone()),
                });
            }
        }
    }
    domains.build()
}

fn routes(host: &VirtualHost, invalid: &mut Vec<InvalidRoute>) -> Arc<[CompiledRoute]> {
    let compile = |(index, route): (usize, &Route)| {
        let refuse = |invalid| InvalidRoute {
            virtual_host: host.name.clone(),
            reason: InvalidRouteReason::Regex {
                index,
                name: route.name.clone(),
                invalid,
            },
        };
        CompiledRoute::new(index, route).map_err(refuse)
    };
    let mut routes = Vec::with_capacity(host.routes.len());
    for compiled in host.routes.iter().enumerate().map(compile) {
        match compiled {
            Ok(compiled) => routes.push(compiled),
            Err(refused) => invalid.push(refused),
        }
    }
    routes.into()
}

// === impl CompiledVirtualHost ===

impl CompiledVirtualHost {
    /// Position in [`RouteConfig::virtual_hosts`].
    pub fn index(&self) -> usize {
        self.index
    }

    /// The virtual host in the table's configuration.
    pub fn config<'a>(&self, table: &'a RouteTable) -> Option<&'a VirtualHost> {
        let host = table.config.virtual_hosts.get(self.index)?;
        Some(host)
    }
}

// === impl CompiledRoute ===

impl CompiledRoute {
    fn new(index: usize, route: &Route) -> Result<Self, InvalidRegex> {
        let rewrite = match &route.action {
            RouteAction::Forward(Forward { path_rewrite, .. }) => path_rewrite.as_ref(),
            RouteAction::Redirect(redirect) => redirect.path.as_ref(),
            RouteAction::Direct(_) => None,
        };
        let policy = route.policy.cors.iter();
        let origins = policy.flat_map(|policy| &policy.allow_origins);
        Ok(Self {
            index,
            criteria: Criteria::new(&route.matcher)?,
            rewriter: rewrite
                .map(|rewrite| Rewriter::new(rewrite, &route.matcher.path))
                .transpose()?,
            origins: origins.map(Text::new).collect::<Result<_, _>>()?,
        })
    }
}

// === impl Matched ===

impl<'a> Matched<'a> {
    /// The path that goes upstream for a path without query; none if the route does not rewrite it.
    pub fn rewrite_path<'p>(&self, path: &'p [u8]) -> Option<Cow<'p, [u8]>>
    where
        'a: 'p,
    {
        self.rewriter.map(|rewriter| rewriter.apply(path))
    }

    /// Whether pages of an origin may read the answers (CORS). What matches `*` matches every origin.
    pub fn allows_origin(&self, origin: &[u8]) -> bool {
        let mut origins = self.origins.iter();
        origins.any(|known| known.is_match(b"*") || known.is_match(origin))
    }

    /// The `Location` of the answer; none if the route does not redirect.
    pub fn redirect_location(&self, request: &impl RequestView) -> Option<Vec<u8>> {
        match &self.route.action {
            RouteAction::Redirect(redirect) => {
                Some(redirect::location(redirect, self.rewriter, request))
            }
            RouteAction::Forward(_) | RouteAction::Direct(_) => None,
        }
    }
}
