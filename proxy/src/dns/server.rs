//! The server: questions over UDP and TCP, as many at once as there is room for.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use mesh_ir::HostView;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::{Verdict, decide, empty};
use super::upstream::{Transport, Upstream};
use super::wire;

/// Questions by UDP that wait for other servers at once; more are answered with a failure.
const WAITING: usize = 512;

/// Connections at once; more wait.
const CONNECTIONS: usize = 128;

/// How long a client may be silent on a connection.
const IDLE: Duration = Duration::from_secs(10);

/// After a failure to read or to accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Finds the addresses of lower-case names.
pub trait Names: Fn(&str) -> Option<Arc<[IpAddr]>> + Send + Sync + 'static {}

impl<F: Fn(&str) -> Option<Arc<[IpAddr]>> + Send + Sync + 'static> Names for F {}

/// The sockets.
#[derive(Debug)]
pub struct Server {
    udp: UdpSocket,
    tcp: TcpListener,
}

struct Answering<N> {
    names: N,
    search: Vec<String>,
    upstream: Arc<Upstream>,
}

// === impl Server ===

impl Server {
    /// Opens an address for UDP and TCP, for a proxy that runs there.
    ///
    /// # Errors
    /// When it is taken, or must not be bound.
    pub async fn bind(address: SocketAddr, view: &HostView) -> io::Result<Self> {
        let udp = UdpSocket::bind(address).await?;
        let tcp = TcpListener::bind(address).await?;
        wire::mark(socket2::SockRef::from(&udp), view)?;
        // Connections have what their listener has.
        wire::mark(socket2::SockRef::from(&tcp), view)?;
        Ok(Self { udp, tcp })
    }

    /// Answers for as long as it is polled. Names that `names` does not know are for the servers `upstream`.
    pub async fn run<N: Names>(self, names: N, search: Vec<String>, upstream: Arc<Upstream>) {
        let answering = Arc::new(Answering {
            names,
            search,
            upstream,
        });
        tokio::join!(
            datagrams(self.udp, answering.clone()),
            connections(self.tcp, answering)
        );
    }
}

async fn datagrams<N: Names>(socket: UdpSocket, answering: Arc<Answering<N>>) {
    let socket = Arc::new(socket);
    let waiting = Arc::new(Semaphore::new(WAITING));
    let mut buffer = vec![0; wire::DATAGRAM];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            // Such as a client that has gone before its answer.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        let question = match Message::from_vec(bytes) {
            Ok(question) => question,
            Err(_) => {
                if let Some(answer) = wire::malformed(bytes) {
                    let _ = socket.send_to(&answer, client).await;
                }
                continue;
            }
        };
        let limit = wire::limit(&question);
        let exists = match answering.decide(&question) {
            Verdict::Answer(answer) => {
                send(&socket, client, answer.to_vec().ok(), limit).await;
                continue;
            }
            Verdict::Upstream { exists } => exists,
        };
        let Ok(place) = waiting.clone().try_acquire_owned() else {
            let failure = empty(&question, ResponseCode::ServFail).to_vec();
            send(&socket, client, failure.ok(), limit).await;
            continue;
        };
        let (bytes, socket, answering) = (bytes.to_vec(), socket.clone(), answering.clone());
        tokio::spawn(async move {
            let asked = answering.ask(&bytes, &question, exists, Transport::Udp);
            send(&socket, client, asked.await, limit).await;
            drop(place);
        });
    }
}

async fn send(socket: &UdpSocket, client: SocketAddr, answer: Option<Vec<u8>>, limit: usize) {
    if let Some(bytes) = answer.and_then(|answer| wire::fitting(answer, limit)) {
        let _ = socket.send_to(&bytes, client).await;
    }
}

async fn connections<N: Names>(listener: TcpListener, answering: Arc<Answering<N>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answering = answering.clone();
                tokio::spawn(async move {
                    // However it ends, there is nobody left to tell.
                    let _ = connection(stream, &answering).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection<N: Names>(mut stream: TcpStream, answering: &Answering<N>) -> io::Result<()> {
    loop {
        let bytes = within(IDLE, wire::read(&mut stream)).await?;
        let question = match Message::from_vec(&bytes) {
            Ok(question) => question,
            Err(_) => {
                let answer = wire::malformed(&bytes).ok_or(io::ErrorKind::InvalidData)?;
                return within(IDLE, wire::write(&mut stream, &answer)).await;
            }
        };
        let answer = match answering.decide(&question) {
            Verdict::Answer(answer) => answer.to_vec().map_err(io::Error::other)?,
            Verdict::Upstream { exists } => answering
                .ask(&bytes, &question, exists, Transport::Tcp)
                .await
                .ok_or(io::ErrorKind::InvalidData)?,
        };
        within(IDLE, wire::write(&mut stream, &answer)).await?;
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await?
}

// === impl Answering ===

impl<N: Names> Answering<N> {
    fn decide(&self, question: &Message) -> Verdict {
        decide(&self.names, &self.search, question)
    }

    /// The answer of another server; a failure where none answers. A name that `exists` here is not denied.
    async fn ask(
        &self,
        bytes: &[u8],
        question: &Message,
        exists: bool,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let Some(answer) = self.upstream.ask(bytes, transport).await else {
            return empty(question, ResponseCode::ServFail).to_vec().ok();
        };
        if exists
            && let Ok(mut denied) = Message::from_vec(&answer)
            && denied.metadata.response_code == ResponseCode::NXDomain
        {
            denied.metadata.response_code = ResponseCode::NoError;
            return denied.to_vec().ok();
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests;
