//! How a hash leads to an endpoint, so that equal hashes lead to the same one for as long as it is there, and the loss of one endpoint
//! moves only what went to it. Places are those of Envoy, which hashes `address:port`.

use std::net::SocketAddr;

use mesh_ir::ConsistentHash;
use twox_hash::XxHash64;

/// Envoy's sizes where none are configured.
const DEFAULT_RING: u64 = 1024;
const DEFAULT_TABLE: u64 = 65_537;

/// Envoy's limit of both.
const MAX_RING: f64 = 8_388_608.0;
const MAX_TABLE: u64 = 5_000_011;

/// An endpoint with the share of the hashes that it is to get; the shares of all are 1 together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) index: u32,
    pub(super) address: SocketAddr,
    pub(super) share: f64,
}

/// Where hashes lead.
#[derive(Debug)]
pub(super) enum HashTable {
    /// Places on a ring, sorted, with the endpoint of each: a hash leads to the next place.
    Ring(Vec<(u64, u32)>),
    /// The endpoint of each remainder.
    Maglev(Vec<u32>),
}

// === impl HashTable ===

impl HashTable {
    pub(super) fn new(how: ConsistentHash, entries: &[Entry]) -> Self {
        match how {
            ConsistentHash::RingHash { minimum_size } => {
                Self::Ring(ring(minimum_size.unwrap_or(DEFAULT_RING), entries))
            }
            ConsistentHash::Maglev { table_size } => {
                let size = table_size.unwrap_or(DEFAULT_TABLE).clamp(2, MAX_TABLE);
                Self::Maglev(maglev(size, entries))
            }
        }
    }

    /// The endpoint of a hash; another one, as far as there is one, for each further attempt.
    pub(super) fn find(&self, hash: u64, attempt: u32) -> Option<u32> {
        match self {
            Self::Ring(places) => {
                let next = places.partition_point(|(place, _)| *place < hash);
                let at = (next + attempt as usize).checked_rem(places.len())?;
                places.get(at).map(|(_, index)| *index)
            }
            Self::Maglev(table) => {
                let hash = match attempt {
                    0 => hash,
                    attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
                };
                let at = hash.checked_rem(table.len() as u64)?;
                table.get(at as usize).copied()
            }
        }
    }
}

/// Places in proportion to the shares, at least one for each endpoint; the endpoint with the smallest share gets a whole number.
fn ring(minimum: u64, entries: &[Entry]) -> Vec<(u64, u32)> {
    let smallest = entries.iter().map(|entry| entry.share).fold(1.0, f64::min);
    if smallest <= 0.0 {
        return Vec::new();
    }
    let scale = ((smallest * minimum as f64).ceil() / smallest).min(MAX_RING);
    let mut places = Vec::with_capacity(scale.ceil() as usize);
    let (mut have, mut want) = (0.0, 0.0);
    for entry in entries {
        want += scale * entry.share;
        let mut turn = 0_u64;
        while have < want {
            let key = format!("{}_{turn}", entry.address);
            places.push((XxHash64::oneshot(0, key.as_bytes()), entry.index));
            turn += 1;
            have += 1.0;
        }
    }
    places.sort_unstable();
    places
}

/// An endpoint that fills the table: it takes the free places of its own order by turns.
struct Filling {
    index: u32,
    offset: u64,
    skip: u64,
    next: u64,
    share: f64,
    target: f64,
}

fn maglev(size: u64, entries: &[Entry]) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let largest = entries.iter().map(|entry| entry.share).fold(0.0, f64::max);
    if largest <= 0.0 {
        return Vec::new();
    }
    let mut filling: Vec<Filling> = entries
        .iter()
        .map(|entry| {
            let key = entry.address.to_string();
            Filling {
                index: entry.index,
                offset: XxHash64::oneshot(0, key.as_bytes()) % size,
                skip: XxHash64::oneshot(1, key.as_bytes()) % (size - 1) + 1,
                next: 0,
                share: entry.share,
                target: 0.0,
            }
        })
        .collect();
    let mut table = vec![FREE; size as usize];
    let mut left = size;
    let mut turn = 1.0;
    while left > 0 {
        for one in &mut filling {
            if left == 0 {
                break;
            }
            // An endpoint with half of the largest share takes part in every second turn.
            if turn * one.share < one.target {
                continue;
            }
            one.target += largest;
            // The size is a prime, so that an order visits every place; another size may leave some out, which nobody takes then.
            for _ in 0..size {
                let at = (one.offset.wrapping_add(one.skip.wrapping_mul(one.next))) % size;
                one.next += 1;
                if let Some(place) = table.get_mut(at as usize)
                    && *place == FREE
                {
                    *place = one.index;
                    break;
                }
            }
            left -= 1;
        }
        turn += 1.0;
    }
    if table.contains(&FREE) {
        let any = entries.first().map_or(0, |entry| entry.index);
        for place in table.iter_mut().filter(|place| **place == FREE) {
            *place = any;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: ConsistentHash = ConsistentHash::RingHash { minimum_size: None };
    const MAGLEV: ConsistentHash = ConsistentHash::Maglev { table_size: None };

    fn entries(weights: &[u32]) -> Vec<Entry> {
        let total: u32 = weights.iter().sum();
        let entry = |(index, weight): (usize, &u32)| Entry {
            index: index as u32,
            address: ([10, 0, 0, index as u8], 80).into(),
            share: f64::from(*weight) / f64::from(total),
        };
        weights.iter().enumerate().map(entry).collect()
    }

    fn hashes() -> impl Iterator<Item = u64> {
        (0..20_000_u64).map(|number| XxHash64::oneshot(7, &number.to_le_bytes()))
    }

    #[test]
    fn hashes_are_spread_by_weight() {
        for (how, tolerance) in [(RING, 0.05), (MAGLEV, 0.02)] {
            let table = HashTable::new(how, &entries(&[1, 1, 2]));
            let heavy = hashes().filter(|hash| table.find(*hash, 0) == Some(2));
            let share = heavy.count() as f64 / 20_000.0;
            assert!((share - 0.5).abs() < tolerance, "{how:?} {share}");
        }
    }

    #[test]
    fn the_loss_of_one_moves_little_else() {
        for (how, limit) in [(RING, 0), (MAGLEV, 1200)] {
            let all = entries(&[1; 10]);
            let before = HashTable::new(how, &all);
            let after = HashTable::new(how, &all[..9]);
            let moved = hashes().filter(|hash| {
                let at = before.find(*hash, 0);
                at != Some(9) && at != after.find(*hash, 0)
            });
            let moved = moved.count();
            assert!(moved <= limit, "{how:?} {moved}");
        }
    }

    #[test]
    fn further_attempts_lead_elsewhere() {
        for how in [RING, MAGLEV] {
            let table = HashTable::new(how, &entries(&[1; 3]));
            let elsewhere = hashes().filter(|hash| {
                (0..6).any(|attempt| table.find(*hash, attempt) != table.find(*hash, 0))
            });
            assert!(elsewhere.count() > 19_000, "{how:?}");
        }
    }

    #[test]
    fn odd_sizes_end() {
        let none = HashTable::new(RING, &[]);
        assert_eq!(none.find(1, 0), None);
        let even = ConsistentHash::Maglev {
            table_size: Some(8),
        };
        let table = HashTable::new(even, &entries(&[1; 3]));
        assert!((0..8).all(|hash| table.find(hash, 0).is_some_and(|index| index < 3)));
    }
}
