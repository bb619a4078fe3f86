//! How explanations look: a block for each proxy, a line for each thing that was tried.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use mesh_core::explain::{Fault, Hop, Outcome, Security, Share};
use mesh_core::resource::Kind;
use mesh_core::snapshot::Snapshot;
use mesh_ir::evaluate::{Step, StepOutcome};
use mesh_ir::matching::PlainRequest;
use serde_json::{Value, json};

use super::evaluator::Decided;
use super::place;
use crate::gather::World;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();
/// Width of the first column.
const WIDTH: usize = 22;
/// Endpoints of a cluster that are shown.
const MOST_ENDPOINTS: usize = 4;

/// For people.
pub fn render(request: &PlainRequest, decided: &Decided, world: &World) -> String {
    let PlainRequest {
        method,
        authority,
        scheme,
        path,
        query,
        ..
    } = request;
    let query = query.as_ref().map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    let mut text = format!("{method} {scheme}://{authority}{path}{query}\n");
    let servers = decided.servers.iter().map(|(proxy, hop)| (proxy, hop));
    for (proxy, hop) in std::iter::once((&decided.proxy, &decided.hop)).chain(servers) {
        let _ = writeln!(text, "\n{proxy}");
        render_hop(&mut text, hop, world);
    }
    text
}

fn render_hop(text: &mut String, hop: &Hop, world: &World) {
    let Hop {
        listener,
        chain,
        routes,
        steps,
        fault,
        outcome,
    } = hop;
    let mut line = |title: &str, rest: &str| {
        let _ = writeln!(text, "  {title:<WIDTH$}{rest}");
    };
    if let Some(listener) = listener {
        line("listener", listener);
    }
    if let Some(chain) = chain.as_deref().filter(|name| !name.is_empty()) {
        line("filter chain", chain);
    }
    if let Some(routes) = routes {
        line("route table", routes);
    }
    for step in steps {
        let at = step.origin.as_ref().map(|origin| {
            let name = place::name(origin);
            let file = world.place_of(origin).filter(|place| *place != name);
            let file = file.map_or_else(String::new, |file| format!(", {file}"));
            format!("  {FAINT}{name}{file}{FAINT:#}")
        });
        let rest = [tried(step), at.unwrap_or_default()].concat();
        line(&step.stage.to_string(), &rest);
    }
    if let Some(fault) = fault {
        for rest in faults(fault) {
            line("fault", &rest);
        }
    }
    for (title, rest) in ends(outcome, knows_endpoints(&world.snapshot)) {
        line(title, &rest);
    }
}

fn tried(step: &Step) -> String {
    let subject = &step.subject;
    match &step.outcome {
        StepOutcome::Matched => format!("{GOOD}✓{GOOD:#} {subject}"),
        StepOutcome::NotMatched(mismatch) => format!("{BAD}✗{BAD:#} {subject}: {mismatch}"),
        StepOutcome::Note(note) => format!("· {subject}: {note}"),
    }
}

fn faults(fault: &Fault) -> Vec<String> {
    let delay = fault.delay.as_ref().map(|delay| match delay.time {
        Some(time) => format!("{} % of the requests wait for {time:?}", delay.percent),
        None => format!(
            "{} % of the requests wait as long as they ask for",
            delay.percent
        ),
    });
    let abort = fault.abort.as_ref();
    let abort =
        abort.map(|abort| format!("{} % are answered with {}", abort.percent, abort.status));
    delay.into_iter().chain(abort).collect()
}

