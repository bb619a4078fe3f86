//! The cluster's DNS server: answers for the cluster's names, and asks this machine's server for all others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::names::{DOMAIN, Found, Names, Value};
use super::world::DNS;

/// How long answers may be kept, in seconds, as the DNS servers of clusters have it.
const TTL: u32 = 5;

/// The largest answer by UDP to a client that does not say more.
const SMALL: u16 = 512;

/// The largest message by UDP that is read or sent.
const DATAGRAM: u16 = 4096;

/// Questions to this machine's server at once; more are refused.
const QUESTIONS: usize = 64;

/// Connections at once; more wait.
const CONNECTIONS: usize = 64;

/// How long the machine's server gets.
const UPSTREAM_LIMIT: Duration = Duration::from_secs(4);

/// How long a client may be silent on a connection.
const IDLE: Duration = Duration::from_secs(10);

/// After a failure to read or accept.
const PAUSE: Duration = Duration::from_millis(50);

/// How many aliases are followed within the cluster.
const ALIASES: usize = 8;

/// Asks this machine's DNS server.
pub trait Upstream: Send + Sync + 'static {
    /// A socket that is connected to it.
    fn connect(&self) -> BoxFuture<'_, io::Result<UdpSocket>>;
}

struct Server {
    names: Arc<ArcSwap<Names>>,
    upstream: Option<Arc<dyn Upstream>>,
    questions: Semaphore,
}

/// Starts the server at its address, by UDP and TCP, until `stop`.
///
/// # Errors
/// When the address is taken.
pub fn start(
    names: Arc<ArcSwap<Names>>,
    upstream: Option<Arc<dyn Upstream>>,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> io::Result<()> {
    let address = SocketAddr::from((DNS, 53));
    let udp = std::net::UdpSocket::bind(address)?;
    let tcp = std::net::TcpListener::bind(address)?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
    let server = Arc::new(Server {
        names,
        upstream,
        questions: Semaphore::new(QUESTIONS),
    });
    let (also, until) = (server.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            () = datagrams(udp, also) => {}
        }
    });
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = connections(tcp, server) => {}
        }
    });
    Ok(())
}

async fn datagrams(socket: UdpSocket, server: Arc<Server>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; usize::from(DATAGRAM)];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            // Such as a client that has gone before its answer.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(question) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        let limit = question
            .edns
            .as_ref()
            .map_or(SMALL, |_| question.max_payload().clamp(SMALL, DATAGRAM));
        let send = move |answer: Message, socket: Arc<UdpSocket>| async move {
            if let Some(bytes) = fitting(&answer, usize::from(limit)) {
                let _ = socket.send_to(&bytes, client).await;
            }
        };
        match server.own(&question) {
            Some(answer) => send(answer, socket.clone()).await,
            None => {
                let (server, socket) = (server.clone(), socket.clone());
                tokio::spawn(async move { send(server.asked(&question).await, socket).await });
            }
        }
    }
}

/// A message as bytes; cut off, with a note that it is, where it would be too long.
fn fitting(message: &Message, limit: usize) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    message.truncate().to_vec().ok()
}

async fn connections(listener: TcpListener, server: Arc<Server>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    let _ = timeout(IDLE * 6, connection(stream, &server)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(mut stream: TcpStream, server: &Server) -> io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut bytes = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut bytes)).await??;
        let question = Message::from_vec(&bytes).map_err(io::Error::other)?;
        let answer = match server.own(&question) {
            Some(answer) => answer,
            None => server.asked(&question).await,
        };
        let bytes = answer.to_vec().map_err(io::Error::other)?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&bytes).await?;
    }
}

// === impl Server ===

impl Server {
    /// The answer to a question about the cluster, and to what is no question; nothing for other names.
    fn own(&self, question: &Message) -> Option<Message> {
        own(&self.names.load(), question, self.upstream.is_some())
    }

    /// The answer of this machine's server.
    async fn asked(&self, question: &Message) -> Message {
        let asked = async {
            let upstream = self.upstream.as_ref()?;
            let _place = self.questions.try_acquire().ok()?;
            let socket = upstream.connect().await.ok()?;
            socket.send(&question.to_vec().ok()?).await.ok()?;
            let mut buffer = vec![0; usize::from(DATAGRAM)];
            loop {
                let length = socket.recv(&mut buffer).await.ok()?;
                let answer = Message::from_vec(&buffer[..length]).ok()?;
                if answer.metadata.id == question.metadata.id {
                    return Some(answer);
                }
            }
        };
        let answer = timeout(UPSTREAM_LIMIT, asked).await.ok().flatten();
        answer.unwrap_or_else(|| empty(question, ResponseCode::ServFail))
    }
}

