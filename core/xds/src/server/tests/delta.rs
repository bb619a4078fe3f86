//! The delta server against the client of this crate, over a link that fails.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::world::{self, Spec, any_spec, check_converged, whole_spec};
use crate::ResourceType;
use crate::client::{Client, Event};
use crate::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use crate::server::DeltaStream;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// What happens to the two and the link between them.
#[derive(Clone, Debug)]
enum Step {
    Update(Spec),
    /// The first message of some type arrives; messages of different types may overtake each other.
    ToServer(usize),
    ToClient(usize),
    /// The stream ends with all that is under way, the client connects again.
    Cut,
    /// The client starts from nothing.
    Restart,
}

fn steps(spec: impl Strategy<Value = Spec>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => spec.prop_map(Step::Update),
        8 => (0usize..4).prop_map(Step::ToServer),
        8 => (0usize..4).prop_map(Step::ToClient),
        1 => Just(Step::Cut),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..60)
}

struct Sim {
    server: DeltaStream,
    client: Client,
    to_server: Vec<DeltaDiscoveryRequest>,
    to_client: Vec<DeltaDiscoveryResponse>,
    spec: Spec,
    version: u64,
    /// Whether refusals keep their text.
    named: bool,
    /// Whether messages stay in order.
    ordered: bool,
    changed: bool,
    now: SystemTime,
}

fn client() -> Client {
    Client::new(Node::default())
}

impl Sim {
    fn new(named: bool, ordered: bool) -> Self {
        let mut sim = Self {
            server: DeltaStream::new("test"),
            client: client(),
            to_server: vec![],
            to_client: vec![],
            spec: Spec::default(),
            version: 0,
            named,
            ordered,
            changed: false,
            now: NOW,
        };
        sim.update(Spec::default());
        sim.connect();
        sim
    }

    fn update(&mut self, spec: Spec) {
        self.version += 1;
        self.server.update(spec.snapshot(self.version));
        self.spec = spec;
    }

    fn connect(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.server = DeltaStream::new("test");
        self.server.update(self.spec.snapshot(self.version));
        self.client.connect(Duration::ZERO);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Update(spec) => self.update(spec),
            Step::ToServer(pick) => {
                if let Some(mut request) =
                    take(&mut self.to_server, pick, self.ordered, |message| {
                        &message.type_url
                    })
                {
                    if let Some(status) = &mut request.error_detail
                        && !self.named
                    {
                        status.message = "something is wrong".to_owned();
                    }
                    self.server.on_request(request, self.now).unwrap();
                }
            }
            Step::ToClient(pick) => {
                if let Some(response) = take(&mut self.to_client, pick, self.ordered, |message| {
                    &message.type_url
                }) {
                    let events = self
                        .client
                        .receive_with(response, Duration::ZERO, world::decode);
                    self.changed |= events.contains(&Event::Changed);
                }
            }
            Step::Cut => self.connect(),
            Step::Restart => {
                self.client = client();
                self.connect();
            }
        }
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(request) = self.client.next_request() {
            self.to_server.push(request);
        }
        while let Some(response) = self.server.poll(self.now) {
            let response = response.decoded().unwrap();
            let same = |other: &&DeltaDiscoveryResponse| other.type_url == response.type_url;
            assert!(
                self.to_client.iter().find(same).is_none(),
                "two responses of one type are under way"
            );
            self.to_client.push(response);
        }
    }

    /// Delivers everything until nothing moves.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        self.pump();
        for _ in 0..2000 {
            if self.to_server.is_empty() && self.to_client.is_empty() {
                let Some(wake) = self.server.wake_at() else {
                    return Ok(());
                };
                self.now = wake;
            }
            self.step(Step::ToServer(0));
            self.step(Step::ToClient(0));
        }
        Err(TestCaseError::fail("the two never come to rest"))
    }

    /// Traffic always finds what it is sent to.
    fn check_whole(&mut self) -> Result<(), TestCaseError> {
        let config = self.client.config();
        let names = |list: Vec<String>| list.into_iter().collect::<BTreeSet<String>>();
        let clusters = names(config.clusters.iter().map(|c| c.name.to_string()).collect());
        let endpoints = names(
            config
                .endpoints
                .iter()
                .map(|e| e.cluster.to_string())
                .collect(),
        );
        let routes = names(config.routes.iter().map(|r| r.name.to_string()).collect());
        let missing = |wanted: &BTreeSet<String>, there: &BTreeSet<String>| -> Vec<String> {
            wanted.difference(there).cloned().collect()
        };
        let wanted_routes = world::route_names(&*config.listeners);
        let tables = config.routes.iter();
        let wanted_tables = tables.filter(|table| wanted_routes.contains(&*table.name));
        let hosts = wanted_tables.flat_map(|table| &table.virtual_hosts);
        let hosts = hosts.filter_map(|host| Some(format!("c{}", host.name.strip_prefix('h')?)));
        let routed = wanted_routes.iter().map(|name| name.replace('r', "c"));
        let wanted_clusters = routed.chain(hosts).collect();
        prop_assert_eq!(
            missing(&wanted_routes, &routes),
            Vec::<String>::new(),
            "routes"
        );
        prop_assert_eq!(
            missing(&wanted_clusters, &clusters),
            Vec::<String>::new(),
            "clusters"
        );
        prop_assert_eq!(
            missing(&wanted_clusters, &endpoints),
            Vec::<String>::new(),
            "endpoints"
        );
        Ok(())
    }
}

