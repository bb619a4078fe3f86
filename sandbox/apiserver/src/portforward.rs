//! `pods/portforward` over a WebSocket, by the protocol that kube-rs speaks (`v4.channel.k8s.io`).
//!
//! ```text
//! message = channel byte + data      port i: data on channel 2i, errors on channel 2i+1
//! first message of the server on each channel: the port, as 16 bits, little end first
//! ```
//!
//! There is no half close: a client that is done closes the WebSocket, and so does the server once every pod's side has
//! ended.

use std::io;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::channels::{CLOSE_LIMIT, QUEUE, copy, message};

/// A pod that does not accept by then counts as refusing.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// More ports have no channel numbers.
pub const MOST_PORTS: usize = 128;

/// Connects a port of the pod.
pub type Dial = dyn Fn(u16) -> BoxFuture<'static, io::Result<TcpStream>> + Send + Sync;

/// Carries data between a WebSocket and ports of a pod until either side is done.
pub async fn serve<S>(socket: WebSocketStream<S>, ports: &[u16], dial: &Dial)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sink, mut stream) = socket.split();
    let dialled = ports.iter().map(|port| connect(dial, *port));
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut writers = Vec::new();
    let mut copies = JoinSet::new();
    for ((index, port), connection) in (0_u8..).zip(ports).zip(join_all(dialled).await) {
        let (data, error) = (2 * index, 2 * index + 1);
        for channel in [data, error] {
            if sink
                .send(message(channel, &port.to_le_bytes()))
                .await
                .is_err()
            {
                return;
            }
        }
        match connection {
            Ok(connection) => {
                let (reader, writer) = connection.into_split();
                writers.push(Some(writer));
                copies.spawn(copy(data, reader, sender.clone()));
            }
            Err(failure) => {
                writers.push(None);
                if sink.send(message(error, failure.as_bytes())).await.is_err() {
                    return;
                }
            }
        }
    }
    drop(sender);
    tokio::select! {
        () = to_client(receiver, &mut sink) => {
            let _ = timeout(CLOSE_LIMIT, async { while let Some(Ok(_)) = stream.next().await {} }).await;
        }
        () = to_pods(&mut stream, &mut writers) => {}
    }
}

/// Connects a port; the error is a sentence for the client.
pub async fn connect(dial: &Dial, port: u16) -> Result<TcpStream, String> {
    let outcome = timeout(CONNECT_LIMIT, dial(port)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let connection =
        outcome.map_err(|error| format!("failed to connect to port {port} of the pod: {error}"))?;
    // Data is sent as it comes; waiting for more would only add delay.
    let _ = connection.set_nodelay(true);
    Ok(connection)
}

/// From the queue to the client; closes the WebSocket after the last of the pod's streams.
async fn to_client<S>(
    mut receiver: mpsc::Receiver<Message>,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = receiver.recv().await {
        if sink.send(message).await.is_err() {
            return;
        }
    }
    let _ = sink.send(Message::Close(None)).await;
}

/// From the client to the ports; what comes for one that is closed is dropped.
async fn to_pods<S>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    writers: &mut [Option<OwnedWriteHalf>],
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = stream.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Close(_) => return,
            _ => continue,
        };
        let Some((channel, data)) = data.split_first() else {
            continue;
        };
        let Some(place) = writers.get_mut(usize::from(channel / 2)) else {
            continue;
        };
        if let Some(writer) = place
            && writer.write_all(data).await.is_err()
        {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// The next binary message, as channel and text.
    async fn next<S: AsyncRead + AsyncWrite + Unpin>(
        client: &mut WebSocketStream<S>,
    ) -> Option<(u8, Vec<u8>)> {
        loop {
            match client.next().await?.ok()? {
                Message::Binary(data) => return Some((data[0], data[1..].to_vec())),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn data_flows_both_ways_and_a_refusal_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let pod = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut question = [0; 4];
            connection.read_exact(&mut question).await.unwrap();
            connection.write_all(b"pong").await.unwrap();
            question
        });
        let (near, far) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move {
            let socket = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
            let dial = move |port: u16| -> BoxFuture<'static, io::Result<TcpStream>> {
                let to = if port == 80 { open } else { closed };
                Box::pin(TcpStream::connect(to))
            };
            serve(socket, &[80, 81], &dial).await;
        });
        let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        for (channel, port) in [(0, 80_u16), (1, 80), (2, 81), (3, 81)] {
            assert_eq!(
                next(&mut client).await,
                Some((channel, port.to_le_bytes().to_vec()))
            );
        }
        let (channel, text) = next(&mut client).await.unwrap();
        assert_eq!(channel, 3);
        assert!(String::from_utf8(text).unwrap().contains("port 81"));
        client.send(message(0, b"ping")).await.unwrap();
        assert_eq!(next(&mut client).await, Some((0, b"pong".to_vec())));
        assert_eq!(&pod.await.unwrap(), b"ping");
        assert_eq!(next(&mut client).await, None, "closed with the pod's side");
        server.await.unwrap();
    }
}
