//! New weights for the destinations of one rule, as raw values.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::refusal::list;
use super::{Refusal, WeightRequest, apportion};
use crate::snapshot::expand_host;

/// Weights are cut into this many pieces where a destination is the whole service, so that nothing is lost.
const PIECES: u32 = 1_000_000;

/// What a rule's destinations are read with.
pub(super) struct Reader<'a> {
    /// The service's host.
    pub(super) host: &'a str,
    /// Namespace of the object, for short names.
    pub(super) namespace: &'a str,
    pub(super) domain: &'a str,
    /// Subsets with ready endpoints and how many they have: what a destination without a subset stands for.
    pub(super) versions: &'a [(Arc<str>, u64)],
    /// Ready endpoints of no subset.
    pub(super) without_version: u64,
}

/// A subset of the service, or none for everything else, with its exact weight.
pub(super) type ExactShare = (Option<Arc<str>>, u64);

/// A destination with its exact weight.
struct Entry {
    value: Value,
    /// The subset, if it is one of the service's.
    subset: Option<Arc<str>>,
    weight: u64,
    /// Whether it is not in the object yet.
    new: bool,
}

// === impl Reader ===

impl Reader<'_> {
    /// The destinations with the weights that are asked for. What nobody asked about shares the rest in the proportions that it
    /// has now; all weights add up to 100.
    pub(super) fn reweighted(
        &self,
        route: &[Value],
        ask: &WeightRequest,
    ) -> Result<Vec<Value>, Refusal> {
        let entries = self.entries(route)?;
        let asked = |entry: &Entry| {
            let subset = entry.subset.as_deref()?;
            ask.share(subset).map(|share| (subset.to_owned(), share))
        };
        let mut weights: Vec<u32> = vec![0; entries.len()];
        let rest: Vec<usize> = indices(&entries, |entry| asked(entry).is_none());
        spread(&mut weights, &entries, &rest, ask.rest())
            .ok_or_else(|| self.no_rest(ask, &entries))?;
        let mut added = Vec::new();
        for (subset, share) in ask.shares() {
            let own = indices(&entries, |entry| entry.subset.as_ref() == Some(subset));
            if let Some(first) = own.first() {
                if spread(&mut weights, &entries, &own, *share).is_none()
                    && let Some(weight) = weights.get_mut(*first)
                {
                    *weight = *share;
                }
            } else if *share > 0 {
                added.push((self.destination(route, subset), *share));
            }
        }
        let kept = entries
            .into_iter()
            .zip(weights)
            .filter(|(entry, weight)| !entry.new || *weight > 0)
            .map(|(entry, weight)| (entry.value, weight));
        Ok(kept
            .chain(added)
            .map(|(value, weight)| with_weight(value, weight))
            .collect())
    }

    /// The weights of the service's subsets in a rule, and of everything else in it.
    pub(super) fn shares(&self, route: &[Value]) -> Result<Vec<ExactShare>, Refusal> {
        let entries = self.entries(route)?;
        let mut shares: Vec<ExactShare> = Vec::new();
        for entry in entries {
            match shares
                .iter_mut()
                .find(|(subset, _)| *subset == entry.subset)
            {
                Some((_, weight)) => *weight += entry.weight,
                None => shares.push((entry.subset, entry.weight)),
            }
        }
        Ok(shares)
    }

    /// The destinations, with the whole service taken apart into the subsets that its endpoints are of.
    fn entries(&self, route: &[Value]) -> Result<Vec<Entry>, Refusal> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut apart: Vec<Entry> = Vec::new();
        for value in route {
            let weight = match (value.get("weight").and_then(Value::as_u64), route.len()) {
                (_, 1) => 100,
                (weight, _) => weight.unwrap_or(0),
            } * u64::from(PIECES);
            let own = self.is_own(value);
            let subset = value
                .pointer("/destination/subset")
                .and_then(Value::as_str)
                .filter(|subset| !subset.is_empty());
            match (own, subset) {
                (true, None) => apart.extend(self.take_apart(value, weight)?),
                (true, Some(subset)) => entries.push(Entry {
                    value: value.clone(),
                    subset: Some(subset.into()),
                    weight,
                    new: false,
                }),
                (false, _) => entries.push(Entry {
                    value: value.clone(),
                    subset: None,
                    weight,
                    new: false,
                }),
            }
        }
        for part in apart {
            match entries.iter_mut().find(|entry| entry.subset == part.subset) {
                Some(entry) => entry.weight += part.weight,
                None => entries.push(part),
            }
        }
        Ok(entries)
    }

    fn take_apart(&self, value: &Value, weight: u64) -> Result<Vec<Entry>, Refusal> {
        if self.without_version > 0 {
            let message = format!(
                "requests for {} now go to all of its pods, and {} of them are of no subset and have no version label, so there is nothing that the rest could be routed to",
                self.host, self.without_version
            );
            return Err(
                Refusal::state(message).hint("give the pods of each version a label version")
            );
        }
        let counts: Vec<u64> = self.versions.iter().map(|(_, count)| *count).collect();
        let all: u64 = counts.iter().sum();
        Ok(self
            .versions
            .iter()
            .map(|(subset, count)| Entry {
                value: with_subset(value, subset),
                subset: Some(subset.clone()),
                weight: weight * count / all.max(1),
                new: true,
            })
            .collect())
    }

    fn is_own(&self, value: &Value) -> bool {
        value
            .pointer("/destination/host")
            .and_then(Value::as_str)
            .is_some_and(|host| expand_host(host, self.namespace, self.domain) == self.host)
    }

    /// A new destination beside the others of the service: with the host as they write it, and their port.
    fn destination(&self, route: &[Value], subset: &str) -> Value {
        let like = route.iter().find(|value| self.is_own(value));
        let like = like.and_then(|value| value.get("destination"));
        let host = like.and_then(|like| like.get("host"));
        let mut destination = Map::new();
        destination.insert(
            "host".to_owned(),
            host.cloned().unwrap_or_else(|| json!(self.host)),
        );
        if let Some(port) = like.and_then(|like| like.get("port")) {
            destination.insert("port".to_owned(), port.clone());
        }
        destination.insert("subset".to_owned(), json!(subset));
        json!({ "destination": destination })
    }

    fn no_rest(&self, ask: &WeightRequest, entries: &[Entry]) -> Refusal {
        let rest = ask.rest();
        let message = format!(
            "nothing else of {} is routed now, so nothing can take the remaining {rest}",
            self.host
        );
        let mut others: Vec<&str> = entries
            .iter()
            .filter_map(|entry| entry.subset.as_deref())
            .chain(self.versions.iter().map(|(subset, _)| &**subset))
            .filter(|subset| ask.share(subset).is_none())
            .collect();
        others.sort_unstable();
        others.dedup();
        let refusal = Refusal::usage(message);
        match others.as_slice() {
            [] => refusal.hint("give weights that add up to 100"),
            [first, ..] => refusal.hint(format!(
                "name who gets it, for example {first}={rest}; known are {}",
                list(&others)
            )),
        }
    }
}

fn indices(entries: &[Entry], wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
    let found = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| wanted(entry));
    found.map(|(index, _)| index).collect()
}

/// Splits a total among some entries in proportion to their weights; none if they have none.
fn spread(weights: &mut [u32], entries: &[Entry], among: &[usize], total: u32) -> Option<()> {
    let now: Vec<u64> = among
        .iter()
        .filter_map(|index| entries.get(*index))
        .map(|entry| entry.weight)
        .collect();
    let parts = apportion(total, &now)?;
    for (index, part) in among.iter().zip(parts) {
        if let Some(weight) = weights.get_mut(*index) {
            *weight = part;
        }
    }
    Some(())
}

fn with_weight(mut value: Value, weight: u32) -> Value {
    if let Value::Object(map) = &mut value {
        map.insert("weight".to_owned(), json!(weight));
    }
    value
}

fn with_subset(value: &Value, subset: &str) -> Value {
    let mut value = value.clone();
    if let Some(Value::Object(destination)) = value.get_mut("destination") {
        destination.insert("subset".to_owned(), json!(subset));
    }
    value
}
