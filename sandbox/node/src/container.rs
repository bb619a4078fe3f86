//! One container: start it, probe it, start it again, stop it.
//!
//! ```text
//! prepare -> spawn -> (started -> ready <-> unready) -> ended -> back-off -> prepare ...
//!                \___________ stop: preStop, SIGTERM, grace period, SIGKILL
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use kube::ResourceExt;
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::context::PodContext;
use super::events::Level;
use super::images::Program;
use super::logs::Log;
use super::probe::{self, Check, Prober, Timing};
use super::process::{Exit, Process};
use super::state::{Ended, Run};
use super::volumes;

/// A container that ran this long starts again without delay.
const STEADY: Duration = Duration::from_secs(600);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// How long to wait before something that cannot start is looked at again.
const RETRY: Duration = Duration::from_secs(1);

/// The grace of a container that is killed while its pod stays.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Why a container runs, which decides when it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to success before anything else starts.
    Init,
    /// Stays until all others have ended.
    Sidecar,
    /// A container proper.
    Main,
}

/// Runs a container until it has ended for good or `stop` is cancelled; true when it succeeded.
pub async fn run(
    pod: Arc<PodContext>,
    container: Container,
    role: Role,
    stop: CancellationToken,
) -> bool {
    let runner = Runner {
        pod,
        container,
        role,
        stop,
    };
    runner.run().await
}

struct Runner {
    pod: Arc<PodContext>,
    container: Container,
    role: Role,
    stop: CancellationToken,
}

/// What is needed to start a container once.
struct Prepared {
    program: Program,
    command: Option<Command>,
    log: Log,
    prober: Prober,
}

impl Runner {
    async fn run(&self) -> bool {
        let mut failures = 0_u32;
        let mut attempt = 0_i32;
        loop {
            let begun = Instant::now();
            let Some(exit) = self.once(attempt).await else {
                return false;
            };
            if self.stop.is_cancelled() || !self.restarts(exit) {
                return exit.code == 0;
            }
            failures = if begun.elapsed() >= STEADY {
                0
            } else {
                failures
            };
            if !self.back_off(backoff(failures)).await {
                return exit.code == 0;
            }
            failures = failures.saturating_add(1);
            attempt = attempt.saturating_add(1);
            self.pod
                .state
                .container(&self.container.name, |record| record.restarts = attempt);
        }
    }

