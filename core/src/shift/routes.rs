//! New weights for the destinations of one rule, as raw values.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::refusal::list;
use super::weights::gcd;
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

/// A rule's requests, divided between the service and others.
struct Division {
    /// What the service has.
    own: u32,
    /// What the weights of others are multiplied by; 0 where there are none.
    scale: u32,
}

/// What weights are divided by and multiplied with.
struct Unit {
    divisor: u32,
    factor: u32,
}

// === impl Division ===

impl Division {
    /// A part of what the service has, in percent.
    fn of_own(&self, percent: u32) -> u32 {
        let part = u64::from(self.own) * u64::from(percent) / 100;
        u32::try_from(part).unwrap_or(u32::MAX)
    }

    /// What an entry keeps if it is another service.
    fn of_other(&self, entry: &Entry) -> u32 {
        if entry.subset.is_some() {
            return 0;
        }
        let weight = entry.weight / u64::from(PIECES);
        u32::try_from(weight * u64::from(self.scale)).unwrap_or(u32::MAX)
    }
}

// === impl Unit ===

impl Unit {
    fn of(&self, weight: u32) -> u32 {
        weight / self.divisor * self.factor
    }
}

/// The smallest weights in the same proportions, of 100 where that is possible.
fn in_lowest_terms(weights: impl Iterator<Item = u32> + Clone) -> Unit {
    let common = weights.clone().map(u64::from).fold(0, gcd).max(1);
    let divisor = u32::try_from(common).unwrap_or(1);
    let total: u32 = weights.map(|weight| weight / divisor).sum();
    let factor = match 100u32.checked_rem(total) {
        Some(0) => 100 / total,
        _ => 1,
    };
    Unit { divisor, factor }
}

/// The weight that an object gives a destination, one of so many.
fn weight_of(value: &Value, among: usize) -> u64 {
    match (value.get("weight").and_then(Value::as_u64), among) {
        (_, 1) => 100,
        (weight, _) => weight.unwrap_or(0),
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// The destinations with the weights that are asked for. Destinations that are other services keep their share; of what is
    /// left, the named subsets get what is asked, and the service's other subsets share the rest in the proportions that they
    /// have now. All weights add up to 100, unless that would not be exact beside other services.
    pub(super) fn reweighted(
        &self,
        route: &[Value],
        ask: &WeightRequest,
    ) -> Result<Vec<Value>, Refusal> {
        let entries = self.entries(route)?;
        let division = self.division(route, &entries, ask)?;
        let asked = |entry: &Entry| {
            let subset = entry.subset.as_deref()?;
            ask.share(subset)
        };
        let mut weights: Vec<u32> = entries
            .iter()
            .map(|entry| division.of_other(entry))
            .collect();
        let rest: Vec<usize> = indices(&entries, |entry| {
            entry.subset.is_some() && asked(entry).is_none()
        });
        let parts: Vec<u32> = ask
            .shares()
            .iter()
            .map(|(_, share)| division.of_own(*share))
            .collect();
        let left = division.own.saturating_sub(parts.iter().sum());
        spread(&mut weights, &entries, &rest, left).ok_or_else(|| self.no_rest(ask, &entries))?;
        let mut added = Vec::new();
        for ((subset, _), part) in ask.shares().iter().zip(parts) {
            let own = indices(&entries, |entry| entry.subset.as_ref() == Some(subset));
            if let Some(first) = own.first() {
                if spread(&mut weights, &entries, &own, part).is_none()
                    && let Some(weight) = weights.get_mut(*first)
                {
                    *weight = part;
                }
            } else if part > 0 {
                added.push((self.destination(route, subset), part));
            }
        }
        let kept = entries
            .into_iter()
            .zip(weights)
            .filter(|(entry, weight)| !entry.new || *weight > 0)
            .map(|(entry, weight)| (entry.value, weight));
        let all: Vec<(Value, u32)> = kept.chain(added).collect();
        let unit = in_lowest_terms(all.iter().map(|(_, weight)| *weight));
        Ok(all
            .into_iter()
            .map(|(value, weight)| with_weight(value, unit.of(weight)))
            .collect())
    }

    /// How a rule's requests are divided between the service and others.
    fn division(
        &self,
        route: &[Value],
        entries: &[Entry],
        ask: &WeightRequest,
    ) -> Result<Division, Refusal> {
        let is_other = |entry: &&Entry| entry.subset.is_none();
        let others: u64 = entries
            .iter()
            .filter(is_other)
            .map(|entry| entry.weight)
            .sum();
        if others == 0 {
            return Ok(Division { own: 100, scale: 0 });
        }
        let total: u64 = route
            .iter()
            .map(|value| weight_of(value, route.len()))
            .sum();
        let own = total.saturating_sub(others / u64::from(PIECES));
        if own == 0 {
            return Err(Refusal::state(format!(
                "the rule sends nothing to {} now: other services have all of it",
                self.host
            ))
            .hint("give the service a share in the object first"));
        }
        let asked = ask
            .shares()
            .iter()
            .map(|(_, share)| u64::from(*share) * own);
        let scale = 100 / asked.fold(100, gcd);
        let fits = total
            .checked_mul(scale)
            .filter(|total| *total <= u64::from(u32::MAX));
        let too_large = || {
            Refusal::state(format!(
                "the weights of the rule add up to {total}, which is too much to be divided exactly"
            ))
            .hint("write smaller weights into the object first")
        };
        fits.ok_or_else(too_large)?;
        Ok(Division {
            own: u32::try_from(own * scale).map_err(|_| too_large())?,
            scale: u32::try_from(scale).unwrap_or(1),
        })
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
            let weight = weight_of(value, route.len()) * u64::from(PIECES);
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
