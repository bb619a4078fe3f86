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
use crate::api::portforward::{Dial, connect};

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
