//! `meshctl describe service`.

use std::collections::BTreeSet;
use std::time::Duration;

use mesh_core::authz::Workload;
use mesh_core::metrics::{Counts, edges};
use mesh_core::resource::{Kind, ResourceKey};
use mesh_core::shift::{Target, shares_now};
use mesh_core::snapshot::Snapshot;
use serde::Serialize;

use super::report::{Finding, Lines, Security, Traffic};
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::gather::{Sources, World};
use crate::mesh::Collector;
use crate::runtime;

/// How long traffic is counted.
pub const WINDOW: Duration = Duration::from_secs(3);

/// Describe a service: versions, health, traffic, routing, security, and what is wrong
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "svc",
    after_help = "Examples:
  meshctl describe service reviews
  meshctl describe svc reviews.shop -o json

Output formats: log, json, yaml."
)]
pub struct Args {
    /// The service: NAME, NAME.NAMESPACE or a whole host
    #[arg(value_name = "SERVICE")]
    service: String,
    #[command(flatten)]
    sources: Sources,
}

#[derive(Debug, Serialize)]
struct Answer {
    service: String,
    namespace: String,
    host: String,
    ports: Vec<String>,
    versions: Vec<Version>,
    pods: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
    routing: Routing,
    security: Vec<Security>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Version {
    subset: String,
    labels: String,
    /// Whether a DestinationRule defines it.
    defined: bool,
    ready: usize,
    workloads: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Health {
    ready: usize,
    all: usize,
}

#[derive(Debug, Serialize)]
struct Routing {
    /// Rules with their shares in percent.
    rules: Vec<String>,
    objects: Vec<String>,
    gateways: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let world = args.sources.read(context)?;
    let target = Target::find(&world.snapshot, &args.service, &world.namespace);
    let target = target.map_err(|refusal| {
        let error = anyhow::Error::msg(refusal.message);
        match refusal.hint {
            Some(hint) => failure::advise(error, hint),
            None => error,
        }
    })?;
    let answer = Answer::new(&world, &target, context)?;
    match format {
        Format::Log => context.printer.data(&answer.text())?,
        format => context.printer.structured(format, &answer)?,
    }
    Ok(Exit::Success)
}

/// What is sent to a service in the next seconds.
fn traffic(world: &World, target: &Target, context: &Context) -> anyhow::Result<Option<Traffic>> {
    let Some(cluster) = &world.cluster else {
        return Ok(None);
    };
    let traffic = runtime::block_on(async {
        let collector = Collector::find(cluster).await?;
        anyhow::Ok(collector.watch(WINDOW, context).await)
    })?;
    let mut counts = Counts::default();
    let mut from = BTreeSet::new();
    for edge in edges(&traffic) {
        if edge.host.eq_ignore_ascii_case(&target.service.host) {
            counts.merge(&edge.counts);
            from.insert(edge.source.name());
        }
    }
    let from = from.into_iter().collect();
    Ok(Some(Traffic::new(&counts, WINDOW, from)))
}

/// The objects that route to the service or say how it is spoken to, and the gateways that serve it.
fn objects(snapshot: &Snapshot, target: &Target) -> (BTreeSet<ResourceKey>, BTreeSet<String>) {
    let host = &*target.service.host;
    let mut keys = BTreeSet::new();
    let mut gateways = BTreeSet::new();
    let domain = &snapshot.options().dns_domain;
    for rules in snapshot.virtual_services() {
        let namespace = &rules.resource.key.namespace;
        let is_meant =
            |name: &str| mesh_core::snapshot::expand_host(name, namespace, domain) == host;
        let http = rules.spec.http.iter().flat_map(|rule| &rule.route);
        let tcp = rules.spec.tcp.iter().flat_map(|rule| &rule.route);
        let tls = rules.spec.tls.iter().flat_map(|rule| &rule.route);
        let destinations = http
            .map(|route| &route.destination)
            .chain(tcp.map(|route| &route.destination))
            .chain(tls.map(|route| &route.destination));
        let mut destinations = destinations.map(|destination| &destination.host);
        let routes = destinations.any(|host| is_meant(host));
        if routes || rules.hosts.iter().any(|own| **own == *host) {
            keys.insert(rules.resource.key.clone());
            let outside = rules
                .gateways
                .iter()
                .filter(|gateway| &***gateway != "mesh");
            gateways.extend(outside.map(ToString::to_string));
        }
    }
    for rule in snapshot.resources(Kind::DestinationRule) {
        let own = rule
            .raw
            .pointer("/spec/host")
            .and_then(|host| host.as_str());
        let namespace = &rule.key.namespace;
        if own.is_some_and(|own| mesh_core::snapshot::expand_host(own, namespace, domain) == host) {
            keys.insert(rule.key.clone());
        }
    }
    (keys, gateways)
}

// === impl Answer ===

impl Answer {
    fn new(world: &World, target: &Target, context: &Context) -> anyhow::Result<Self> {
        let snapshot = &world.snapshot;
        let service = &target.service;
        let (keys, gateways) = objects(snapshot, target);
        let mut about: Vec<ResourceKey> = keys.iter().cloned().collect();
        about.push(service.object.clone());
        let mut security: Vec<Security> = Vec::new();
        for workload in Workload::of_service(snapshot, service) {
            let one = Security::of(snapshot, &workload);
            if !security.contains(&one) {
                security.push(one);
            }
        }
        let rules = shares_now(snapshot, target).unwrap_or_default();
        let rules = rules.iter().map(|rule| {
            let shares: Vec<String> = rule
                .after
                .iter()
                .map(|share| {
                    let name = share.subset.as_deref().unwrap_or("other services");
                    format!("{name} {}%", share.weight)
                })
                .collect();
            let (section, index) = (rule.section.name(), rule.index);
            format!("{} {section}[{index}]: {}", rule.key, shares.join(", "))
        });
        Ok(Self {
            service: service.name.to_string(),
            namespace: service.namespace.to_string(),
            host: service.host.to_string(),
            ports: service
                .ports
                .iter()
                .map(|port| format!("{} {:?}", port.port, port.protocol).to_lowercase())
                .collect(),
            versions: target
                .subsets
                .iter()
                .map(|(name, seen)| Version {
                    subset: name.to_string(),
                    labels: seen
                        .labels
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect::<Vec<_>>()
                        .join(","),
                    defined: seen.defined,
                    ready: seen.ready,
                    workloads: seen
                        .workloads
                        .iter()
                        .map(|(name, ..)| name.to_string())
                        .collect(),
                })
                .collect(),
            pods: Health {
                ready: target.pods.iter().filter(|pod| pod.ready).count(),
                all: target.pods.len(),
            },
            traffic: traffic(world, target, context)?,
            routing: Routing {
                rules: rules.collect(),
                objects: keys.iter().map(ToString::to_string).collect(),
                gateways: gateways.into_iter().collect(),
            },
            security,
            findings: super::findings(snapshot, &about),
        })
    }

    fn text(&self) -> String {
        let mut lines = Lines::default();
        lines.add(
            "Service",
            [format!(
                "{}.{} ({})",
                self.service, self.namespace, self.host
            )],
        );
        lines.add("Ports", [self.ports.join(", ")]);
        let versions = self.versions.iter().map(|version| {
            let defined = if version.defined {
                "subset"
            } else {
                "no subset is defined for it"
            };
            format!(
                "{} ({}): {} ready, {} ({defined})",
                version.subset,
                version.labels,
                version.ready,
                version.workloads.join(", ")
            )
        });
        let none = || ["none: no pod has a version label, and no subset is defined".to_owned()];
        match self.versions.len() {
            0 => lines.add("Versions", none()),
            _ => lines.add("Versions", versions),
        }
        lines.add(
            "Healthy",
            [Lines::health(self.pods.ready, self.pods.all, "pods are")],
        );
        lines.traffic(self.traffic.as_ref());
        match self.routing.objects.as_slice() {
            [] => lines.add(
                "Routing",
                ["none: requests go to all ready pods alike".to_owned()],
            ),
            objects => {
                lines.add("Routing", objects.iter().cloned());
                lines.add("Shares", self.routing.rules.iter().cloned());
            }
        }
        lines.add("Gateways", self.routing.gateways.iter().cloned());
        lines.add("Security", self.security.iter().map(Security::text));
        lines.findings(&self.findings);
        lines.text()
    }
}
