//! Probes: is a container started, ready, alive?
//!
//! Periods and thresholds are Kubernetes', with one addition: until its first success a startup or readiness probe
//! also runs right away and then at growing intervals, so that a pod that is ready after 30 ms does not wait for the
//! end of a period of ten seconds.

mod grpc;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::runtime::{PodHandle, PodRuntime};

/// The first pause of an eager probe, and the longest.
const EAGER_FIRST: Duration = Duration::from_millis(20);
const EAGER_LONGEST: Duration = Duration::from_millis(500);

/// How a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    Http {
        /// Over TLS, whoever holds the certificate.
        is_secure: bool,
        host: Option<IpAddr>,
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        host: Option<IpAddr>,
        port: u16,
    },
    Exec(Vec<String>),
    /// A call of the health checking protocol.
    Grpc {
        port: u16,
        service: String,
    },
    /// What the node cannot ask, with the reason; such a probe never succeeds.
    Unsupported(String),
}

impl Check {
    /// Reads what a probe asks; named ports are the container's.
    pub fn of(probe: &Probe, container: &Container) -> Self {
        let number = |port: &IntOrString| port_number(port, container);
        if let Some(get) = &probe.http_get {
            let Some(port) = number(&get.port) else {
                return Self::no_port(&get.port);
            };
            let headers = get.http_headers.iter().flatten();
            return Self::Http {
                is_secure: get.scheme.as_deref() == Some("HTTPS"),
                host: get.host.as_deref().and_then(|host| host.parse().ok()),
                port,
                path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
                headers: headers
                    .map(|header| (header.name.clone(), header.value.clone()))
                    .collect(),
            };
        }
        if let Some(socket) = &probe.tcp_socket {
            let Some(port) = number(&socket.port) else {
                return Self::no_port(&socket.port);
            };
            return Self::Tcp {
                host: socket.host.as_deref().and_then(|host| host.parse().ok()),
                port,
            };
        }
        if let Some(exec) = &probe.exec {
            return Self::Exec(exec.command.clone().unwrap_or_default());
        }
        if let Some(call) = &probe.grpc {
            return match u16::try_from(call.port) {
                Ok(port) => Self::Grpc {
                    port,
                    service: call.service.clone().unwrap_or_default(),
                },
                Err(_) => Self::no_port(&IntOrString::Int(call.port)),
            };
        }
        Self::Unsupported("the probe asks nothing".to_owned())
    }

    fn no_port(port: &IntOrString) -> Self {
        Self::Unsupported(format!("port {port:?} is not a port of the container"))
    }
}

fn port_number(port: &IntOrString, container: &Container) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => match name.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                let mut ports = container.ports.iter().flatten();
                let found = ports.find(|port| port.name.as_ref() == Some(name));
                found.and_then(|port| u16::try_from(port.container_port).ok())
            }
        },
    }
}

/// Runs a command in the container's place and environment; the error says how it failed.
pub type Exec = Arc<
    dyn Fn(Vec<String>) -> futures::future::BoxFuture<'static, Result<(), String>> + Send + Sync,
>;

/// Asks on behalf of one container.
#[derive(Clone)]
pub struct Prober {
    pub runtime: Arc<dyn PodRuntime>,
    pub pod: Arc<dyn PodHandle>,
    pub exec: Exec,
}

