//! What the node knows about a running pod, and the status it reports from that.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::watch;

use super::runtime::Exit;

/// One container as the node sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerRecord {
    pub run: Run,
    pub last: Option<Ended>,
    pub restarts: i32,
    /// The startup probe (if any) has succeeded.
    pub started: bool,
    /// The readiness probe (if any) succeeds.
    pub ready: bool,
}

/// What a container is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    Waiting {
        reason: &'static str,
        message: String,
    },
    Running {
        since: Timestamp,
        process: i32,
    },
    Ended(Ended),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub exit: Exit,
    pub started: Timestamp,
    pub finished: Timestamp,
    pub message: String,
}

impl Default for ContainerRecord {
    fn default() -> Self {
        let run = Run::Waiting {
            reason: "PodInitializing",
            message: String::new(),
        };
        Self {
            run,
            last: None,
            restarts: 0,
            started: false,
            ready: false,
        }
    }
}

/// A pod as the node sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodState {
    pub pod_ip: String,
    pub host_ip: String,
    pub started: Timestamp,
    /// All init containers are done.
    pub initialized: bool,
    /// Set once all containers have ended for good: true for success.
    pub outcome: Option<bool>,
    pub containers: BTreeMap<String, ContainerRecord>,
}

/// The shared state of one pod; writers notify the one that publishes.
pub struct StateCell {
    state: Mutex<PodState>,
    changed: watch::Sender<u64>,
}

impl StateCell {
    /// A cell with its first state.
    pub fn new(state: PodState) -> Self {
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }
    }

    /// A copy of the state.
    pub fn get(&self) -> PodState {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the state.
    pub fn update(&self, change: impl FnOnce(&mut PodState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Changes one container's record.
    pub fn container(&self, name: &str, change: impl FnOnce(&mut ContainerRecord)) {
        self.update(|state| change(state.containers.entry(name.to_owned()).or_default()));
    }

    /// A receiver that is notified of changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// True for an init container that stays: a native sidecar.
pub fn is_native_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The status to report. `known` is the last reported one: transition times come from it.
pub fn pod_status(pod: &Pod, state: &PodState, known: &PodStatus, now: Timestamp) -> PodStatus {
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.unwrap_or_default();
    let statuses = |containers: &[Container]| -> Vec<ContainerStatus> {
        containers
            .iter()
            .map(|container| container_status(container, state))
            .collect()
    };
    let containers = statuses(&spec.containers);
    let init_statuses = statuses(&init);
    let sidecars_ready = init
        .iter()
        .zip(&init_statuses)
        .all(|(container, status)| !is_native_sidecar(container) || status.ready);
    let over = state.outcome.is_some();
    let all_ready = !over
        && state.initialized
        && sidecars_ready
        && containers.iter().all(|status| status.ready);
    let gates = spec.readiness_gates.unwrap_or_default();
    let gated = gates
        .iter()
        .all(|gate| condition_holds(pod, &gate.condition_type));

    let reason = if over {
        "PodCompleted"
    } else {
        "ContainersNotReady"
    };
    let unready: Vec<_> = containers
        .iter()
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    let mut conditions = vec![
        condition(
            "Initialized",
            state.initialized,
            "ContainersNotInitialized",
            String::new(),
        ),
        condition(
            "Ready",
            all_ready && gated,
            if all_ready {
                "ReadinessGatesNotReady"
            } else {
                reason
            },
            message.clone(),
        ),
        condition("ContainersReady", all_ready, reason, message),
        condition("PodScheduled", true, "", String::new()),
    ];
    for condition in &mut conditions {
        let old = known
            .conditions
            .iter()
            .flatten()
            .find(|old| old.type_ == condition.type_);
        let unchanged = old.filter(|old| old.status == condition.status);
        let since = unchanged.and_then(|old| old.last_transition_time.clone());
        condition.last_transition_time = Some(since.unwrap_or(Time(now)));
    }
    // Conditions of others (readiness gates) are theirs to change.
    let ours: Vec<_> = conditions
        .iter()
        .map(|condition| condition.type_.clone())
        .collect();
    let present = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions.extend(
        present
            .iter()
            .filter(|condition| !ours.contains(&condition.type_))
            .cloned(),
    );

    PodStatus {
        phase: Some(phase(state, &containers).to_owned()),
        conditions: Some(conditions),
        host_ip: Some(state.host_ip.clone()),
        host_ips: Some(vec![HostIP {
            ip: state.host_ip.clone(),
        }]),
        pod_ip: Some(state.pod_ip.clone()),
        pod_ips: Some(vec![PodIP {
            ip: state.pod_ip.clone(),
        }]),
        start_time: Some(Time(state.started)),
        qos_class: Some(
            known
                .qos_class
                .clone()
                .unwrap_or_else(|| "BestEffort".to_owned()),
        ),
        container_statuses: Some(containers),
        init_container_statuses: (!init_statuses.is_empty()).then_some(init_statuses),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

fn phase(state: &PodState, containers: &[ContainerStatus]) -> &'static str {
    match state.outcome {
        Some(true) => return "Succeeded",
        Some(false) => return "Failed",
        None => {}
    }
    let begun = |status: &ContainerStatus| {
        let now = status
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some() || state.terminated.is_some());
        now || status
            .last_state
            .as_ref()
            .is_some_and(|state| state.terminated.is_some())
    };
    if state.initialized && containers.iter().all(begun) {
        "Running"
    } else {
        "Pending"
    }
}

fn condition_holds(pod: &Pod, kind: &str) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

fn condition(kind: &str, holds: bool, reason: &str, message: String) -> PodCondition {
    let text = |text: String| Some(text).filter(|text| !holds && !text.is_empty());
    PodCondition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: text(reason.to_owned()),
        message: text(message),
        ..PodCondition::default()
    }
}

fn container_status(container: &Container, state: &PodState) -> ContainerStatus {
    let record = state
        .containers
        .get(&container.name)
        .cloned()
        .unwrap_or_default();
    let running = matches!(record.run, Run::Running { .. });
    // A finished init container counts as ready in Kubernetes.
    let done = matches!(&record.run, Run::Ended(ended) if ended.exit.code == 0);
    let is_init_step = state.containers.contains_key(&container.name) && done && record.ready;
    let image = container.image.clone().unwrap_or_default();
    ContainerStatus {
        name: container.name.clone(),
        image_id: image.clone(),
        image,
        ready: (running && record.ready) || is_init_step,
        started: Some(running && record.started),
        restart_count: record.restarts,
        last_state: Some(
            record
                .last
                .as_ref()
                .map_or_else(ContainerState::default, ended),
        ),
        container_id: match &record.run {
            Run::Running { process, .. } => Some(format!("process://{process}")),
            _ => None,
        },
        state: Some(run(&record.run)),
        ..ContainerStatus::default()
    }
}

fn run(run: &Run) -> ContainerState {
    match run {
        Run::Waiting { reason, message } => ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some((*reason).to_owned()),
                message: Some(message.clone()).filter(|message| !message.is_empty()),
            }),
            ..ContainerState::default()
        },
        Run::Running { since, .. } => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(Time(*since)),
            }),
            ..ContainerState::default()
        },
        Run::Ended(end) => ended(end),
    }
}

