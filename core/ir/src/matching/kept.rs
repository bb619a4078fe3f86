//! Which virtual hosts of a table are the very same values as in the table before, so that what was made of them can be taken over.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{RouteConfig, VirtualHost};

/// Positions of virtual hosts in the table before. Quick when it is asked for them in the order of a table in which little is different.
#[derive(Debug)]
pub struct Kept<'a> {
    before: &'a [Arc<VirtualHost>],
    /// Where the next one probably is.
    expected: usize,
    /// All positions, once one was not where it was expected.
    positions: Option<FxHashMap<*const VirtualHost, usize>>,
}

// === impl Kept ===

impl<'a> Kept<'a> {
    /// Those of a table; none where there is no table before.
    pub fn new(before: Option<&'a RouteConfig>) -> Self {
        Self {
            before: before.map_or(&[], |before| &before.virtual_hosts),
            expected: 0,
            positions: None,
        }
    }

    /// Where the very same value was in the table before.
    pub fn position(&mut self, host: &Arc<VirtualHost>) -> Option<usize> {
        let before = self.before;
        match before.get(self.expected) {
            Some(expected) if Arc::ptr_eq(expected, host) => {
                self.expected += 1;
                return Some(self.expected - 1);
            }
            // Another value in its place.
            Some(expected) if expected.name == host.name => {
                self.expected += 1;
                return None;
            }
            Some(_) | None => {}
        }
        let positions = self.positions.get_or_insert_with(|| {
            let positions = before.iter().enumerate();
            positions
                .map(|(index, host)| (Arc::as_ptr(host), index))
                .collect()
        });
        let position = *positions.get(&Arc::as_ptr(host))?;
        self.expected = position + 1;
        Some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts<const N: usize>(names: [&str; N]) -> [Arc<VirtualHost>; N] {
        let host = |name: &str| VirtualHost {
            name: name.into(),
            domains: Vec::new(),
            routes: Vec::new(),
        };
        names.map(host).map(Arc::new)
    }

    fn table(hosts: &[&Arc<VirtualHost>]) -> RouteConfig {
        RouteConfig {
            virtual_hosts: hosts.iter().map(|host| Arc::clone(host)).collect(),
            name: "80".into(),
            discovers_virtual_hosts: false,
            ignore_port_in_host: true,
        }
    }

    #[test]
    fn every_value_that_stays_is_found_whatever_comes_goes_or_moves() {
        let all = hosts(["a", "b", "c", "d", "e"]);
        let other = hosts(["b", "x"]);
        let [a, b, c, d, e] = all.each_ref();
        let before = table(&[a, b, c, d, e]);
        let positions = |now: &[&Arc<VirtualHost>]| {
            let mut kept = Kept::new(Some(&before));
            now.iter()
                .map(|host| kept.position(host))
                .collect::<Vec<_>>()
        };
        assert_eq!(positions(&[a, b, c]), [Some(0), Some(1), Some(2)]);
        // Changed in place, inserted, removed, moved.
        assert_eq!(positions(&[a, &other[0], c]), [Some(0), None, Some(2)]);
        assert_eq!(
            positions(&[a, &other[1], b, c]),
            [Some(0), None, Some(1), Some(2)]
        );
        assert_eq!(positions(&[a, d, e]), [Some(0), Some(3), Some(4)]);
        assert_eq!(positions(&[e, a, b]), [Some(4), Some(0), Some(1)]);
        assert_eq!(Kept::new(None).position(a), None);
    }
}
