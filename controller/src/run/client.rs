//! The cluster's client: from a kubeconfig, or from what a pod finds around it.

use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use mesh_ir::HostView;

use super::{BadInput, BadUsage};
use crate::args::Args;

/// Directory of the service account inside a pod.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The cluster's client, unless configuration comes from a directory.
pub async fn client(args: &Args, view: &HostView) -> anyhow::Result<Option<Client>> {
    if args.config_dir.is_some() {
        return Ok(None);
    }
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).with_context(|| {
                BadInput(format!("failed to read the kubeconfig {}", path.display()))
            })?;
            let options = KubeConfigOptions {
                context: args.context.clone(),
                ..KubeConfigOptions::default()
            };
            let unusable = || BadInput(format!("failed to use the kubeconfig {}", path.display()));
            kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(unusable)?
        }
        None => in_cluster(view)?,
    };
    // The client's own retries begin after 5 ms and end up minutes apart; who asks has a pause of its own.
    config.default_retry = false;
    tracing::info!(server = %config.cluster_url, "watching the cluster");
    Ok(Some(Client::try_from(config)?))
}

/// The configuration that a pod finds in its environment and its service account's directory, below its root where the
/// container has no file system of its own.
fn in_cluster(view: &HostView) -> anyhow::Result<kube::Config> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| {
            BadUsage(format!("failed to find a cluster: {name} is not set; give --kubeconfig or --configDir outside of one"))
        })
    };
    let (host, port) = (
        variable("KUBERNETES_SERVICE_HOST")?,
        variable("KUBERNETES_SERVICE_PORT")?,
    );
    let directory = view.path(SERVICE_ACCOUNT).display().to_string();
    let read = |file: &str| {
        let path = format!("{directory}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let url = format!("https://{host}:{port}")
        .parse()
        .context("failed to read the API server's address")?;
    let mut config = kube::Config::new(url);
    // Read again and again by the client, as the token is: both are rotated.
    // Nothing is trusted beside them: without an own list, the client would ask for the system's, and images have none.
    config.root_cert = Some(Vec::new());
    config.root_cert_file = Some(format!("{directory}/ca.crt").into());
    config.default_namespace = read("namespace")?.trim().to_owned();
    config.auth_info.token_file = Some(format!("{directory}/token"));
    config.connect_timeout = Some(Duration::from_secs(10));
    Ok(config)
}
