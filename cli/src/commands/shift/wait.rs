//! Waiting until every proxy has acknowledged what was written, as the control plane's pods tell.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;

use super::write::Written;
use crate::failure;
use crate::mesh::{Awaited, ControlPlane, Progress, Refusal, distribution};
use crate::reporter::Step;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// So many names are listed.
const LISTED: usize = 5;

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
    let awaited: Vec<Awaited> = written.iter().map(awaited).collect();
    let mut latest: anyhow::Result<Progress> = Ok(Progress::default());
    loop {
        let asked = tokio::time::timeout_at(deadline, distribution(control_plane, &awaited)).await;
        if let Ok(answer) = asked {
            latest = answer;
        }
        if let Ok(progress) = &latest {
            let new: Vec<&Refusal> = progress.refused.difference(already).collect();
            if !new.is_empty() {
                return Err(refused(&new));
            }
            if progress.is_complete() {
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

fn awaited(Written { key, version }: &Written) -> Awaited {
    Awaited {
        resource: format!("{:?}/{}/{}", key.kind, key.namespace, key.name),
        version: version.as_deref().unwrap_or("0").to_owned(),
    }
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
            anyhow!(
                "{} of {} proxies have not acknowledged the change within {seconds} s: {}",
                progress.pending.len(),
                progress.pending.len() + progress.acknowledged.len(),
                progress.some_pending()
            )
        }
    };
    failure::advise(error, hint)
}
