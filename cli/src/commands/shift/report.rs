//! What the command answers: asked against observed, as a table or as a document with a stable shape.

use std::collections::BTreeMap;

use mesh_core::resource::Kind;
use mesh_core::shift::{
    Action, Judgement, Plan, RuleChange, Share, SubsetResult, Verdict, minimum_requests,
};
use serde::Serialize;

use super::write::Written;
use crate::context::{Context, Format};

/// The document.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The service's host.
    pub service: String,
    /// Whether nothing was written on purpose.
    pub dry_run: bool,
    /// Objects that changed, or would.
    pub changes: Vec<ChangeReport>,
    /// Rules that changed, or would.
    pub rules: Vec<RuleReport>,
    /// Proxies that have acknowledged; none if nobody was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<usize>,
    /// Whether there was anything to measure.
    pub measured: bool,
    /// The last measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurement: Option<Measurement>,
    /// Measurements of the steps, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// Why everything was taken back; none if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
    /// The limit that was passed: `max-5xx` or `max-p99`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_passed: Option<&'static str>,
    /// Whether it was stopped on the way, to be gone on with later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// An object that changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeReport {
    action: &'static str,
    kind: &'static str,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
}

/// A rule that changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    namespace: String,
    kind: &'static str,
    name: String,
    /// The same as `name`, where it is a VirtualService.
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_service: Option<String>,
    section: &'static str,
    rule: usize,
    before: BTreeMap<String, u32>,
    after: BTreeMap<String, u32>,
}

/// A step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    pub subset: String,
    pub weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurement: Option<Measurement>,
}

/// A measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    verdict: &'static str,
    requests: u64,
    unreached: u64,
    elsewhere: u64,
    confidence: f64,
    subsets: Vec<SubsetReport>,
}

/// A subset.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubsetReport {
    subset: String,
    weight: Option<u32>,
    asked: Option<f64>,
    observed: Option<f64>,
    low: f64,
    high: f64,
    requests: u64,
    errors: u64,
    /// Milliseconds.
    p99: Option<f64>,
}

// === impl Report ===

impl Report {
    /// What a plan says before it is written, or that it will not be.
    pub fn begin(plan: &Plan, dry_run: bool, context: &Context) -> Self {
        if dry_run {
            context.printer.note("nothing was written (--dry-run)");
        }
        Self {
            service: plan.host.to_string(),
            dry_run,
            changes: plan
                .changes
                .iter()
                .map(|change| ChangeReport {
                    action: action(change.action),
                    kind: change.key.kind.name(),
                    namespace: change.key.namespace.to_string(),
                    name: change.key.name.to_string(),
                    resource_version: None,
                })
                .collect(),
            rules: plan.rules.iter().map(RuleReport::new).collect(),
            ..Self::default()
        }
    }

    /// Adds the versions of what was written.
    pub fn wrote(&mut self, written: &[Written]) {
        for Written { key, version } in written {
            let change = self.changes.iter_mut().find(|change| {
                change.kind == key.kind.name()
                    && *change.namespace == *key.namespace
                    && *change.name == *key.name
            });
            if let Some(change) = change {
                change.resource_version.clone_from(version);
            }
        }
    }

    /// Prints the document, or nothing where a person reads.
    pub fn print(&self, context: &Context, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Json | Format::Yaml => context.printer.structured(format, self),
            _ => Ok(()),
        }
    }
}

// === impl RuleReport ===

impl RuleReport {
    fn new(rule: &RuleChange) -> Self {
        Self {
            namespace: rule.key.namespace.to_string(),
            kind: rule.key.kind.name(),
            name: rule.key.name.to_string(),
            virtual_service: (rule.key.kind == Kind::VirtualService)
                .then(|| rule.key.name.to_string()),
            section: rule.section.name(),
            rule: rule.index,
            before: by_subset(&rule.before),
            after: by_subset(&rule.after),
        }
    }
}

// === impl Measurement ===

impl Measurement {
    /// A judgement as it is written.
    pub fn new(judgement: &Judgement) -> Self {
        Self {
            verdict: match judgement.verdict {
                Verdict::Consistent => "consistent",
                Verdict::Deviates => "deviates",
                Verdict::TooFew => "tooFewRequests",
                Verdict::NotMeasured => "notMeasured",
            },
            requests: judgement.requests,
            unreached: judgement.unreached,
            elsewhere: judgement.elsewhere,
            confidence: judgement.confidence,
            subsets: judgement.subsets.iter().map(SubsetReport::new).collect(),
        }
    }
}

