//! A connection's bytes, plain or in TLS.
//!
//! Whether something can be read, whether the other side is still there and how a connection ends are questions about the bytes that the
//! application sent, which only this type can answer: what lies in the socket may be a session ticket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::tls::{ClientSide, Offer};

/// How often the kernel asks the other side whether it is there.
const PROBE: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug, Default)]
pub enum Io {
    /// Bytes as they are.
    Plain(TcpStream),
    /// TLS, whichever side began it.
    Tls(Box<TlsStream<Replay>>),
    /// None any more: it was given away, or its handshake has failed.
    #[default]
    Closed,
}

/// A socket of which some bytes were read before, and are read again.
#[derive(Debug)]
pub struct Replay {
    first: Vec<u8>,
    socket: TcpStream,
}

// === impl Io ===

impl Io {
    /// Ends the TLS that a client begins. `first` was read already.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn accept(self, first: Vec<u8>, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let replay = self.into_replay(first)?;
        let stream = TlsAcceptor::from(config.clone()).accept(replay).await?;
        Ok(Self::Tls(Box::new(stream.into())))
    }

    /// Begins TLS with a server.
    ///
    /// # Errors
    /// When the handshake fails, or the server is not who it should be.
    pub async fn connect(self, tls: &ClientSide, offer: Offer) -> io::Result<Self> {
        let replay = self.into_replay(Vec::new())?;
        let config = tls.config(offer).map_err(io::Error::other)?;
        let connector = TlsConnector::from(config);
        let stream = connector.connect(tls.server_name().clone(), replay).await?;
        Ok(Self::Tls(Box::new(stream.into())))
    }

    fn into_replay(self, first: Vec<u8>) -> io::Result<Replay> {
        match self {
            Self::Plain(socket) => Ok(Replay { first, socket }),
            // TLS within TLS is nothing that a configuration can ask for.
            Self::Tls(_) | Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The socket.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(stream) => Some(&stream.get_ref().0.socket),
            Self::Closed => None,
        }
    }

    /// The session, once TLS is spoken.
    pub fn session(&self) -> Option<&rustls::CommonState> {
        match self {
            Self::Tls(stream) => Some(stream.get_ref().1),
            Self::Plain(_) | Self::Closed => None,
        }
    }

    /// Ready when a read has something to tell, without reading it.
    ///
    /// # Errors
    /// What the socket says, or TLS.
    #[inline]
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(cx),
            Self::Tls(stream) => Pin::new(stream).poll_fill_buf(cx).map_ok(drop),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    /// Whether the other side has neither closed it nor said anything. Costs no system call unless something has happened.
    #[inline]
    pub fn is_open(&mut self) -> bool {
        match self {
            Self::Plain(socket) => {
                let read = socket.try_read(&mut [0]);
                matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            // Tickets and changes of keys are taken in on the way, which is no reason to give the connection up.
            Self::Tls(stream) => {
                let mut cx = Context::from_waker(Waker::noop());
                Pin::new(stream).poll_fill_buf(&mut cx).is_pending()
            }
            Self::Closed => false,
        }
    }

    /// Makes the kernel ask the other side from time to time whether it is there. One that has closed the connection, and not only ended its
    /// side, says so about a minute later at the latest.
    pub fn probe(&self) {
        if let Some(socket) = self.socket() {
            let often = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE);
            // Without it such a connection lasts until something is written.
            let _ = SockRef::from(socket).set_tcp_keepalive(&often);
        }
    }

    /// Whether the other side has broken the connection off.
    pub fn is_reset(&self) -> bool {
        let socket = self.socket();
        socket.is_none_or(|socket| !matches!(socket.take_error(), Ok(None)))
    }

    /// Breaks the connection off when it is dropped, so that the other side does not take it for one that still waits for something.
    pub fn reset_on_drop(&self) {
        if let Some(socket) = self.socket() {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// Reads into `space`; nothing read is the end.
    ///
    /// # Errors
    /// What the socket says, or TLS, also when it ends without saying so.
    #[inline]
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, space),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, space),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    /// Writes. What was taken may still have to be flushed.
    ///
    /// # Errors
    /// What the socket says, or TLS.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Ready when all that was written is in the kernel's hands. A plain connection always is.
    ///
    /// # Errors
    /// What the socket says, or TLS.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) | Self::Closed => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Ends our side.
    ///
    /// # Errors
    /// What the socket says, or TLS.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Io::poll_read(self.get_mut(), cx, space)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Io::poll_write(self.get_mut(), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Io::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Io::poll_shutdown(self.get_mut(), cx)
    }
}

// === impl Replay ===

impl AsyncRead for Replay {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { first, socket } = self.get_mut();
        if first.is_empty() {
            return Pin::new(socket).poll_read(cx, space);
        }
        let count = first.len().min(space.remaining());
        space.put_slice(first.get(..count).unwrap_or_default());
        first.drain(..count);
        if first.is_empty() {
            *first = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.get_mut().socket).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
