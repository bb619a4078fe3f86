//! How far objects have come: which proxies have acknowledged them, as the control plane's pods tell.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Context as _;
use serde::Deserialize;

use super::ControlPlane;

/// So many names are listed.
const LISTED: usize = 5;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// `KIND/NAMESPACE/NAME`, or `KIND` for everything of a kind.
    pub resource: String,
    /// In this version or a later one; `0` for any.
    pub version: String,
}

/// Who has what.
#[derive(Debug, Default)]
pub struct Progress {
    /// Whether all pods of the control plane have published it.
    pub published: bool,
    /// Proxies that have acknowledged everything.
    pub acknowledged: BTreeSet<String>,
    /// Proxies that have not.
    pub pending: BTreeSet<String>,
    /// What proxies refuse.
    pub refused: BTreeSet<Refusal>,
}

/// A resource that a proxy refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub proxy: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub reason: String,
}

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

/// Asks every pod of the control plane about everything that is waited for.
pub async fn distribution(
    control_plane: &ControlPlane<'_>,
    awaited: &[Awaited],
) -> anyhow::Result<Progress> {
    let mut progress = Progress {
        published: true,
        ..Progress::default()
    };
    for Awaited { resource, version } in awaited {
        let path = format!("/debug/distribution?resource={resource}&version={version}");
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

// === impl Progress ===

impl Progress {
    /// Whether every connected proxy has everything.
    pub fn is_complete(&self) -> bool {
        self.published && self.pending.is_empty()
    }

    /// Some of the proxies that have not acknowledged, by name.
    pub fn some_pending(&self) -> String {
        let names: Vec<&str> = self
            .pending
            .iter()
            .take(LISTED)
            .map(String::as_str)
            .collect();
        names.join(", ")
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.published {
            let (some, all) = (
                self.acknowledged.len(),
                self.acknowledged.len() + self.pending.len(),
            );
            write!(
                f,
                "waiting for the proxies: {some} of {all} have acknowledged"
            )
        } else {
            f.write_str("waiting for the control plane to publish the change")
        }
    }
}
