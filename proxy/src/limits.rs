//! The limits of a cluster (`connectionPool`, Envoy's circuit breakers): how much is under way to its endpoints, of all workers together.
//!
//! Only what has a limit is counted, so that clusters without limits cost nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mesh_ir::{Limits, RetryBudget};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Connections, also those that are not established yet.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests on connections.
    Requests,
    /// Tries after the first one.
    Retries,
}

/// What is under way to the endpoints of a cluster; the same from one configuration to the next.
#[derive(Debug, Default)]
pub struct Usage {
    connections: AtomicU32,
    pending: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
}

/// One of what is counted, until this is dropped. Empty where there is no limit.
#[derive(Debug, Default)]
pub struct Permit(Option<(Arc<Usage>, Resource)>);

// === impl Usage ===

impl Usage {
    /// One more, unless the limit has been reached.
    #[inline]
    pub fn take(self: &Arc<Self>, limits: &Limits, resource: Resource) -> Option<Permit> {
        let limit = match self.limit(limits, resource) {
            Some(limit) => limit,
            None if is_counted(limits, resource) => u32::MAX,
            None => return Some(Permit::default()),
        };
        let more = |now: u32| (now < limit).then(|| now.saturating_add(1));
        let counter = self.counter(resource);
        counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
            .then(|| Permit(Some((self.clone(), resource))))
    }

    /// One more, whatever the limit.
    pub fn force(self: &Arc<Self>, limits: &Limits, resource: Resource) -> Permit {
        if !is_counted(limits, resource) {
            return Permit::default();
        }
        self.counter(resource).fetch_add(1, Ordering::Relaxed);
        Permit(Some((self.clone(), resource)))
    }

    /// How many there are; 0 where they are not counted.
    pub fn count(&self, resource: Resource) -> u32 {
        self.counter(resource).load(Ordering::Relaxed)
    }

    /// How many there may be; none without a limit.
    pub fn limit(&self, limits: &Limits, resource: Resource) -> Option<u32> {
        match resource {
            Resource::Connections => limits.max_connections,
            Resource::Pending => limits.max_pending_requests,
            Resource::Requests => limits.max_requests,
            Resource::Retries => match limits.retry_budget {
                None => limits.max_retries,
                Some(budget) => Some(self.affordable(budget)),
            },
        }
    }

    /// The retries that the requests of this moment allow.
    fn affordable(&self, budget: RetryBudget) -> u32 {
        let active =
            u64::from(self.count(Resource::Requests)) + u64::from(self.count(Resource::Pending));
        let share = active * u64::from(budget.percent) / 100_000;
        u32::try_from(share).unwrap_or(u32::MAX).max(budget.minimum)
    }

    fn counter(&self, resource: Resource) -> &AtomicU32 {
        match resource {
            Resource::Connections => &self.connections,
            Resource::Pending => &self.pending,
            Resource::Requests => &self.requests,
            Resource::Retries => &self.retries,
        }
    }
}

/// Whether there is a limit that needs the number.
#[inline]
fn is_counted(limits: &Limits, resource: Resource) -> bool {
    match resource {
        Resource::Connections => limits.max_connections.is_some(),
        Resource::Pending => limits.max_pending_requests.is_some() || limits.retry_budget.is_some(),
        Resource::Requests => limits.max_requests.is_some() || limits.retry_budget.is_some(),
        Resource::Retries => limits.max_retries.is_some() || limits.retry_budget.is_some(),
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some((usage, resource)) = &self.0 {
            usage.counter(*resource).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_under_way() {
        let limits = Limits {
            max_pending_requests: Some(2),
            ..Limits::default()
        };
        let usage = Arc::new(Usage::default());
        let first = usage.take(&limits, Resource::Pending);
        let second = usage.take(&limits, Resource::Pending);
        assert!(first.is_some() && second.is_some());
        assert!(usage.take(&limits, Resource::Pending).is_none());
        drop(first);
        assert!(usage.take(&limits, Resource::Pending).is_some());
        assert_eq!(usage.count(Resource::Pending), 1);
        // What has no limit is not counted.
        let free = usage.take(&limits, Resource::Connections);
        assert!(free.is_some());
        assert_eq!(usage.count(Resource::Connections), 0);
        let limits = Limits {
            max_connections: Some(0),
            ..Limits::default()
        };
        assert!(usage.take(&limits, Resource::Connections).is_none());
        let _forced = usage.force(&limits, Resource::Connections);
        assert_eq!(usage.count(Resource::Connections), 1);
    }

    #[test]
    fn a_budget_follows_the_active_requests() {
        let limits = Limits {
            retry_budget: Some(RetryBudget {
                percent: 20_000,
                minimum: 1,
            }),
            max_retries: Some(0),
            ..Limits::default()
        };
        let usage = Arc::new(Usage::default());
        let retries = |usage: &Arc<Usage>| {
            let all: Vec<Permit> =
                std::iter::from_fn(|| usage.take(&limits, Resource::Retries)).collect();
            all.len()
        };
        assert_eq!(retries(&usage), 1);
        let _requests: Vec<_> = (0..15)
            .map(|_| usage.take(&limits, Resource::Requests))
            .collect();
        assert_eq!(retries(&usage), 3);
    }
}
