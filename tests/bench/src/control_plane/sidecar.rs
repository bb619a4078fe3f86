//! A real proxy that requests go through, and backends that tell who answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::process::{Process, get};

/// Port that takes outbound requests.
const OUTBOUND: u16 = 15001;
/// Port of the readiness probe.
const PROBE: u16 = 15021;
/// Time between two requests.
const INTERVAL: Duration = Duration::from_millis(2);

/// A sidecar of a pod without a program.
pub struct Sidecar {
    _process: Process,
    address: Ipv4Addr,
}

// === impl Sidecar ===

impl Sidecar {
    /// Starts one and waits until it serves.
    pub fn start(binaries: &Path, xds: &str, number: usize, log: &Path) -> anyhow::Result<Self> {
        let address = Ipv4Addr::new(127, 77, 0, u8::try_from(number + 1)?);
        let command = [
            binaries.join("mesh-proxy").display().to_string(),
            "proxy".to_owned(),
            "sidecar".to_owned(),
            "--concurrency=1".to_owned(),
            "--proxyLogLevel=warn".to_owned(),
            format!("--xds-plaintext={xds}"),
            "--domain=ns-0.svc.cluster.local".to_owned(),
        ];
        let ip = address.to_string();
        let environment = [
            ("POD_NAME", format!("client-{number}")),
            ("POD_NAMESPACE", "ns-0".to_owned()),
            ("INSTANCE_IP", ip.clone()),
            ("MESH_POD_ADDRESS", ip.clone()),
            ("MESH_APP_ADDRESS", ip.clone()),
            ("MESH_BIND_ADDRESS", ip),
            ("ISTIO_METAJSON_LABELS", r#"{"app":"client"}"#.to_owned()),
        ];
        let name = format!("sidecar-{number}");
        let mut process = Process::start_with(&name, None, &command, &environment, log)?;
        process.wait_for((address, PROBE).into())?;
        let began = Instant::now();
        let ready = || get((address, PROBE).into(), "/healthz/ready");
        while !ready().is_ok_and(|answer| answer.contains(" 200 ")) {
            anyhow::ensure!(
                began.elapsed() < Duration::from_secs(20),
                "{name} is not ready"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            _process: process,
            address,
        })
    }

    /// Asks again and again until the answer's body is the expected one; gives when that came.
    pub fn wait_for(
        &self,
        url: &str,
        expected: &str,
        patience: Duration,
    ) -> anyhow::Result<Instant> {
        let mut wire = BufReader::new(TcpStream::connect((self.address, OUTBOUND))?);
        wire.get_ref().set_nodelay(true)?;
        wire.get_ref().set_read_timeout(Some(patience))?;
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let request = format!("GET {url} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let began = Instant::now();
        loop {
            wire.get_mut().write_all(request.as_bytes())?;
            if answer(&mut wire)? == expected {
                return Ok(Instant::now());
            }
            anyhow::ensure!(began.elapsed() < patience, "{url} never answers {expected}");
            std::thread::sleep(INTERVAL);
        }
    }
}

/// The body of the next answer.
fn answer(wire: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        anyhow::ensure!(
            wire.read_line(&mut line)? > 0,
            "the proxy has closed the connection"
        );
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("an answer without a length")?;
        }
    }
    let mut body = vec![0; length];
    wire.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A server whose every answer has this body, on a thread for each connection.
pub fn backend(body: &'static str) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, body));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream, body: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut wire = BufReader::new(stream);
    let mut line = String::new();
    while wire.read_line(&mut line)? > 0 {
        // Requests have no body here, so a blank line ends each.
        if line == "\r\n" {
            wire.get_mut().write_all(answer.as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}
