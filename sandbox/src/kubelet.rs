//! The node as the API server asks it: logs from the state directory, connections by the back end.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use mesh_apiserver::{ContainerRun, HasEnded, Kubelet, LogOptions};
use mesh_node::{self as node, Backend, Selection};
use tokio::net::TcpStream;

/// The node of this process.
pub struct LocalKubelet {
    backend: Arc<dyn Backend>,
    /// The sandbox's state directory, where the node keeps logs.
    directory: PathBuf,
}

// === impl LocalKubelet ===

impl LocalKubelet {
    /// The node of a back end and a state directory.
    pub fn new(backend: Arc<dyn Backend>, directory: &Path) -> Self {
        Self {
            backend,
            directory: directory.to_owned(),
        }
    }
}

impl Kubelet for LocalKubelet {
    fn log(
        &self,
        run: ContainerRun,
        options: LogOptions,
        ended: HasEnded,
    ) -> BoxFuture<'static, io::Result<BoxStream<'static, bytes::Bytes>>> {
        let ContainerRun {
            uid,
            container,
            run,
        } = run;
        let LogOptions {
            follow,
            tail,
            since,
            timestamps,
            limit,
        } = options;
        let selection = Selection {
            follow,
            tail,
            since,
            timestamps,
            limit,
        };
        let path = node::log_path(&self.directory, &uid, &container, run);
        async move { Ok(node::read_log(path, selection, ended).boxed()) }.boxed()
    }

    fn dial_pod(&self, pod: Arc<Pod>, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        let backend = self.backend.clone();
        async move { node::dial_pod(&*backend, &pod, port).await }.boxed()
    }

    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.backend.dial(address, port)
    }
}
