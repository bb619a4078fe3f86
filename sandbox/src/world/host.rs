//! Sockets of this machine's network, asked for inside the world: one byte says which, and a descriptor comes back.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
};
use socket2::Socket;
use tokio::io::{AsyncReadExt, Interest};

/// How long the process outside gets for its answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// What can be asked for.
const KINDS: [(u8, AddressFamily, SocketType); 4] = [
    (b'4', AddressFamily::INET, SocketType::STREAM),
    (b'6', AddressFamily::INET6, SocketType::STREAM),
    (b'u', AddressFamily::INET, SocketType::DGRAM),
    (b'v', AddressFamily::INET6, SocketType::DGRAM),
];

/// Sockets of this machine, inside a world or not.
#[derive(Clone, Debug, Default)]
pub struct HostSockets {
    /// The process outside; none where there is no world.
    outside: Option<Arc<Mutex<UnixStream>>>,
}

// === impl HostSockets ===

impl HostSockets {
    /// Sockets that a process outside makes.
    ///
    /// # Errors
    /// When the connection to it cannot be set up.
    pub fn by(outside: UnixStream) -> io::Result<Self> {
        outside.set_read_timeout(Some(LIMIT))?;
        outside.set_write_timeout(Some(LIMIT))?;
        Ok(Self {
            outside: Some(Arc::new(Mutex::new(outside))),
        })
    }

    /// A listener on an address of this machine.
    ///
    /// # Errors
    /// Such as an address that is taken.
    pub fn listen(&self, address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
        let socket = self.make(address, SocketType::STREAM)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(socket.into())
    }

    /// A datagram socket that is connected to an address which this machine reaches.
    ///
    /// # Errors
    /// Where there is no way to it.
    pub fn datagrams(&self, address: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
        let socket = self.make(address, SocketType::DGRAM)?;
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket.into())
    }

    fn make(&self, address: SocketAddr, kind: SocketType) -> io::Result<Socket> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let Some(outside) = &self.outside else {
            return Ok(make(family, kind)?.into());
        };
        let mut wanted = KINDS.iter();
        let wanted = wanted.find(|(_, of, with)| (*of, *with) == (family, kind));
        let (word, ..) = wanted.ok_or(io::ErrorKind::Unsupported)?;
        let outside = outside.lock().unwrap_or_else(PoisonError::into_inner);
        sendmsg(
            &*outside,
            &[IoSlice::new(&[*word])],
            &mut SendAncillaryBuffer::default(),
            SendFlags::NOSIGNAL,
        )?;
        receive(&outside)?.map(Socket::from)
    }
}

fn make(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// The answer: a descriptor, or the number of an error.
fn receive(from: &UnixStream) -> io::Result<io::Result<OwnedFd>> {
    let mut number = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        from,
        &mut [IoSliceMut::new(&mut number)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if message.bytes != number.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message
            && let Some(descriptor) = descriptors.next()
        {
            return Ok(Ok(descriptor));
        }
    }
    Ok(Err(io::Error::from_raw_os_error(i32::from_ne_bytes(
        number,
    ))))
}

/// Makes the sockets that the process inside asks for, until it has gone. No thread is started: the process outside may not have any.
pub async fn serve(mut inside: tokio::net::UnixStream) {
    while let Ok(word) = inside.read_u8().await {
        let kind = KINDS.iter().find(|(known, ..)| *known == word);
        let made = match kind {
            Some((_, family, kind)) => make(*family, *kind),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        let sent = inside.async_io(Interest::WRITABLE, || answer(&inside, &made));
        if sent.await.is_err() {
            return;
        }
    }
}

fn answer(inside: impl AsFd, made: &io::Result<OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let invalid = rustix::io::Errno::INVAL.raw_os_error();
    let (number, descriptor) = match made {
        Ok(descriptor) => (0, Some([descriptor.as_fd()])),
        Err(error) => (error.raw_os_error().unwrap_or(invalid), None),
    };
    if let Some(descriptor) = &descriptor {
        control.push(SendAncillaryMessage::ScmRights(descriptor));
    }
    sendmsg(
        inside,
        &[IoSlice::new(&i32::to_ne_bytes(number))],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sockets_come_from_the_process_outside() {
        let (inside, outside) = UnixStream::pair().unwrap();
        outside.set_nonblocking(true).unwrap();
        let outside = tokio::net::UnixStream::from_std(outside).unwrap();
        let server = tokio::spawn(serve(outside));
        let sockets = HostSockets::by(inside).unwrap();
        let listener = sockets.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (connected, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        let taken = sockets.listen(address).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert!(sockets.datagrams(address).is_ok());
        drop(sockets);
        server.await.unwrap();
    }
}
