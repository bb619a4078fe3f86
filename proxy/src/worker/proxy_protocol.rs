//! The PROXY protocol, versions 1 and 2: a load balancer says in front of a connection who its client is and where that meant to go.
//!
//! Where it is asked for, every connection must begin with it: whoever may leave it out could as well claim to be somebody else.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::time::Instant;

use super::client::Client;
use super::local::Worker;
use super::scratch::Scratch;

/// How long it is waited for: Istio's for what listeners look for.
const LIMIT: Duration = Duration::from_secs(15);

/// More than a header with many extensions needs.
const MAX_LENGTH: usize = 4 << 10;

/// What a load balancer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The client.
    pub client: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// Reads what comes before the connection's own bytes: what it tells, unless the load balancer speaks for itself, and what has come in behind
/// it.
///
/// # Errors
/// When there is none, or it takes too long.
pub async fn read(
    worker: &Rc<Worker>,
    client: &mut Client,
) -> io::Result<(Option<Told>, Option<Box<Scratch>>)> {
    client.timer.set_after(Instant::now(), Some(LIMIT));
    let mut scratch = worker.scratch();
    let parsed = poll_fn(|cx| {
        loop {
            match parse(scratch.input.filled()) {
                Ok(Some(parsed)) => return Poll::Ready(Ok(parsed)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            match scratch.input.poll_read(&mut client.io, cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(client.timer.poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    })
    .await;
    let outcome = parsed.map(|(told, length)| {
        scratch.input.consume(length);
        told
    });
    if outcome.is_err() || scratch.input.is_empty() {
        worker.give_back(scratch);
        return outcome.map(|told| (told, None));
    }
    outcome.map(|told| (told, Some(scratch)))
}

/// What a header tells, and its length; none if more of it is to come.
fn parse(bytes: &[u8]) -> io::Result<Option<(Option<Told>, usize)>> {
    let config = ParseConfig {
        include_tlvs: false,
        allow_v1: true,
        allow_v2: true,
    };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) => {
            let told = header.proxied_address().map(|address| Told {
                client: address.source,
                destination: address.destination,
            });
            Ok(Some((told, length)))
        }
        Err(Error::BufferTooShort) if bytes.len() < MAX_LENGTH => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(client: &str, destination: &str) -> Option<Told> {
        Some(Told {
            client: client.parse().unwrap(),
            destination: destination.parse().unwrap(),
        })
    }

    #[test]
    fn both_versions_are_read() {
        let v2 = |command: u8, family: u8, rest: &[u8]| {
            let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
            bytes.extend([command, family, 0, rest.len() as u8]);
            bytes.extend(rest);
            bytes
        };
        let addresses = [10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0, 80];
        let with_extension = [&addresses[..], &[4, 0, 1, 0]].concat();
        for (bytes, expected) in [
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n".to_vec(),
                told("1.2.3.4:1000", "5.6.7.8:443"),
            ),
            (
                b"PROXY TCP6 ::1 ::2 1 2\r\n".to_vec(),
                told("[::1]:1", "[::2]:2"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (
                v2(0x21, 0x11, &addresses),
                told("10.0.0.1:8080", "10.0.0.2:80"),
            ),
            (
                v2(0x21, 0x11, &with_extension),
                told("10.0.0.1:8080", "10.0.0.2:80"),
            ),
            (v2(0x20, 0, &[]), None),
        ] {
            let mut whole = bytes.clone();
            whole.extend(b"GET / HTTP/1.1\r\n");
            assert_eq!(parse(&whole).unwrap(), Some((expected, bytes.len())));
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]).unwrap(), None, "{end} of {bytes:?}");
            }
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1000 x\r\n",
            "PROXY TCP9 1.2.3.4 5.6.7.8 1000 1\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        let endless = ["PROXY UNKNOWN ", &"x".repeat(200)].concat();
        assert!(parse(endless.as_bytes()).is_err());
    }
}
