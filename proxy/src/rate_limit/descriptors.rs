//! Buckets for requests with certain descriptors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mesh_ir::evaluate::Descriptor;
use mesh_ir::policy::{DescriptorLimit, TokenBucket};

use super::bucket::Bucket;

/// Buckets that are kept for the values that an entry takes, as in Envoy; the one that was not used for the longest time goes first.
const MAX_VALUES: usize = 20;

/// The limit of a descriptor.
#[derive(Debug)]
pub(super) struct Descriptors {
    entries: Vec<(Arc<str>, Arc<str>)>,
    buckets: Buckets,
}

#[derive(Debug)]
enum Buckets {
    One(Bucket),
    /// One for each combination of the values that are left open, the last used first.
    Each(TokenBucket, Mutex<VecDeque<(Values, Bucket)>>),
}

type Values = Box<[Box<str>]>;

// === impl Descriptors ===

impl Descriptors {
    pub(super) fn new(limit: &DescriptorLimit) -> Self {
        let DescriptorLimit { entries, bucket } = limit;
        let is_open = entries.iter().any(|(_, value)| value.is_empty());
        Self {
            entries: entries.clone(),
            buckets: if is_open {
                Buckets::Each(*bucket, Mutex::default())
            } else {
                Buckets::One(Bucket::new(*bucket))
            },
        }
    }

    /// Takes a token for a descriptor; none if it is about others.
    pub(super) fn take(&self, descriptor: &Descriptor<'_>, now: Duration) -> Option<bool> {
        let same = |((key, value), (other, found)): (&(Arc<str>, Arc<str>), &(&str, _))| {
            let found: &std::borrow::Cow<'_, str> = found;
            **key == **other && (value.is_empty() || **value == **found)
        };
        let is_of =
            self.entries.len() == descriptor.len() && self.entries.iter().zip(descriptor).all(same);
        is_of.then(|| match &self.buckets {
            Buckets::One(bucket) => bucket.take(now),
            Buckets::Each(settings, buckets) => {
                let entries = self.entries.iter().zip(descriptor);
                let open = entries.filter(|((_, value), _)| value.is_empty());
                let values: Vec<&str> = open.map(|(_, (_, found))| &**found).collect();
                take_of(*settings, buckets, &values, now)
            }
        })
    }
}

fn take_of(
    settings: TokenBucket,
    buckets: &Mutex<VecDeque<(Values, Bucket)>>,
    values: &[&str],
    now: Duration,
) -> bool {
    // What was half done when a thread ended is at worst a bucket less.
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    let known = buckets.iter().position(|(known, _)| {
        known.len() == values.len() && known.iter().zip(values).all(|(a, b)| **a == **b)
    });
    let used = match known.and_then(|index| buckets.remove(index)) {
        Some(used) => used,
        None => {
            buckets.truncate(MAX_VALUES - 1);
            let values = values.iter().map(|value| (*value).into()).collect();
            (values, Bucket::starting(settings, now))
        }
    };
    let taken = used.1.take(now);
    buckets.push_front(used);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptors(value: &str) -> Descriptors {
        Descriptors::new(&DescriptorLimit {
            entries: vec![("path".into(), "/a".into()), ("user".into(), value.into())],
            bucket: TokenBucket {
                max_tokens: 1,
                tokens_per_fill: 1,
                fill_interval: Duration::from_secs(60),
            },
        })
    }

    fn take(limit: &Descriptors, path: &str, user: &str) -> Option<bool> {
        let descriptor = vec![("path", path.into()), ("user", user.into())];
        limit.take(&descriptor, Duration::from_secs(1))
    }

    #[test]
    fn all_entries_must_be_those_of_the_limit() {
        let limit = descriptors("jo");
        assert_eq!(take(&limit, "/b", "jo"), None);
        assert_eq!(take(&limit, "/a", "al"), None);
        assert_eq!(
            limit.take(&vec![("path", "/a".into())], Duration::ZERO),
            None
        );
        assert_eq!(take(&limit, "/a", "jo"), Some(true));
        assert_eq!(take(&limit, "/a", "jo"), Some(false));
    }

    #[test]
    fn a_value_that_is_left_open_has_a_bucket_each_time() {
        let limit = descriptors("");
        assert_eq!(take(&limit, "/a", "jo"), Some(true));
        assert_eq!(take(&limit, "/a", "al"), Some(true));
        assert_eq!(take(&limit, "/a", "jo"), Some(false));
        // Values without end cost no memory without end.
        for user in 0..100 {
            assert_eq!(take(&limit, "/a", &user.to_string()), Some(true));
        }
        let Buckets::Each(_, buckets) = &limit.buckets else {
            unreachable!()
        };
        assert_eq!(buckets.lock().unwrap().len(), MAX_VALUES);
    }
}
