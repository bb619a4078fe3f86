//! Outbound traffic that no kernel redirects: applications ask the sidecar as an HTTP proxy, and the authority of each request is
//! its original destination.
//!
//! ```text
//! GET http://reviews:9080/ --> reviews:9080 --names--> address --> listener, chain, routes as for a redirected connection
//! CONNECT db:3306          --> db:3306      --names--> address --> listener, chain; the bytes that follow are the connection
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use mesh_ir::evaluate::{ConnectionFacts, HttpPolicy};
use mesh_ir::{Direction, HttpConnectionManager, Routes as RoutesConfig};

use super::binding::{Binding, Detected, IdleBinding};
use super::client::{Arrival, Client};
use super::connection::to_listener;
use super::exchange::{Exchange, RequestContext};
use super::local::Worker;
use super::scratch::Scratch;
use super::stream::Next;
use super::{http, resolve, tcp};
use crate::http1::{Form, RequestRef};
use crate::rate_limit::{GlobalLimits, Limits};
use crate::runtime::{Http, Network, Routes, Source};
use crate::telemetry::ListenerTelemetry;

/// The destination of the last request, as clients mostly stay with one.
struct Known<B> {
    authority: Vec<u8>,
    binding: B,
    address: Option<SocketAddr>,
}

impl<B> Known<B> {
    fn map<C>(self, change: impl FnOnce(B) -> Option<C>) -> Option<Known<C>> {
        Some(Known {
            authority: self.authority,
            binding: change(self.binding)?,
            address: self.address,
        })
    }
}

/// Serves a connection until it ends.
pub async fn serve(worker: &Rc<Worker>, client: &mut Client, listener: Arc<str>) {
    let fallback = no_routes(Arc::default());
    let mut scratch = None;
    let mut resting: Option<Known<IdleBinding>> = None;
    loop {
        let arrival = client
            .arrival(worker, scratch.take(), Some(http::IDLE), || false)
            .await;
        let known = resting
            .take()
            .and_then(|known| known.map(|binding| binding.resume(worker)));
        // What cannot be understood goes to nobody's log but the listener's own.
        let log = known
            .as_ref()
            .and_then(|known| match &known.binding.chain.network {
                Network::Http(http) => Some(http),
                Network::Tcp(_) => None,
            });
        let refused = log.unwrap_or(&fallback);
        let Some((mut arrived, begun)) =
            http::head(worker, client, refused, client.local, arrival).await
        else {
            return;
        };
        let request = RequestRef {
            head: &arrived.request,
            bytes: arrived.input.filled(),
        };
        if arrived.request.form == Form::Authority {
            let authority = String::from_utf8_lossy(request.authority()).into_owned();
            drop(known);
            return tunnel(worker, client, &listener, &authority, arrived).await;
        }
        let known = known
            .filter(|known| known.authority == request.authority())
            .or_else(|| find(worker, &listener, client.remote, request));
        let Some(mut known) = known else {
            worker.metrics.cells().no_filter_chain_match.inc();
            return worker.give_back(arrived);
        };
        let http = match &known.binding.chain.network {
            Network::Http(http) => http,
            Network::Tcp(_) => &fallback,
        };
        if let Err(refusal) = arrived.normalize_path(http.config.normalization) {
            let destination = known.binding.destination();
            let arrival = Arrival::Refused(arrived, begun, refusal);
            http::head(worker, client, http, destination, arrival).await;
            return;
        }
        let next = exchange(worker, client, &mut known, &mut arrived, begun).await;
        resting = known.map(|binding| Some(binding.rest()));
        match next {
            Next::Keep if arrived.input.is_empty() => worker.give_back(arrived),
            Next::Keep => scratch = Some(arrived),
            Next::Close => {
                worker.give_back(arrived);
                return client.linger(worker).await;
            }
            Next::Abort => return worker.give_back(arrived),
        }
    }
}

