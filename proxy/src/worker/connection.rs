//! A connection that was just accepted: where it was meant to go, what is spoken on it, and who serves it.
//!
//! ```text
//! accept --original destination--> listener --first bytes, where they matter--> chain --> http or tcp
//!           |
//!           +-- without capture by the kernel, from each request: proxied
//! ```

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use mesh_ir::Capture;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::binding::{Binding, Detected};
use super::client::Client;
use super::http2::is_preface;
use super::io::Io;
use super::local::Worker;
use super::policies::Denied;
use super::proxy_protocol::{self, Told};
use super::scratch::Scratch;
use super::thread::ConnectionGuard;
use super::{http, proxied, tcp};
use crate::http1::begins_with_method;
use crate::runtime::{ChainTls, Looks, Network};
use crate::tls::Hello;

/// How long the first bytes are waited for. Where the server speaks first, nothing comes; then the connection is passed through.
const DETECTION: Duration = Duration::from_secs(2);

/// Serves a connection until it ends; that is when the guard is dropped.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Arc<str>,
    guard: ConnectionGuard,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // A socket that cannot be told so is slower, but works.
    let _ = stream.set_nodelay(true);
    let mut client = Client::new(Io::Plain(stream), remote, local, guard.direction());
    client.take_drain_guard(&worker).await;
    let cells = worker.metrics.cells();
    cells.downstream_cx_total.inc();
    cells.downstream_cx_active.inc();
    enter(&worker, &mut client, &listener).await;
    worker.metrics.cells().downstream_cx_active.dec();
}

async fn enter(worker: &Rc<Worker>, client: &mut Client, name: &Arc<str>) {
    // Waits and connections must hold no runtime, so all that is needed of it is looked up first.
    let Some(listener) = worker.runtime().shared.listener(name).cloned() else {
        return;
    };
    let mut destination = client.local;
    let mut scratch = None;
    if listener.config.inspect.proxy_protocol {
        match proxy_protocol::read(worker, client).await {
            Ok((told, rest)) => {
                if let Some(Told {
                    client: remote,
                    destination: original,
                }) = told
                {
                    client.remote = remote;
                    destination = original;
                }
                scratch = rest;
            }
            Err(error) => {
                worker.metrics.cells().downstream_protocol_error.inc();
                tracing::debug!(client = %client.remote, listener = &**name, %error, "no PROXY protocol");
                return;
            }
        }
    }
    if listener.needs_destination()
        && let Some(original) = client.io.socket().and_then(original_destination)
    {
        destination = original;
    }
    let loopback = matches!(worker.shared.options.capture, Capture::Loopback { .. });
    if listener.config.use_original_destination {
        if loopback && destination == client.local {
            return Box::pin(proxied::serve(worker, client, name.clone())).await;
        }
        let runtime = worker.runtime();
        let own = runtime.shared.destination(destination);
        let name = own.unwrap_or(&listener).config.name.clone();
        drop((runtime, listener));
        return to_listener(worker, client, &name, destination, scratch).await;
    }
    drop(listener);
    to_listener(worker, client, name, destination, scratch).await;
}

/// Serves a connection by the chains of a listener.
pub async fn to_listener(
    worker: &Rc<Worker>,
    client: &mut Client,
    name: &Arc<str>,
    destination: SocketAddr,
    scratch: Option<Box<Scratch>>,
) {
    let mut scratch = scratch;
    let looks = {
        let runtime = worker.runtime();
        let listener = runtime.shared.listener(name);
        listener.map_or_else(Looks::default, |listener| listener.looks(destination))
    };
    let detected = if looks == Looks::default() {
        Detected::Nothing
    } else {
        detect(worker, client, &mut scratch, looks).await
    };
    let addresses = (client.remote, destination);
    let Some(binding) = Binding::new(worker.runtime(), name, addresses, detected.clone()) else {
        worker.metrics.cells().no_filter_chain_match.inc();
        return;
    };
    match &binding.chain.tls {
        ChainTls::None => {}
        ChainTls::Ended(tls) => {
            let hello = match &detected {
                Detected::Tls(hello) => Some(&**hello),
                Detected::Nothing | Detected::Http1 | Detected::Http2 => None,
            };
            let accepted = Box::pin(client.accept(worker, tls, hello, scratch.take())).await;
            if let Err(error) = accepted {
                tracing::debug!(client = %client.remote, listener = &**name, %error, "TLS handshake failed");
                return;
            }
        }
        ChainTls::NotReady => return,
    }
    let (facts, tls) = (client.facts(destination), client.tls_facts());
    let admitted = worker
        .authorize(&binding.runtime, &binding.chain, &facts, tls)
        .await;
    match admitted {
        Ok(()) => serve_by(worker, client, name, binding, scratch).await,
        Err(denied) => refuse(worker, client, name, &binding, &denied),
    }
}

