//! The socket to the kernel's packet filter.

use std::io::{self, Read};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::netlink::received;

/// Numbers of the netlink family, and of netfilter in it.
const NETLINK: i32 = 16;
const NETFILTER: i32 = 12;

/// Kinds of messages that end an answer.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// How long the kernel may take for one answer. It answers at once; this is against waiting for ever.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Room for one answer of the kernel.
const ANSWER: usize = 64 * 1024;

/// Most answers to one request: each holds several rules, and no pod has a million of them.
const MOST_ANSWERS: usize = 4096;

/// Why the kernel did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// There is no such socket.
    #[error("failed to open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// It could not be talked to.
    #[error("failed to talk to the kernel's packet filter: {0}")]
    Talk(#[source] io::Error),
    /// It refused. Message 1 begins the transaction; the number is the place of the message that is refused.
    #[error("the kernel refused message {message} of the transaction: {error}")]
    Refused {
        /// The message's place.
        message: u32,
        /// The reason.
        #[source]
        error: io::Error,
    },
}

/// A socket to the kernel's packet filter, of the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Transport(Socket);

// === impl NetlinkError ===

impl NetlinkError {
    /// Whether it says that the kernel has no nftables, or not what is needed of it.
    pub(crate) fn is_unsupported(&self) -> bool {
        const NO_ENTRY: i32 = 2;
        const INVALID: i32 = 22;
        const NO_PROTOCOL: i32 = 93;
        const NO_OPERATION: i32 = 95;
        const NO_FAMILY: i32 = 97;
        let error = match self {
            Self::Open(error) | Self::Refused { error, .. } => error,
            Self::Talk(_) => return false,
        };
        let unsupported = [NO_ENTRY, INVALID, NO_PROTOCOL, NO_OPERATION, NO_FAMILY];
        error
            .raw_os_error()
            .is_some_and(|code| unsupported.contains(&code))
    }
}

// === impl Transport ===

impl Transport {
    /// Opens one.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let protocol = Some(Protocol::from(NETFILTER));
        let socket = Socket::new(Domain::from(NETLINK), Type::RAW, protocol);
        let socket = socket.map_err(NetlinkError::Open)?;
        let timeout = socket.set_read_timeout(Some(TIMEOUT));
        timeout.map_err(NetlinkError::Open)?;
        Ok(Self(socket))
    }

    /// Sends a request and takes what is answered until it is answered as a whole.
    pub(crate) fn exchange(
        &mut self,
        request: &[u8],
        last: u32,
    ) -> Result<Vec<Vec<u8>>, NetlinkError> {
        // Many rules are more than the usual room for one message. More than the machine's limit is not given, and then sending fails.
        let _ = self.0.set_send_buffer_size(request.len().saturating_mul(2));
        let sent = self.0.send(request).map_err(NetlinkError::Talk)?;
        if sent != request.len() {
            return Err(NetlinkError::Talk(io::ErrorKind::WriteZero.into()));
        }
        let mut answers = Vec::new();
        while answers.len() < MOST_ANSWERS {
            let mut answer = vec![0; ANSWER];
            let length = match self.0.read(&mut answer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(NetlinkError::Talk(error)),
            };
            answer.truncate(length);
            let done = ends(&answer, last)?;
            answers.push(answer);
            if done {
                return Ok(answers);
            }
        }
        Err(NetlinkError::Talk(io::ErrorKind::InvalidData.into()))
    }
}

/// Whether an answer is the last one; an error if it says so.
fn ends(answer: &[u8], last: u32) -> Result<bool, NetlinkError> {
    let mut done = false;
    for message in received(answer) {
        let code = match message.kind {
            ERROR | DONE => message.body.first_chunk().copied().map(i32::from_ne_bytes),
            _ => continue,
        };
        let code = code.unwrap_or_default();
        if code < 0 {
            return Err(NetlinkError::Refused {
                message: message.sequence,
                error: io::Error::from_raw_os_error(code.saturating_neg()),
            });
        }
        done |= message.sequence == last;
    }
    Ok(done)
}
