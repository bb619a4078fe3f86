//! The API server as clients see it: a real server with TLS on loopback, and `kube`'s client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    WatchEvent, WatchParams,
};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use mesh_apiserver::{
    ContainerRun, ExecRequest, HasEnded, Identity, Kubelet, LogOptions, Server, ServerOptions,
    Session,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

mod objects;
mod rbac;
mod webhooks;

const LIMIT: Duration = Duration::from_secs(20);

/// A node that runs nothing; addresses of the cluster are those of this machine.
struct NoPods;

fn no_pods<T: Send + 'static>() -> BoxFuture<'static, io::Result<T>> {
    std::future::ready(Err(io::Error::other("no pod runs here"))).boxed()
}

impl Kubelet for NoPods {
    fn log(
        &self,
        _: ContainerRun,
        _: LogOptions,
        _: HasEnded,
    ) -> BoxFuture<'static, io::Result<BoxStream<'static, Bytes>>> {
        no_pods()
    }

    fn exec(&self, _: ExecRequest) -> BoxFuture<'static, io::Result<Session>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::NotFound.into())))
    }

    fn dial_pod(&self, _: Arc<Pod>, _: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        no_pods()
    }

    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        TcpStream::connect((address, port)).boxed()
    }
}

/// A server of its own, and a client of it.
struct World {
    client: Client,
    server: Server,
    address: SocketAddr,
    ca: String,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity::generate(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]).unwrap();
        let ca = identity.ca.clone();
        let server = Server::start(ServerOptions {
            listeners: vec![listener],
            address,
            identity,
            token: "secret".to_owned(),
            service_range: "127.254.128.0/17".to_owned(),
            kubelet: Arc::new(NoPods),
        })
        .unwrap();
        Self {
            client: client(address, &ca, "secret").await,
            server,
            address,
            ca,
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::default_namespaced(self.client.clone())
    }

    /// Any request, as text.
    async fn raw(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: &str,
    ) -> Result<Value, kube::Error> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .body(body.as_bytes().to_vec())
            .unwrap();
        self.client.request(request).await
    }
}

/// A client with a token.
async fn client(address: SocketAddr, ca: &str, token: &str) -> Client {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://{address}"), "certificate-authority-data": ca}}],
        "users": [{"name": "c", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": "default"}}],
    });
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = kube::config::Kubeconfig::from_yaml(&config.to_string()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: Value) -> ConfigMap {
    parse(json!({"metadata": {"name": name, "labels": {"app": "x"}}, "data": data}))
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

fn version(object: &impl ResourceExt) -> u64 {
    object.resource_version().unwrap().parse().unwrap()
}

/// Waits until a request gives what is wanted.
async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap()
}