// === impl SubsetReport ===

impl SubsetReport {
    fn new(subset: &SubsetResult) -> Self {
        Self {
            subset: subset.subset.to_string(),
            weight: subset.weight,
            asked: subset.asked,
            observed: subset.observed,
            low: subset.interval.low,
            high: subset.interval.high,
            requests: subset.requests,
            errors: subset.errors,
            p99: subset.durations.quantile(0.99),
        }
    }
}

/// The plan's shares for a reader: `VirtualService default/reviews: v1 100 -> 50, v3 0 -> 50`.
pub fn shares(rule: &RuleChange) -> String {
    let (before, after) = (by_subset(&rule.before), by_subset(&rule.after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |shares: &BTreeMap<String, u32>, name: &String| shares.get(name).copied().unwrap_or(0);
    let each: Vec<String> = names
        .into_iter()
        .map(|name| match (of(&before, name), of(&after, name)) {
            (old, new) if old == new => format!("{name} {new}"),
            (old, new) => format!("{name} {old} -> {new}"),
        })
        .collect();
    let place = if rule.index == 0 {
        String::new()
    } else {
        format!(" ({}[{}])", rule.section.name(), rule.index)
    };
    format!("{}{place}: {}", rule.key, each.join(", "))
}

/// The table of a measurement.
pub fn table(judgement: &Judgement, context: &Context) -> anyhow::Result<()> {
    let rows: Vec<[String; 6]> = judgement
        .subsets
        .iter()
        .map(|subset| {
            let percent = |share: f64| format!("{:.1}%", share * 100.0);
            [
                subset.subset.to_string(),
                subset.asked.map_or_else(|| "-".to_owned(), percent),
                subset.observed.map_or_else(|| "-".to_owned(), percent),
                format!(
                    "{} to {}",
                    percent(subset.interval.low),
                    percent(subset.interval.high)
                ),
                subset.requests.to_string(),
                subset.errors.to_string(),
            ]
        })
        .collect();
    let interval = format!(
        "{}% INTERVAL",
        (judgement.confidence * 1000.0).round() / 10.0
    );
    let titles = [
        "SUBSET",
        "ASKED",
        "OBSERVED",
        interval.as_str(),
        "REQUESTS",
        "5XX",
    ];
    context.printer.table(titles, &rows)
}

/// The verdict as a sentence, and what to do next.
pub fn verdict(judgement: &Judgement) -> (String, Option<String>) {
    let requests = judgement.requests;
    let longer = || {
        Some("measure longer with --measure 1m or --requests 1000, or send requests with --probe URL".to_owned())
    };
    match judgement.verdict {
        Verdict::Consistent => (format!("consistent: {requests} requests agree with what was asked"), None),
        Verdict::Deviates => (
            format!("deviates: {requests} requests disagree with what was asked, and chance does not explain it"),
            Some("see what the senders' proxies route: meshctl proxy-config routes POD -o json".to_owned()),
        ),
        Verdict::TooFew if requests < minimum_requests() => (
            format!("too few requests: {requests} of at least {} that are needed to say anything", minimum_requests()),
            longer(),
        ),
        Verdict::TooFew => (
            format!("too few requests: {requests} are off what was asked, but not far enough to rule out chance"),
            longer(),
        ),
        Verdict::NotMeasured => (
            "not measured: no proxy has sent a request to the service meanwhile".to_owned(),
            Some("send some while it measures, for example with --probe http://localhost:PORT/PATH of the ingress; `meshctl sandbox status` shows its address".to_owned()),
        ),
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Replace => "replace",
        Action::Delete => "delete",
    }
}

pub fn by_subset(shares: &[Share]) -> BTreeMap<String, u32> {
    let mut by_subset = BTreeMap::new();
    for Share { subset, weight, .. } in shares {
        let name = subset.as_deref().unwrap_or("(other services)");
        *by_subset.entry(name.to_owned()).or_default() += weight;
    }
    by_subset
}
