//! Looks for what is wrong in a snapshot, as `istioctl analyze` does.
//!
//! ```text
//! Snapshot --each rule of RULES--> findings --suppress, filter, sort--> findings --render--> lines or JSON
//! ```
//!
//! A rule is a pure function of the snapshot, in a file of its own with its documentation page in `docs/analysis/`. Rules name
//! field paths; only [`crate::source`] knows lines.

mod codes;
mod context;
mod finish;
mod render;
mod routes;
mod rules;
mod workloads;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use codes::{CODES, Code};
pub use finish::{InvalidSuppression, Suppression, finish};
pub use render::{Rendered, line};
pub use rules::RULES;

use self::context::Context;
use crate::diag::{Diagnostic, FieldPath, Level, SCHEMA};
use crate::resource::{Kind, Resource, ResourceKey};
use crate::snapshot::Snapshot;
use crate::translate;

/// What to look for, and what to leave out.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace of the control plane.
    pub istio_namespace: Arc<str>,
    /// The only namespace whose cluster objects are complained about, beside cluster-scoped ones; all when none. Other
    /// namespaces are looked at all the same, and objects from files are always complained about.
    pub namespace: Option<Arc<str>>,
    /// Findings to leave out.
    pub suppressions: Vec<Suppression>,
    /// Names of the only rules to apply; all when empty.
    pub rules: BTreeSet<String>,
}

/// One rule, or several that look at the same thing.
pub struct Rule {
    /// Name, as `istioctl analyze -L` prints it.
    pub name: &'static str,
    /// What it looks for, as one sentence without a final period.
    pub summary: &'static str,
    /// Codes of its findings.
    pub codes: &'static [&'static str],
    check: fn(&Context<'_>, &mut Vec<Diagnostic>),
}

/// Applies the rules to a snapshot.
pub fn analyze(snapshot: &Snapshot, options: &Options) -> Vec<Diagnostic> {
    analyze_with(snapshot, options, Vec::new())
}

/// Applies the rules to a snapshot, and treats earlier findings (of reading texts, decoding objects and building the
/// snapshot) like those of rules: they can be suppressed, and all are sorted together.
pub fn analyze_with(
    snapshot: &Snapshot,
    options: &Options,
    earlier: Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    let context = Context::new(snapshot, options);
    let mut findings = Vec::new();
    for rule in RULES {
        if options.rules.is_empty() || options.rules.contains(rule.name) {
            (rule.check)(&context, &mut findings);
        }
    }
    findings.extend(without_known(earlier, &findings));
    findings.extend(without_rule(snapshot));
    findings.extend(translate::without_effect(snapshot));
    finish(findings, snapshot, options)
}

/// Findings of objects by themselves that no rule gives: wrong types in Kubernetes' own kinds, and objects without effect.
fn without_rule(snapshot: &Snapshot) -> impl Iterator<Item = Diagnostic> {
    let resources = Kind::all().flat_map(|kind| snapshot.resources(kind));
    resources.flat_map(|resource| {
        let has_rule = resource.key.kind.row().definition.is_some();
        let found = resource.findings.iter();
        found
            .filter(move |found| !has_rule || found.code != SCHEMA)
            .cloned()
    })
}

/// Earlier findings without those about values that validation complains about as well, in more words.
fn without_known(earlier: Vec<Diagnostic>, known: &[Diagnostic]) -> Vec<Diagnostic> {
    let places: BTreeSet<(&Option<ResourceKey>, &FieldPath)> = known
        .iter()
        .filter(|found| found.code == SCHEMA)
        .map(|found| (&found.resource, &found.path))
        .collect();
    let is_new = |found: &Diagnostic| {
        found.code != SCHEMA || !places.contains(&(&found.resource, &found.path))
    };
    earlier.into_iter().filter(is_new).collect()
}

impl Default for Options {
    fn default() -> Self {
        Self {
            istio_namespace: "istio-system".into(),
            namespace: None,
            suppressions: Vec::new(),
            rules: BTreeSet::new(),
        }
    }
}

/// A finding about a field of an object.
fn finding(
    code: &'static str,
    level: Level,
    resource: &Resource,
    path: FieldPath,
    message: String,
) -> Diagnostic {
    Diagnostic {
        code,
        level,
        resource: Some(resource.key.clone()),
        origin: resource.origin.clone(),
        path,
        message,
        hint: None,
    }
}
