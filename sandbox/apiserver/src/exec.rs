//! `pods/exec` and `pods/attach` over a WebSocket, as kubectl (`v5.channel.k8s.io`) and kube-rs (`v4.channel.k8s.io`) speak it.
//!
//! ```text
//! message = channel byte + data     0 input, 1 output, 2 errors, 3 how it ended, 4 the terminal's size, 255 (v5) the end of a channel
//! ```

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::channels::{CLOSE_LIMIT, QUEUE, copy, message};

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const END: u8 = 255;

/// How long output that is still under way gets after the program's end, which a program that it left behind may hold open.
const REST_LIMIT: Duration = Duration::from_secs(2);

/// A program's output.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// A program's input.
pub type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// A program that runs, or the one that a container runs.
pub struct Session {
    pub input: Option<Writer>,
    pub output: Option<Reader>,
    pub errors: Option<Reader>,
    /// Tells the terminal its size, in columns and rows.
    pub resize: Option<Box<dyn Fn(u16, u16) + Send + Sync>>,
    /// The exit code. Dropping it ends a program that was started for the session.
    pub ended: BoxFuture<'static, i32>,
}

/// Serves a session until its program has ended or its client has gone. `has_ends` is true of protocols that end single channels.
pub async fn serve<S>(socket: WebSocketStream<S>, session: io::Result<Session>, has_ends: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sink, mut stream) = socket.split();
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            finish(&mut sink, &mut stream, &failed(&error.to_string())).await;
            return;
        }
    };
    let Session {
        input,
        output,
        errors,
        resize,
        ended,
    } = session;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let outcome = tokio::select! {
        (code, ()) = async { tokio::join!(run(output, errors, ended, sender), send(receiver, &mut sink)) } => Some(code),
        () = receive(&mut stream, input, resize.as_deref(), has_ends) => None,
    };
    if let Some(code) = outcome {
        finish(&mut sink, &mut stream, &status(code)).await;
    }
}

/// Waits for the program's end, and for what it has written.
async fn run(
    output: Option<Reader>,
    errors: Option<Reader>,
    mut ended: BoxFuture<'static, i32>,
    sender: mpsc::Sender<Message>,
) -> i32 {
    let copied = async |channel, reader| {
        if let Some(reader) = reader {
            copy(channel, reader, sender.clone()).await;
        }
    };
    let copies = async {
        tokio::join!(copied(OUTPUT, output), copied(ERRORS, errors));
    };
    tokio::pin!(copies);
    let mut are_copied = false;
    let code = loop {
        tokio::select! {
            code = &mut ended => break code,
            () = &mut copies, if !are_copied => are_copied = true,
        }
    };
    if !are_copied {
        let _ = timeout(REST_LIMIT, copies).await;
    }
    code
}

/// From the queue to the client.
async fn send<S>(
    mut receiver: mpsc::Receiver<Message>,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut is_open = true;
    while let Some(message) = receiver.recv().await {
        // The program goes on until it is seen that its client has gone.
        is_open = is_open && sink.send(message).await.is_ok();
    }
}

/// From the client to the program; returns when the client has gone.
async fn receive<S>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    mut input: Option<Writer>,
    resize: Option<&(dyn Fn(u16, u16) + Send + Sync)>,
    has_ends: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = stream.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Close(_) => return,
            _ => continue,
        };
        match data.split_first() {
            Some((&INPUT, data)) => {
                if let Some(writer) = &mut input
                    && (writer.write_all(data).await.is_err() || writer.flush().await.is_err())
                {
                    input = None;
                }
            }
            Some((&RESIZE, data)) => {
                if let (Some(resize), Ok(size)) = (resize, serde_json::from_slice::<Size>(data)) {
                    resize(size.width, size.height);
                }
            }
            Some((&END, [INPUT])) if has_ends => {
                if let Some(mut writer) = input.take() {
                    let _ = writer.shutdown().await;
                }
            }
            _ => {}
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Tells how the program ended, and closes.
async fn finish<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    stream: &mut SplitStream<WebSocketStream<S>>,
    status: &Value,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    let told = async {
        sink.send(message(STATUS, status.to_string().as_bytes()))
            .await?;
        sink.send(Message::Close(Some(close))).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<(), tokio_tungstenite::tungstenite::Error>(())
    };
    let _ = timeout(CLOSE_LIMIT, told).await;
}

/// How a program ended, as clients read it.
fn status(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    let cause = json!({"reason": "ExitCode", "message": code.to_string()});
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]},
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
    })
}

/// Why no program could be started.
fn failed(why: &str) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: {why}"),
        "details": {"causes": [{"message": why}]},
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// The next binary message, as channel and text.
    async fn next<S: AsyncRead + AsyncWrite + Unpin>(
        client: &mut WebSocketStream<S>,
    ) -> Option<(u8, String)> {
        loop {
            match client.next().await?.ok()? {
                Message::Binary(data) => {
                    return Some((data[0], String::from_utf8_lossy(&data[1..]).into_owned()));
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn client(
        session: io::Result<Session>,
    ) -> (
        WebSocketStream<tokio::io::DuplexStream>,
        tokio::task::JoinHandle<()>,
    ) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move {
            let socket = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
            serve(socket, session, true).await;
        });
        let client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        (client, server)
    }

    #[tokio::test]
    async fn input_comes_back_and_the_exit_code_is_told() {
        let (program, ours) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(ours);
        let ended = async move {
            let (mut read, mut write) = tokio::io::split(program);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            3
        };
        let session = Session {
            input: Some(Box::pin(writer)),
            output: Some(Box::pin(reader)),
            errors: None,
            resize: None,
            ended: ended.boxed(),
        };
        let (mut client, server) = client(Ok(session)).await;
        client.send(message(INPUT, b"hello")).await.unwrap();
        assert_eq!(next(&mut client).await, Some((OUTPUT, "hello".to_owned())));
        client.send(message(END, &[INPUT])).await.unwrap();
        let (channel, text) = next(&mut client).await.unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (channel, &told["reason"]),
            (STATUS, &json!("NonZeroExitCode"))
        );
        assert_eq!(told["details"]["causes"][0]["message"], "3");
        assert_eq!(next(&mut client).await, None);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn why_nothing_runs_is_told() {
        let missing = io::Error::other("there is no program \"x\"");
        let (mut client, server) = client(Err(missing)).await;
        let (channel, text) = next(&mut client).await.unwrap();
        assert!(channel == STATUS && text.contains("InternalError") && text.contains("no program"));
        assert_eq!(next(&mut client).await, None);
        server.await.unwrap();
    }
}
