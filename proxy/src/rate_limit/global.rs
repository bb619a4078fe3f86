//! Limits that a service counts for many proxies, as a server's filters have them.

use std::sync::Arc;

use mesh_ir::HttpFilter;
use mesh_ir::policy::GlobalRateLimit;

/// The limits of a server, in their order.
#[derive(Debug, Default)]
pub struct GlobalLimits(Vec<Place>);

#[derive(Debug)]
struct Place {
    limit: Arc<GlobalRateLimit>,
    /// Whether requests are counted that policies refuse.
    before_policies: bool,
}

// === impl GlobalLimits ===

impl GlobalLimits {
    /// The limits among a server's filters.
    pub fn new(filters: &[HttpFilter]) -> Self {
        let mut before_policies = true;
        let mut limits = Vec::new();
        for filter in filters {
            match filter {
                HttpFilter::RateLimit(limit) => limits.push(Place {
                    limit: limit.clone(),
                    before_policies,
                }),
                HttpFilter::Authenticate(_)
                | HttpFilter::ExternalAuthorize(_)
                | HttpFilter::Authorize(_) => before_policies = false,
                HttpFilter::LocalRateLimit(_)
                | HttpFilter::Extension(_)
                | HttpFilter::Fault
                | HttpFilter::Cors => {}
            }
        }
        Self(limits)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that count a request, which policies have refused or not.
    pub fn of(&self, refused: bool) -> impl Iterator<Item = &Arc<GlobalRateLimit>> {
        let places = self.0.iter();
        places
            .filter(move |place| place.before_policies || !refused)
            .map(|place| &place.limit)
    }
}
