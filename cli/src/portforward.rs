//! HTTP to pods through the Kubernetes API: the way to every proxy's admin port and to the control plane, in a cluster and in
//! the sandbox alike.
//!
//! ```text
//! command -> Api<Pod>::portforward (WebSocket to the API server) -> the pod's port -> one HTTP/1.1 request
//! ```

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use crate::context::Cluster;

/// How long a whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer that is read; dumps of big proxies have tens of megabytes.
const MOST_BYTES: usize = 512 << 20;

/// A port of a pod.
#[derive(Clone, Copy, Debug)]
pub struct PodPort<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub port: u16,
}

// === impl PodPort ===

impl PodPort<'_> {
    /// The body of a successful `GET`.
    pub async fn get(self, cluster: &Cluster, path: &str) -> anyhow::Result<Bytes> {
        self.ask(cluster, Method::GET, path).await
    }

    /// The body of a successful request without a body of its own.
    pub async fn ask(self, cluster: &Cluster, method: Method, path: &str) -> anyhow::Result<Bytes> {
        let Self {
            namespace,
            pod,
            port,
        } = self;
        let exchange = Box::pin(self.exchange(cluster, method.clone(), path));
        let answer = match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow!("no answer within {} s", TIMEOUT.as_secs())),
        };
        answer.with_context(|| {
            format!("failed to {method} {path} from port {port} of pod {pod}.{namespace}")
        })
    }

    async fn exchange(
        self,
        cluster: &Cluster,
        method: Method,
        path: &str,
    ) -> anyhow::Result<Bytes> {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), self.namespace);
        let forward = pods.portforward(self.pod, &[self.port]).await;
        let mut forward = forward.map_err(|error| cluster.explain(error))?;
        let refused = forward.take_error(self.port);
        let stream = forward
            .take_stream(self.port)
            .context("the API server opened no stream")?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            connection.abort();
            let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?;
            anyhow::Ok((head.status, body.to_bytes()))
        };
        let outcome = answer.await;
        if outcome.is_err()
            && let Some(refused) = refused
            && let Ok(Some(reason)) =
                tokio::time::timeout(Duration::from_millis(200), refused).await
        {
            // What the API server says about the port tells more than that the stream ended.
            bail!("{}", reason.trim());
        }
        forward.abort();
        let (status, body) = outcome?;
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body);
            let first = text.lines().next().unwrap_or_default();
            bail!("it answered {status}: {first}");
        }
        Ok(body)
    }
}
