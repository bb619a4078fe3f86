//! One check: a connection, a request over HTTP, or a call.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use mesh_ir::{HostView, Probe};

use super::grpc;
use crate::health::CheckOutcome;
use crate::http_client;
use crate::outgoing;
use crate::runtime::Transport;
use crate::tls::Offer;
use crate::worker::Io;

/// How Envoy's checks introduce themselves.
pub(super) const USER_AGENT: &str = "Envoy/HC";

/// Most bytes of an answer that are read.
const MAX_BODY: usize = 64 << 10;

/// Whom to ask.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) view: Arc<HostView>,
    pub(super) transport: Transport,
    /// The cluster's name, which counts where no host is configured.
    pub(super) authority: Arc<str>,
}

/// Asks once. The caller limits the time.
pub(super) async fn check(probe: &Probe, target: &Target) -> CheckOutcome {
    let offer = match probe {
        Probe::Tcp => Offer::Tcp,
        Probe::Http { .. } => Offer::Http1,
        Probe::Grpc { .. } => Offer::Http2,
    };
    let Some(io) = connect(target, offer).await else {
        return CheckOutcome::Failed;
    };
    match probe {
        Probe::Tcp => CheckOutcome::Good,
        Probe::Http { host, path } => {
            let host = if host.is_empty() {
                &target.authority
            } else {
                host
            };
            let request = Request::get(&**path)
                .header(header::HOST, &**host)
                .header(header::USER_AGENT, USER_AGENT)
                .body(Empty::<Bytes>::new());
            let Ok(request) = request else {
                return CheckOutcome::Failed;
            };
            match http_client::exchange(io, request, MAX_BODY).await {
                Ok((StatusCode::OK, _)) => CheckOutcome::Good,
                Ok(_) => CheckOutcome::Unwell,
                Err(_) => CheckOutcome::Failed,
            }
        }
        Probe::Grpc { service } => grpc::check(io, &target.authority, service).await,
    }
}

async fn connect(target: &Target, offer: Offer) -> Option<Io> {
    let connecting = outgoing::connect(target.address, None, &target.view);
    let stream = connecting.await.ok()?;
    let io = Io::Plain(stream);
    match &target.transport {
        Transport::Plaintext => Some(io),
        Transport::Tls(tls) => io.connect(tls, offer).await.ok(),
        Transport::NotReady(_) => None,
    }
}