/// Takes the first message of all, or of a type that `pick` chooses.
fn take<T>(
    messages: &mut Vec<T>,
    pick: usize,
    ordered: bool,
    type_url: impl Fn(&T) -> &String,
) -> Option<T> {
    if messages.is_empty() {
        return None;
    }
    let mut types: Vec<&String> = vec![];
    for message in messages.iter() {
        if !types.contains(&type_url(message)) {
            types.push(type_url(message));
        }
    }
    let wanted = types[if ordered { 0 } else { pick % types.len() }];
    let index = messages
        .iter()
        .position(|message| type_url(message) == wanted)?;
    Some(messages.remove(index))
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Whatever happens on the way, the two agree in the end.
    #[test]
    fn the_client_ends_with_what_is_served(steps in steps(any_spec(5)), named in any::<bool>()) {
        let mut sim = Sim::new(named, false);
        for step in steps {
            sim.step(step);
        }
        sim.drain()?;
        let config = sim.client.config();
        check_converged(&sim.spec, &ResourceType::ALL, &world::resources(&config))?;
        prop_assert!(sim.client.is_settled());
        for kind in [ResourceType::Cluster, ResourceType::Listener, ResourceType::NameTable] {
            let status = sim.server.status(kind);
            prop_assert_eq!(status.synced, Some(sim.version));
            let bad: BTreeSet<String> = sim
                .spec
                .marks(kind)
                .into_iter()
                .filter(|(_, mark)| world::is_bad(*mark))
                .map(|(name, _)| name)
                .collect();
            let refused: BTreeSet<String> = status.refused.keys().map(ToString::to_string).collect();
            prop_assert_eq!(refused, bad);
        }
    }

    /// At no moment is anything referred to that is not there, also over cuts.
    #[test]
    fn nothing_breaks_on_the_way(steps in steps(whole_spec())) {
        let mut sim = Sim::new(true, true);
        for step in steps {
            sim.step(step);
            sim.check_whole()?;
        }
        sim.drain()?;
        sim.check_whole()?;
        check_converged(&sim.spec, &ResourceType::ALL, &world::resources(&sim.client.config()))?;
    }
}