fn ends(outcome: &Outcome, knows_endpoints: bool) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let to = |title, share| target(title, share, knows_endpoints);
    match outcome {
        Outcome::Forward {
            targets,
            path,
            host,
            timeout,
            retries,
            mirrors,
        } => {
            if let Some(path) = path {
                lines.push(("path becomes", path.clone()));
            }
            if let Some(host) = host {
                lines.push(("host becomes", host.to_string()));
            }
            let timeout = timeout.map_or_else(|| "none".into(), |time| format!("{time:?}"));
            lines.push(("timeout", timeout));
            lines.push(("retries", retries.to_string()));
            lines.extend(targets.iter().flat_map(|share| to("goes to", share)));
            lines.extend(mirrors.iter().flat_map(|share| to("copies go to", share)));
        }
        Outcome::Connect { targets } => {
            lines.extend(targets.iter().flat_map(|share| to("bytes go to", share)));
        }
        Outcome::Redirect { code, location } => {
            lines.push(("is redirected", format!("{code} to {location}")));
        }
        Outcome::Answer { code, reason } => {
            let style = if *code < 400 { GOOD } else { BAD };
            lines.push(("is answered", format!("{style}{code}{style:#} {reason}")));
        }
        Outcome::Close { reason } => {
            lines.push(("is closed", format!("{BAD}{reason}{BAD:#}")));
        }
    }
    lines
}

fn target(
    title: &'static str,
    share: &Share,
    knows_endpoints: bool,
) -> Vec<(&'static str, String)> {
    let name = &share.cluster;
    let mut first = if share.percent.is_all() {
        name.to_string()
    } else {
        format!("{name} ({} %)", share.percent)
    };
    if !share.exists {
        let _ = write!(first, ": {BAD}503, there is no such cluster{BAD:#}");
    } else if share.is_without_endpoints() {
        let _ = if knows_endpoints {
            write!(first, ": {BAD}503, no endpoint can take it{BAD:#}")
        } else {
            write!(first, "{FAINT}; the files tell no endpoints{FAINT:#}")
        };
    }
    let mut lines = vec![(title, first)];
    for endpoint in share.endpoints.iter().take(MOST_ENDPOINTS) {
        let workload = endpoint.workload.as_deref().unwrap_or_default();
        let security = match endpoint.security {
            Security::None => "plain text",
            Security::Tls => "TLS",
            Security::MutualTls => "mutual TLS",
        };
        let health = if endpoint.healthy { "" } else { ", not ready" };
        let rest = format!(
            "  {} {workload} {FAINT}{security}{health}{FAINT:#}",
            endpoint.address
        );
        lines.push(("", rest));
    }
    let more = share.endpoints.len().saturating_sub(MOST_ENDPOINTS);
    if more > 0 {
        lines.push(("", format!("  and {more} more")));
    }
    lines
}

/// Whether anything is known of pods; files of an application tell nothing of them.
/// Whether anything is known of endpoints; in files there are often none.
pub fn knows_endpoints(snapshot: &Snapshot) -> bool {
    let kinds = [Kind::EndpointSlice, Kind::Endpoints, Kind::Pod];
    let mut found = kinds.into_iter().flat_map(|kind| snapshot.resources(kind));
    found.next().is_some()
}

/// For programs.
pub fn structured(decided: &Decided, world: &World) -> Value {
    let hop = |proxy: &str, hop: &Hop| {
        let steps = hop.steps.iter().map(|step| structured_step(step, world));
        json!({
            "proxy": proxy,
            "listener": hop.listener,
            "filterChain": hop.chain,
            "routeTable": hop.routes,
            "steps": steps.collect::<Vec<_>>(),
            "fault": hop.fault,
            "outcome": hop.outcome,
        })
    };
    let servers = decided.servers.iter().map(|(proxy, at)| hop(proxy, at));
    let all = std::iter::once(hop(&decided.proxy, &decided.hop)).chain(servers);
    json!({ "proxies": all.collect::<Vec<_>>() })
}

fn structured_step(step: &Step, world: &World) -> Value {
    let (outcome, reason) = match &step.outcome {
        StepOutcome::Matched => ("matched", None),
        StepOutcome::NotMatched(mismatch) => ("notMatched", Some(mismatch.to_string())),
        StepOutcome::Note(note) => ("note", Some(note.clone())),
    };
    let origin = step.origin.as_ref();
    json!({
        "stage": step.stage.to_string(),
        "subject": step.subject,
        "outcome": outcome,
        "reason": reason,
        "rule": origin.map(place::name),
        "place": origin.and_then(|origin| world.place_of(origin)),
    })
}
