//! A limit with its buckets and counters, and the limits of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mesh_ir::HttpFilter;
use mesh_ir::evaluate::{RateLimitFacts, RateLimitRules};
use mesh_ir::matching::RequestView;
use mesh_ir::policy::LocalRateLimit;

use super::bucket::Bucket;
use super::descriptors::Descriptors;

/// A limit.
#[derive(Debug)]
pub struct Limiter {
    /// As configured.
    pub config: Arc<LocalRateLimit>,
    /// What it has done.
    pub counts: Counts,
    all: Option<Bucket>,
    /// Those that are filled slowest come first.
    descriptors: Vec<Descriptors>,
    rules: RateLimitRules,
    since: Instant,
}

/// What a limit has done.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that were counted.
    pub enabled: AtomicU64,
    /// Those that were not too many.
    pub ok: AtomicU64,
    /// Those that were.
    pub rate_limited: AtomicU64,
    /// Those that were refused therefore.
    pub enforced: AtomicU64,
}

/// What is asked about a request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a, R> {
    /// Its head.
    pub request: &'a R,
    /// What else is known.
    pub facts: RateLimitFacts<'a>,
    /// What its route makes descriptors from, where the limit does not say so itself.
    pub rules: Option<&'a RateLimitRules>,
}

/// The limits of a server, in their order.
#[derive(Debug, Default)]
pub struct Limits(Vec<Place>);

/// Some of them, in their order.
#[derive(Clone, Copy, Debug)]
pub struct LimitList<'l>(&'l [Place]);

#[derive(Debug)]
struct Place {
    limiter: Arc<Limiter>,
    /// Whether requests are counted before policies decide about them.
    before_policies: bool,
}

// === impl Limiter ===

impl Limiter {
    /// A limit with full buckets.
    pub fn new(config: Arc<LocalRateLimit>) -> Self {
        let mut limits: Vec<_> = config.descriptors.iter().collect();
        limits
            .sort_by_key(|limit| limit.bucket.fill_interval / limit.bucket.tokens_per_fill.max(1));
        Self {
            counts: Counts::default(),
            all: config.bucket.map(Bucket::new),
            descriptors: limits.into_iter().rev().map(Descriptors::new).collect(),
            // What cannot be compiled was refused when it came.
            rules: RateLimitRules::new(&config.rate_limits).unwrap_or_default(),
            since: Instant::now(),
            config,
        }
    }

    /// Counts a request. Whether it is to be refused.
    pub fn refuses<R: RequestView>(
        &self,
        query: Query<'_, R>,
        mut draw: impl FnMut() -> u64,
    ) -> bool {
        let LocalRateLimit {
            enabled, enforced, ..
        } = &*self.config;
        if !enabled.holds(draw()) {
            return false;
        }
        let Counts {
            enabled: counted,
            ok,
            rate_limited,
            enforced: refused,
        } = &self.counts;
        count(counted);
        if self.take(query, self.since.elapsed()) {
            count(ok);
            return false;
        }
        count(rate_limited);
        let refuses = enforced.holds(draw());
        if refuses {
            count(refused);
        }
        refuses
    }

    /// Takes a token of each bucket that is concerned, until one has none.
    fn take<R: RequestView>(&self, query: Query<'_, R>, now: Duration) -> bool {
        if !self.descriptors.is_empty() {
            let rules = match query.rules {
                Some(rules) if self.rules.is_empty() => rules,
                _ => &self.rules,
            };
            let found: Vec<_> = rules.descriptors(0, query.facts, query.request).collect();
            let mut buckets = self.descriptors.iter();
            let has_tokens = buckets.all(|bucket| {
                let mut taken = found.iter().filter_map(|one| bucket.take(one, now));
                taken.all(|taken| taken)
            });
            if !has_tokens {
                return false;
            }
        }
        self.all.as_ref().is_none_or(|all| all.take(now))
    }
}

// === impl Limits ===

impl Limits {
    /// The limits among a server's filters. One that was there before goes on counting.
    pub fn new<'b>(filters: &[HttpFilter], before: impl Iterator<Item = &'b Limits>) -> Self {
        let mut known: Vec<_> = before
            .flat_map(|limits| &limits.0)
            .map(|place| &place.limiter)
            .collect();
        let mut before_policies = true;
        let mut limits = Vec::new();
        for filter in filters {
            match filter {
                HttpFilter::LocalRateLimit(config) => {
                    let same = known.iter().position(|limiter| limiter.config == *config);
                    let limiter = match same {
                        Some(index) => known.swap_remove(index).clone(),
                        None => Arc::new(Limiter::new(config.clone())),
                    };
                    limits.push(Place {
                        limiter,
                        before_policies,
                    });
                }
                HttpFilter::Authenticate(_)
                | HttpFilter::ExternalAuthorize(_)
                | HttpFilter::Authorize(_) => before_policies = false,
                HttpFilter::Cors
                | HttpFilter::Fault
                | HttpFilter::RateLimit(_)
                | HttpFilter::Extension(_) => {}
            }
        }
        Self(limits)
    }

    /// All of them.
    #[inline]
    pub fn all(&self) -> LimitList<'_> {
        LimitList(&self.0)
    }

    /// Those that count requests before policies decide about them, and those that do afterwards.
    pub fn around_policies(&self) -> (LimitList<'_>, LimitList<'_>) {
        let middle = self.0.partition_point(|place| place.before_policies);
        let (before, after) = self.0.split_at(middle);
        (LimitList(before), LimitList(after))
    }
}

// === impl LimitList ===

impl<'l> LimitList<'l> {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that count a request, which policies have refused or not.
    pub fn of(self, refused: bool) -> impl Iterator<Item = &'l Arc<Limiter>> {
        let places = self.0.iter();
        places
            .filter(move |place| place.before_policies || !refused)
            .map(|place| &place.limiter)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
