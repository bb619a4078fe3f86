//! Several streams over one WebSocket: each message begins with the number of its channel.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// The largest piece of data in a message.
const PIECE: usize = 32 << 10;

/// Messages under way to a client that is slower than what it listens to.
pub const QUEUE: usize = 16;

/// How long a client gets to take the end of the conversation notice.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Data on a channel.
pub fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(data.len() + 1);
    bytes.push(channel);
    bytes.extend_from_slice(data);
    Message::Binary(Bytes::from(bytes))
}

/// From a reader into the queue, until the reader ends or nobody takes the messages.
pub async fn copy(channel: u8, mut reader: impl AsyncRead + Unpin, sender: mpsc::Sender<Message>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        if sender
            .send(message(channel, &buffer[..length]))
            .await
            .is_err()
        {
            return;
        }
    }
}
