//! Messages as they travel: over UDP alone, over TCP behind their length.

use std::io;
use std::net::SocketAddr;

use hickory_proto::op::Message;
use mesh_ir::HostView;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

/// Length of a message's head.
pub(super) const HEAD: usize = 12;

/// The largest message by UDP that is read from anybody.
pub(super) const DATAGRAM: usize = 4096;

/// The largest answer by UDP to a client that does not say more.
const SMALL: u16 = 512;

/// The flag of answers, and the one of answers that were cut off, in the third byte of the head.
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;

/// Reads a message from a connection.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Writes a message to a connection.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], message].concat();
    stream.write_all(&framed).await
}

/// A socket that talks to a server only, as the proxy's own.
pub(super) async fn datagrams(server: SocketAddr, view: &HostView) -> io::Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0; 8], 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    mark(socket2::SockRef::from(&socket), view)?;
    socket.connect(server).await?;
    Ok(socket)
}

/// A connection to a server, as the proxy's own.
pub(super) async fn connection(server: SocketAddr, view: &HostView) -> io::Result<TcpStream> {
    let socket = match server {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    mark(socket2::SockRef::from(&socket), view)?;
    socket.connect(server).await
}

/// Where the proxy has no user of its own, its packets are known by a mark: questions that must not come back to it, and answers, which
/// the kernel gives the address of the server that was asked.
pub(super) fn mark(socket: socket2::SockRef<'_>, view: &HostView) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(mark) = view.proxy_mark {
        socket.set_mark(mark)?;
    }
    let _ = (socket, view);
    Ok(())
}

/// The number of a message, by which an answer is known to belong to its question.
pub(super) fn id(message: &[u8]) -> Option<u16> {
    message.first_chunk().copied().map(u16::from_be_bytes)
}

/// Gives a message another number.
pub(super) fn set_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.first_chunk_mut() {
        *place = id.to_be_bytes();
    }
}

/// Whether an answer was cut off.
pub(super) fn is_truncated(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// The answer to what cannot be read as a question: its number, and that it is malformed; none to what may be an answer.
pub(super) fn malformed(question: &[u8]) -> Option<[u8; HEAD]> {
    const FORMAT_ERROR: u8 = 1;
    let [first, second, flags, ..] = *question.first_chunk::<HEAD>()?;
    let is_question = flags & RESPONSE == 0;
    let head = [
        first,
        second,
        RESPONSE | flags & 0x79,
        FORMAT_ERROR,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    is_question.then_some(head)
}

/// The largest answer by UDP that a client takes.
pub(super) fn limit(question: &Message) -> usize {
    let told = question.edns.as_ref().map(|edns| edns.max_payload());
    usize::from(told.unwrap_or(SMALL).max(SMALL)).min(DATAGRAM)
}

/// An answer of so many bytes at most: where it would be longer it is cut off, so that the client asks again over TCP.
pub(super) fn fitting(answer: Vec<u8>, limit: usize) -> Option<Vec<u8>> {
    if answer.len() <= limit {
        return Some(answer);
    }
    Message::from_vec(&answer).ok()?.truncate().to_vec().ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    use super::*;

    #[test]
    fn long_answers_are_cut_off() {
        let name = Name::from_ascii("x.example.").unwrap();
        let mut answer = Message::new(9, MessageType::Response, OpCode::Query);
        answer.add_query(Query::query(name.clone(), RecordType::A));
        answer.add_answers(
            (0..100).map(|last| {
                Record::from_rdata(name.clone(), 1, RData::A(A([10, 0, 0, last].into())))
            }),
        );
        let bytes = answer.to_vec().unwrap();
        assert_eq!(fitting(bytes.clone(), DATAGRAM), Some(bytes.clone()));
        let cut = fitting(bytes, 512).unwrap();
        assert!(cut.len() <= 512 && is_truncated(&cut));
        assert_eq!(id(&cut), Some(9));
        assert_eq!(Message::from_vec(&cut).unwrap().queries, answer.queries);
    }

    #[test]
    fn nonsense_is_called_malformed() {
        let mut head = [7; HEAD];
        head[2] = 0x01;
        let answer = Message::from_vec(&malformed(&head).unwrap()).unwrap();
        assert_eq!(answer.metadata.id, 0x0707);
        assert_eq!(answer.metadata.response_code.to_str(), "Form Error");
        head[2] |= RESPONSE;
        assert_eq!(malformed(&head), None);
        assert_eq!(malformed(b"short"), None);
    }
}
