//! One container: start it, probe it, start it again, stop it.
//!
//! ```text
//! prepare -> spawn -> (started -> ready <-> unready) -> ended -> back-off -> prepare ...
//!                \___________ stop: preStop, SIGTERM, grace period, SIGKILL
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use kube::ResourceExt;
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;

use super::attachment::Attachment;
use super::context::PodContext;
use super::events::Level;
use super::exec;
use super::images::Program;
use super::logs::Log;
use super::probe::{self, Check, Prober, Timing};
use super::runtime::{Exit, Launch, Process, RunningContainer, Streams};
use super::state::{Ended, Run};
use super::terminal::Terminal;
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
    /// Taken at the start.
    launch: Option<Launch>,
    /// The person's side of the container's terminal, where it has one.
    terminal: Option<Terminal>,
    variables: BTreeMap<String, String>,
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
            let later = changes_from_now(&self.pod.pod);
            match self.prepare(attempt).await {
                Ok(prepared) => break prepared,
                Err((reason, message)) => {
                    self.show_waiting(reason, message);
                    next_try(later, &self.stop).await;
                }
            }
        };
        let started = now();
        let launch = prepared.launch.take()?;
        match self.pod.handle.spawn(&self.container.name, launch).await {
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

    /// Shows what the container waits for.
    fn show_waiting(&self, reason: &'static str, message: String) {
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
        let mounts = volumes::mounts(container, &variables).map_err(config)?;
        let mounts = pod.mounts(mounts);
        pod.handle
            .mount(&container.name, mounts)
            .await
            .map_err(failed)?;
        let log = Log::open(pod.log_path(&container.name, attempt))
            .await
            .map_err(failed)?;
        let _ = std::fs::remove_file(pod.log_path(&container.name, attempt - 2));
        let (words, is_builtin) = match program {
            Program::Builtin(words) => (words, true),
            Program::Foreign(words) => (words, false),
        };
        let (terminal, streams) = self.streams().map_err(failed)?;
        let launch = Launch {
            words,
            is_builtin,
            environment: variables.clone(),
            directory: container.working_dir.clone().unwrap_or_default(),
            streams,
        };
        Ok(Prepared {
            launch: Some(launch),
            terminal,
            log,
            prober: self.prober(variables.clone()),
            variables,
        })
    }

    /// What the container's program reads and writes, as its spec asks.
    fn streams(&self) -> std::io::Result<(Option<Terminal>, Streams)> {
        if self.container.tty.unwrap_or(false) {
            let (terminal, side) = Terminal::open()?;
            return Ok((Some(terminal), Streams::Terminal(side)));
        }
        let has_input = self.container.stdin.unwrap_or(false);
        Ok((
            None,
            if has_input {
                Streams::Pipes
            } else {
                Streams::Output
            },
        ))
    }

    fn prober(&self, variables: BTreeMap<String, String>) -> Prober {
        let (pod, name) = (self.pod.clone(), self.container.name.clone());
        let directory = self.container.working_dir.clone().unwrap_or_default();
        let image = self.container.image.clone().unwrap_or_default();
        let exec = move |words: Vec<String>| {
            let builtin = pod.node.images.command(&image, &words);
            let launch = Launch {
                is_builtin: builtin.is_some(),
                words: builtin.unwrap_or(words),
                environment: variables.clone(),
                directory: directory.clone(),
                streams: Streams::Output,
            };
            let (pod, name) = (pod.clone(), name.clone());
            let run = async move {
                let process = pod.handle.exec(&name, launch).await;
                let mut process =
                    process.map_err(|error| format!("failed to start the command: {error}"))?;
                match process.wait_discarding_output().await.code {
                    0 => Ok(()),
                    code => Err(format!("the command ended with exit code {code}")),
                }
            };
            run.boxed()
        };
        Prober {
            runtime: self.pod.node.runtime.clone(),
            pod: self.pod.handle.clone(),
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
        let attachment = self.attachment(&mut process, prepared);
        let mut copies = JoinSet::new();
        let (stdout, stderr) = process.output();
        let shown = |is_error: bool| {
            let attachment = attachment.clone();
            move |data: &[u8]| attachment.note(is_error, data)
        };
        let log = || prepared.log.clone();
        if let Some(stream) = stdout {
            copies.spawn(log().copy(InspectReader::new(stream, shown(false)), "stdout"));
        }
        if let Some(stream) = stderr {
            copies.spawn(log().copy(InspectReader::new(stream, shown(true)), "stderr"));
        }
        if let Some(stream) = prepared
            .terminal
            .as_ref()
            .and_then(|terminal| terminal.reader().ok())
        {
            copies.spawn(log().copy(InspectReader::new(stream, shown(false)), "stdout"));
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
        self.pod.node.pods.ended(&self.pod.uid, name);
        attachment.end(exit.code);
        self.ended(started, exit, message)
    }

    /// Lets programs be run beside the one that has started, and somebody attach to it.
    fn attachment(&self, process: &mut Process, prepared: &Prepared) -> Arc<Attachment> {
        let has_input = self.container.stdin.unwrap_or(false);
        let input = match &prepared.terminal {
            Some(terminal) => terminal.writer().ok().filter(|_| has_input),
            None => process.input().map(|input| Box::pin(input) as exec::Writer),
        };
        let is_once = self.container.stdin_once.unwrap_or(false);
        let attachment = Attachment::new(input, prepared.terminal.clone(), is_once);
        let attachment = Arc::new(attachment);
        let running = RunningContainer {
            image: self.container.image.clone().unwrap_or_default(),
            environment: prepared.variables.clone(),
            directory: self.container.working_dir.clone().unwrap_or_default(),
            attachment: attachment.clone(),
        };
        let pods = &self.pod.node.pods;
        pods.started(&self.pod.uid, &self.container.name, running);
        attachment
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

/// The changes after this call. A mere clone would take for new whatever nobody has received by the original.
fn changes_from_now<T>(values: &watch::Receiver<T>) -> watch::Receiver<T> {
    let mut later = values.clone();
    later.mark_unchanged();
    later
}

/// Waits until a container that could not be prepared is worth another try: its pod changes, or some time has passed.
async fn next_try<T>(mut changes: watch::Receiver<T>, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        Ok(()) = changes.changed() => {}
        () = sleep(RETRY) => {}
    }
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
    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_prepared_waits_for_a_change_or_a_while() {
        let (sender, pod) = watch::channel(0);
        sender.send_replace(1);
        let stop = CancellationToken::new();
        for _ in 0..3 {
            let begun = Instant::now();
            next_try(changes_from_now(&pod), &stop).await;
            assert_eq!(begun.elapsed().as_secs(), RETRY.as_secs());
        }
        let begun = Instant::now();
        let later = changes_from_now(&pod);
        sender.send_replace(2);
        next_try(later, &stop).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
