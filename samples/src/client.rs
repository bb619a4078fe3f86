//! Outgoing HTTP/1.1 calls, one connection each.
//!
//! A connection per call keeps the samples simple and makes a balancer of connections, such as the
//! one behind a ClusterIP, spread calls evenly when there is no mesh. With a proxy the request goes
//! there in absolute form and the proxy finds the host; without one the hosts file is asked, then
//! DNS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use crate::config::Config;
use crate::handler::MAX_BODY;
use crate::hosts;

/// A service to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// How a program reaches others.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    proxy: Option<Authority>,
    hosts: Option<PathBuf>,
    source: Option<IpAddr>,
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the address {url:?} is malformed")]
    Url {
        url: String,
        #[source]
        source: http::Error,
    },
    #[error("no address is known for the host {host:?}")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to connect to {address}: {source}")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the exchange with {host:?} broke off: {source}")]
    Exchange {
        host: String,
        #[source]
        source: hyper::Error,
    },
    #[error("the answer of {host:?} is incomplete or larger than 1 MiB")]
    Body { host: String },
    #[error("{host:?} did not answer within {} ms", .limit.as_millis())]
    Timeout { host: String, limit: Duration },
}

// === impl Target ===

impl Target {
    /// `HOST` or `HOST:PORT`; port 80 unless given.
    pub(crate) fn parse(text: &str) -> Option<Target> {
        let authority: Authority = text.parse().ok()?;
        let host = authority.host();
        (!host.is_empty()).then(|| Target {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(80),
        })
    }

    /// As a Host header has it, without the default port.
    fn authority(&self) -> String {
        match self.port {
            80 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

// === impl Client ===

impl Client {
    pub(crate) fn new(config: &Config) -> Client {
        Client {
            proxy: config.proxy.clone(),
            hosts: config.hosts.clone(),
            source: config.source,
        }
    }

    /// GETs `path` with `headers`. `limit` covers everything from the name to the last byte.
    pub(crate) async fn get(
        &self,
        target: &Target,
        path: &str,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        let request = request(target, path, headers, self.proxy.is_some())?;
        let exchange = async {
            let stream = self.connect(target).await?;
            exchange(stream, request, &target.host).await
        };
        // Boxed: hyper's connection state is large, and this future nests in those of callers.
        let exchange = tokio::time::timeout(limit, Box::pin(exchange)).await;
        exchange.unwrap_or_else(|_| {
            Err(CallError::Timeout {
                host: target.host.clone(),
                limit,
            })
        })
    }

    /// A connection to the target itself, for programs that speak no HTTP.
    pub(crate) async fn dial(&self, target: &Target) -> Result<TcpStream, CallError> {
        self.connect_to(&target.host, target.port).await
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, CallError> {
        match &self.proxy {
            Some(proxy) => {
                let port = proxy.port_u16().unwrap_or(80);
                self.connect_to(proxy.host(), port).await
            }
            None => self.dial(target).await,
        }
    }

    async fn connect_to(&self, host: &str, port: u16) -> Result<TcpStream, CallError> {
        let address = self
            .resolve(host, port)
            .await
            .map_err(|source| CallError::Resolve {
                host: host.to_owned(),
                source,
            })?;
        self.open(address)
            .await
            .map_err(|source| CallError::Connect { address, source })
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, port));
        }
        // The node rewrites this small local file while we run, so it is read for each call.
        if let Some(path) = &self.hosts
            && let Ok(text) = std::fs::read_to_string(path)
            && let Some(address) = hosts::lookup(&text, host)
        {
            return Ok(SocketAddr::new(address, port));
        }
        let mut found = tokio::net::lookup_host((host, port)).await?;
        found
            .next()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Connects from the pod's own address where that works, else from the one the kernel chooses.
    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let Some(source) = self
            .source
            .filter(|source| source.is_ipv4() == address.is_ipv4())
        else {
            return TcpStream::connect(address).await;
        };
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if socket.bind(SocketAddr::new(source, 0)).is_err() {
            return TcpStream::connect(address).await;
        }
        socket.connect(address).await
    }
}

fn request(
    target: &Target,
    path: &str,
    headers: HeaderMap,
    absolute: bool,
) -> Result<Request<Empty<Bytes>>, CallError> {
    let authority = target.authority();
    let malformed = |source: http::Error| CallError::Url {
        url: format!("http://{authority}{path}"),
        source,
    };
    let mut uri = Uri::builder().path_and_query(path);
    if absolute {
        uri = uri.scheme(Scheme::HTTP).authority(authority.as_str());
    }
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri.build().map_err(malformed)?;
    *request.headers_mut() = headers;
    let host = HeaderValue::from_str(&authority).map_err(|error| malformed(error.into()))?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

async fn exchange(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    host: &str,
) -> Result<Answer, CallError> {
    let broken = |source| CallError::Exchange {
        host: host.to_owned(),
        source,
    };
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(broken)?;
    let answered = async {
        let (head, body) = sender
            .send_request(request)
            .await
            .map_err(broken)?
            .into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|_| CallError::Body {
            host: host.to_owned(),
        })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    };
    // The connection is driven here rather than by a task of its own, so that dropping the call
    // (a timeout, a client that left) drops everything that belongs to it.
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // Closed by the peer: what it had sent before is already with the body.
        _ = connection => answered.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_form_only_for_a_proxy_and_host_without_the_default_port() {
        let uri_and_host = |text: &str, absolute| {
            let target = Target::parse(text).unwrap();
            let request = request(&target, "/ratings/0", HeaderMap::new(), absolute).unwrap();
            let host = request.headers()[HOST].to_str().unwrap().to_owned();
            (request.uri().to_string(), host)
        };
        let direct = uri_and_host("ratings:9080", false);
        assert_eq!(direct, ("/ratings/0".into(), "ratings:9080".into()));
        let proxied = uri_and_host("world", true);
        assert_eq!(proxied, ("http://world/ratings/0".into(), "world".into()));
    }

    #[test]
    fn targets_that_are_none() {
        for text in ["", ":80", "a b", "http://a/"] {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
