//! What is decided otherwise, grouped by what it means.

use std::collections::BTreeMap;
use std::fmt;

use mesh_core::explain::{Hop, Outcome, ProxiedWorkload, Share};
use serde::Serialize;

use super::requests::Request;
use crate::commands::explain::Decided;

/// Clients that are named.
const LISTED: usize = 4;

/// What a difference means, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A policy refuses what it let pass.
    ShutOut,
    /// It was answered, and fails.
    Breaks,
    /// A policy lets pass what it refused.
    LetIn,
    /// It failed, and is answered.
    Mended,
    /// It goes elsewhere, or by other shares.
    Elsewhere,
    /// It goes where it went, with another path, timeout, retries or fault.
    Otherwise,
}

/// A request that ends otherwise for some clients.
#[derive(Debug, PartialEq, Serialize)]
pub struct Effect {
    pub kind: Kind,
    pub request: String,
    pub before: String,
    pub after: String,
    /// Who sends it.
    pub from: Vec<String>,
}

/// What was compared.
#[derive(Default)]
pub struct Tried(BTreeMap<(Kind, String, String, String), Vec<String>>);

/// How a request ends.
struct End {
    /// Policies refuse it.
    refused: bool,
    /// It fails for another reason.
    fails: bool,
    /// Where it goes.
    place: String,
    /// With everything else.
    whole: String,
}

// === impl Kind ===

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShutOut => "shut out",
            Self::Breaks => "breaks",
            Self::LetIn => "let in",
            Self::Mended => "mended",
            Self::Elsewhere => "elsewhere",
            Self::Otherwise => "otherwise",
        }
    }

    pub const fn is_bad(self) -> bool {
        matches!(self, Self::ShutOut | Self::Breaks)
    }
}

// === impl Tried ===

impl Tried {
    /// Compares two decisions, each with whether endpoints are known.
    pub fn compare(
        &mut self,
        client: &ProxiedWorkload,
        request: &Request,
        (before, knew): (&Decided, bool),
        (after, knows): (&Decided, bool),
    ) {
        let (before, after) = (End::of(before, knew), End::of(after, knows));
        if before.whole == after.whole {
            return;
        }
        let kind = match () {
            () if after.refused && !before.refused => Kind::ShutOut,
            () if before.refused && !after.refused && !after.fails => Kind::LetIn,
            () if after.fails && !before.fails && !before.refused => Kind::Breaks,
            () if before.fails && !after.fails && !after.refused => Kind::Mended,
            () if before.place != after.place => Kind::Elsewhere,
            () => Kind::Otherwise,
        };
        let (before, after) = match kind {
            Kind::Otherwise => (before.whole, after.whole),
            _ => (before.place, after.place),
        };
        let key = (kind, request.text.clone(), before, after);
        self.0.entry(key).or_default().push(client.name.clone());
    }

    /// The differences, the worst first.
    pub fn effects(self) -> Vec<Effect> {
        let effects = self.0.into_iter();
        effects
            .map(|((kind, request, before, after), from)| Effect {
                kind,
                request,
                before,
                after,
                from,
            })
            .collect()
    }
}

// === impl End ===

impl End {
    fn of(decided: &Decided, knows: bool) -> Self {
        let hop = &decided.hop;
        let targets = hop.outcome.targets();
        let dead = targets.iter().any(|share| is_dead(share, knows));
        let refusing = decided.servers.iter().find(|(_, hop)| refuses(hop));
        let place = match (&hop.outcome, refusing) {
            (_, Some((proxy, hop))) => {
                format!("refused by the {proxy} ({})", answer(&hop.outcome, knows))
            }
            (Outcome::Forward { .. } | Outcome::Connect { .. }, None) => places(targets, knows),
            (other, None) => answer(other, knows),
        };
        let fails = match &hop.outcome {
            Outcome::Answer { code, .. } => *code >= 400 && !refuses(hop),
            Outcome::Close { .. } => true,
            _ => dead,
        };
        let rest = match &hop.outcome {
            Outcome::Forward {
                path,
                host,
                timeout,
                retries,
                mirrors,
                ..
            } => {
                let mut parts = Vec::new();
                parts.extend(path.as_ref().map(|path| format!("path {path}")));
                parts.extend(host.as_ref().map(|host| format!("host {host}")));
                parts.extend(timeout.map(|timeout| format!("timeout {timeout:?}")));
                if *retries > 0 {
                    parts.push(format!("{retries} retries"));
                }
                if !mirrors.is_empty() {
                    parts.push(format!("mirrored to {}", places(mirrors, knows)));
                }
                parts
            }
            _ => Vec::new(),
        };
        let mut parts = vec![place.clone()];
        parts.extend(rest);
        if let Some(fault) = &hop.fault {
            let delay = fault.delay.as_ref().map(|delay| match delay.time {
                Some(time) => format!("{} % wait for {time:?}", delay.percent),
                None => format!("{} % wait", delay.percent),
            });
            let abort = fault.abort.as_ref();
            let abort = abort.map(|abort| format!("{} % get {}", abort.percent, abort.status));
            parts.extend(delay.into_iter().chain(abort));
        }
        Self {
            refused: refusing.is_some() || refuses(hop),
            fails,
            place,
            whole: parts.join(", "),
        }
    }
}

/// Whether a proxy refuses a request by its policies.
fn refuses(hop: &Hop) -> bool {
    match &hop.outcome {
        Outcome::Answer { code, .. } => matches!(code, 401 | 403),
        Outcome::Close { reason } => reason.contains("polic") || reason.contains("no filter chain"),
        _ => false,
    }
}

/// Whether no endpoint of a cluster can take requests.
fn is_dead(share: &Share, knows: bool) -> bool {
    let known = knows && share.discovery == "endpoints";
    !share.exists || (known && !share.endpoints.iter().any(|endpoint| endpoint.healthy))
}

/// `75 % reviews.default v1, 25 % reviews.default v3`.
fn places(targets: &[Share], knows: bool) -> String {
    let shown: Vec<String> = targets
        .iter()
        .map(|share| {
            let dead = match (share.exists, is_dead(share, knows)) {
                (false, _) => " (there is no such cluster)",
                (true, true) => " (no endpoint)",
                (true, false) => "",
            };
            format!("{} % {}{dead}", share.percent, cluster(&share.cluster))
        })
        .collect();
    match shown.is_empty() {
        true => "nowhere".to_owned(),
        false => shown.join(", "),
    }
}

/// `HOST` or `HOST SUBSET` of a cluster's name.
fn cluster(name: &str) -> String {
    let parts: Vec<&str> = name.split('|').collect();
    match parts.as_slice() {
        [_, _, "", host] => (*host).to_owned(),
        [_, _, subset, host] => format!("{host} {subset}"),
        _ => name.to_owned(),
    }
}

fn answer(outcome: &Outcome, knows: bool) -> String {
    match outcome {
        Outcome::Answer { code, reason } => format!("{code}, {reason}"),
        Outcome::Redirect { code, location } => format!("{code} to {location}"),
        Outcome::Close { reason } => format!("closed, {reason}"),
        other => places(other.targets(), knows),
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&str> = self.from.iter().take(LISTED).map(String::as_str).collect();
        let more = match self.from.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        write!(
            f,
            "{}: {} -> {} (from {}{more})",
            self.request,
            self.before,
            self.after,
            shown.join(", ")
        )
    }
}
