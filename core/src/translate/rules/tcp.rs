//! TCP rules: the first that is for a client and a port decides.

use super::destination::shares;
use super::{Compiler, Destination, Refused, SourceMatch};
use crate::diag::FieldPath;
use crate::model::TcpRoute;

/// A TCP rule with one condition.
#[derive(Clone, Debug)]
pub(in crate::translate) struct CompiledTcp {
    pub(super) source_match: SourceMatch,
    /// Destinations with their shares, which are not 0; never empty.
    pub(in crate::translate) destinations: Vec<(Destination, u32)>,
}

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn tcp(
        &mut self,
        rule: &TcpRoute,
        path: &FieldPath,
    ) -> Result<Vec<CompiledTcp>, Refused> {
        let weights: Vec<Option<i32>> = rule.route.iter().map(|entry| entry.weight).collect();
        let shares = shares(&weights)?;
        let mut destinations = Vec::new();
        for (entry, share) in rule.route.iter().zip(shares) {
            let destination = self.destination(&entry.destination)?;
            if share > 0 {
                destinations.push((destination, share));
            }
        }
        let mut audiences = Vec::new();
        for (index, condition) in rule.matches.iter().enumerate() {
            let path = path.key("match").index(index);
            if self.resource.refuses(&path) {
                continue;
            }
            if !condition.destination_subnets.is_empty() {
                let message = "conditions on destination networks are not supported yet; the rule's match is not applied";
                self.unsupported(path.key("destinationSubnets"), message);
                continue;
            }
            let source_match = self.audience_of(
                &condition.gateways,
                &condition.source_labels,
                condition.source_namespace.as_ref(),
                condition.port,
            );
            audiences.extend(source_match);
        }
        if rule.matches.is_empty() {
            audiences.push(SourceMatch::default());
        }
        Ok(audiences
            .into_iter()
            .map(|source_match| CompiledTcp {
                source_match,
                destinations: destinations.clone(),
            })
            .collect())
    }
}
