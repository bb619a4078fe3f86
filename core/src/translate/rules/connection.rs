//! Rules of connections: of TLS by the name that the client asks for, of TCP by the network that it wants to reach. The first condition
//! that is for a client and a port, and that a connection meets, decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_ir::Cidr;

use super::destination::shares;
use super::{Compiler, Destination, Refused, SourceMatch};
use crate::diag::FieldPath;
use crate::model::{L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute};

/// A rule of connections with one condition.
#[derive(Clone, Debug)]
pub(in crate::translate) struct CompiledConnection {
    pub(super) source_match: SourceMatch,
    /// Names that TLS clients ask for, lower-case names or `*.suffix`; empty for any, and for TCP.
    pub(in crate::translate) server_names: BTreeSet<Arc<str>>,
    /// Networks that clients want to reach; empty for any.
    pub(in crate::translate) networks: BTreeSet<Cidr>,
    /// Destinations with their shares, which are not 0; never empty.
    pub(in crate::translate) destinations: Vec<(Destination, u32)>,
}

/// What a condition asks for, whatever its kind.
struct Condition<'a> {
    server_names: &'a [String],
    subnets: &'a [String],
    source_match: Result<SourceMatch, Refused>,
}

// === impl Compiler ===

impl Compiler<'_> {
    /// A TLS rule, which always has conditions.
    pub(super) fn tls(
        &mut self,
        rule: &TlsRoute,
        path: &FieldPath,
    ) -> Result<Vec<CompiledConnection>, Refused> {
        let conditions = rule.matches.iter().map(|condition| {
            let TlsMatchAttributes {
                sni_hosts,
                destination_subnets,
                port,
                source_labels,
                source_namespace,
                gateways,
            } = condition;
            let namespace = source_namespace.as_ref();
            Condition {
                server_names: sni_hosts,
                subnets: destination_subnets,
                source_match: self.audience_of(gateways, source_labels, namespace, *port),
            }
        });
        let conditions = conditions.collect();
        self.connections(&rule.route, conditions, path)
    }

    /// A TCP rule; without conditions it is for all connections.
    pub(super) fn tcp(
        &mut self,
        rule: &TcpRoute,
        path: &FieldPath,
    ) -> Result<Vec<CompiledConnection>, Refused> {
        let any = [L4MatchAttributes::default()];
        let all = match rule.matches.as_slice() {
            [] => &any,
            conditions => conditions,
        };
        let conditions = all.iter().map(|condition| {
            let L4MatchAttributes {
                destination_subnets,
                source_subnet: _,
                port,
                source_labels,
                source_namespace,
                gateways,
            } = condition;
            let namespace = source_namespace.as_ref();
            Condition {
                server_names: &[],
                subnets: destination_subnets,
                source_match: self.audience_of(gateways, source_labels, namespace, *port),
            }
        });
        let conditions = conditions.collect();
        self.connections(&rule.route, conditions, path)
    }

    fn connections(
        &self,
        route: &[RouteDestination],
        conditions: Vec<Condition<'_>>,
        path: &FieldPath,
    ) -> Result<Vec<CompiledConnection>, Refused> {
        let weights: Vec<Option<i32>> = route.iter().map(|entry| entry.weight).collect();
        let shares = shares(&weights)?;
        let mut destinations = Vec::new();
        for (entry, share) in route.iter().zip(shares) {
            let destination = self.destination(&entry.destination)?;
            if share > 0 {
                destinations.push((destination, share));
            }
        }
        let mut compiled = Vec::new();
        for (index, condition) in conditions.into_iter().enumerate() {
            let Condition {
                server_names,
                subnets,
                source_match,
            } = condition;
            let path = path.key("match").index(index);
            let networks = subnets.iter().map(|subnet| subnet.parse());
            let (Ok(source_match), Ok(networks), false) = (
                source_match,
                networks.collect::<Result<BTreeSet<Cidr>, _>>(),
                self.resource.refuses(&path),
            ) else {
                continue;
            };
            let any = server_names.iter().any(|name| name == "*");
            let names = server_names.iter().filter(|_| !any);
            compiled.push(CompiledConnection {
                source_match,
                server_names: names.map(|name| name.to_ascii_lowercase().into()).collect(),
                networks,
                destinations: destinations.clone(),
            });
        }
        Ok(compiled)
    }
}
