//! The node as the API server asks it: logs from the state directory, connections by the back end.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use mesh_apiserver::{ContainerRun, ExecRequest, HasEnded, Kubelet, LogOptions, Session};
use mesh_node::{self as node, Images, PodRuntime, Pods, Selection};
use tokio::net::TcpStream;

/// The node of this process.
pub struct LocalKubelet {
    runtime: Arc<dyn PodRuntime>,
    pods: Pods,
    images: Images,
    /// The sandbox's state directory, where the node keeps logs.
    directory: PathBuf,
}

// === impl LocalKubelet ===

impl LocalKubelet {
    /// The node of a back end, its pods, what images stand for and a state directory.
    pub fn new(runtime: Arc<dyn PodRuntime>, pods: Pods, images: Images, directory: &Path) -> Self {
        Self {
            runtime,
            pods,
            images,
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

    fn exec(&self, request: ExecRequest) -> BoxFuture<'static, io::Result<Session>> {
        let (pods, images) = (self.pods.clone(), self.images.clone());
        async move {
            let ExecRequest {
                pod,
                container,
                command,
                has_input,
                has_output,
                has_errors,
                has_terminal,
            } = request;
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            let program = if command.is_empty() {
                node::attach(&pods, uid, &container, has_input)?
            } else {
                node::exec((&pods, &images), uid, &container, command, has_terminal).await?
            };
            let node::ExecProgram {
                input,
                output,
                errors,
                resize,
                ended,
            } = program;
            Ok(Session {
                // Without its writer the input of a program has ended.
                input: input.filter(|_| has_input),
                output: output.filter(|_| has_output),
                errors: errors.filter(|_| has_errors),
                resize,
                ended,
            })
        }
        .boxed()
    }

    fn dial_pod(&self, pod: Arc<Pod>, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        let handle = self
            .pods
            .get(pod.metadata.uid.as_deref().unwrap_or_default());
        match handle {
            Some(handle) => handle.dial(port),
            None => std::future::ready(Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the pod does not run",
            )))
            .boxed(),
        }
    }

    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.runtime.dial(address, port)
    }
}
