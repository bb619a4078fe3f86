//! The table of pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{condition, list, name, number, text, text_or};
use super::{Layout, age, column, wide};

pub const LAYOUTS: &[Layout] = &[Layout {
    group: "",
    plural: "pods",
    columns: &[
        column("Name", "string"),
        column("Ready", "string"),
        column("Status", "string"),
        column("Restarts", "string"),
        column("Age", "string"),
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ],
    cells,
}];

fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let tally = Tally::of(pod);
    vec![
        json!(name(pod)),
        json!(format!("{}/{}", tally.ready, tally.total)),
        json!(tally.reason),
        json!(tally.restarts(now)),
        json!(age::since_creation(pod, now)),
        json!(text_or(&pod["status"]["podIP"], "<none>")),
        json!(text_or(&pod["spec"]["nodeName"], "<none>")),
        json!(text_or(&pod["status"]["nominatedNodeName"], "<none>")),
        json!(gates(pod)),
    ]
}

/// What `kubectl get pods` says under STATUS.
pub fn status(pod: &Value) -> String {
    Tally::of(pod).reason
}

/// What the containers of a pod amount to.
#[derive(Default)]
struct Tally {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    /// When a container last ended before it was started again.
    last_restart: Option<Timestamp>,
}

impl Tally {
    fn of(pod: &Value) -> Self {
        let native = sidecars(pod);
        let mut tally = Self {
            reason: text_or(&pod["status"]["reason"], text(&pod["status"]["phase"])).to_owned(),
            total: list(&pod["spec"]["containers"]).len() + native.len(),
            ..Self::default()
        };
        if list(&pod["status"]["conditions"])
            .iter()
            .any(|one| one["type"] == "PodScheduled" && one["reason"] == "SchedulingGated")
        {
            "SchedulingGated".clone_into(&mut tally.reason);
        }
        let initializing = tally.init_containers(pod, &native);
        if !initializing || condition(pod, "Initialized") == Some("True") {
            tally.containers(pod);
        }
        let ended = matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed");
        if !pod["metadata"]["deletionTimestamp"].is_null() && !ended {
            "Terminating".clone_into(&mut tally.reason);
        }
        tally
    }

    /// Counts the init containers; true when one of them is not done.
    fn init_containers(&mut self, pod: &Value, native: &[&str]) -> bool {
        let total = list(&pod["spec"]["initContainers"]).len();
        for (position, status) in list(&pod["status"]["initContainerStatuses"])
            .iter()
            .enumerate()
        {
            self.count_restarts(status);
            let is_native = native.contains(&text(&status["name"]));
            if is_native && status["started"] == true {
                self.ready += usize::from(status["ready"] == true);
                continue;
            }
            let state = &status["state"];
            let waiting = text(&state["waiting"]["reason"]);
            self.reason = if !state["terminated"].is_null() {
                if number(&state["terminated"]["exitCode"]) == 0 {
                    continue;
                }
                format!("Init:{}", end(&state["terminated"]))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{position}/{total}")
            };
            return true;
        }
        false
    }

    fn containers(&mut self, pod: &Value) {
        let mut running = false;
        for status in list(&pod["status"]["containerStatuses"]).iter().rev() {
            self.count_restarts(status);
            let state = &status["state"];
            let waiting = text(&state["waiting"]["reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if !state["terminated"].is_null() {
                self.reason = end(&state["terminated"]);
            } else if status["ready"] == true && !state["running"].is_null() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = condition(pod, "Ready") == Some("True");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += number(&status["restartCount"]);
        let finished = text(&status["lastState"]["terminated"]["finishedAt"]);
        self.last_restart = self.last_restart.max(finished.parse().ok());
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts > 0 => {
                let ago = age::span(now.duration_since(last).as_secs());
                format!("{} ({ago} ago)", self.restarts)
            }
            _ => self.restarts.to_string(),
        }
    }
}

/// The names of init containers that keep running.
fn sidecars(pod: &Value) -> Vec<&str> {
    let containers = list(&pod["spec"]["initContainers"]).iter();
    containers
        .filter(|container| container["restartPolicy"] == "Always")
        .map(|container| text(&container["name"]))
        .collect()
}

/// How a container ended.
fn end(terminated: &Value) -> String {
    let reason = text(&terminated["reason"]);
    match number(&terminated["signal"]) {
        _ if !reason.is_empty() => reason.to_owned(),
        0 => format!("ExitCode:{}", number(&terminated["exitCode"])),
        signal => format!("Signal:{signal}"),
    }
}

fn gates(pod: &Value) -> String {
    let gates = list(&pod["spec"]["readinessGates"]);
    let passed = gates
        .iter()
        .filter(|gate| condition(pod, text(&gate["conditionType"])) == Some("True"));
    if gates.is_empty() {
        "<none>".to_owned()
    } else {
        format!("{}/{}", passed.count(), gates.len())
    }
}