/// The answer to a question by the names of the cluster alone. Without another server, other names are refused.
fn own(names: &Names, question: &Message, has_upstream: bool) -> Option<Message> {
    if question.metadata.message_type != MessageType::Query {
        return Some(empty(question, ResponseCode::FormErr));
    }
    if question.metadata.op_code != OpCode::Query {
        return Some(empty(question, ResponseCode::NotImp));
    }
    let [query] = question.queries.as_slice() else {
        return Some(empty(question, ResponseCode::FormErr));
    };
    let asked = query.name.to_ascii();
    match names.find(&asked) {
        Found::Elsewhere if has_upstream => None,
        Found::Elsewhere => Some(empty(question, ResponseCode::NXDomain)),
        Found::Nothing => {
            let mut answer = empty(question, ResponseCode::NXDomain);
            answer.metadata.authoritative = true;
            answer.add_authorities(authority());
            Some(answer)
        }
        Found::Values(values) => {
            let mut answer = empty(question, ResponseCode::NoError);
            answer.metadata.authoritative = true;
            answer.add_answers(records(names, query, values));
            if answer.answers.is_empty() {
                answer.add_authorities(authority());
            }
            Some(answer)
        }
    }
}

/// An answer without records.
fn empty(question: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.response_code = code;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(question.queries.iter().cloned());
    answer
}

/// The records that a question asks for; aliases come with what they lead to.
fn records(names: &Names, query: &Query, values: Vec<Value>) -> Vec<Record> {
    let mut records = Vec::new();
    let (mut name, mut values) = (query.name.clone(), values);
    for _ in 0..ALIASES {
        let mut next = None;
        for value in values {
            let data = match value {
                Value::Address(address) => RData::A(A(address)),
                Value::Port { port, host } => match Name::from_ascii(host + ".") {
                    Ok(host) => RData::SRV(SRV::new(0, 100, port, host)),
                    Err(_) => continue,
                },
                Value::Name(host) => match Name::from_ascii(host + ".") {
                    Ok(host) => RData::PTR(PTR(host)),
                    Err(_) => continue,
                },
                Value::Alias(other) => match Name::from_ascii(other.clone() + ".") {
                    Ok(host) => {
                        next = Some((host.clone(), other));
                        RData::CNAME(CNAME(host))
                    }
                    Err(_) => continue,
                },
            };
            let kind = data.record_type();
            if kind == query.query_type
                || kind == RecordType::CNAME
                || query.query_type == RecordType::ANY
            {
                records.push(Record::from_rdata(name.clone(), TTL, data));
            }
        }
        let Some((host, other)) = next else { break };
        let Found::Values(more) = names.find(&other) else {
            break;
        };
        (name, values) = (host, more);
    }
    records
}

/// Who answers for the cluster's domain, which also says how long it may be remembered that a name does not exist.
fn authority() -> Vec<Record> {
    let name = |text: &str| Name::from_ascii(text).ok();
    let records = || {
        let (zone, server) = (
            name(&format!("{DOMAIN}."))?,
            name(&format!("ns.dns.{DOMAIN}."))?,
        );
        let mail = name(&format!("hostmaster.{DOMAIN}."))?;
        let data = SOA::new(server, mail, 1, 7200, 1800, 86400, TTL);
        Some(Record::from_rdata(zone, TTL, RData::SOA(data)))
    };
    records().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::KnownServices;

    fn ask(name: &str, kind: RecordType, has_upstream: bool) -> Option<Message> {
        let service = |name: &str, spec: serde_json::Value| {
            let value =
                serde_json::json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let known = KnownServices {
            services: vec![
                service("web", serde_json::json!({"clusterIP": "10.96.0.20"})),
                service(
                    "alias",
                    serde_json::json!({"type": "ExternalName", "externalName": "web.n.svc.cluster.local"}),
                ),
            ],
            ..KnownServices::default()
        };
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let bytes = question.to_vec().unwrap();
        let answer = own(
            &Names::of(&known),
            &Message::from_vec(&bytes).unwrap(),
            has_upstream,
        )?;
        Some(Message::from_vec(&answer.to_vec().unwrap()).unwrap())
    }

    fn shown(answer: &Message) -> Vec<String> {
        let records = answer.answers.iter();
        records.map(|record| format!("{}", record.data)).collect()
    }

    #[test]
    fn questions_about_the_cluster_are_answered() {
        let answer = ask("web.n.svc.cluster.local.", RecordType::A, true).unwrap();
        assert_eq!(shown(&answer), ["10.96.0.20"]);
        assert!(answer.metadata.authoritative && answer.metadata.id == 7);
        let other = ask("web.n.svc.cluster.local.", RecordType::AAAA, true).unwrap();
        assert_eq!(
            (other.metadata.response_code, shown(&other).len()),
            (ResponseCode::NoError, 0),
            "a name without such an address exists"
        );
        let alias = ask("alias.n.svc.cluster.local.", RecordType::A, true).unwrap();
        assert_eq!(shown(&alias), ["web.n.svc.cluster.local.", "10.96.0.20"]);
        let gone = ask("gone.n.svc.cluster.local.", RecordType::A, true).unwrap();
        assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(gone.authorities.len(), 1);
    }

    #[test]
    fn other_questions_are_for_others() {
        assert_eq!(ask("example.com.", RecordType::A, true), None);
        let alone = ask("example.com.", RecordType::A, false).unwrap();
        assert_eq!(alone.metadata.response_code, ResponseCode::NXDomain);
    }
}
