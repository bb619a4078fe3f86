//! The session: pairs of streams, each pair one connection to a port of the pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::frame::{self, FIN, Frame, REFUSED};
use super::headers::{Headers, Reader, Writer};
use crate::portforward::{Dial, connect};

/// Frames under way to the client, and pieces of data under way to one port.
const QUEUE: usize = 16;

/// Streams that one client may have open.
const STREAMS: usize = 512;

/// The largest piece of data in a frame.
const PIECE: usize = 16 << 10;

/// How long a client gets to take the end of the conversation notice.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Carries data between a WebSocket with frames in it and ports of a pod until the client is done.
pub async fn serve<S>(socket: WebSocketStream<S>, dial: Arc<Dial>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sink, mut stream) = socket.split();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut session = Session {
        dial,
        sender,
        reader: Reader::new(),
        writer: Writer::default(),
        errors: BTreeMap::new(),
        streams: BTreeMap::new(),
        tasks: JoinSet::new(),
    };
    tokio::select! {
        () = to_client(receiver, &mut sink) => {}
        () = session.run(&mut stream) => {}
    }
    let _ = timeout(CLOSE_LIMIT, sink.send(Message::Close(None))).await;
}

async fn to_client<S>(
    mut receiver: mpsc::Receiver<Vec<u8>>,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(frame) = receiver.recv().await {
        if sink.send(Message::Binary(frame.into())).await.is_err() {
            return;
        }
    }
}

/// One client.
struct Session {
    dial: Arc<Dial>,
    sender: mpsc::Sender<Vec<u8>>,
    reader: Reader,
    writer: Writer,
    /// The error streams that wait for the data stream of the same request.
    errors: BTreeMap<String, u32>,
    /// Where the data of streams goes.
    streams: BTreeMap<u32, mpsc::Sender<Vec<u8>>>,
    tasks: JoinSet<()>,
}

/// The client has gone or speaks something else.
struct Over;

