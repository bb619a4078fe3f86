//! Asks the servers of `resolv.conf`.
//!
//! Each question has a socket and a number of its own, so that nobody else can answer it who does not see it. A server that fails or is
//! silent is followed by the next.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use mesh_ir::HostView;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::wire;

/// Questions at once; more are not asked.
const QUESTIONS: usize = 512;

/// How long one server gets, and all together.
const SERVER_LIMIT: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(5);

/// How often each server is asked.
const ROUNDS: usize = 2;

/// The servers.
#[derive(Debug)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    view: Arc<HostView>,
    questions: Semaphore,
}

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

// === impl Upstream ===

impl Upstream {
    /// These servers, asked by a proxy that runs there.
    pub fn new(servers: Vec<SocketAddr>, view: Arc<HostView>) -> Self {
        Self {
            servers,
            view,
            questions: Semaphore::new(QUESTIONS),
        }
    }

    /// The answer to a question with the question's number; none if no server has any.
    pub(super) async fn ask(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let asked = Message::from_vec(question).ok()?;
        let _place = self.questions.try_acquire().ok()?;
        let mut last = None;
        // What a server has said at least counts when the time is over.
        let _ = timeout(LIMIT, self.rounds(question, &asked, transport, &mut last)).await;
        let mut answer = last?;
        wire::set_id(&mut answer, asked.metadata.id);
        Some(answer)
    }

    async fn rounds(
        &self,
        question: &[u8],
        asked: &Message,
        transport: Transport,
        last: &mut Option<Vec<u8>>,
    ) {
        for _ in 0..ROUNDS {
            for server in &self.servers {
                let mut question = question.to_vec();
                let id = rand::random();
                wire::set_id(&mut question, id);
                let asking = async {
                    match transport {
                        Transport::Udp => self.by_udp(*server, &question, asked).await,
                        Transport::Tcp => self.by_tcp(*server, &question, asked).await,
                    }
                };
                if let Ok(Ok((answer, code))) = timeout(SERVER_LIMIT, asking).await {
                    *last = Some(answer);
                    if !matches!(code, ResponseCode::ServFail | ResponseCode::Refused) {
                        return;
                    }
                }
            }
        }
    }

    async fn by_udp(
        &self,
        server: SocketAddr,
        question: &[u8],
        asked: &Message,
    ) -> io::Result<(Vec<u8>, ResponseCode)> {
        let socket = wire::datagrams(server, &self.view).await?;
        socket.send(question).await?;
        let mut buffer = vec![0; wire::DATAGRAM];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let answer = buffer.get(..length).unwrap_or_default();
            if let Some(code) = code(answer, question, asked) {
                return Ok((answer.to_vec(), code));
            }
        }
    }

    async fn by_tcp(
        &self,
        server: SocketAddr,
        question: &[u8],
        asked: &Message,
    ) -> io::Result<(Vec<u8>, ResponseCode)> {
        let mut stream = wire::connection(server, &self.view).await?;
        wire::write(&mut stream, question).await?;
        let answer = wire::read(&mut stream).await?;
        match code(&answer, question, asked) {
            Some(code) => Ok((answer, code)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The code of a message that answers a question; none for other messages.
fn code(answer: &[u8], question: &[u8], asked: &Message) -> Option<ResponseCode> {
    if wire::id(answer) != wire::id(question) {
        return None;
    }
    let answer = Message::from_vec(answer).ok()?;
    let belongs = answer.metadata.message_type == MessageType::Response
        // Servers that cannot read a question do not repeat it.
        && (answer.queries == asked.queries || answer.queries.is_empty());
    belongs.then_some(answer.metadata.response_code)
}
