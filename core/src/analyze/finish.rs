//! What becomes of findings after the rules: some are suppressed or filtered out, the rest is sorted.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Options;
use crate::diag::Diagnostic;
use crate::resource::ResourceKey;
use crate::snapshot::Snapshot;
use crate::source::Origin;

/// Annotation of an object with the codes, or patterns of codes, that it must not be complained about with.
const ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// Namespaces of the cluster itself, whose objects nobody here can change.
const IGNORED: [&str; 4] = [
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "local-path-storage",
];

/// Whether a namespace is the cluster's own.
pub(super) fn is_of_cluster(namespace: &str) -> bool {
    IGNORED.contains(&namespace)
}

/// Findings to leave out: a code for objects that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Code or pattern of codes.
    pub code: String,
    /// Pattern of objects as findings name them: `VirtualService default/*`.
    pub resource: String,
}

/// Why a text is not a suppression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not of the form CODE=OBJECT, such as \"IST0101=VirtualService default/reviews\"; * matches any text"
)]
pub struct InvalidSuppression(pub String);

impl std::str::FromStr for Suppression {
    type Err = InvalidSuppression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((code, resource)) if !code.is_empty() && !resource.is_empty() => Ok(Self {
                code: code.trim().to_owned(),
                resource: resource.trim().to_owned(),
            }),
            _ => Err(InvalidSuppression(text.to_owned())),
        }
    }
}

/// Leaves out what is suppressed, ignored or filtered; sorts the rest (the worst first, then by code, object, place and
/// message) and drops repetitions.
pub fn finish(
    findings: Vec<Diagnostic>,
    snapshot: &Snapshot,
    options: &Options,
) -> Vec<Diagnostic> {
    let mut kept: Vec<(Option<String>, Diagnostic)> = findings
        .into_iter()
        .map(|found| (found.resource.as_ref().map(ToString::to_string), found))
        .filter(|(name, found)| is_wanted(name.as_deref(), found, snapshot, options))
        .collect();
    kept.sort_by(|(one_name, one), (other_name, other)| {
        let one = (
            Reverse(one.level),
            one.code,
            one_name,
            &one.origin,
            &one.path,
            &one.message,
        );
        let other = (
            Reverse(other.level),
            other.code,
            other_name,
            &other.origin,
            &other.path,
            &other.message,
        );
        one.cmp(&other)
    });
    let mut seen = BTreeSet::new();
    kept.into_iter()
        .map(|(_, found)| found)
        .filter(|found| {
            seen.insert((
                found.code,
                found.resource.clone(),
                found.origin.clone(),
                found.path.clone(),
                found.message.clone(),
            ))
        })
        .collect()
}

fn is_wanted(
    name: Option<&str>,
    found: &Diagnostic,
    snapshot: &Snapshot,
    options: &Options,
) -> bool {
    let (Some(name), Some(key)) = (name, &found.resource) else {
        return true;
    };
    let from_file = matches!(found.origin.written(), Origin::File { .. });
    let filtered = options
        .namespace
        .as_ref()
        .is_some_and(|namespace| !key.namespace.is_empty() && key.namespace != *namespace);
    if (filtered && !from_file) || is_of_cluster(&key.namespace) {
        return false;
    }
    let by_option = options.suppressions.iter().any(|suppression| {
        matches(&suppression.code, found.code) && matches(&suppression.resource, name)
    });
    !by_option && !is_suppressed_by_annotation(found.code, key, snapshot)
}

fn is_suppressed_by_annotation(code: &str, key: &ResourceKey, snapshot: &Snapshot) -> bool {
    snapshot
        .get(key)
        .and_then(|resource| resource.meta.annotations.get(ANNOTATION))
        .is_some_and(|codes| {
            codes
                .split(',')
                .any(|pattern| matches(pattern.trim(), code))
        })
}

/// Whether a pattern, in which `*` stands for any text, matches a whole text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_match_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("IST01*", "IST0101", true),
            ("IST01*", "IST0201", false),
            ("*/reviews", "VirtualService default/reviews", true),
            ("Virtual*default*s", "VirtualService default/reviews", true),
            ("a*a", "a", false),
            ("a", "ab", false),
            ("a**b", "axb", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