impl Session {
    async fn run<S>(&mut self, stream: &mut SplitStream<WebSocketStream<S>>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut bytes = Vec::new();
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(data) => bytes.extend_from_slice(&data),
                Message::Close(_) => return,
                _ => continue,
            }
            loop {
                match frame::take(&mut bytes) {
                    Ok(None) => break,
                    Err(frame::Malformed) => return,
                    Ok(Some(frame)) => {
                        if self.take(frame).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Over> {
        while self.tasks.try_join_next().is_some() {}
        match frame {
            Frame::Open { stream, headers } => {
                let headers = self.reader.read(&headers).ok_or(Over)?;
                self.open(stream, &headers).await
            }
            Frame::Data { stream, fin, data } => {
                if let Some(port) = self.streams.get(&stream)
                    && !data.is_empty()
                {
                    // A port that is closed takes nothing more.
                    let _ = port.send(data).await;
                }
                if fin {
                    self.streams.remove(&stream);
                }
                Ok(())
            }
            Frame::Reset { stream } => {
                self.streams.remove(&stream);
                Ok(())
            }
            // Even numbers would be answers to pings of ours.
            Frame::Ping { id } if id % 2 == 1 => self.send(frame::pong(id)).await,
            Frame::GoAway => Err(Over),
            Frame::Ping { .. } | Frame::Other => Ok(()),
        }
    }

    async fn open(&mut self, stream: u32, headers: &Headers) -> Result<(), Over> {
        let text = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
        let port = text("port").parse::<u16>().ok().filter(|port| *port != 0);
        let request = text("requestid").to_owned();
        let (Some(port), true) = (port, self.errors.len() + self.streams.len() < STREAMS) else {
            return self.send(frame::reset(stream, REFUSED)).await;
        };
        let error = match text("streamtype") {
            "error" => {
                self.errors.insert(request, stream);
                let headers = self.writer.none();
                return self.send(frame::reply(stream, &headers)).await;
            }
            "data" => self.errors.remove(&request),
            _ => None,
        };
        let Some(error) = error else {
            return self.send(frame::reset(stream, REFUSED)).await;
        };
        let headers = self.writer.none();
        self.send(frame::reply(stream, &headers)).await?;
        let (to_port, from_client) = mpsc::channel(QUEUE);
        self.streams.insert(stream, to_port);
        let pair = Pair {
            stream,
            error,
            sender: self.sender.clone(),
        };
        let dial = self.dial.clone();
        self.tasks
            .spawn(async move { pair.carry(&*dial, port, from_client).await });
        Ok(())
    }

    async fn send(&self, frame: Vec<u8>) -> Result<(), Over> {
        self.sender.send(frame).await.map_err(|_| Over)
    }
}

/// The two streams of one connection.
struct Pair {
    stream: u32,
    error: u32,
    sender: mpsc::Sender<Vec<u8>>,
}

impl Pair {
    async fn carry(self, dial: &Dial, port: u16, from_client: mpsc::Receiver<Vec<u8>>) {
        let failure = match connect(dial, port).await {
            Ok(connection) => {
                let (reader, writer) = connection.into_split();
                tokio::join!(self.to_client(reader), to_port(writer, from_client));
                String::new()
            }
            Err(failure) => failure,
        };
        let _ = self
            .sender
            .send(frame::data(self.error, FIN, failure.as_bytes()))
            .await;
        if !failure.is_empty() {
            let _ = self.sender.send(frame::data(self.stream, FIN, &[])).await;
        }
    }

    async fn to_client(&self, mut reader: OwnedReadHalf) {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            let frame = frame::data(self.stream, 0, &buffer[..length]);
            if self.sender.send(frame).await.is_err() {
                return;
            }
        }
        let _ = self.sender.send(frame::data(self.stream, FIN, &[])).await;
    }
}

/// From the client to the port, and its end as well.
async fn to_port(mut writer: OwnedWriteHalf, mut from_client: mpsc::Receiver<Vec<u8>>) {
    while let Some(data) = from_client.recv().await {
        if writer.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use futures::future::BoxFuture;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// A client that stores its headers instead of compressing them.
    struct Client<S> {
        socket: WebSocketStream<S>,
        bytes: Vec<u8>,
        begun: bool,
    }

    impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
        async fn open(&mut self, stream: u32, kind: &str, port: &str, request: &str) {
            let mut block = 3_u32.to_be_bytes().to_vec();
            for text in ["streamtype", kind, "port", port, "requestid", request] {
                block.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                block.extend(text.as_bytes());
            }
            let mut payload = stream.to_be_bytes().to_vec();
            payload.extend([0; 6]);
            if !std::mem::replace(&mut self.begun, true) {
                payload.extend([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
            }
            let length = u16::try_from(block.len()).unwrap();
            payload.push(0);
            payload.extend(length.to_le_bytes());
            payload.extend((!length).to_le_bytes());
            payload.extend(block);
            let mut frame = vec![0x80, 3, 0, 1, 0, 0, 0];
            frame.push(u8::try_from(payload.len()).unwrap());
            frame.extend(payload);
            self.send(frame).await;
        }

        async fn send(&mut self, frame: Vec<u8>) {
            self.socket
                .send(Message::Binary(frame.into()))
                .await
                .unwrap();
        }

        /// The data of a stream up to its end.
        async fn data(&mut self, wanted: u32) -> Vec<u8> {
            let mut all = Vec::new();
            loop {
                while let Some(frame) = frame::take(&mut self.bytes).unwrap() {
                    if let Frame::Data { stream, fin, data } = frame
                        && stream == wanted
                    {
                        all.extend(data);
                        if fin {
                            return all;
                        }
                    }
                }
                if let Message::Binary(data) = self.socket.next().await.unwrap().unwrap() {
                    self.bytes.extend_from_slice(&data);
                }
            }
        }
    }

    #[tokio::test]
    async fn pairs_of_streams_are_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open: SocketAddr = listener.local_addr().unwrap();
        let refused: SocketAddr = "127.0.0.1:1".parse().unwrap();
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut question = Vec::new();
            connection.read_to_end(&mut question).await.unwrap();
            question.reverse();
            connection.write_all(&question).await.unwrap();
        });
        let (near, far) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move {
            let socket = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
            let dial = move |port: u16| -> BoxFuture<'static, io::Result<TcpStream>> {
                Box::pin(TcpStream::connect(if port == 80 { open } else { refused }))
            };
            serve(socket, Arc::new(dial)).await;
        });
        let mut client = Client {
            socket: WebSocketStream::from_raw_socket(near, Role::Client, None).await,
            bytes: Vec::new(),
            begun: false,
        };
        client.open(1, "error", "80", "0").await;
        client.open(3, "data", "80", "0").await;
        client.send(frame::data(3, 0, b"ab")).await;
        client.send(frame::data(3, FIN, b"c")).await;
        assert_eq!(client.data(3).await, b"cba");
        client.open(5, "error", "81", "1").await;
        client.open(7, "data", "81", "1").await;
        let failure = String::from_utf8(client.data(5).await).unwrap();
        assert!(failure.contains("port 81"), "{failure}");
        client.socket.close(None).await.unwrap();
        server.await.unwrap();
    }
}
