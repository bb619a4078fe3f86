//! Finds the rules that can match without trying all of them.
//!
//! Most rules of a large policy name who may do it, or which path or host it is about, exactly. Each such rule is filed under those
//! values, by the attribute that tells it from most others; only what is filed under the request's own values, and what names nothing
//! exactly, is tried.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::criterion::{Criterion, Kind};
use super::path::PathMatcher;
use super::rule::CompiledRule;
use super::{Subject, host};
use crate::matching::{RequestView, with_lower};
use crate::policy::{StringPattern, TextAttribute};

/// An attribute that rules are filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Principal,
    Account,
    Namespace,
    Path,
    Host,
    Port,
}

const KEYS: [Key; 6] = [
    Key::Principal,
    Key::Account,
    Key::Namespace,
    Key::Path,
    Key::Host,
    Key::Port,
];

/// Values of an attribute, of which a request has one whenever the rule matches.
type Named = (Key, Vec<Box<[u8]>>);
/// Positions of rules, ascending.
type Positions = Vec<u32>;
type Table = FxHashMap<Box<[u8]>, Positions>;

/// Rules by the values that they name exactly.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    tables: Vec<(Key, Table)>,
    /// Rules that are filed under nothing.
    rest: Positions,
}

// === impl Index ===

impl Index {
    pub(super) fn new(rules: &[CompiledRule]) -> Self {
        let mut counts: BTreeMap<(Key, &[u8]), usize> = BTreeMap::new();
        let keys: Vec<Vec<Named>> = rules.iter().map(exact_values).collect();
        for (key, values) in keys.iter().flatten() {
            for value in values {
                *counts.entry((*key, &**value)).or_default() += 1;
            }
        }
        let mut tables: BTreeMap<Key, Table> = BTreeMap::new();
        let mut rest = Positions::new();
        for (position, keys) in (0_u32..).zip(&keys) {
            // Where the fewest others are filed.
            let crowd = |(key, values): &&Named| {
                let counts = values.iter().map(|value| counts.get(&(*key, &**value)));
                counts.flatten().copied().max().unwrap_or(0)
            };
            let Some((key, values)) = keys.iter().min_by_key(crowd) else {
                rest.push(position);
                continue;
            };
            let table = tables.entry(*key).or_default();
            for value in values {
                let positions = table.entry(value.clone()).or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        Self {
            tables: tables.into_iter().collect(),
            rest,
        }
    }

    /// The first rule that matches, among those that can.
    pub(super) fn find<'r, R: RequestView>(
        &self,
        rules: &'r [CompiledRule],
        subject: &Subject<'_, R>,
    ) -> Option<&'r CompiledRule> {
        let mut best = first(&self.rest, rules, subject, u32::MAX);
        for (key, table) in &self.tables {
            key.each_value(subject, |value| {
                if let Some(positions) = table.get(value) {
                    let found = first(positions, rules, subject, best.unwrap_or(u32::MAX));
                    best = found.or(best);
                }
            });
        }
        rules.get(best? as usize)
    }

    /// The most rules that are filed together.
    #[cfg(test)]
    pub(super) fn longest(&self) -> usize {
        let tables = self.tables.iter().flat_map(|(_, table)| table.values());
        tables.chain([&self.rest]).map(Vec::len).max().unwrap_or(0)
    }
}

/// The first position before a limit whose rule matches.
fn first<R: RequestView>(
    positions: &[u32],
    rules: &[CompiledRule],
    subject: &Subject<'_, R>,
    limit: u32,
) -> Option<u32> {
    let before = positions.iter().take_while(|position| **position < limit);
    before.copied().find(|position| {
        let rule = rules.get(*position as usize);
        rule.is_some_and(|rule| rule.is_match(subject))
    })
}

/// What a rule names exactly, by attribute: one of these values is there whenever the rule matches.
fn exact_values(rule: &CompiledRule) -> Vec<Named> {
    let of = |key: Key| {
        let parts = match key {
            Key::Principal | Key::Account | Key::Namespace => &rule.from,
            Key::Path | Key::Host | Key::Port => &rule.to,
        };
        if parts.is_empty() {
            return None;
        }
        let mut values = Vec::new();
        for criteria in parts {
            values.extend(criteria.iter().find_map(|criterion| key.named(criterion))?);
        }
        Some((key, values))
    };
    KEYS.into_iter().filter_map(of).collect()
}

// === impl Key ===

impl Key {
    /// The values that a criterion names for this attribute; none if it is about another one, or names any of them by a pattern.
    fn named(self, criterion: &Criterion) -> Option<Vec<Box<[u8]>>> {
        let exact = |patterns: &[StringPattern]| {
            let text = |pattern: &StringPattern| match pattern {
                StringPattern::Exact(text) => Some(text.as_bytes().into()),
                _ => None,
            };
            Some(patterns).filter(|patterns| !patterns.is_empty())?;
            patterns.iter().map(text).collect()
        };
        match (self, &criterion.kind) {
            (
                Self::Principal,
                Kind::Text {
                    attribute: TextAttribute::SourcePrincipal,
                    values,
                    ..
                },
            )
            | (
                Self::Account,
                Kind::Text {
                    attribute: TextAttribute::SourceServiceAccount,
                    values,
                    ..
                },
            )
            | (
                Self::Namespace,
                Kind::Text {
                    attribute: TextAttribute::SourceNamespace,
                    values,
                    ..
                },
            )
            | (Self::Host, Kind::Host(values)) => exact(&values.values),
            (Self::Path, Kind::Path { values, .. }) if !values.is_empty() => values
                .iter()
                .map(|path| match path {
                    PathMatcher::Text(StringPattern::Exact(text)) => Some(text.as_bytes().into()),
                    _ => None,
                })
                .collect(),
            (Self::Port, Kind::Port(ports)) if !ports.values.is_empty() => {
                let ports = ports.values.iter();
                Some(
                    ports
                        .map(|port| port.to_be_bytes().as_slice().into())
                        .collect(),
                )
            }
            _ => None,
        }
    }

    /// The values of a request for this attribute.
    fn each_value<R: RequestView>(self, subject: &Subject<'_, R>, mut visit: impl FnMut(&[u8])) {
        let peer = subject.connection.peer;
        match self {
            Self::Principal => peer
                .iter()
                .for_each(|peer| visit(peer.principal().as_bytes())),
            Self::Account => peer
                .iter()
                .for_each(|peer| visit(peer.account().as_bytes())),
            Self::Namespace => peer
                .iter()
                .for_each(|peer| visit(peer.namespace().as_bytes())),
            Self::Port => visit(&subject.connection.destination.port().to_be_bytes()),
            Self::Path => subject
                .request
                .iter()
                .for_each(|request| visit(request.path())),
            Self::Host => {
                let Some(request) = subject.request else {
                    return;
                };
                let (whole, host) = host::spellings(request.authority());
                with_lower(&whole, &mut visit);
                if host.len() != whole.len() {
                    with_lower(host, visit);
                }
            }
        }
    }
}
