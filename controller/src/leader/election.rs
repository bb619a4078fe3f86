//! Takes part in the election by reading and writing the Lease.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::candidate::Candidate;
use super::leadership::Leadership;

/// Time between two looks at the Lease.
const RETRY: Duration = Duration::from_secs(2);
/// Part of [`RETRY`] by which it is longer at random, so that replicas do not ask all at once.
const JITTER: f64 = 0.2;
/// Limit for a request. A renewal that hangs is given up in time for another attempt.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Takes part in an election.
pub struct Election {
    api: Api<Lease>,
    name: String,
    candidate: Candidate,
    leading: watch::Sender<bool>,
    /// Version of the Lease as last seen: a write against it fails when somebody else was quicker.
    version: Option<String>,
    failing: bool,
}

// === impl Election ===

impl Election {
    /// Stands for the Lease of this name. Nothing happens before it [runs](Self::run).
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: String,
    ) -> (Self, Leadership) {
        let (leading, receiver) = watch::channel(false);
        let election = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            candidate: Candidate::new(identity),
            leading,
            version: None,
            failing: false,
        };
        (election, Leadership::new(receiver))
    }

    /// Takes part until it is told to stop, and then gives the Lease up.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = RETRY.mul_f64(1.0 + JITTER * rand::random::<f64>());
            let next = Instant::now() + pause;
            tokio::select! {
                () = self.attempt() => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = self.keep_until(next) => {}
                () = stop.cancelled() => break,
            }
        }
        self.release().await;
    }

    /// Looks at the Lease once and writes it where that is due.
    async fn attempt(&mut self) {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let deadline = deadline.min(self.candidate.leads_until().unwrap_or(deadline));
        let outcome = tokio::time::timeout_at(deadline, self.look_and_write()).await;
        let failed = match outcome {
            Ok(Ok(())) => None,
            // Somebody else has written; the next look shows what.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(error) = &failed
            && !self.failing
        {
            tracing::warn!(
                lease = self.name,
                error,
                "failed to renew or to read the lease; trying again"
            );
        }
        self.failing = failed.is_some();
        self.tell();
    }

    async fn look_and_write(&mut self) -> kube::Result<()> {
        let lease = self.api.get_opt(&self.name).await?;
        self.version = lease
            .as_ref()
            .and_then(|lease| lease.metadata.resource_version.clone());
        let exists = lease.is_some();
        self.candidate.observe(
            lease.map(|lease| lease.spec.unwrap_or_default()),
            Instant::now(),
        );
        let began = Instant::now();
        let Some(spec) = self.candidate.bid(began, wall()) else {
            return Ok(());
        };
        let written = self.write(spec, exists).await?;
        self.candidate.confirmed(written, began);
        Ok(())
    }

    async fn write(&mut self, spec: LeaseSpec, exists: bool) -> kube::Result<LeaseSpec> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: self.version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        let params = PostParams::default();
        let written = match exists {
            true => self.api.replace(&self.name, &params, &lease).await?,
            false => self.api.create(&params, &lease).await?,
        };
        self.version = written.metadata.resource_version;
        Ok(written.spec.unwrap_or_default())
    }

    /// Waits for the next look, and stops leading where its time is over before.
    async fn keep_until(&mut self, next: Instant) {
        if let Some(until) = self.candidate.leads_until()
            && until < next
        {
            tokio::time::sleep_until(until).await;
            self.tell();
        }
        tokio::time::sleep_until(next).await;
    }

    /// Tells others whether this process leads.
    fn tell(&self) {
        let until = self.candidate.leads_until();
        let leads = until.is_some_and(|until| Instant::now() < until);
        let changed = self
            .leading
            .send_if_modified(|leading| std::mem::replace(leading, leads) != leads);
        if changed {
            let (lease, identity) = (&self.name, self.candidate.identity());
            match leads {
                true => tracing::info!(lease, identity, "leading from now on"),
                false => tracing::warn!(lease, identity, "no longer leading"),
            }
        }
    }

    async fn release(mut self) {
        let leading = self.leading.send_replace(false);
        let Some(spec) = self.candidate.release(wall()).filter(|_| leading) else {
            return;
        };
        let written = tokio::time::timeout(REQUEST_TIMEOUT, self.write(spec, true)).await;
        if !matches!(written, Ok(Ok(_))) {
            tracing::warn!(
                lease = self.name,
                "failed to give up the lease; another replica takes over when it expires"
            );
        }
    }
}

fn wall() -> MicroTime {
    MicroTime(Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeApi, Fault};

    const SECOND: Duration = Duration::from_secs(1);

    struct Replica {
        leadership: Leadership,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn replica(api: &FakeApi, name: &str) -> Replica {
        let (election, leadership) = Election::new(api.client(), "own", "lead", name.to_owned());
        let stop = CancellationToken::new();
        let task = tokio::spawn(election.run(stop.clone()));
        Replica {
            leadership,
            stop,
            task,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_leads_and_hands_over_when_it_stops() {
        let api = FakeApi::default();
        let first = replica(&api, "first");
        tokio::time::sleep(SECOND).await;
        let second = replica(&api, "second");
        for _ in 0..60 {
            tokio::time::sleep(SECOND).await;
            assert!(first.leadership.is_leader() && !second.leadership.is_leader());
        }
        first.stop.cancel();
        first.task.await.unwrap();
        assert!(!first.leadership.is_leader());
        tokio::time::sleep(3 * SECOND).await;
        assert!(second.leadership.is_leader());
        second.stop.cancel();
        second.task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_cannot_renew_stops_before_another_one_begins() {
        let api = FakeApi::default();
        let (first_api, second_api) = (api.clone(), api.clone());
        let first = replica(&first_api, "first");
        tokio::time::sleep(SECOND).await;
        let _second = replica(&second_api, "second");
        tokio::time::sleep(5 * SECOND).await;
        // Writes hang for the whole outage, of both.
        api.inject(|request| (request.method != "GET").then_some(Fault::Hang));
        let mut stopped = None;
        for second in 0..14 {
            assert!(!_second.leadership.is_leader());
            if !first.leadership.is_leader() {
                stopped.get_or_insert(second);
            }
            tokio::time::sleep(SECOND).await;
        }
        assert!(stopped.is_some_and(|second| second <= 11), "{stopped:?}");
        api.heal();
        tokio::time::sleep(20 * SECOND).await;
        let leaders = [first.leadership.is_leader(), _second.leadership.is_leader()];
        assert_eq!(leaders.iter().filter(|leads| **leads).count(), 1);
    }
}