async fn exchange(
    worker: &Rc<Worker>,
    client: &mut Client,
    known: &mut Known<Binding>,
    arrived: &mut Scratch,
    begun: tokio::time::Instant,
) -> Next {
    let Known {
        authority,
        binding,
        address,
    } = known;
    if binding.retired {
        arrived.request.keep_alive = false;
    }
    let plain;
    let (http, routes, direct) = match &binding.chain.network {
        Network::Http(http) => (http, http.routes.as_deref(), None),
        // A request to a port of TCP goes where the connection would go.
        Network::Tcp(tcp) => {
            plain = no_routes(tcp.telemetry.clone());
            (
                &plain,
                None,
                Some(tcp::cluster(worker, &binding.runtime, tcp)),
            )
        }
    };
    let request = RequestRef {
        head: &arrived.request,
        bytes: arrived.input.filled(),
    };
    let direct = direct.flatten();
    let original = match (&direct, routes) {
        (Some(cluster), _) => matches!(cluster.cluster.source, Source::OriginalDestination),
        (None, Some(routes)) => goes_to_original(&binding.runtime.shared, routes, request),
        (None, None) => false,
    };
    if original && address.is_none() {
        *address = resolve::lookup(
            worker,
            &String::from_utf8_lossy(authority),
            default_port(request),
        )
        .await;
    }
    let context = RequestContext {
        http,
        routes,
        direct: direct.as_ref(),
        destination: address.unwrap_or(binding.destination()),
        known_destination: address.is_some(),
        direction: Direction::Outbound,
    };
    Exchange::serve_http1(worker, &binding.runtime, client, context, begun, arrived).await
}

/// Whether a request goes to the address that the client meant, so that it must be known.
fn goes_to_original(
    runtime: &crate::runtime::Runtime,
    routes: &Routes,
    request: RequestRef<'_>,
) -> bool {
    let Some(matched) = routes.table.route(&request) else {
        return false;
    };
    let clusters = routes.targets(&matched).iter().flatten();
    clusters
        .filter_map(|id| runtime.cluster(*id))
        .any(|cluster| matches!(cluster.source, Source::OriginalDestination))
}

/// The chain for a request's authority.
fn find(
    worker: &Rc<Worker>,
    own: &Arc<str>,
    source: SocketAddr,
    request: RequestRef<'_>,
) -> Option<Known<Binding>> {
    let runtime = worker.runtime();
    let authority = String::from_utf8_lossy(request.authority()).into_owned();
    let (host, port) = resolve::split(&authority, default_port(request));
    let address = resolve::known(&runtime.shared, host).map(|ip| SocketAddr::new(ip, port));
    let destination = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    let name = match runtime.shared.destination(destination) {
        Some(listener) => listener.config.name.clone(),
        None => own.clone(),
    };
    // The request itself shows that HTTP is spoken.
    let binding = Binding::new(runtime, &name, (source, destination), Detected::Http1)?;
    let connection = ConnectionFacts::plaintext(source, destination);
    Some(Known {
        binding: Some(binding).filter(|binding| worker.admits(&binding.chain, &connection))?,
        authority: authority.into_bytes(),
        address,
    })
}

fn default_port(request: RequestRef<'_>) -> u16 {
    if request.scheme() == b"https" {
        443
    } else {
        80
    }
}

/// Serves what follows a `CONNECT` as a connection to its authority.
async fn tunnel(
    worker: &Rc<Worker>,
    client: &mut Client,
    own: &Arc<str>,
    authority: &str,
    arrived: Box<Scratch>,
) {
    let mut arrived = arrived;
    let Some(destination) = resolve::lookup(worker, authority, 443).await else {
        let reply = super::reply::Reply::NO_ENDPOINT;
        arrived.reply.clear();
        reply.write(&mut arrived.reply, b"", b"envoy", None, false, true);
        // The client learns of it one way or the other.
        let _ = client.send(&arrived.reply).await;
        worker.give_back(arrived);
        return client.linger(worker).await;
    };
    if client.send(b"HTTP/1.1 200 OK\r\n\r\n").await.is_err() {
        return worker.give_back(arrived);
    }
    arrived.input.consume(arrived.request.length);
    let scratch = if arrived.input.is_empty() {
        worker.give_back(arrived);
        None
    } else {
        Some(arrived)
    };
    let runtime = worker.runtime();
    let name = match runtime.shared.destination(destination) {
        Some(listener) => listener.config.name.clone(),
        None => own.clone(),
    };
    drop(runtime);
    Box::pin(to_listener(worker, client, &name, destination, scratch)).await;
}

/// How requests are served where there are no routes.
fn no_routes(telemetry: Arc<ListenerTelemetry>) -> Http {
    Http {
        config: HttpConnectionManager::new(
            "".into(),
            Direction::Outbound,
            RoutesConfig::Discovered("".into()),
        ),
        policy: HttpPolicy::default(),
        limits: Limits::default(),
        global_limits: GlobalLimits::default(),
        tokens: None,
        routes: None,
        telemetry,
    }
}
