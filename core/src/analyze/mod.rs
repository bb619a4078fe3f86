//! Looks for what is wrong in a snapshot, as `istioctl analyze` does.
//!
//! ```text
//! Snapshot --each rule of RULES--> findings --suppress, filter, sort--> findings --render--> lines or JSON
//! ```
//!
//! A rule is a pure function of the snapshot, in a file of its own with its documentation page in `docs/analysis/`. Rules name
//! field paths; only [`crate::source`] knows lines.

mod annotations;
mod codes;
mod context;
mod finish;
mod label_selector;
mod names;
mod pods;
mod render;
mod repair;
mod routes;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use codes::{CODES, Code, RETIRED};
pub use finish::{InvalidSuppression, Suppression, finish};
pub use render::{Located, Rendered, github, junit, line, sarif};
pub use repair::{Repair, repaired, repairs};
pub use rules::{ON_REQUEST, RULES};

use self::context::Context;
use self::finish::is_of_cluster;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Meta, Resource, ResourceKey};
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
    /// Names of the only rules to apply. When empty, all are but those of [`ON_REQUEST`].
    pub rules: BTreeSet<String>,
    /// Whether an ingress gateway counts as installed although no object says so, as for files by themselves.
    pub assume_ingress: bool,
    /// Kinds of which not all objects are at hand: nothing is called missing because of them.
    pub unseen: BTreeSet<Kind>,
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
        if applies(rule, options) {
            (rule.check)(&context, &mut findings);
        }
    }
    findings.extend(without_known(earlier, &findings));
    // Who asks for some rules wants to hear of nothing else.
    if options.rules.is_empty() {
        findings.extend(without_rule(snapshot));
        findings.extend(translate::without_effect(snapshot));
    }
    for found in &mut findings {
        attribute(found, snapshot);
    }
    finish(findings, snapshot, options)
}

/// Blames the object that somebody has written for what is wrong with the one that it is converted to.
fn attribute(found: &mut Diagnostic, snapshot: &Snapshot) {
    let key = found.resource.as_ref();
    let Some(source) = key.and_then(|key| snapshot.converted_from(key)) else {
        return;
    };
    found.resource = Some(source.clone());
    found.path = FieldPath::root();
}

fn applies(rule: &Rule, options: &Options) -> bool {
    if options.rules.is_empty() {
        !ON_REQUEST.contains(&rule.name)
    } else {
        options.rules.contains(rule.name)
    }
}

/// Findings of objects by themselves that no rule gives: wrong types in Kubernetes' own kinds, and objects without effect.
fn without_rule(snapshot: &Snapshot) -> impl Iterator<Item = Diagnostic> {
    let resources = Kind::all().flat_map(|kind| snapshot.resources(kind));
    resources.flat_map(|resource| {
        let has_rule = resource.key.kind.row().definition.is_some();
        let found = resource.findings.iter();
        found
            .filter(move |found| !has_rule || !found.is_of_schema())
            .cloned()
    })
}

/// Earlier findings without those about values that validation complains about as well, in more words.
fn without_known(earlier: Vec<Diagnostic>, known: &[Diagnostic]) -> Vec<Diagnostic> {
    let places: BTreeSet<(&Option<ResourceKey>, &FieldPath)> = known
        .iter()
        .filter(|found| found.is_of_schema())
        .map(|found| (&found.resource, &found.path))
        .collect();
    let is_new = |found: &Diagnostic| {
        !found.is_of_schema() || !places.contains(&(&found.resource, &found.path))
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
            assume_ingress: true,
            unseen: BTreeSet::new(),
        }
    }
}

/// Whether an object is part of an installation of Istio, which nobody is asked to change.
fn is_of_control_plane(meta: &Meta) -> bool {
    let is_released = meta.labels.get("release").is_some_and(|by| by == "istio");
    meta.labels.contains_key("istio") || is_released
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
