//! The cluster among several.

use std::sync::Arc;

use crate::{Target, WeightedCluster};

/// The choice of [`Target::pick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked<'a> {
    /// Name of the cluster.
    pub cluster: &'a Arc<str>,
    /// The entry with its own header changes, where there were several.
    pub weighted: Option<&'a WeightedCluster>,
    /// Position among the weighted clusters, 0 for a single one.
    pub index: usize,
}

impl Target {
    /// Picks a cluster. Over evenly spread tickets each is picked in proportion to its weight.
    ///
    /// None only when all weights are 0, which the decoder refuses.
    pub fn pick(&self, ticket: u64) -> Option<Picked<'_>> {
        match self {
            Target::Cluster(cluster) => Some(Picked {
                cluster,
                weighted: None,
                index: 0,
            }),
            Target::Weighted(clusters) => {
                let total: u64 = clusters.iter().map(|entry| u64::from(entry.weight)).sum();
                let mut left = ticket.checked_rem(total)?;
                for (index, entry) in clusters.iter().enumerate() {
                    let weight = u64::from(entry.weight);
                    if left < weight {
                        return Some(Picked {
                            cluster: &entry.cluster,
                            weighted: Some(entry),
                            index,
                        });
                    }
                    left -= weight;
                }
                None
            }
        }
    }
}
