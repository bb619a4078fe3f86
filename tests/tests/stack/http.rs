//! HTTP/1.1 over a connection that stays open, as bytes that a test can read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A connection, plain or in TLS.
pub struct Connection<S = TcpStream> {
    stream: BufReader<S>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A socket that waits for no answer longer than a test does.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        connect(address).map(Self::over)
    }
}

impl<S: Read + Write> Connection<S> {
    /// A connection over a stream that is open.
    pub fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// A GET request, of a URL or a path.
    pub fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        self.send_get(target, headers)?;
        self.receive()
    }

    /// Sends a GET request without waiting for its answer.
    pub fn send_get(&mut self, target: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let host = target.strip_prefix("http://").unwrap_or("localhost");
        let host = host.split('/').next().unwrap_or_default();
        let mut request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.send(request.as_bytes())
    }

    /// One answer.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status =
            status.ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?;
        let mut headers = vec![];
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let body = if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else {
            let length = answer.header("content-length");
            self.exactly(length.and_then(|length| length.parse().ok()).unwrap_or(0))?
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// Whether the other side ends the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = vec![];
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
            body.extend(self.exactly(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}
