//! The endpoints of a cluster at one moment, found by position, with what they are chosen by.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mesh_ir::{ClientPolicy, Endpoint, EndpointHealth, Endpoints};

use crate::balance::{Balancer, Candidate, Rules};
use crate::health::{Host, Hosts};

/// The endpoints of a cluster. Shared by all workers.
#[derive(Debug)]
pub struct Membership {
    endpoints: Arc<Endpoints>,
    /// The position behind the last endpoint of each locality.
    ends: Vec<usize>,
    /// What is known of each; empty where nothing needs to be.
    hosts: Vec<Arc<Host>>,
    rules: Rules,
    /// With the generation of the hosts that it was made by.
    balancer: ArcSwap<(u64, Arc<Balancer>)>,
}

// === impl Membership ===

impl Membership {
    pub(super) fn new(client: &ClientPolicy, endpoints: Arc<Endpoints>, hosts: &Hosts) -> Self {
        let ends = endpoints.localities.iter().scan(0, |end, locality| {
            *end += locality.endpoints.len();
            Some(*end)
        });
        let addresses = endpoints.localities.iter().flat_map(|it| &it.endpoints);
        let addresses = addresses.map(|endpoint| endpoint.address);
        let generation = hosts.generation();
        let rules = Rules {
            how: client.balancing,
            weighted_localities: client.weighted_localities,
            panic_threshold: client.panic_threshold,
        };
        let mut membership = Self {
            ends: ends.collect(),
            hosts: if Hosts::are_needed(client) {
                hosts.follow(addresses, !client.health_checks.is_empty())
            } else {
                Vec::new()
            },
            endpoints,
            rules,
            balancer: ArcSwap::from_pointee((0, Arc::new(Balancer::new(rules, &[])))),
        };
        let balancer = Arc::new(membership.balance());
        membership.balancer = ArcSwap::from_pointee((generation, balancer));
        membership
    }

    /// As they were told.
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The one at a position.
    pub fn get(&self, index: usize) -> Option<&Endpoint> {
        let locality = self.ends.partition_point(|end| *end <= index);
        let before = locality.checked_sub(1).and_then(|it| self.ends.get(it));
        let index = index - before.copied().unwrap_or(0);
        let locality = self.endpoints.localities.get(locality)?;
        locality.endpoints.get(index)
    }

    /// What is known of the one at a position; none where nothing needs to be.
    pub fn host(&self, index: usize) -> Option<&Arc<Host>> {
        self.hosts.get(index)
    }

    /// Addresses by position.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let endpoints = self
            .endpoints
            .localities
            .iter()
            .flat_map(|it| &it.endpoints);
        endpoints.map(|endpoint| endpoint.address)
    }

    /// What they are chosen by, as their health is now. Made by whoever asks first after a change.
    pub fn balancer(&self, hosts: &Hosts) -> Arc<Balancer> {
        let last = self.balancer.load();
        let generation = hosts.generation();
        if last.0 == generation || self.hosts.is_empty() {
            return last.1.clone();
        }
        let balancer = Arc::new(self.balance());
        self.balancer
            .store(Arc::new((generation, balancer.clone())));
        balancer
    }

    fn balance(&self) -> Balancer {
        let localities = (0..).zip(&self.endpoints.localities);
        let endpoints = localities.flat_map(|(number, locality)| {
            let endpoints = locality.endpoints.iter();
            endpoints.map(move |endpoint| (number, locality, endpoint))
        });
        let candidate = |(index, (number, locality, endpoint)): (
            usize,
            (u32, &mesh_ir::LocalityEndpoints, &Endpoint),
        )| Candidate {
            address: endpoint.address,
            weight: endpoint.weight,
            priority: locality.priority,
            locality: number,
            locality_weight: locality.weight,
            is_healthy: endpoint.health == EndpointHealth::Healthy
                && self.host(index).is_none_or(|host| host.is_healthy()),
        };
        let candidates: Vec<Candidate> = endpoints.enumerate().map(candidate).collect();
        Balancer::new(self.rules, &candidates)
    }
}

#[cfg(test)]
mod tests {
    use mesh_ir::{Locality, LocalityEndpoints};

    use super::*;

    #[test]
    fn positions_go_on_from_locality_to_locality() {
        let locality = |hosts: std::ops::Range<u8>| {
            let endpoints = hosts.map(|host| Endpoint::new(([10, 0, 0, host], 80).into()));
            LocalityEndpoints::new(Locality::default(), endpoints.collect())
        };
        let endpoints = Endpoints {
            cluster: "c".into(),
            localities: vec![locality(0..2), locality(2..2), locality(2..5)],
        };
        let client = ClientPolicy::default();
        let members = Membership::new(&client, Arc::new(endpoints), &Hosts::default());
        assert_eq!(members.count(), 5);
        let found = (0..6).map_while(|index| Some(members.get(index)?.address));
        assert!(found.eq(members.addresses()));
        assert_eq!(members.addresses().count(), 5);
    }
}
