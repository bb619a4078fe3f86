//! Numbers of pods, and the addresses of the loopback back end: one block `127.B.0.0/16` per sandbox.
//!
//! ```text
//! 127.B.0.1                    the node and the API server (whose port, bound by one process only, claims the block)
//! 127.B.1.1   - 127.B.63.254   pods
//! 127.B.65.1  - 127.B.127.254  the apps behind a sidecar: the pod's address plus 64 in the third number
//! 127.B.128.0/17               ClusterIPs
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// The port of the API server on the node's address.
pub const API_PORT: u16 = 6443;

const FIRST_BLOCK: u8 = 16;
const LAST_BLOCK: u8 = 254;
/// Pods that a block has addresses for.
pub const PODS: u16 = 63 * 254;

/// The second number of a sandbox's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block(u8);

impl Block {
    /// A block by its number, 1 to 254. Zero is refused: 127.0.0.0/16 is everyone's.
    pub fn new(number: u8) -> Option<Self> {
        (number != 0 && number != 255).then_some(Self(number))
    }

    /// The blocks to try for a sandbox of this name: always in the same order, so that a name usually keeps its
    /// addresses.
    pub fn candidates(name: &str) -> impl Iterator<Item = Self> + use<> {
        let count = u16::from(LAST_BLOCK - FIRST_BLOCK) + 1;
        let digest = Sha256::digest(name.as_bytes());
        let start = u16::from_be_bytes([digest[0], digest[1]]) % count;
        (0..count).map(move |step| {
            let offset = (start + step) % count;
            Self(FIRST_BLOCK + u8::try_from(offset).unwrap_or(0))
        })
    }

    /// The block's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The node's own address.
    pub fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0, 0, 1)
    }

    /// The range of ClusterIPs in CIDR notation.
    pub fn service_range(self) -> String {
        format!("127.{}.128.0/17", self.0)
    }

    /// True for an address of this block.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let [first, second, ..] = address.octets();
        first == 127 && second == self.0
    }

    /// The addresses of the pod of a number.
    pub fn pod(self, index: u16) -> PodAddresses {
        let third = u8::try_from(index / 254 + 1).unwrap_or(63);
        let fourth = u8::try_from(index % 254 + 1).unwrap_or(254);
        PodAddresses {
            pod: Ipv4Addr::new(127, self.0, third, fourth),
            app: Ipv4Addr::new(127, self.0, third + 64, fourth),
        }
    }
}

/// The two addresses of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAddresses {
    /// What others dial: `status.podIP`.
    pub pod: Ipv4Addr,
    /// Where the apps bind when a sidecar holds the pod's address.
    pub app: Ipv4Addr,
}

/// Hands out numbers to pods; a freed one is not used again until all others had their turn.
pub struct Pool {
    size: u16,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    next: u16,
    by_pod: BTreeMap<String, u16>,
    used: BTreeSet<u16>,
}

impl Pool {
    /// The numbers below a size, all of them free.
    pub fn new(size: u16) -> Self {
        Self {
            size,
            state: Mutex::default(),
        }
    }

    /// The number of a pod, the same each time; `None` when none is free.
    pub fn claim(&self, uid: &str) -> Option<u16> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = state.by_pod.get(uid) {
            return Some(*index);
        }
        let start = state.next;
        let index = (0..self.size)
            .map(|step| (start + step) % self.size)
            .find(|index| !state.used.contains(index))?;
        state.next = (index + 1) % self.size;
        state.used.insert(index);
        state.by_pod.insert(uid.to_owned(), index);
        Some(index)
    }

    /// Gives a pod's number back.
    pub fn release(&self, uid: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = state.by_pod.remove(uid) {
            state.used.remove(&index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_has_its_own_pair_within_the_ranges() {
        let block = Block::new(42).unwrap();
        let pool = Pool::new(PODS);
        let mut seen = BTreeSet::new();
        for pod in 0..PODS {
            let addresses = block.pod(pool.claim(&pod.to_string()).unwrap());
            assert!((1..=63).contains(&addresses.pod.octets()[2]));
            assert!((65..=127).contains(&addresses.app.octets()[2]));
            assert!(seen.insert(addresses.pod) && seen.insert(addresses.app));
        }
        assert_eq!(pool.claim("one more"), None);
        assert_eq!(pool.claim("7"), Some(7), "the same pod keeps its addresses");
        pool.release("7");
        assert_eq!(pool.claim("one more"), Some(7));
    }

    #[test]
    fn a_freed_address_waits_for_its_turn() {
        let pool = Pool::new(PODS);
        let first = pool.claim("a").unwrap();
        pool.release("a");
        assert_ne!(pool.claim("b").unwrap(), first);
    }

    #[test]
    fn candidates_are_all_blocks_once() {
        let blocks: BTreeSet<_> = Block::candidates("default").collect();
        assert_eq!(blocks.len(), 239);
        assert_eq!(Block::candidates("x").next(), Block::candidates("x").next());
    }
}
