//! Where a proxy's configuration comes from: a pod's admin port, or a file.

use anyhow::Context as _;

use super::dump::{Dump, EndpointSource};
use crate::context::{Cluster, Context};
use crate::failure;
use crate::mesh::{self, PodRef};
use crate::portforward::PodPort;

/// A proxy, or its saved configuration.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// The proxy's pod
    #[arg(
        value_name = "[TYPE/]NAME[.NAMESPACE]",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    pod: Option<String>,
    /// Read the proxy's config_dump from a file, or - for standard input
    #[arg(short, long, value_name = "FILE|-")]
    file: Option<String>,
    /// Admin port of the proxy
    #[arg(long, value_name = "PORT", default_value_t = mesh_ir::ports::PROXY_ADMIN)]
    proxy_admin_port: u16,
}

// === impl Source ===

impl Source {
    /// The file, if the configuration is in one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The whole configuration of a live proxy.
    pub async fn fetch_dump(&self, context: &Context) -> anyhow::Result<Dump> {
        let (cluster, pod) = self.connect(context).await?;
        Dump::parse(&self.get(&cluster, &pod, "/config_dump?include_eds").await?).with_context(
            || {
                format!(
                    "failed to understand the configuration of {}.{}",
                    pod.name, pod.namespace
                )
            },
        )
    }

    /// The endpoints of a live proxy with their health.
    pub async fn fetch_endpoints(&self, context: &Context) -> anyhow::Result<EndpointSource> {
        let (cluster, pod) = self.connect(context).await?;
        EndpointSource::parse(&self.get(&cluster, &pod, "/clusters?format=json").await?)
            .with_context(|| {
                format!(
                    "failed to understand the endpoints of {}.{}",
                    pod.name, pod.namespace
                )
            })
    }

    /// Both of a live proxy.
    pub async fn fetch_all(&self, context: &Context) -> anyhow::Result<(Dump, EndpointSource)> {
        let (cluster, pod) = self.connect(context).await?;
        let dump = Dump::parse(&self.get(&cluster, &pod, "/config_dump?include_eds").await?)?;
        let endpoints =
            EndpointSource::parse(&self.get(&cluster, &pod, "/clusters?format=json").await?)?;
        Ok((dump, endpoints))
    }

    async fn connect(&self, context: &Context) -> anyhow::Result<(Cluster, PodRef)> {
        let pod = self
            .pod
            .as_deref()
            .ok_or_else(|| failure::usage("no proxy is named"))?;
        let cluster = context.cluster().await?;
        let pod = mesh::resolve(&cluster, pod).await?;
        context
            .printer
            .detail(1, &format!("pod: {}.{}", pod.name, pod.namespace));
        Ok((cluster, pod))
    }

    async fn get(&self, cluster: &Cluster, pod: &PodRef, path: &str) -> anyhow::Result<String> {
        let port = PodPort {
            namespace: &pod.namespace,
            pod: &pod.name,
            port: self.proxy_admin_port,
        };
        let body = port.get(cluster, path).await.map_err(|error| {
            failure::advise(
                error,
                "does the pod have a proxy? `meshctl proxy-status` lists those that are connected",
            )
        })?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// The whole configuration of a live proxy.
pub async fn fetch(cluster: &Cluster, pod: &str, port: u16) -> anyhow::Result<Dump> {
    let pod = mesh::resolve(cluster, pod).await?;
    let source = Source {
        pod: None,
        file: None,
        proxy_admin_port: port,
    };
    let text = source
        .get(cluster, &pod, "/config_dump?include_eds")
        .await?;
    Dump::parse(&text).with_context(|| {
        let (name, namespace) = (&pod.name, &pod.namespace);
        format!("failed to understand the configuration of {name}.{namespace}")
    })
}
