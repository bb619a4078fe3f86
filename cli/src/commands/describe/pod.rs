//! `meshctl describe pod`.

use std::collections::BTreeSet;

use anyhow::anyhow;
use mesh_core::authz::Workload;
use mesh_core::metrics::{Counts, edges};
use mesh_core::resource::{Kind, Object, ResourceKey};
use serde::Serialize;

use super::report::{Finding, Lines, Security, Traffic};
use super::service::WINDOW;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::gather::{Sources, World};
use crate::mesh::PROXY;
use crate::{mesh, runtime};

/// Describe a pod: its proxy, services, traffic, security, health, and what is wrong
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "po",
    after_help = "Examples:
  meshctl describe pod reviews-v1-7d9f8-x2x9z
  meshctl describe pod deployment/reviews-v1 -o json

Output formats: log, json, yaml."
)]
pub struct Args {
    /// The pod, or a workload or service that has it
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]")]
    pod: String,
    #[command(flatten)]
    sources: Sources,
}

#[derive(Debug, Serialize)]
struct Answer {
    pod: String,
    namespace: String,
    address: Option<String>,
    labels: Vec<String>,
    proxy: bool,
    ready: bool,
    containers: Vec<Container>,
    services: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
    security: Security,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Container {
    name: String,
    ready: bool,
    restarts: i32,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let world = args.sources.read(context)?;
    let answer = Answer::new(&world, &args.pod, context)?;
    match format {
        Format::Log => context.printer.data(&answer.text())?,
        format => context.printer.structured(format, &answer)?,
    }
    Ok(Exit::Success)
}

/// The pod's key. In files a pod is named as such.
fn find(world: &World, text: &str) -> anyhow::Result<ResourceKey> {
    let (name, namespace) = match &world.cluster {
        Some(cluster) => {
            let found = runtime::block_on(mesh::resolve(cluster, text))?;
            (found.name, found.namespace)
        }
        None => {
            let named = mesh::Named::parse(text)?;
            let namespace = named.namespace.unwrap_or(&world.namespace);
            (named.name.to_owned(), namespace.to_owned())
        }
    };
    Ok(ResourceKey {
        kind: Kind::Pod,
        namespace: namespace.into(),
        name: name.into(),
    })
}

// === impl Answer ===

impl Answer {
    fn new(world: &World, text: &str, context: &Context) -> anyhow::Result<Self> {
        let snapshot = &world.snapshot;
        let key = find(world, text)?;
        let resource = snapshot.get(&key).ok_or_else(|| {
            let error = anyhow!(
                "there is no pod {} in namespace {}",
                key.name,
                key.namespace
            );
            failure::advise(error, "list them: kubectl get pods -A")
        })?;
        let Object::Pod(pod) = &resource.object else {
            return Err(anyhow!("pod {text} cannot be read"));
        };
        let workload = Workload {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            labels: resource.meta.labels.clone(),
            address: None,
        };
        let services = snapshot.services_selecting(&key.namespace, &resource.meta.labels);
        let mut about = vec![key.clone()];
        about.extend(services.iter().map(|service| service.object.clone()));
        let statuses = pod.status.iter().flat_map(|status| {
            let own = status.container_statuses.iter().flatten();
            own.chain(status.init_container_statuses.iter().flatten())
        });
        let containers: Vec<Container> = statuses
            .filter(|status| {
                status
                    .state
                    .as_ref()
                    .is_none_or(|state| state.terminated.is_none())
            })
            .map(|status| Container {
                name: status.name.clone(),
                ready: status.ready,
                restarts: status.restart_count,
            })
            .collect();
        let conditions = pod
            .status
            .iter()
            .flat_map(|status| &status.conditions)
            .flatten();
        let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
        let proxy = containers.iter().any(|container| container.name == PROXY);
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        Ok(Self {
            traffic: match proxy {
                true => traffic(world, &key, context)?,
                false => None,
            },
            pod: key.name.to_string(),
            namespace: key.namespace.to_string(),
            address,
            labels: resource
                .meta
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            proxy,
            ready: ready.any(|condition| condition.status == "True"),
            containers,
            services: services
                .iter()
                .map(|service| format!("{}.{}", service.name, service.namespace))
                .collect(),
            security: Security::of(snapshot, &workload),
            findings: super::findings(snapshot, &about),
        })
    }

    fn text(&self) -> String {
        let mut lines = Lines::default();
        let address = self.address.as_deref().unwrap_or("no address yet");
        lines.add(
            "Pod",
            [format!("{}.{} ({address})", self.pod, self.namespace)],
        );
        lines.add("Labels", [self.labels.join(",")]);
        lines.add(
            "Proxy",
            [match self.proxy {
                true => "yes".to_owned(),
                false => "no: it is not part of the mesh".to_owned(),
            }],
        );
        let ready = self
            .containers
            .iter()
            .filter(|container| container.ready)
            .count();
        let mut health = Lines::health(ready, self.containers.len(), "containers are");
        let restarts: i32 = self
            .containers
            .iter()
            .map(|container| container.restarts)
            .sum();
        if restarts > 0 {
            health = format!("{health}, {restarts} restarts");
        }
        if !self.ready {
            health = format!("{health}; the pod takes no requests");
        }
        lines.add("Healthy", [health]);
        match self.services.as_slice() {
            [] => lines.add("Services", ["none selects it".to_owned()]),
            services => lines.add("Services", [services.join(", ")]),
        }
        lines.traffic(self.traffic.as_ref());
        lines.add("Security", [self.security.text()]);
        lines.findings(&self.findings);
        lines.text()
    }
}

/// What the pod's own proxy is asked in the next seconds.
fn traffic(world: &World, key: &ResourceKey, context: &Context) -> anyhow::Result<Option<Traffic>> {
    let Some(cluster) = &world.cluster else {
        return Ok(None);
    };
    let pod = mesh::PodRef {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
    };
    let traffic = runtime::block_on(async {
        let collector = mesh::Collector::of(cluster, pod);
        anyhow::Ok(collector.watch(WINDOW, context).await)
    })?;
    let mut counts = Counts::default();
    let mut from = BTreeSet::new();
    for edge in edges(&inbound(traffic)) {
        counts.merge(&edge.counts);
        from.insert(edge.source.name());
    }
    Ok(Some(Traffic::new(
        &counts,
        WINDOW,
        from.into_iter().collect(),
    )))
}

/// What comes to it.
fn inbound(mut traffic: mesh_core::metrics::Traffic) -> mesh_core::metrics::Traffic {
    traffic.keep(|flow| !flow.by_source);
    traffic
}
