//! What only a node knows of its pods, and reaches: their logs, their ports, and the addresses of the cluster.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpStream;

use super::exec::Session;

/// One run of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRun {
    /// The pod's uid.
    pub uid: String,
    pub container: String,
    /// How often the container had been started again before.
    pub run: i32,
}

/// What of a log is wanted, in the terms of `pods/log`.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Go on until the container's run has ended.
    pub follow: bool,
    /// Only the last lines of what is there.
    pub tail: Option<usize>,
    /// Only lines written at this time or later.
    pub since: Option<Timestamp>,
    /// Every line with its time in front.
    pub timestamps: bool,
    /// No more than about so many bytes.
    pub limit: Option<usize>,
}

/// A program to run in a container, or to be attached to.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    pub pod: Arc<Pod>,
    pub container: String,
    /// The program with its arguments; empty to attach to the container's own.
    pub command: Vec<String>,
    pub has_input: bool,
    pub has_output: bool,
    pub has_errors: bool,
    pub has_terminal: bool,
}

/// Tells whether the run that writes a log is over.
pub type HasEnded = Box<dyn Fn() -> bool + Send + Sync>;

/// The node, as the API server asks it.
pub trait Kubelet: Send + Sync + 'static {
    /// The log of a run; a failure before its first line is the answer to the request.
    fn log(
        &self,
        run: ContainerRun,
        options: LogOptions,
        ended: HasEnded,
    ) -> BoxFuture<'static, io::Result<BoxStream<'static, Bytes>>>;

    /// Runs a program in a container, or attaches to the container's own.
    fn exec(&self, request: ExecRequest) -> BoxFuture<'static, io::Result<Session>>;

    /// Connects to a port of a pod as from inside it.
    fn dial_pod(&self, pod: Arc<Pod>, port: u16) -> BoxFuture<'static, io::Result<TcpStream>>;

    /// Connects to an address of the cluster, such as an endpoint of a Service.
    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>>;
}
