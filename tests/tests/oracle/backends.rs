//! What the proxies forward to: servers on loopback that say who they are and what they saw.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Address and version of each backend; the configuration describes them as pods.
const BACKENDS: [((&str, u16), &str); 8] = [
    (("127.0.1.1", 9080), "v1"),
    (("127.0.1.2", 9080), "v2"),
    (("127.0.1.3", 9080), "v3"),
    (("127.0.1.9", 9080), "tcp"),
    (("10.97.0.1", 9080), "v9"),
    // Behind the proxy of a server.
    (("127.0.4.2", 9080), "v1"),
    (("127.0.4.2", 9090), "tcp"),
    (("127.0.4.2", 9100), "v1"),
];

/// Running backends.
pub struct Backends {
    stop: Arc<AtomicBool>,
    visits: Arc<Visits>,
    acceptors: Vec<JoinHandle<()>>,
}

/// How often each path was asked for, of all backends together.
#[derive(Default)]
struct Visits(Mutex<BTreeMap<String, usize>>);

// === impl Backends ===

impl Backends {
    /// Starts all.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let visits = Arc::<Visits>::default();
        let mut acceptors = Vec::new();
        for (address, version) in BACKENDS {
            let listener = TcpListener::bind(address).unwrap();
            let (stop, visits) = (Arc::clone(&stop), Arc::clone(&visits));
            acceptors.push(std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let stream = stream.unwrap();
                    let visits = Arc::clone(&visits);
                    std::thread::spawn(move || match version {
                        "tcp" => echo(stream),
                        _ => serve(stream, version, &visits),
                    });
                }
            }));
        }
        Self {
            stop,
            visits,
            acceptors,
        }
    }

    /// Forgets how often paths were asked for.
    pub fn forget(&self) {
        self.visits.0.lock().unwrap().clear();
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for (address, _) in BACKENDS {
            let _ = TcpStream::connect(address);
        }
        for acceptor in self.acceptors.drain(..) {
            let _ = acceptor.join();
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

/// What a request asks its backend for, by its path.
struct Wish {
    code: u16,
    delay: Duration,
}

/// Answers requests until the connection ends: who answers, the request line, the headers that tests ask about, and how often the
/// path has been asked for since the proxy started.
///
/// `/status/CODE` is answered with that code, `/slow` late, `/slow-once-NAME` late the first time, `/flaky-N-NAME` and `/single-N-NAME`
/// with 503 the first N times.
fn serve(stream: TcpStream, version: &str, visits: &Visits) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let path = request
            .line
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let visit = visits.count(&path);
        let Wish { code, delay } = wish(&path, visit);
        std::thread::sleep(delay);
        let said = format!(
            "{version}\n{}\n{}\nbody {}\nvisit {visit}\n",
            request.line,
            request.headers.join("\n"),
            request.length
        );
        let answer = format!(
            "HTTP/1.1 {code} X\r\ncontent-length: {}\r\nx-test-internal: secret\r\n\r\n{said}",
            said.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn wish(path: &str, visit: usize) -> Wish {
    let number = |prefix: &str| -> Option<usize> {
        path.strip_prefix(prefix)?.split('-').next()?.parse().ok()
    };
    let failures = number("/flaky-").or(number("/single-")).unwrap_or(0);
    let slow = path == "/slow" || (path.starts_with("/slow-once") && visit == 1);
    let code = number("/status/").and_then(|code| u16::try_from(code).ok());
    Wish {
        code: if visit <= failures {
            503
        } else {
            code.unwrap_or(200)
        },
        delay: Duration::from_millis(if slow { 1500 } else { 0 }),
    }
}

struct Request {
    line: String,
    headers: Vec<String>,
    length: usize,
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut next = || {
        let mut line = String::new();
        let read = reader.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    };
    let line = next()?;
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let header = next()?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        let shown = ["x-test", "host:", "x-forwarded-client-cert:"];
        if shown.iter().any(|name| header.starts_with(name)) {
            headers.push(header);
        }
    }
    headers.sort();
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(Request {
        line,
        headers,
        length,
    })
}

// === impl Visits ===

impl Visits {
    fn count(&self, path: &str) -> usize {
        let mut visits = self.0.lock().unwrap();
        let count = visits.entry(path.to_owned()).or_default();
        *count += 1;
        *count
    }
}