    fn restarts(&self, exit: Exit) -> bool {
        let pod = self.pod.pod();
        let policy = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.restart_policy.as_deref())
            .unwrap_or("Always");
        match (self.role, policy) {
            (Role::Sidecar, _) | (Role::Main, "Always") => true,
            (Role::Init | Role::Main, "Never") => false,
            (Role::Init | Role::Main, _) => exit.code != 0,
        }
    }

    /// Waits before the next start, showing it as Kubernetes does; false when stopped meanwhile.
    async fn back_off(&self, delay: Duration) -> bool {
        if delay.is_zero() {
            return true;
        }
        let pod = self.pod.pod();
        let message = format!(
            "back-off {}s restarting failed container={} pod={}_{}({})",
            delay.as_secs(),
            self.container.name,
            pod.name_any(),
            pod.namespace().unwrap_or_default(),
            self.pod.uid
        );
        self.tell(Level::Warning, "BackOff", &message);
        self.pod.state.container(&self.container.name, |record| {
            if let Run::Ended(ended) = &record.run {
                record.last = Some(ended.clone());
            }
            record.run = Run::Waiting {
                reason: "CrashLoopBackOff",
                message,
            };
        });
        tokio::select! {
            () = sleep(delay) => true,
            () = self.stop.cancelled() => {
                // The state of a stopped container is how it last ended.
                self.pod.state.container(&self.container.name, |record| {
                    if let Some(last) = record.last.clone() {
                        record.run = Run::Ended(last);
                    }
                });
                false
            }
        }
    }

    /// One run from preparation to end; `None` when stopped before anything ran.
    async fn once(&self, attempt: i32) -> Option<Exit> {
        let mut prepared = loop {
            if self.stop.is_cancelled() {
                return None;
            }
            match self.prepare(attempt).await {
                Ok(prepared) => break prepared,
                Err((reason, message)) => self.wait(reason, message).await,
            }
        };
        let started = now();
        let Some(command) = prepared.command.take() else {
            if let Program::Nothing(why) = &prepared.program {
                prepared.log.note(why).await;
            }
            return Some(self.ended(
                started,
                Exit {
                    code: 0,
                    signal: None,
                },
                String::new(),
            ));
        };
        match self.pod.node.processes.spawn(command) {
            Ok(process) => Some(self.attend(process, &prepared, started).await),
            Err(error) => {
                let message = format!("failed to start the container's program: {error}");
                self.tell(Level::Warning, "Failed", &message);
                Some(self.ended(
                    started,
                    Exit {
                        code: 128,
                        signal: None,
                    },
                    message,
                ))
            }
        }
    }

    fn tell(&self, level: Level, reason: &str, message: &str) {
        self.pod.tell(&self.container.name, level, reason, message);
    }

    async fn wait(&self, reason: &'static str, message: String) {
        let known = self.pod.state.get().containers.remove(&self.container.name);
        let waits = matches!(known.map(|record| record.run), Some(Run::Waiting { reason: known, .. }) if known == reason);
        if !waits {
            self.tell(Level::Warning, reason, &message);
        }
        self.pod.state.container(&self.container.name, |record| {
            if let Run::Ended(ended) = &record.run {
                record.last = Some(ended.clone());
            }
            record.run = Run::Waiting { reason, message };
        });
        let mut object = self.pod.pod.clone();
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = object.changed() => {}
            () = sleep(RETRY) => {}
        }
    }

    async fn prepare(&self, attempt: i32) -> Result<Prepared, (&'static str, String)> {
        let config = |error: super::environment::ConfigError| {
            ("CreateContainerConfigError", error.to_string())
        };
        let failed = |error: std::io::Error| ("CreateContainerError", error.to_string());
        let (pod, container) = (&self.pod, &self.container);
        let variables = pod.environment(container).map_err(config)?;
        let program = pod
            .program(container, &variables)
            .map_err(|error| ("ImageNotRunnable", error.to_string()))?;
        let object = pod.pod();
        let mounts = volumes::mounts(container, &variables).map_err(config)?;
        let root = pod.root(&container.name);
        let targets = mounts.iter().map(|mount| {
            let (target, writable) = pod.volume(&object, &mount.volume);
            (mount, target, writable)
        });
        volumes::lay_out(&root, targets).map_err(failed)?;
        let directory = pod.working_directory(container);
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let log = Log::open(pod.log_path(&container.name, attempt))
            .await
            .map_err(failed)?;
        let _ = std::fs::remove_file(pod.log_path(&container.name, attempt - 2));
        let dress = move |mut command: Command| {
            command.env_clear().envs(&variables).current_dir(&directory);
            command
        };
        let command = program.command(&*pod.node.backend).map(&dress);
        Ok(Prepared {
            program,
            command,
            log,
            prober: self.prober(dress),
        })
    }

    fn prober(&self, dress: impl Fn(Command) -> Command + Send + Sync + 'static) -> Prober {
        let pod = self.pod.clone();
        let backend = pod.node.backend.clone();
        let (object, addresses) = (pod.pod(), pod.addresses);
        let at = backend.clone();
        let address = move |port: u16| IpAddr::V4(at.port_address(&object, addresses, port));
        let exec =
            move |words: Vec<String>| -> futures::future::BoxFuture<'static, Result<(), String>> {
                let builtin = matches!(
                    words.first().map(String::as_str),
                    Some("pilot-agent" | "pilot-discovery")
                );
                let command = dress(pod.node.backend.command(&words, builtin));
                let process = pod.node.processes.spawn(command);
                Box::pin(async move {
                    let mut process =
                        process.map_err(|error| format!("failed to start the command: {error}"))?;
                    match process.wait_discarding_output().await.code {
                        0 => Ok(()),
                        code => Err(format!("the command ended with exit code {code}")),
                    }
                })
            };
        Prober {
            backend,
            address: Arc::new(address),
            exec: Arc::new(exec),
        }
    }

    /// Everything between start and end of a process.
    async fn attend(&self, mut process: Process, prepared: &Prepared, started: Timestamp) -> Exit {
        let id = process.id();
        let name = &self.container.name;
        let (needs_startup, needs_readiness) = (
            self.container.startup_probe.is_some(),
            self.container.readiness_probe.is_some(),
        );
        self.pod.state.container(name, |record| {
            if let Run::Ended(ended) = &record.run {
                record.last = Some(ended.clone());
            }
            record.run = Run::Running {
                since: started,
                process: id,
            };
            record.started = !needs_startup;
            record.ready = !needs_startup && !needs_readiness;
        });
        let started_message = format!("Started container {name}");
        self.tell(Level::Normal, "Started", &started_message);
        let mut copies = JoinSet::new();
        let (stdout, stderr) = process.output();
        if let Some(stream) = stdout {
            copies.spawn(prepared.log.clone().copy(stream, "stdout"));
        }
        if let Some(stream) = stderr {
            copies.spawn(prepared.log.clone().copy(stream, "stderr"));
        }
        let group = process.group();
        let mut message = String::new();
        let exit = tokio::select! {
            exit = process.wait() => exit,
            failure = self.watch_probes(&prepared.prober) => {
                message = failure;
                self.tell(Level::Warning, "Unhealthy", &message);
                prepared.log.note(&format!("the sandbox restarts the container: {message}")).await;
                group.signal(Signal::SIGTERM);
                self.end(&mut process, None).await
            }
            () = self.stop.cancelled() => {
                self.pod.state.container(name, |record| record.ready = false);
                self.tell(Level::Normal, "Killing", &format!("Stopping container {name}"));
                self.pre_stop(&prepared.prober, &mut process).await
            }
        };
        // The group is gone, so the streams end by themselves unless something left the group.
        let _ = timeout(Duration::from_secs(1), async {
            while copies.join_next().await.is_some() {}
        })
        .await;
        self.ended(started, exit, message)
    }

    /// The stop hook, then the signal, then the wait for the end.
    async fn pre_stop(&self, prober: &Prober, process: &mut Process) -> Exit {
        let group = process.group();
        let hooks = self.container.lifecycle.as_ref();
        if let Some(hook) = hooks.and_then(|hooks| hooks.pre_stop.as_ref()) {
            let remaining = self.remaining();
            tokio::select! {
                exit = process.wait() => return exit,
                () = self.call(prober, hook, remaining) => {}
            }
        }
        group.signal(Signal::SIGTERM);
        let deadline = *self.pod.deadline.borrow();
        self.end(process, deadline).await
    }

    fn remaining(&self) -> Duration {
        let deadline = *self.pod.deadline.borrow();
        deadline.map_or(DEFAULT_GRACE, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }

    /// Waits for the end of a process that was told to end, and kills it when its time is over. The deadline may come
    /// closer meanwhile.
    async fn end(&self, process: &mut Process, deadline: Option<Instant>) -> Exit {
        let group = process.group();
        let mut deadlines = self.pod.deadline.clone();
        let mut deadline = deadline.unwrap_or_else(|| Instant::now() + DEFAULT_GRACE);
        loop {
            tokio::select! {
                exit = process.wait() => return exit,
                () = tokio::time::sleep_until(deadline) => {
                    group.signal(Signal::SIGKILL);
                    return process.wait().await;
                }
                Ok(()) = deadlines.changed() => {
                    deadline = (*deadlines.borrow()).unwrap_or(deadline);
                }
            }
        }
    }

    /// Best effort, as in Kubernetes: a failing hook does not stop the stop.
    async fn call(&self, prober: &Prober, hook: &LifecycleHandler, limit: Duration) {
        if let Some(pause) = &hook.sleep {
            sleep(Duration::from_secs(u64::try_from(pause.seconds).unwrap_or(0)).min(limit)).await;
            return;
        }
        let probe = k8s_openapi::api::core::v1::Probe {
            exec: hook.exec.clone(),
            http_get: hook.http_get.clone(),
            tcp_socket: hook.tcp_socket.clone(),
            ..k8s_openapi::api::core::v1::Probe::default()
        };
        if let Err(error) = prober.ask(&Check::of(&probe, &self.container), limit).await {
            tracing::debug!(container = %self.container.name, %error, "a lifecycle hook failed");
        }
    }

    /// Runs the probes of a running container; returns when one of them says to restart it.
    async fn watch_probes(&self, prober: &Prober) -> String {
        let hooks = self.container.lifecycle.as_ref();
        if let Some(hook) = hooks.and_then(|hooks| hooks.post_start.as_ref()) {
            self.call(prober, hook, DEFAULT_GRACE).await;
        }
        let name = &self.container.name;
        if let Some(startup) = &self.container.startup_probe {
            let check = Check::of(startup, &self.container);
            if let Err(failure) =
                probe::started(Timing::of(startup), |limit| prober.ask(&check, limit)).await
            {
                return format!("startup probe failed: {failure}");
            }
            let ready = self.container.readiness_probe.is_none();
            self.pod.state.container(name, |record| {
                (record.started, record.ready) = (true, ready)
            });
        }
        let readiness = async {
            let Some(spec) = &self.container.readiness_probe else {
                return pending::<Infallible>().await;
            };
            let check = Check::of(spec, &self.container);
            let report = |answer: Result<(), String>| {
                self.pod
                    .state
                    .container(name, |record| record.ready = answer.is_ok());
                if let Err(failure) = answer {
                    let message = format!("Readiness probe failed: {failure}");
                    self.tell(Level::Warning, "Unhealthy", &message);
                }
            };
            probe::readiness(Timing::of(spec), |limit| prober.ask(&check, limit), report).await
        };
        let liveness = async {
            let Some(spec) = &self.container.liveness_probe else {
                return pending().await;
            };
            let check = Check::of(spec, &self.container);
            probe::death(Timing::of(spec), |limit| prober.ask(&check, limit)).await
        };
        tokio::select! {
            failure = liveness => format!("liveness probe failed: {failure}"),
            never = readiness => match never {},
        }
    }

    fn ended(&self, started: Timestamp, exit: Exit, message: String) -> Exit {
        let init = self.role == Role::Init;
        self.pod.state.container(&self.container.name, |record| {
            record.run = Run::Ended(Ended {
                exit,
                started,
                finished: now(),
                message,
            });
            record.started = false;
            record.ready = init && exit.code == 0;
        });
        exit
    }
}

/// The delay before a restart after so many quick ends: none, 1 s, 2 s, 4 s, up to five minutes.
fn backoff(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(exponent) => Duration::from_secs(1 << exponent.min(16)).min(LONGEST_BACKOFF),
    }
}

/// The present time in whole seconds, as statuses hold it.
pub fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_quick_and_the_others_wait_longer() {
        let delays: Vec<_> = (0..12)
            .map(|failures| backoff(failures).as_secs())
            .collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
