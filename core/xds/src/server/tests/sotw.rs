//! The state-of-the-world server against a simple client that behaves as Envoy does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::world::{self, Spec, any_spec, check_converged};
use crate::ResourceType;
use crate::discovery::{DiscoveryRequest, DiscoveryResponse, Status};
use crate::resource::Resource;
use crate::server::{Received, SotwStream};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// What is asked for at the beginning; the rest follows from that.
const ASKED: [ResourceType; 3] = [
    ResourceType::Cluster,
    ResourceType::Listener,
    ResourceType::NameTable,
];

/// Keeps good resources and asks for what they refer to.
#[derive(Default)]
struct Client {
    has: BTreeMap<(ResourceType, String), Resource>,
    nonces: BTreeMap<ResourceType, String>,
    names: BTreeMap<ResourceType, BTreeSet<String>>,
    outbox: Vec<DiscoveryRequest>,
}

impl Client {
    fn connect(&mut self) {
        self.outbox.clear();
        self.nonces.clear();
        self.names.clear();
        for kind in ASKED {
            self.request(kind, None);
        }
        self.refresh();
    }

    fn request(&mut self, kind: ResourceType, error: Option<String>) {
        self.outbox.push(DiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            response_nonce: self.nonces.get(&kind).cloned().unwrap_or_default(),
            resource_names: self
                .names
                .get(&kind)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            error_detail: error.map(|message| Status { code: 3, message }),
            ..DiscoveryRequest::default()
        });
    }

    fn refresh(&mut self) {
        let clusters = self.names_of(ResourceType::Cluster);
        let listeners: Vec<_> = self
            .has
            .values()
            .filter_map(|resource| match resource {
                Resource::Listener(listener) => Some(listener),
                _ => None,
            })
            .collect();
        let secrets = world::secret_names(listeners.iter().copied());
        let routes = world::route_names(listeners);
        for (kind, wanted) in [
            (ResourceType::Endpoints, clusters),
            (ResourceType::Route, routes),
            (ResourceType::Secret, secrets),
        ] {
            self.has
                .retain(|(other, name), _| *other != kind || wanted.contains(name));
            if self
                .names
                .get(&kind)
                .map_or(!wanted.is_empty(), |names| *names != wanted)
            {
                self.names.insert(kind, wanted);
                self.request(kind, None);
            }
        }
    }

    fn names_of(&self, kind: ResourceType) -> BTreeSet<String> {
        self.has
            .keys()
            .filter(|(other, _)| *other == kind)
            .map(|(_, name)| name.clone())
            .collect()
    }

    fn receive(&mut self, response: DiscoveryResponse, named: bool) {
        let kind = ResourceType::from_type_url(&response.type_url).unwrap();
        let mut there = BTreeSet::new();
        let mut bad = vec![];
        for any in &response.resources {
            let resource = crate::resource::decode(kind, any).unwrap();
            let name = resource.name().to_owned();
            if world::is_bad(world::mark(&resource)) {
                bad.push(name.clone());
            } else if kind.is_wildcard() || self.names[&kind].contains(&name) {
                self.has.insert((kind, name.clone()), resource);
            }
            there.insert(name);
        }
        if kind.is_full_state() {
            self.has
                .retain(|(other, name), _| *other != kind || there.contains(name));
        }
        self.nonces.insert(kind, response.nonce);
        self.refresh();
        let error = (!bad.is_empty()).then(|| {
            if named {
                format!("bad: {}", bad.join(", "))
            } else {
                "bad".to_owned()
            }
        });
        self.request(kind, error);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Update(Spec),
    ToServer,
    ToClient,
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => any_spec(5).prop_map(Step::Update),
        8 => Just(Step::ToServer),
        8 => Just(Step::ToClient),
        1 => Just(Step::Cut),
    ];
    proptest::collection::vec(step, 0..60)
}

struct Sim {
    server: SotwStream,
    client: Client,
    to_server: Vec<DiscoveryRequest>,
    to_client: Vec<DiscoveryResponse>,
    spec: Spec,
    version: u64,
    named: bool,
    now: SystemTime,
}

