//! Gateways that claim the same host on the same port of the same pods (IST0145).

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::context::Context;
use crate::analyze::names::some_of;
use crate::analyze::pods::selector_text;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};

pub(super) const RULE: Rule = Rule {
    name: "gateway.ConflictingGatewayAnalyzer",
    summary: "no two Gateways claim the same host on the same port of the same pods",
    codes: &["IST0145"],
    check,
};

/// Most selectors of one pod that are compared with each other.
const MOST_SELECTORS: usize = 100;

/// What a server claims: port, address and host.
type Claim<'s> = (u32, &'s str, &'s str);

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    // Selector and claim with the Gateways that have them.
    let mut claims: BTreeMap<(&str, Claim<'_>), BTreeSet<(&str, &str)>> = BTreeMap::new();
    let gateways: Vec<_> = context
        .gateways()
        .map(|(resource, gateway)| (resource, gateway, selector_text(&gateway.selector)))
        .collect();
    for (resource, gateway, selector) in &gateways {
        let key = &resource.key;
        for server in &gateway.servers {
            let bind = server.bind.as_deref().unwrap_or_default();
            for host in &server.hosts {
                let claim = (server.port.number, bind, host.as_str());
                let holders = claims.entry((selector, claim)).or_default();
                holders.insert((&key.namespace, &key.name));
            }
        }
    }
    let related = related(context, &gateways);
    for (resource, gateway, selector) in &gateways {
        let own = (&*resource.key.namespace, &*resource.key.name);
        let alike = related.get(selector.as_str());
        let selectors =
            std::iter::once(selector.as_str()).chain(alike.into_iter().flatten().copied());
        let selectors: Vec<&str> = selectors.collect();
        let mut told = BTreeSet::new();
        for (position, server) in gateway.servers.iter().enumerate() {
            let bind = server.bind.as_deref().unwrap_or_default();
            let number = server.port.number;
            let others = server.hosts.iter().flat_map(|host| {
                let claim = (number, bind, host.as_str());
                let holders = selectors
                    .iter()
                    .filter_map(|selector| claims.get(&(*selector, claim)));
                holders
                    .collect::<Vec<_>>()
                    .into_iter()
                    .flatten()
                    .filter(|other| **other != own)
            });
            let Some(names) =
                some_of(others.map(|(namespace, name)| format!("{namespace}/{name}")))
            else {
                continue;
            };
            let message = format!(
                "port {number} with hosts {} is claimed by Gateway {names} as well (workload selector {selector:?})",
                server.hosts.join(", ")
            );
            if !told.insert(message.clone()) {
                continue;
            }
            let path = FieldPath::parse("spec.servers").index(position);
            let mut found = finding(
                "IST0145",
                Level::Error,
                resource,
                path.key("hosts"),
                message,
            );
            found.hint = Some("claim each host in one Gateway".to_owned());
            findings.push(found);
        }
    }
}

/// Other selectors that are for some of the same pods: with one written in the other, and a pod that has the labels of both.
fn related<'g>(
    context: &Context<'_>,
    gateways: &'g [(
        &std::sync::Arc<crate::resource::Resource>,
        &crate::model::GatewaySpec,
        String,
    )],
) -> BTreeMap<&'g str, BTreeSet<&'g str>> {
    let mut distinct = BTreeMap::new();
    for (_, gateway, text) in gateways {
        distinct.entry(text.as_str()).or_insert(&gateway.selector);
    }
    let mut of_pod: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (text, selector) in distinct {
        for pod in context.pods().selected(selector) {
            let selectors = of_pod.entry((pod.namespace, pod.name)).or_default();
            if selectors.len() < MOST_SELECTORS {
                selectors.push(text);
            }
        }
    }
    let mut related: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for selectors in of_pod.values() {
        for one in selectors {
            for other in selectors {
                if one != other && (one.contains(other) || other.contains(one)) {
                    related.entry(one).or_default().insert(other);
                }
            }
        }
    }
    related
}