#[test]
fn a_reconnect_with_nothing_new_sends_nothing() {
    let spec = Spec {
        clusters: [(1, 1), (2, 1)].into(),
        endpoints: [(1, 1), (2, 1)].into(),
        listeners: [(1, (1, 1))].into(),
        routes: [(1, 1)].into(),
        ..Spec::default()
    };
    let mut sim = Sim::new(true, true);
    sim.step(Step::Update(spec));
    sim.drain().unwrap();
    assert!(std::mem::take(&mut sim.changed));
    sim.step(Step::Cut);
    let mut responses = 0;
    while !sim.to_server.is_empty() {
        sim.step(Step::ToServer(0));
        responses += sim
            .to_client
            .iter()
            .filter(|r| !r.resources.is_empty())
            .count();
    }
    assert_eq!(responses, 0);
    sim.drain().unwrap();
    assert!(!sim.changed);
    assert_eq!(
        sim.server.status(ResourceType::Route).synced,
        Some(sim.version)
    );
}

/// A stream as an Envoy uses it, which names route tables and never virtual hosts.
struct EnvoyStream {
    server: DeltaStream,
    /// What the client has, by name.
    hosts: BTreeSet<String>,
}

impl EnvoyStream {
    fn request(&mut self, kind: ResourceType, subscribe: &[&str], unsubscribe: &[&str]) {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let request = DeltaDiscoveryRequest {
            node: Some(Node::default()),
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: names(subscribe),
            resource_names_unsubscribe: names(unsubscribe),
            ..DeltaDiscoveryRequest::default()
        };
        self.server.on_request(request, NOW).unwrap();
        self.take_all();
    }

    /// Takes and acknowledges everything; gives what came of virtual hosts.
    fn take_all(&mut self) {
        while let Some(response) = self.server.poll(NOW) {
            let response = response.decoded().unwrap();
            if response.type_url == ResourceType::VirtualHost.type_url() {
                let names = response.resources.iter().map(|one| one.name.clone());
                self.hosts.extend(names);
                for name in &response.removed_resources {
                    assert!(self.hosts.remove(name), "{name} was never there");
                }
            }
            let request = DeltaDiscoveryRequest {
                type_url: response.type_url,
                response_nonce: response.nonce,
                ..DeltaDiscoveryRequest::default()
            };
            self.server.on_request(request, NOW).unwrap();
        }
    }

    #[track_caller]
    fn has(&self, hosts: &[&str]) {
        let hosts: BTreeSet<String> = hosts.iter().map(ToString::to_string).collect();
        assert_eq!(self.hosts, hosts);
    }
}

#[test]
fn virtual_hosts_that_are_asked_for_without_names_are_those_of_the_route_tables() {
    let mut spec = Spec {
        routes: [(2, 1), (3, 1), (4, 1)].into(),
        hosts: [((2, 1), 1), ((3, 1), 1), ((3, 2), 1)].into(),
        ..Spec::default()
    };
    let mut stream = EnvoyStream {
        server: DeltaStream::new("test"),
        hosts: BTreeSet::new(),
    };
    stream.server.update(spec.snapshot(1));
    stream.request(ResourceType::Route, &["r2", "r4"], &[]);
    stream.request(ResourceType::VirtualHost, &[], &[]);
    stream.has(&["r2/h1"]);
    // Later tables bring theirs along, tables that are no longer wanted bring no more.
    stream.request(ResourceType::Route, &["r3"], &["r4"]);
    stream.has(&["r2/h1", "r3/h1", "r3/h2"]);
    spec.hosts = [((2, 2), 1), ((3, 1), 1), ((4, 1), 1)].into();
    stream.server.update(spec.snapshot(2));
    stream.take_all();
    stream.has(&["r2/h2", "r3/h1"]);
    assert_eq!(
        stream.server.status(ResourceType::VirtualHost).synced,
        Some(2)
    );
    // Envoy forgets what belongs to a table that it no longer wants, and names the table again when it does.
    stream.request(ResourceType::Route, &[], &["r3"]);
    stream.hosts.clear();
    stream.request(ResourceType::Route, &["r3"], &[]);
    stream.has(&["r3/h1"]);
}
