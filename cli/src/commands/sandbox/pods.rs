//! What changed between two looks at the pods, in sentences.

use std::collections::BTreeMap;

use mesh_sandbox::PodSummary;

/// States that do not end by themselves, or not soon.
const STUCK: [&str; 5] = [
    "ImageNotRunnable",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "Error",
];

/// The pods as last told.
#[derive(Default)]
pub struct Pods {
    known: BTreeMap<(String, String), PodSummary>,
}

/// Something that happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It became ready.
    Good(String),
    /// It waits for something that does not come by itself, or stopped being ready.
    Bad(String),
    /// It is gone, or done.
    Over(String),
}

// === impl Pods ===

impl Pods {
    /// What is worth telling about the pods since the last call.
    pub fn changes(&mut self, pods: Vec<PodSummary>) -> Vec<Change> {
        let mut changes = Vec::new();
        let fresh: BTreeMap<_, _> = pods
            .into_iter()
            .map(|pod| ((pod.namespace.clone(), pod.name.clone()), pod))
            .collect();
        for (key, pod) in &fresh {
            changes.extend(change(self.known.get(key), pod));
        }
        for (namespace, name) in self.known.keys().filter(|key| !fresh.contains_key(*key)) {
            changes.push(Change::Over(format!("pod {namespace}/{name} is gone")));
        }
        self.known = fresh;
        changes
    }

    /// How many of the pods are as they should be, how many there are, and one that is not.
    pub fn tally(&self) -> (usize, usize, Option<&PodSummary>) {
        let ready = self.known.values().filter(|pod| is_well(pod)).count();
        let one = self.known.values().find(|pod| !is_well(pod));
        (ready, self.known.len(), one)
    }
}

/// Ready, or done with its work.
fn is_well(pod: &PodSummary) -> bool {
    pod.ready || is_done(pod)
}

fn is_done(pod: &PodSummary) -> bool {
    matches!(pod.status.as_str(), "Completed" | "Succeeded")
}

fn change(known: Option<&PodSummary>, pod: &PodSummary) -> Option<Change> {
    let name = format!("pod {}/{}", pod.namespace, pod.name);
    let (was_ready, was_status) =
        known.map_or((false, ""), |known| (known.ready, known.status.as_str()));
    if pod.ready && !was_ready {
        return Some(Change::Good(format!("{name} is ready at {}", pod.address)));
    }
    if was_ready && is_done(pod) {
        return Some(Change::Over(format!("{name} is done")));
    }
    if was_ready && !pod.ready && pod.status != "Terminating" {
        return Some(Change::Bad(format!(
            "{name} is no longer ready: {}",
            pod.status
        )));
    }
    // The same words may have `Init:` before them.
    let stuck = STUCK.iter().any(|word| pod.status.ends_with(word));
    (stuck && was_status != pod.status).then(|| {
        let message = if pod.message.is_empty() { "" } else { ": " };
        Change::Bad(format!("{name}: {}{message}{}", pod.status, pod.message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ready: bool, status: &str) -> PodSummary {
        PodSummary {
            namespace: "n".into(),
            name: name.into(),
            address: "127.1.1.1".into(),
            ready,
            status: status.into(),
            message: String::new(),
        }
    }

    #[test]
    fn each_turn_is_told_once() {
        let mut pods = Pods::default();
        assert_eq!(pods.changes(vec![pod("a", false, "Pending")]), []);
        let ready = [Change::Good("pod n/a is ready at 127.1.1.1".into())];
        assert_eq!(pods.changes(vec![pod("a", true, "Running")]), ready);
        assert_eq!(pods.changes(vec![pod("a", true, "Running")]), []);
        assert_eq!(pods.tally().0, 1);
        let mut jobs = Pods::default();
        jobs.changes(vec![pod("job", false, "Completed")]);
        assert_eq!(jobs.tally(), (1, 1, None), "done is as good as ready");
        let bad = [Change::Bad(
            "pod n/a is no longer ready: CrashLoopBackOff".into(),
        )];
        assert_eq!(pods.changes(vec![pod("a", false, "CrashLoopBackOff")]), bad);
        assert_eq!(
            pods.changes(vec![]),
            [Change::Over("pod n/a is gone".into())]
        );
    }
}
