//! The claim on a service for as long as a shift is under way: a Lease, which says who shifts, and how far the steps have come.
//!
//! ```text
//! acquire -> note (each step) ... renewed all the while -> release (it is gone) | pause (what was asked stays, for --resume)
//! ```
//!
//! A program that dies renews nothing, so that its claim ends by itself and its steps can be gone on with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use mesh_core::shift::{Plan, Target};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::session::Session;
use super::words::Asked;
use crate::context::Cluster;
use crate::failure;

/// The annotation with the record.
const RECORD: &str = "shift.meshctl.io/rollout";
/// The label of all claims.
const LABEL: &str = "shift.meshctl.io/claim";
/// How long a claim counts without being renewed.
const VALID: Duration = Duration::from_secs(15);
/// Between two renewals.
const RENEWAL: Duration = Duration::from_secs(4);

/// What a shift is about, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// The host that is shifted.
    pub host: String,
    /// What was asked; without steps for a shift at once, or back.
    pub asked: Asked,
    /// The subset whose share changes step by step.
    pub subset: String,
    /// What it had before the first step.
    pub start: u32,
    /// What it gets in the end.
    pub goal: u32,
    /// All of its steps.
    pub steps: Vec<u32>,
    /// The step that is under way.
    pub step: Option<u32>,
    /// The number of the shift, as objects remember it.
    pub level: u32,
    /// The objects that are written.
    pub objects: Vec<String>,
}

/// A claim as others see it.
#[derive(Clone, Debug)]
pub struct Claim {
    pub record: Record,
    /// Who has it; none if it was stopped.
    pub holder: Option<String>,
    pub since: Option<Timestamp>,
    /// How long it counts still; none if it does not any more.
    pub left: Option<Duration>,
}

/// A claim of this program. It is renewed until it is released, paused or dropped.
pub struct Lock {
    shared: Arc<Shared>,
    renewer: JoinHandle<()>,
    lost: watch::Receiver<bool>,
}

struct Shared {
    api: Api<Lease>,
    lease: Mutex<Lease>,
}

// === impl Record ===

impl Record {
    /// What is about to be written.
    pub fn new(target: &Target, plan: &Plan) -> Self {
        Self {
            host: target.service.host.to_string(),
            level: plan.level,
            objects: plan
                .changes
                .iter()
                .map(|change| change.key.to_string())
                .collect(),
            ..Self::default()
        }
    }

    /// Whether the same is asked again.
    pub fn goes_on_with(&self, asked: &Asked, subset: &str, goal: u32) -> bool {
        self.subset == subset && self.goal == goal && self.asked.header == asked.header
    }

    /// How far it is, for a sentence.
    fn progress(&self) -> String {
        match self.step {
            Some(step) => format!(" ({} at {step} of {})", self.subset, self.goal),
            None => String::new(),
        }
    }
}

// === impl Claim ===

impl Claim {
    pub fn read(lease: &Lease) -> Self {
        let annotations = lease.metadata.annotations.as_ref();
        let record = annotations.and_then(|annotations| annotations.get(RECORD));
        let record = record.and_then(|text| serde_json::from_str(text).ok());
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let valid = Duration::from_secs(
            spec.lease_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .unwrap_or(0),
        );
        let age = spec.renew_time.map(|MicroTime(at)| {
            let age = Timestamp::now().as_second() - at.as_second();
            Duration::from_secs(u64::try_from(age).unwrap_or(0))
        });
        let left = age.and_then(|age| valid.checked_sub(age));
        Self {
            record: record.unwrap_or_default(),
            left: left.filter(|_| holder.is_some()),
            holder,
            since: spec.acquire_time.map(|MicroTime(at)| at),
        }
    }

    fn refusal(&self, what: &str) -> anyhow::Error {
        let holder = self.holder.as_deref().unwrap_or("somebody");
        let seconds = self.left.unwrap_or_default().as_secs();
        let error = anyhow!(
            "another shift of {what} is under way{}, by {holder}",
            self.record.progress()
        );
        failure::advise(
            error,
            format!(
                "wait until it ends, or stop it there with Ctrl-C; if it died, its claim ends in {seconds} s (see `meshctl shift status`)"
            ),
        )
    }
}

/// All claims; none where they may not be read.
pub async fn claims(cluster: &Cluster) -> anyhow::Result<Vec<Claim>> {
    let api: Api<Lease> = Api::all(cluster.client.clone());
    match api.list(&ListParams::default().labels(LABEL)).await {
        Ok(leases) => Ok(leases.items.iter().map(Claim::read).collect()),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(Vec::new()),
        Err(error) => Err(cluster.explain(error)),
    }
}