impl Sim {
    fn new(named: bool) -> Self {
        let mut sim = Self {
            server: SotwStream::new("test"),
            client: Client::default(),
            to_server: vec![],
            to_client: vec![],
            spec: Spec::default(),
            version: 0,
            named,
            now: NOW,
        };
        sim.step(Step::Cut);
        sim
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Update(spec) => {
                self.version += 1;
                self.server.update(spec.snapshot(self.version));
                self.spec = spec;
            }
            Step::ToServer if !self.to_server.is_empty() => {
                let request = self.to_server.remove(0);
                self.server.on_request(request, self.now).unwrap();
            }
            Step::ToClient if !self.to_client.is_empty() => {
                let response = self.to_client.remove(0);
                self.client.receive(response, self.named);
            }
            Step::ToServer | Step::ToClient => {}
            Step::Cut => {
                self.to_server.clear();
                self.to_client.clear();
                self.server = SotwStream::new("test");
                self.server.update(self.spec.snapshot(self.version));
                self.client.connect();
            }
        }
        self.to_server.append(&mut self.client.outbox);
        while let Some(response) = self.server.poll(self.now) {
            self.to_client.push(response);
        }
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2000 {
            if self.to_server.is_empty() && self.to_client.is_empty() {
                let Some(wake) = self.server.wake_at() else {
                    return Ok(());
                };
                self.now = wake;
            }
            self.step(Step::ToServer);
            self.step(Step::ToClient);
        }
        Err(TestCaseError::fail("the two never come to rest"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn the_client_ends_with_what_is_served(steps in steps(), named in any::<bool>()) {
        let mut sim = Sim::new(named);
        for step in steps {
            sim.step(step);
        }
        sim.drain()?;
        // Nobody tells that endpoints or routes are gone: clients keep them while they refer to them.
        let mut has = sim.client.has.clone();
        has.retain(|(kind, name), _| kind.is_full_state() || sim.spec.marks(*kind).contains_key(name));
        let mut kinds = ResourceType::ALL.to_vec();
        kinds.retain(|kind| kind.has_state_of_the_world());
        check_converged(&sim.spec, &kinds, &has)?;
        for kind in ASKED {
            prop_assert_eq!(sim.server.status(kind).synced, Some(sim.version));
        }
    }
}

fn request(kind: ResourceType, nonce: &str, names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        response_nonce: nonce.to_owned(),
        resource_names: names.iter().map(ToString::to_string).collect(),
        ..DiscoveryRequest::default()
    }
}

#[test]
fn stale_nonces_are_ignored() {
    let mut server = SotwStream::new("");
    let spec = |mark| Spec {
        clusters: [(1, mark)].into(),
        ..Spec::default()
    };
    server.update(spec(0).snapshot(1));
    let kind = ResourceType::Cluster;
    server.on_request(request(kind, "", &[]), NOW).unwrap();
    let first = server.poll(NOW).unwrap();
    server
        .on_request(request(kind, &first.nonce, &[]), NOW)
        .unwrap();
    server.update(spec(1).snapshot(2));
    let second = server.poll(NOW).unwrap();
    let stale = server
        .on_request(request(kind, &first.nonce, &[]), NOW)
        .unwrap();
    assert_eq!(stale, Received::Stale(kind));
    assert_eq!(server.status(kind).acked.unwrap().version, 1);
    server
        .on_request(request(kind, &second.nonce, &[]), NOW)
        .unwrap();
    assert_eq!(server.status(kind).acked.unwrap().version, 2);
    assert_eq!(server.poll(NOW), None);
}

#[test]
fn an_empty_set_is_answered_once_because_clients_wait_for_it() {
    let mut server = SotwStream::new("");
    server
        .on_request(request(ResourceType::Cluster, "", &[]), NOW)
        .unwrap();
    assert_eq!(server.poll(NOW), None);
    server.update(Spec::default().snapshot(1));
    assert_eq!(server.poll(NOW).unwrap().resources.len(), 0);
    assert_eq!(server.poll(NOW), None);
}

#[test]
fn new_names_are_answered_alone() {
    let mut server = SotwStream::new("");
    let spec = Spec {
        endpoints: [(1, 0), (2, 0)].into(),
        ..Spec::default()
    };
    server.update(spec.snapshot(1));
    let kind = ResourceType::Endpoints;
    server.on_request(request(kind, "", &["c1"]), NOW).unwrap();
    let first = server.poll(NOW).unwrap();
    assert_eq!(first.resources.len(), 1);
    server
        .on_request(request(kind, &first.nonce, &["c1", "c2"]), NOW)
        .unwrap();
    let second = server.poll(NOW).unwrap();
    assert_eq!(second.resources.len(), 1);
    assert_eq!(
        crate::resource::decode(kind, &second.resources[0])
            .unwrap()
            .name(),
        "c2"
    );
}
