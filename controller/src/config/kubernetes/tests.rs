//! An API server that fails in every way it can, on paused time.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::time::Instant;

use mesh_core::resource::ResourceKey;

use super::*;
use crate::testing::{FakeApi, Fault};

const SECOND: Duration = Duration::from_secs(1);

/// The objects that a controller knows, with their versions.
type Known = BTreeMap<ResourceKey, Option<Arc<str>>>;

/// A controller that only watches.
struct Controller {
    known: Known,
    events: mpsc::Receiver<Event>,
    _tasks: JoinSet<()>,
}

// === impl Controller ===

impl Controller {
    fn start(api: &FakeApi) -> Self {
        let (sender, events) = mpsc::channel(super::super::QUEUE);
        let mut tasks = JoinSet::new();
        let reader = Reader::new("own", "default", Arc::default());
        watch(&api.client(), &reader, &sender, &mut tasks);
        Self {
            known: Known::new(),
            events,
            _tasks: tasks,
        }
    }

    /// Takes in what happens for some time.
    async fn run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(Some(event)) = tokio::time::timeout_at(until, self.events.recv()).await {
            self.apply(event);
        }
    }

    fn apply(&mut self, event: Event) {
        let insert = |known: &mut Known, object: Observed| {
            let resource = &object.resource;
            known.insert(resource.key.clone(), resource.meta.resource_version.clone());
        };
        match event {
            Event::Apply(resource) => insert(&mut self.known, resource),
            Event::Delete(key, _) => {
                self.known.remove(&key);
            }
            Event::Replace(kind, resources) => {
                self.known.retain(|key, _| key.kind != kind);
                resources
                    .into_iter()
                    .for_each(|resource| insert(&mut self.known, resource));
            }
            Event::ReplaceAll(_) | Event::KeySet(..) | Event::Several(_) => {
                panic!("a cluster does not send this")
            }
        }
    }
}

fn path(number: u32) -> String {
    match number % 2 {
        0 => format!("/api/v1/namespaces/default/services/s{number}"),
        _ => format!("/apis/networking.istio.io/v1/namespaces/default/serviceentries/e{number}"),
    }
}

fn object(number: u32, port: u16) -> serde_json::Value {
    let ports = json!([{"name": "http", "number": port, "port": port, "protocol": "HTTP"}]);
    match number % 2 {
        0 => json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("s{number}"), "namespace": "default"},
            "spec": {"ports": [{"name": "http", "port": port}]}}),
        _ => json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
            "metadata": {"name": format!("e{number}"), "namespace": "default"},
            "spec": {"hosts": [format!("e{number}.com")], "resolution": "DNS", "ports": ports}}),
    }
}

/// Something goes wrong from now on.
fn trouble(api: &FakeApi, draw: &mut StdRng) {
    match draw.random_range(0..8) {
        0 => api.inject(|_| Some(Fault::Status(429))),
        1 => api.inject(|_| Some(Fault::Status(500))),
        2 => api.inject(|request| request.is_watch().then_some(Fault::Status(410))),
        3 => api.inject(|request| request.is_list().then_some(Fault::Slow(3 * SECOND))),
        4 => api.inject(|request| request.is_watch().then_some(Fault::Hang)),
        5 => {
            api.forget_events();
            api.drop_watches();
        }
        6 => api.drop_watches(),
        _ => api.heal(),
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_api_server_does_the_end_is_that_of_a_fresh_controller() {
    for seed in 0..4 {
        let mut draw = StdRng::seed_from_u64(seed);
        let api = FakeApi::default();
        let mut controller = Controller::start(&api);
        for _ in 0..120 {
            trouble(&api, &mut draw);
            for _ in 0..draw.random_range(0..6) {
                let number = draw.random_range(0..20);
                match draw.random_range(0..3) {
                    0 => api.delete(&path(number)),
                    _ => drop(api.put(&path(number), object(number, draw.random_range(1..9)))),
                }
            }
            controller
                .run(SECOND.mul_f64(draw.random_range(0.1..4.0)))
                .await;
        }
        api.heal();
        // How long a request may hang is the business of the client's own limits; here it ends.
        api.drop_watches();
        controller.run(10 * SECOND).await;
        let mut fresh = Controller::start(&api);
        fresh.run(SECOND).await;
        assert!(!fresh.known.is_empty());
        assert_eq!(controller.known, fresh.known, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_listed_once_a_second_at_most() {
    let failures: [fn(&crate::testing::Seen) -> Option<Fault>; 4] = [
        |_| Some(Fault::Status(500)),
        |_| Some(Fault::Status(429)),
        |request| request.is_watch().then_some(Fault::Status(410)),
        |request| request.is_watch().then_some(Fault::Status(500)),
    ];
    for failure in failures {
        let api = FakeApi::default();
        api.inject(failure);
        let mut controller = Controller::start(&api);
        controller.run(120 * SECOND).await;
        let mut last: BTreeMap<String, Instant> = BTreeMap::new();
        for request in api.seen().into_iter().filter(|request| request.is_list()) {
            if let Some(before) = last.insert(request.path.clone(), request.at) {
                let pause = request.at - before;
                assert!(
                    pause >= SECOND,
                    "{} is listed again after {pause:?}",
                    request.path
                );
            }
        }
        assert!(!last.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_comes_back_is_noticed_within_five_seconds() {
    let api = FakeApi::default();
    api.put(&path(0), object(0, 1));
    let mut controller = Controller::start(&api);
    controller.run(SECOND).await;
    let before = controller.known.clone();
    api.inject(|_| Some(Fault::Status(503)));
    api.drop_watches();
    controller.run(600 * SECOND).await;
    assert_eq!(controller.known, before, "stale is better than empty");
    api.put(&path(2), object(2, 1));
    api.forget_events();
    api.heal();
    controller.run(5 * SECOND).await;
    assert_eq!(controller.known.len(), 2);
}
