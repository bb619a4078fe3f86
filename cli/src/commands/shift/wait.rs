//! Waiting until every proxy has acknowledged what was written, as the control plane's pods tell.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use tokio::time::Instant;

use super::write::Written;
use crate::failure;
use crate::mesh::ControlPlane;
use crate::reporter::Step;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// So many names are listed.
const LISTED: usize = 5;

/// What a pod of the control plane says about one object in one version.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Distribution {
    /// The first snapshot that holds it; none if there is none yet.
    generation: Option<u64>,
    acknowledged: Vec<String>,
    pending: Vec<String>,
    refused: Vec<Refusal>,
}

/// A resource that a proxy refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Refusal {
    proxy: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    reason: String,
}

/// Who has what.
#[derive(Debug, Default)]
struct Progress {
    /// Whether all pods of the control plane have published it.
    published: bool,
    acknowledged: BTreeSet<String>,
    pending: BTreeSet<String>,
    refused: BTreeSet<Refusal>,
}

/// What proxies refuse already, so that only what is new is blamed on the shift.
pub async fn refused_already(
    control_plane: &ControlPlane<'_>,
) -> anyhow::Result<BTreeSet<Refusal>> {
    let proxies = control_plane.proxies().await?;
    let refused = proxies.into_iter().flat_map(|proxy| {
        let name = proxy.proxy;
        proxy.refused.into_iter().map(move |refused| Refusal {
            proxy: name.clone(),
            kind: refused.kind,
            name: refused.name,
            reason: refused.reason,
        })
    });
    Ok(refused.collect())
}

/// Waits; says how many proxies have acknowledged in the end.
pub async fn wait(
    control_plane: &ControlPlane<'_>,
    written: &[Written],
    already: &BTreeSet<Refusal>,
    timeout: Duration,
    step: &Step,
) -> anyhow::Result<usize> {
    let deadline = Instant::now() + timeout;
    let mut latest: anyhow::Result<Progress> = Ok(Progress::default());
    loop {
        let asked = tokio::time::timeout_at(deadline, ask(control_plane, written)).await;
        if let Ok(answer) = asked {
            latest = answer;
        }
        if let Ok(progress) = &latest {
            let new: Vec<&Refusal> = progress.refused.difference(already).collect();
            if !new.is_empty() {
                return Err(refused(&new));
            }
            if progress.published && progress.pending.is_empty() {
                return Ok(progress.acknowledged.len());
            }
            step.say(&progress.to_string());
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(late(latest, timeout));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks every pod of the control plane about every object.
async fn ask(control_plane: &ControlPlane<'_>, written: &[Written]) -> anyhow::Result<Progress> {
    let mut progress = Progress {
        published: true,
        ..Progress::default()
    };
    for Written { key, version } in written {
        let version = version.as_deref().unwrap_or("0");
        let path = format!(
            "/debug/distribution?resource={:?}/{}/{}&version={version}",
            key.kind, key.namespace, key.name
        );
        for (pod, text) in control_plane.ask_all(&path).await? {
            let answer: Distribution = serde_json::from_str(&text).with_context(|| {
                format!("failed to understand /debug/distribution of pod {pod}")
            })?;
            progress.published &= answer.generation.is_some();
            progress.acknowledged.extend(answer.acknowledged);
            progress.pending.extend(answer.pending);
            progress.refused.extend(answer.refused);
        }
    }
    let Progress {
        acknowledged,
        pending,
        ..
    } = &mut progress;
    acknowledged.retain(|proxy| !pending.contains(proxy));
    Ok(progress)
}

fn refused(refusals: &[&Refusal]) -> anyhow::Error {
    let each = refusals.iter().take(LISTED).map(|refusal| {
        format!(
            "{} refuses {} {}: {}",
            refusal.proxy, refusal.kind, refusal.name, refusal.reason
        )
    });
    let listed: Vec<String> = each.collect();
    failure::advise(
        anyhow!(
            "a proxy refuses the change and keeps what it had: {}",
            listed.join("; ")
        ),
        "take it back with `meshctl shift SERVICE --undo`; `meshctl analyze` may say what is wrong with the objects",
    )
}

fn late(latest: anyhow::Result<Progress>, timeout: Duration) -> anyhow::Error {
    let seconds = timeout.as_secs_f64();
    let hint = "the change is written and takes effect when they do: see `meshctl proxy-status`, or take it back with --undo";
    let error = match latest {
        Err(error) => error.context(format!(
            "failed to learn within {seconds} s whether the proxies have the change"
        )),
        Ok(progress) if !progress.published => {
            anyhow!("the control plane has not published the change within {seconds} s")
        }
        Ok(progress) => {
            let names: Vec<&str> = progress
                .pending
                .iter()
                .take(LISTED)
                .map(String::as_str)
                .collect();
            anyhow!(
                "{} of {} proxies have not acknowledged the change within {seconds} s: {}",
                progress.pending.len(),
                progress.pending.len() + progress.acknowledged.len(),
                names.join(", ")
            )
        }
    };
    failure::advise(error, hint)
}

// === impl Progress ===

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.published {
            let all = self.acknowledged.len() + self.pending.len();
            write!(
                f,
                "waiting for the proxies: {} of {all} have acknowledged",
                self.acknowledged.len()
            )
        } else {
            write!(f, "waiting for the control plane to publish the change")
        }
    }
}