impl Prober {
    /// Asks once; the error is the message of the event.
    pub async fn ask(&self, check: &Check, limit: Duration) -> Result<(), String> {
        let answer = timeout(limit, self.ask_unlimited(check)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    async fn ask_unlimited(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::Http {
                is_secure,
                host,
                port,
                path,
                headers,
            } => {
                let stream = self.connect(*host, *port).await;
                let stream = stream.map_err(|error| error.to_string())?;
                let host = host.unwrap_or_else(|| IpAddr::V4(self.pod.address()));
                if *is_secure {
                    let stream = tls::connect(stream, host).await?;
                    get(stream, (host, *port), path, headers).await
                } else {
                    get(stream, (host, *port), path, headers).await
                }
            }
            Check::Tcp { host, port } => {
                let stream = self.connect(*host, *port).await;
                stream.map(drop).map_err(|error| error.to_string())
            }
            Check::Grpc { port, service } => {
                let stream = self.connect(None, *port).await;
                let stream = stream.map_err(|error| error.to_string())?;
                grpc::check(stream, service).await
            }
            Check::Exec(command) => (self.exec)(command.clone()).await,
            Check::Unsupported(reason) => Err(reason.clone()),
        }
    }

    /// Connects to a port of the pod, or of an address that the probe names.
    async fn connect(&self, host: Option<IpAddr>, port: u16) -> io::Result<TcpStream> {
        match host {
            Some(address) => self.runtime.dial(address, port).await,
            None => self.pod.reach(port).await,
        }
    }
}

/// One GET request on a connection of its own.
async fn get(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    (host, port): (IpAddr, u16),
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let mut request = http::Request::get(path)
        .header("user-agent", "kube-probe/1.35")
        .header("accept", "*/*");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request = request.header("host", format!("{host}:{port}"));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The connection is driven here and dropped with the answer's head: nothing is left running.
    tokio::select! {
        answer = sender.send_request(request) => {
            let status = answer.map_err(|error| error.to_string())?.status();
            if status.is_success() || status.is_redirection() {
                Ok(())
            } else {
                Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
            }
        }
        ended = connection => Err(match ended {
            Ok(()) => "the connection ended without an answer".to_owned(),
            Err(error) => error.to_string(),
        }),
    }
}

/// The timing of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    delay: Duration,
    period: Duration,
    limit: Duration,
    successes: u32,
    failures: u32,
}

impl Timing {
    /// The timing of a probe with Kubernetes' defaults.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(
                value
                    .and_then(|value| u64::try_from(value).ok())
                    .unwrap_or(default),
            )
        };
        let count = |value: Option<i32>, default| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        Self {
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            limit: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            successes: count(probe.success_threshold, 1).max(1),
            failures: count(probe.failure_threshold, 3).max(1),
        }
    }

    /// How long a startup probe may fail: what the threshold takes at the probe's own pace.
    fn budget(&self) -> Duration {
        self.delay + self.period * self.failures
    }
}

/// Waits until a startup probe succeeds; the error is the last failure once its time is over.
pub async fn started<F>(timing: Timing, ask: impl Fn(Duration) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let begun = Instant::now();
    let mut pause = EAGER_FIRST;
    loop {
        match ask(timing.limit).await {
            Ok(()) => return Ok(()),
            Err(failure) if begun.elapsed() >= timing.budget() => return Err(failure),
            Err(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(EAGER_LONGEST.min(timing.period));
    }
}

/// Reports every turn of readiness, for ever. The first report may come at once.
pub async fn readiness<F>(
    timing: Timing,
    ask: impl Fn(Duration) -> F,
    mut report: impl FnMut(Result<(), String>),
) -> Infallible
where
    F: Future<Output = Result<(), String>>,
{
    let begun = Instant::now();
    let mut pause = EAGER_FIRST;
    let (mut ready, mut successes, mut failures) = (false, 0, 0);
    loop {
        let answer = ask(timing.limit).await;
        if answer.is_ok() {
            (successes, failures) = (successes + 1, 0);
        } else {
            (successes, failures) = (0, failures + 1);
        }
        let turned = if ready {
            failures >= timing.failures
        } else {
            successes >= timing.successes
        };
        if turned {
            ready = !ready;
            report(answer);
        }
        // Eager until the first readiness, or until it is plain that this takes longer.
        let eager = !ready && begun.elapsed() < timing.budget();
        sleep(if eager { pause } else { timing.period }).await;
        pause = (pause * 2).min(EAGER_LONGEST.min(timing.period));
    }
}

/// Waits until a liveness probe has failed as often as its threshold says, and gives the last failure.
pub async fn death<F>(timing: Timing, ask: impl Fn(Duration) -> F) -> String
where
    F: Future<Output = Result<(), String>>,
{
    sleep(timing.delay).await;
    let mut failures = 0;
    loop {
        match ask(timing.limit).await {
            Ok(()) => failures = 0,
            Err(failure) => {
                failures += 1;
                if failures >= timing.failures {
                    return failure;
                }
            }
        }
        sleep(timing.period).await;
    }
}

#[cfg(test)]
mod tests;
