//! What a container's program reads and writes, for those who attach to it while it runs.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{broadcast, watch};

use super::exec::{Program, Writer};
use super::terminal::Terminal;

/// Pieces of output that someone who attached may be behind; what comes then is lost to him, not to the log.
const QUEUE: usize = 256;

/// Bytes between the program's output and a client.
const PIPE: usize = 64 << 10;

/// The streams of one run of a container.
pub struct Attachment {
    output: broadcast::Sender<Bytes>,
    errors: broadcast::Sender<Bytes>,
    input: Arc<Mutex<Option<Writer>>>,
    terminal: Option<Terminal>,
    code: watch::Sender<Option<i32>>,
    /// The input ends with the first who had it, as `stdinOnce` asks.
    is_once: bool,
}

// === impl Attachment ===

impl Attachment {
    /// The streams of a program that has just started. Its input stays open for whoever attaches.
    pub fn new(input: Option<Writer>, terminal: Option<Terminal>, is_once: bool) -> Self {
        Self {
            output: broadcast::Sender::new(QUEUE),
            errors: broadcast::Sender::new(QUEUE),
            input: Arc::new(Mutex::new(input)),
            terminal,
            code: watch::Sender::new(None),
            is_once,
        }
    }

    /// Shows what the program has written.
    pub fn note(&self, is_error: bool, data: &[u8]) {
        let to = if is_error { &self.errors } else { &self.output };
        if to.receiver_count() > 0 {
            let _ = to.send(Bytes::copy_from_slice(data));
        }
    }

    /// Tells how the program ended.
    pub fn end(&self, code: i32) {
        self.code.send_replace(Some(code));
    }

    /// Attaches to the program. One at a time has its input.
    pub fn attach(self: &Arc<Self>, has_input: bool) -> Program {
        let reader = |from: &broadcast::Sender<Bytes>| {
            let (near, far) = tokio::io::duplex(PIPE);
            tokio::spawn(carry(from.subscribe(), self.code.subscribe(), far));
            near
        };
        let (output, errors) = (reader(&self.output), reader(&self.errors));
        let input = has_input.then(|| self.lend()).flatten();
        let terminal = self.terminal.clone();
        let mut code = self.code.subscribe();
        Program {
            input,
            output: Some(Box::pin(output)),
            errors: terminal
                .is_none()
                .then(|| Box::pin(errors) as Pin<Box<dyn AsyncRead + Send>>),
            resize: terminal.map(|terminal| {
                Box::new(move |columns, rows| terminal.resize(columns, rows))
                    as Box<dyn Fn(u16, u16) + Send + Sync>
            }),
            ended: Box::pin(async move {
                let ended = code.wait_for(Option::is_some).await;
                ended.ok().and_then(|code| *code).unwrap_or(0)
            }),
        }
    }

    fn lend(&self) -> Option<Writer> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = input.take()?;
        Some(Box::pin(Lent {
            writer: Some(writer),
            place: self.input.clone(),
            is_once: self.is_once,
        }))
    }
}

/// From the program to one who attached, until it has ended or he has gone.
async fn carry(
    mut from: broadcast::Receiver<Bytes>,
    mut code: watch::Receiver<Option<i32>>,
    mut to: DuplexStream,
) {
    loop {
        let data = tokio::select! {
            biased;
            data = from.recv() => data,
            _ = code.wait_for(Option::is_some) => return,
        };
        match data {
            Ok(data) => {
                if to.write_all(&data).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// The program's input in somebody's hands, who gives it back.
struct Lent {
    writer: Option<Writer>,
    place: Arc<Mutex<Option<Writer>>>,
    is_once: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_once {
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            *place = self.writer.take();
        }
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.writer {
            Some(writer) => writer.as_mut().poll_write(context, data),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.writer {
            Some(writer) => writer.as_mut().poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_once {
            return Poll::Ready(Ok(()));
        }
        match &mut self.writer {
            Some(writer) => writer.as_mut().poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
