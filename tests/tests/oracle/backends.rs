//! What the proxies forward to: servers on loopback that say who they are and what they saw.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Address and version of each backend; `mesh.rs` describes them as pods.
pub const BACKENDS: [(&str, &str); 4] =
    [("127.0.1.1", "v1"), ("127.0.1.2", "v2"), ("127.0.1.3", "v3"), ("127.0.1.9", "tcp")];
/// Their port.
pub const PORT: u16 = 9080;

/// Running backends.
pub struct Backends {
    stop: Arc<AtomicBool>,
}

// === impl Backends ===

impl Backends {
    /// Starts all.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for (address, version) in BACKENDS {
            let listener = TcpListener::bind((address, PORT)).unwrap();
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let stream = stream.unwrap();
                    std::thread::spawn(move || match version {
                        "tcp" => echo(stream),
                        _ => serve(stream, version),
                    });
                }
            });
        }
        Self { stop }
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for (address, _) in BACKENDS {
            let _ = TcpStream::connect((address, PORT));
        }
    }
}

/// Sends back whatever comes.
fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Answers requests until the connection ends: who answers, the request line, and the headers that tests ask about. A path that begins
/// with `/status/CODE` is answered with that code.
fn serve(stream: TcpStream, version: &str) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            let header = header.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if header.starts_with("x-test") || header.starts_with("host:") {
                headers.push(header);
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        headers.sort();
        let code = line.split_once("/status/").and_then(|(_, rest)| rest.get(..3)).unwrap_or("200");
        let said = format!("{version}\n{}\n{}\nbody {length}\n", line.trim_end(), headers.join("\n"));
        let answer = format!(
            "HTTP/1.1 {code} X\r\ncontent-length: {}\r\nx-test-internal: secret\r\n\r\n{said}",
            said.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