fn ended(end: &Ended) -> ContainerState {
    let reason = if end.exit.code == 0 {
        "Completed"
    } else {
        "Error"
    };
    let terminated = ContainerStateTerminated {
        exit_code: end.exit.code,
        signal: end.exit.signal,
        reason: Some(reason.to_owned()),
        message: Some(end.message.clone()).filter(|message| !message.is_empty()),
        started_at: Some(Time(end.started)),
        finished_at: Some(Time(end.finished)),
        container_id: None,
    };
    ContainerState {
        terminated: Some(terminated),
        ..ContainerState::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        let spec = json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]});
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    fn running(ready: bool) -> ContainerRecord {
        let run = Run::Running {
            since: Timestamp::UNIX_EPOCH,
            process: 1,
        };
        ContainerRecord {
            run,
            ready,
            started: true,
            ..ContainerRecord::default()
        }
    }

    fn summary(state: &PodState) -> (String, String) {
        let status = pod_status(&pod(), state, &PodStatus::default(), Timestamp::UNIX_EPOCH);
        let ready = status
            .conditions
            .unwrap()
            .into_iter()
            .find(|c| c.type_ == "Ready")
            .unwrap();
        (status.phase.unwrap(), ready.status)
    }

    #[test]
    fn phases_and_readiness() {
        let mut state = PodState::default();
        assert_eq!(summary(&state), ("Pending".into(), "False".into()));
        state.initialized = true;
        state.containers.insert("a".into(), running(true));
        assert_eq!(summary(&state), ("Pending".into(), "False".into()));
        state.containers.insert("b".into(), running(false));
        assert_eq!(summary(&state), ("Running".into(), "False".into()));
        state.containers.insert("b".into(), running(true));
        assert_eq!(summary(&state), ("Running".into(), "True".into()));
        state.outcome = Some(false);
        assert_eq!(summary(&state), ("Failed".into(), "False".into()));
    }

    #[test]
    fn transition_times_stay_while_nothing_turns() {
        let state = PodState::default();
        let later = Timestamp::from_second(100).unwrap();
        let first = pod_status(&pod(), &state, &PodStatus::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(pod_status(&pod(), &state, &first, later), first);
    }
}
