//! One test of a file: a request, and what is expected of it.

use std::collections::BTreeMap;

use mesh_core::explain::{Hop, Outcome, Share};
use serde::Deserialize;

use crate::commands::explain::Decided;

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    pub tests: Vec<Case>,
}

/// A test.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// Who sends it: a workload, or `gateway/NAME`; any workload of the namespace by default.
    pub from: Option<String>,
    #[serde(default = "get")]
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub expect: Expected,
}

/// What is expected; what is not written does not matter.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expected {
    /// Percentages by destination: a subset, `HOST`, `HOST/SUBSET`, or the name of a cluster.
    pub to: Option<BTreeMap<String, f64>>,
    /// Whether policies let it pass, at the client and at the servers.
    pub allowed: Option<bool>,
    /// The code with which a proxy answers.
    pub status: Option<u16>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The path as it is sent on.
    pub path: Option<String>,
    /// The Host as it is sent on.
    pub host: Option<String>,
    /// The limit of the whole request, such as `3s`.
    pub timeout: Option<String>,
    /// Tries after the first.
    pub retries: Option<u32>,
}

fn get() -> String {
    "GET".to_owned()
}

// === impl Expected ===

impl Expected {
    /// Whether nothing is expected at all.
    pub fn is_empty(&self) -> bool {
        self.to.is_none()
            && self.allowed.is_none()
            && self.status.is_none()
            && self.location.is_none()
            && self.path.is_none()
            && self.host.is_none()
            && self.timeout.is_none()
            && self.retries.is_none()
    }

    /// What is not as expected, a sentence each.
    pub fn check(&self, decided: &Decided, path: &str) -> Vec<String> {
        let hop = &decided.hop;
        let mut wrong = Vec::new();
        if let Some(to) = &self.to {
            wrong.extend(places(to, hop.outcome.targets(), &told(&hop.outcome)));
        }
        let mut compare = |what: &str, expected: Option<String>, seen: Option<String>| {
            if let Some(expected) = expected
                && seen.as_ref() != Some(&expected)
            {
                let seen = seen.unwrap_or_else(|| format!("none ({})", told(&hop.outcome)));
                wrong.push(format!("{what}: expected {expected}, and it is {seen}"));
            }
        };
        let status = decided_status(decided);
        let text = |code: u16| code.to_string();
        compare("status", self.status.map(text), status.map(text));
        let allowed = !decided_refused(decided);
        compare(
            "allowed",
            self.allowed.map(|it| it.to_string()),
            Some(allowed.to_string()),
        );
        let location = match &hop.outcome {
            Outcome::Redirect { location, .. } => Some(location.clone()),
            _ => None,
        };
        compare("location", self.location.clone(), location);
        if let Outcome::Forward {
            path: new,
            host,
            timeout,
            retries,
            ..
        } = &hop.outcome
        {
            let new = new.clone().unwrap_or_else(|| path.to_owned());
            compare("path", self.path.clone(), Some(new));
            compare(
                "host",
                self.host.clone(),
                host.as_ref().map(ToString::to_string),
            );
            let parsed = self.timeout.as_ref().map(|text| {
                let parsed = text.parse::<mesh_core::model::DurationText>();
                parsed.map_or_else(|_| text.clone(), |duration| format!("{:?}", duration.0))
            });
            compare(
                "timeout",
                parsed,
                timeout.map(|timeout| format!("{timeout:?}")),
            );
            compare(
                "retries",
                self.retries.map(|it| it.to_string()),
                Some(retries.to_string()),
            );
        } else {
            compare("path", self.path.clone(), None);
            compare("host", self.host.clone(), None);
            compare("timeout", self.timeout.clone(), None);
            compare("retries", self.retries.map(|it| it.to_string()), None);
        }
        wrong
    }
}

/// The first proxy's own answer, or that of a server's proxy.
fn decided_status(decided: &Decided) -> Option<u16> {
    let hops = std::iter::once(&decided.hop).chain(decided.servers.iter().map(|(_, hop)| hop));
    let codes = hops.filter_map(|hop| match &hop.outcome {
        Outcome::Answer { code, .. } | Outcome::Redirect { code, .. } => Some(*code),
        _ => None,
    });
    codes.into_iter().next()
}

/// Whether a proxy on the way refuses it.
fn decided_refused(decided: &Decided) -> bool {
    let refuses = |hop: &Hop| match &hop.outcome {
        Outcome::Answer { code, .. } => matches!(code, 401 | 403),
        Outcome::Close { .. } => true,
        _ => false,
    };
    refuses(&decided.hop) || decided.servers.iter().any(|(_, hop)| refuses(hop))
}

fn places(expected: &BTreeMap<String, f64>, targets: &[Share], told: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut named = vec![false; targets.len()];
    for (name, percent) in expected {
        let mut seen = 0.0;
        for (target, named) in targets.iter().zip(&mut named) {
            if is_meant(name, &target.cluster) {
                *named = true;
                seen += target.percent.to_string().parse::<f64>().unwrap_or(0.0);
            }
        }
        // Shares are told in hundredths of a percent.
        if (seen - percent).abs() > 0.01 {
            wrong.push(format!(
                "{percent} % are expected to go to {name}, and {seen} % do ({told})"
            ));
        }
    }
    for (target, _) in targets.iter().zip(named).filter(|(_, named)| !named) {
        let (percent, cluster) = (&target.percent, &target.cluster);
        if percent.to_string().parse::<f64>().unwrap_or(0.0) > 0.0 {
            wrong.push(format!(
                "{percent} % go to {cluster}, which is not expected"
            ));
        }
    }
    wrong
}

/// Whether a name means a cluster: by its whole name, its subset, its host, or both; hosts may be shortened at their dots.
fn is_meant(name: &str, cluster: &str) -> bool {
    let parts: Vec<&str> = cluster.split('|').collect();
    let [_, _, subset, host] = parts.as_slice() else {
        return name == cluster;
    };
    let is_host = |text: &str| {
        let rest = host.strip_prefix(text);
        !text.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if name == cluster || (name == *subset && !subset.is_empty()) {
        return true;
    }
    match name.split_once('/') {
        Some((text, of)) => is_host(text) && of == *subset,
        None => is_host(name),
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Forward { targets, .. } | Outcome::Connect { targets } => {
            let shown: Vec<String> = targets
                .iter()
                .map(|share| format!("{} % {}", share.percent, share.cluster))
                .collect();
            shown.join(", ")
        }
        Outcome::Redirect { code, location } => format!("{code} to {location}"),
        Outcome::Answer { code, reason } => format!("{code}, {reason}"),
        Outcome::Close { reason } => format!("closed, {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_meant;

    #[test]
    fn destinations_have_short_names() {
        let cluster = "outbound|9080|v2|reviews.shop.svc.cluster.local";
        for name in [
            cluster,
            "v2",
            "reviews",
            "reviews.shop",
            "reviews/v2",
            "reviews.shop.svc.cluster.local/v2",
        ] {
            assert!(is_meant(name, cluster), "{name}");
        }
        for name in ["", "v1", "review", "reviews/v1", "shop", "reviews/"] {
            assert!(!is_meant(name, cluster), "{name}");
        }
        assert!(is_meant("BlackHoleCluster", "BlackHoleCluster"));
    }
}