/// Closes a connection that policies deny, as Envoy does, and leaves its record.
fn refuse(
    worker: &Rc<Worker>,
    client: &Client,
    listener: &str,
    binding: &Binding,
    denied: &Denied,
) {
    let listener = binding.runtime.shared.listener(listener);
    if let (Network::Tcp(tcp), Some(listener)) = (&binding.chain.network, listener) {
        let flow = (listener.config.direction, binding.destination());
        tcp::refuse(worker, client, &binding.runtime, tcp, flow, denied);
    }
}

/// Serves a connection by its chain.
async fn serve_by(
    worker: &Rc<Worker>,
    client: &mut Client,
    listener: &str,
    binding: Binding,
    scratch: Option<Box<Scratch>>,
) {
    let chain = match &binding.chain.network {
        Network::Http(_) => return http::serve(worker, client, binding, scratch).await,
        Network::Tcp(_) => binding.chain.clone(),
    };
    if let Network::Tcp(tcp) = &chain.network {
        let destination = binding.destination();
        let runtime = binding.runtime;
        let listener = runtime.shared.listener(listener);
        let Some(direction) = listener.map(|listener| listener.config.direction) else {
            return;
        };
        let flow = (direction, destination);
        Box::pin(tcp::serve(worker, client, runtime, tcp, flow, scratch)).await;
    }
}

/// What the first bytes show. They stay in `scratch`.
async fn detect(
    worker: &Rc<Worker>,
    client: &mut Client,
    scratch: &mut Option<Box<Scratch>>,
    looks: Looks,
) -> Detected {
    client.timer.set_after(Instant::now(), Some(DETECTION));
    let mut taken = scratch.take().unwrap_or_else(|| worker.scratch());
    let found = poll_fn(|cx| {
        loop {
            if let Some(found) = recognise(taken.input.filled(), looks) {
                return Poll::Ready(found);
            }
            match taken.input.poll_read(&mut client.io, cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Detected::Nothing),
                Poll::Pending => {
                    ready!(client.timer.poll(cx));
                    return Poll::Ready(Detected::Nothing);
                }
            }
        }
    })
    .await;
    if taken.input.is_empty() {
        worker.give_back(taken);
    } else {
        *scratch = Some(taken);
    }
    found
}

/// What bytes show of what is looked for; none if there are too few to tell.
fn recognise(bytes: &[u8], looks: Looks) -> Option<Detected> {
    if looks.tls {
        match Hello::of(bytes) {
            Hello::More => return None,
            Hello::Tls(hello) => return Some(Detected::Tls(Rc::new(hello))),
            Hello::Other => {}
        }
    }
    if !looks.http {
        return Some(Detected::Nothing);
    }
    match (begins_with_method(bytes), is_preface(bytes)) {
        (Some(true), _) => Some(Detected::Http1),
        (_, Some(true)) => Some(Detected::Http2),
        (Some(false), Some(false)) => Some(Detected::Nothing),
        _ => None,
    }
}

/// Where the kernel was told to connect to before it redirected the connection here; none if it did not.
fn original_destination(stream: &TcpStream) -> Option<SocketAddr> {
    let socket = socket2::SockRef::from(stream);
    let original = match stream.local_addr().ok()? {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    original.ok()?.as_socket()
}

#[cfg(test)]
mod tests {
    use super::{Detected, recognise};
    use crate::runtime::Looks;

    #[test]
    fn http2_is_recognised_by_its_preface() {
        let looks = Looks {
            http: true,
            ..Looks::default()
        };
        let of = |bytes: &[u8]| recognise(bytes, looks);
        assert!(matches!(
            of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0"),
            Some(Detected::Http2)
        ));
        assert!(of(b"PRI * HTTP/2.0\r\n").is_none());
        assert!(matches!(of(b"PRI * HTTP/1.1\r\n"), Some(Detected::Nothing)));
    }
}
