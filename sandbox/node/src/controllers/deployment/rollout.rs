//! How many pods each ReplicaSet of a Deployment should have next.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{Family, replicas_of};
use crate::controllers::observed::Observed;

/// The bounds of a rolling update, in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most this many pods at once.
    pub most: i32,
    /// At least this many available ones.
    pub least: i32,
}

/// The bounds for a Deployment: a percentage rounds up for the surge and down for what may be missing, and both zero
/// would stand still, so one may then be missing.
pub fn bounds(family: &Family<'_>) -> Bounds {
    let desired = family.desired();
    let rolling = family
        .spec
        .strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling
        .and_then(|rolling| rolling.max_surge.as_ref())
        .unwrap_or(&quarter);
    let missing = rolling
        .and_then(|rolling| rolling.max_unavailable.as_ref())
        .unwrap_or(&quarter);
    let surge = resolve(surge, desired, |pods| {
        pods.div_euclid(100) + i64::from(pods.rem_euclid(100) > 0)
    });
    let missing = resolve(missing, desired, |pods| pods.div_euclid(100));
    let missing = if surge == 0 && missing == 0 {
        1
    } else {
        missing.min(desired)
    };
    Bounds {
        most: desired.saturating_add(surge),
        least: (desired - missing).max(0),
    }
}

fn resolve(value: &IntOrString, desired: i32, hundredths: fn(i64) -> i64) -> i32 {
    match value {
        IntOrString::Int(pods) => (*pods).max(0),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            i32::try_from(hundredths(percent.max(0) * i64::from(desired))).unwrap_or(i32::MAX)
        }
    }
}

/// The size a new ReplicaSet starts with.
pub fn first_replicas(family: &Family<'_>) -> i32 {
    let old: i32 = family.old.iter().map(|set| replicas_of(set)).sum();
    let running: i32 = family.old.iter().map(|set| running(set)).sum();
    if recreates(family) {
        return if old == 0 && running == 0 {
            family.desired()
        } else {
            0
        };
    }
    (bounds(family).most - old).clamp(0, family.desired())
}

/// The next size of each ReplicaSet that exists.
pub fn plan<'a>(family: &Family<'a>, observed: &Observed) -> Vec<(&'a ReplicaSet, i32)> {
    let Some(new) = family.new else {
        return match (family.spec.paused.unwrap_or(false), recreates(family)) {
            // A paused Deployment whose template changed still follows its replicas.
            (true, _) => only_active(family),
            (false, true) => family.old.iter().map(|set| (*set, 0)).collect(),
            (false, false) => Vec::new(),
        };
    };
    if family.spec.paused.unwrap_or(false) {
        return only_active(family);
    }
    if recreates(family) {
        return recreate(family, new, observed);
    }
    roll(family, new)
}

fn recreates(family: &Family<'_>) -> bool {
    let strategy = family
        .spec
        .strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref());
    strategy == Some("Recreate")
}

fn running(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0)
}

/// With one ReplicaSet in use, scaling needs no walk.
fn only_active<'a>(family: &Family<'a>) -> Vec<(&'a ReplicaSet, i32)> {
    let active: Vec<_> = family.all().filter(|set| replicas_of(set) > 0).collect();
    match active[..] {
        [one] => vec![(one, family.desired())],
        [] => family
            .new
            .or(family.old.last().copied())
            .map(|set| (set, family.desired()))
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

fn recreate<'a>(
    family: &Family<'a>,
    new: &'a ReplicaSet,
    observed: &Observed,
) -> Vec<(&'a ReplicaSet, i32)> {
    let mut targets: Vec<_> = family.old.iter().map(|set| (*set, 0)).collect();
    // Pods that are still terminating are no replicas any more, but they run: wait for them.
    let gone = family.old.iter().all(|set| {
        observed
            .pods_of(&set.uid().unwrap_or_default())
            .iter()
            .all(|pod| crate::controllers::pods::is_finished(pod))
    });
    if gone {
        targets.push((new, family.desired()));
    }
    targets
}

fn roll<'a>(family: &Family<'a>, new: &'a ReplicaSet) -> Vec<(&'a ReplicaSet, i32)> {
    let desired = family.desired();
    let bounds = bounds(family);
    let all: i32 = family.all().map(replicas_of).sum();
    let present = replicas_of(new);
    let next = if present >= desired {
        desired
    } else {
        (present + (bounds.most - all).max(0)).min(desired)
    };
    let mut targets = vec![(new, next)];
    if next == present {
        targets.extend(shrink_old(family, new, bounds));
    }
    targets
}

/// Takes away from the old ReplicaSets what the least number of available pods can spare: broken pods first, then from
/// the oldest.
fn shrink_old<'a>(
    family: &Family<'a>,
    new: &ReplicaSet,
    bounds: Bounds,
) -> Vec<(&'a ReplicaSet, i32)> {
    let all: i32 = family.all().map(replicas_of).sum();
    let new_unavailable = (replicas_of(new) - available(new)).max(0);
    let mut removable = (all - bounds.least - new_unavailable).max(0);
    let mut sizes: Vec<(&ReplicaSet, i32)> = family
        .old
        .iter()
        .map(|set| (*set, replicas_of(set)))
        .collect();
    for (set, size) in &mut sizes {
        let broken = (*size - available(set)).max(0).min(removable);
        *size -= broken;
        removable -= broken;
    }
    let all_available: i32 = family.all().map(available).sum();
    let mut spare = (all_available - bounds.least).max(0).min(removable);
    for (_, size) in &mut sizes {
        let taken = (*size).min(spare);
        *size -= taken;
        spare -= taken;
    }
    sizes
}
