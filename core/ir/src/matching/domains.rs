//! Which virtual host serves an authority.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

/// Longest authority that is lowered without allocation. Host names end at 255 bytes.
const STACK: usize = 264;

type Table = FxHashMap<Box<[u8]>, usize>;

/// Domains of a route table by the way they match.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    exact: Table,
    /// Texts behind `*`, by length, longest first.
    suffixes: Vec<(usize, Table)>,
    /// Texts before `*`, by length, longest first.
    prefixes: Vec<(usize, Table)>,
    any: Option<usize>,
}

/// Collects domains while a table is compiled.
#[derive(Debug, Default)]
pub(super) struct DomainsBuilder {
    exact: Table,
    suffixes: BTreeMap<usize, Table>,
    prefixes: BTreeMap<usize, Table>,
    any: Option<usize>,
}

/// The authority without its port, by Envoy's rule: what follows the last colon that is not part of an IPv6 address.
pub fn strip_port(authority: &[u8]) -> &[u8] {
    match port_start(authority) {
        Some(colon) => authority.get(..colon).unwrap_or(authority),
        None => authority,
    }
}

/// Calls with a host in lower case, without allocation unless it is longer than host names are.
#[inline]
pub(crate) fn with_lower<T>(host: &[u8], then: impl FnOnce(&[u8]) -> T) -> T {
    let mut stack = [0; STACK];
    match stack.get_mut(..host.len()) {
        Some(buffer) => {
            buffer.copy_from_slice(host);
            buffer.make_ascii_lowercase();
            then(buffer)
        }
        None => then(&host.to_ascii_lowercase()),
    }
}

/// Index of the colon before the port.
pub(crate) fn port_start(authority: &[u8]) -> Option<usize> {
    let colon = authority.iter().rposition(|byte| *byte == b':')?;
    match authority.iter().rposition(|byte| *byte == b']') {
        Some(bracket) if bracket > colon => None,
        _ => Some(colon),
    }
}

// === impl DomainsBuilder ===

impl DomainsBuilder {
    /// Adds a domain of a virtual host. False if the domain is taken.
    pub(super) fn add(&mut self, domain: &str, host: usize) -> bool {
        let lower = domain.to_ascii_lowercase();
        if lower == "*" {
            if self.any.is_some() {
                return false;
            }
            self.any = Some(host);
            return true;
        }
        let (table, text) = if let Some(suffix) = lower.strip_prefix('*') {
            (self.suffixes.entry(suffix.len()).or_default(), suffix)
        } else if let Some(prefix) = lower.strip_suffix('*') {
            (self.prefixes.entry(prefix.len()).or_default(), prefix)
        } else {
            (&mut self.exact, lower.as_str())
        };
        if table.contains_key(text.as_bytes()) {
            return false;
        }
        table.insert(text.as_bytes().into(), host);
        true
    }

    pub(super) fn build(self) -> Domains {
        let Self {
            exact,
            suffixes,
            prefixes,
            any,
        } = self;
        Domains {
            exact,
            suffixes: suffixes.into_iter().rev().collect(),
            prefixes: prefixes.into_iter().rev().collect(),
            any,
        }
    }
}

// === impl Domains ===

impl Domains {
    /// The virtual host of an authority whose port is already stripped, if it is to be.
    pub(super) fn find(&self, authority: &[u8]) -> Option<usize> {
        with_lower(authority, |lower| self.find_lower(lower))
    }

    fn find_lower(&self, lower: &[u8]) -> Option<usize> {
        self.exact
            .get(lower)
            .copied()
            .or_else(|| {
                longest(&self.suffixes, lower, |text, len| {
                    text.get(text.len().checked_sub(len)?..)
                })
            })
            .or_else(|| longest(&self.prefixes, lower, |text, len| text.get(..len)))
            .or(self.any)
    }
}

/// The longest wildcard that matches. The star stands for at least one byte, as in Envoy.
fn longest(
    tables: &[(usize, Table)],
    text: &[u8],
    part: impl Fn(&[u8], usize) -> Option<&[u8]>,
) -> Option<usize> {
    tables
        .iter()
        .filter(|(len, _)| *len < text.len())
        .find_map(|(len, table)| table.get(part(text, *len)?).copied())
}