/// The steps of a shift of the service that was interrupted.
pub async fn left(session: &Session<'_>, target: &Target) -> anyhow::Result<Option<Record>> {
    let api = api(session.cluster, target);
    match api.get_opt(&name(target)).await {
        Ok(None) => Ok(None),
        Ok(Some(lease)) => {
            let claim = Claim::read(&lease);
            if claim.left.is_some() {
                return Err(claim.refusal(&target.service.host));
            }
            Ok(Some(claim.record).filter(|record| !record.steps.is_empty()))
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
        Err(error) => Err(session.cluster.explain(error)),
    }
}

/// Claims the service; none where claims may not be written, which is said.
pub async fn acquire(
    session: &Session<'_>,
    target: &Target,
    record: &Record,
) -> anyhow::Result<Option<Lock>> {
    let cluster = session.cluster;
    let others = claims(cluster).await?.into_iter();
    for claim in others.filter(|claim| claim.record.host != record.host) {
        let common = claim
            .record
            .objects
            .iter()
            .find(|object| record.objects.contains(object));
        if let Some(object) = common.filter(|_| claim.left.is_some()) {
            return Err(claim.refusal(object));
        }
    }
    let api = api(cluster, target);
    let name = name(target);
    let parameters = PostParams::default();
    let mut lease = new_lease(&name, target, record);
    let written = match api.get_opt(&name).await {
        Ok(None) => api.create(&parameters, &lease).await,
        Ok(Some(known)) => {
            let claim = Claim::read(&known);
            if claim.left.is_some() {
                return Err(claim.refusal(&target.service.host));
            }
            let older = &claim.record;
            if !older.steps.is_empty()
                && !older.goes_on_with(&record.asked, &record.subset, record.goal)
            {
                session.context.printer.note(&format!(
                    "the interrupted shift of {} to {} is given up",
                    older.subset, older.goal
                ));
            }
            lease.metadata.resource_version = known.metadata.resource_version;
            api.replace(&name, &parameters, &lease).await
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(lease) => Ok(Some(Lock::new(api, lease))),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let error = anyhow!(
                "another shift of {} has begun at the same time",
                target.service.host
            );
            Err(failure::advise(error, "see `meshctl shift status`"))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            session.context.printer.warn(&format!(
                "other shifts of the service are not kept away, and an interrupted one cannot be gone on with: {}",
                status.message
            ));
            Ok(None)
        }
        Err(error) => Err(cluster.explain(error)),
    }
}

/// Waits until a claim is lost; for ever without one.
pub async fn wait_for_loss(lost: Option<watch::Receiver<bool>>) {
    if let Some(mut lost) = lost
        && lost.wait_for(|lost| *lost).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

// === impl Lock ===

impl Lock {
    fn new(api: Api<Lease>, lease: Lease) -> Self {
        let shared = Arc::new(Shared {
            api,
            lease: Mutex::new(lease),
        });
        let (tell, lost) = watch::channel(false);
        let renewed = shared.clone();
        let renewer = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                let answer = renewed.change(renew).await;
                // Anything but somebody else's claim may pass: the next renewal tells.
                if answer.as_ref().is_err_and(is_taken) {
                    let _ = tell.send(true);
                    return;
                }
            }
        });
        Self {
            shared,
            renewer,
            lost,
        }
    }

    /// Tells when the claim is lost.
    pub fn lost(&self) -> watch::Receiver<bool> {
        self.lost.clone()
    }

    /// Writes down how far the shift is.
    pub async fn note(&self, record: &Record) -> anyhow::Result<()> {
        let text = serde_json::to_string(record)?;
        let noted = self.shared.change(|lease| {
            renew(lease);
            let annotations = lease.metadata.annotations.get_or_insert_default();
            annotations.insert(RECORD.to_owned(), text);
        });
        noted.await.map_err(|error| match error {
            error if is_taken(&error) => anyhow!("another shift has taken over"),
            error => anyhow::Error::from(error).context("failed to note the step"),
        })
    }

    /// Gives the claim up, and leaves what was asked, so that it can be gone on with.
    pub async fn pause(self) {
        self.renewer.abort();
        let _ = self
            .shared
            .change(|lease| {
                if let Some(spec) = &mut lease.spec {
                    spec.holder_identity = None;
                }
            })
            .await;
    }

    /// Gives the claim up, with all that was noted.
    pub async fn release(self) {
        self.renewer.abort();
        let lease = self.shared.lease.lock().await;
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: lease.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        // What cannot be deleted ends by itself.
        if let Some(name) = &lease.metadata.name {
            let _ = self.shared.api.delete(name, &parameters).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewer.abort();
    }
}

// === impl Shared ===

impl Shared {
    async fn change(&self, change: impl FnOnce(&mut Lease)) -> Result<(), kube::Error> {
        let mut lease = self.lease.lock().await;
        let mut next = lease.clone();
        change(&mut next);
        let name = next.metadata.name.clone().unwrap_or_default();
        *lease = self
            .api
            .replace(&name, &PostParams::default(), &next)
            .await?;
        Ok(())
    }
}

fn is_taken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

fn renew(lease: &mut Lease) {
    if let Some(spec) = &mut lease.spec {
        spec.renew_time = Some(MicroTime(Timestamp::now()));
    }
}

fn api(cluster: &Cluster, target: &Target) -> Api<Lease> {
    Api::namespaced(cluster.client.clone(), &target.service.namespace)
}

fn name(target: &Target) -> String {
    format!("meshctl-shift-{}", target.service.name.to_ascii_lowercase())
}

fn new_lease(name: &str, target: &Target, record: &Record) -> Lease {
    let now = MicroTime(Timestamp::now());
    let text = serde_json::to_string(record).unwrap_or_default();
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(target.service.namespace.to_string()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), "true".to_owned())])),
            annotations: Some(BTreeMap::from([(RECORD.to_owned(), text)])),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder()),
            lease_duration_seconds: i32::try_from(VALID.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}

/// Who claims, for a person that looks: user, machine and process.
fn holder() -> String {
    let user = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = match machine.trim() {
        "" => "unknown",
        machine => machine,
    };
    let user = user.unwrap_or_else(|| "unknown".to_owned());
    format!("{user}@{machine} (process {})", std::process::id())
}
