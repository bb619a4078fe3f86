//! A client of WebSocket that says and hears short texts (RFC 6455).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Key and answer of the example in section 1.3 of the RFC.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub struct WebSocket {
    stream: TcpStream,
}

impl WebSocket {
    /// Opens a connection; an error if the server answers with anything but the right handshake.
    pub fn open(authority: &str, path: &str) -> io::Result<WebSocket> {
        let mut stream = TcpStream::connect(authority)?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).to_string();
        let accepts = head.lines().any(|line| {
            let (name, value) = line.split_once(':').unwrap_or_default();
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
        });
        if !head.starts_with("HTTP/1.1 101 ") || !accepts {
            return Err(io::Error::other(head));
        }
        Ok(WebSocket { stream })
    }

    /// Sends a text of less than 126 bytes, masked as what clients send is.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        let mask = [1, 2, 3, 4];
        let length = u8::try_from(text.len()).expect("a short text");
        let mut frame = vec![0x81, 0x80 | length];
        frame.extend(mask);
        let masked = text.bytes().zip(mask.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame)
    }

    /// The next text of the server.
    pub fn hear(&mut self) -> io::Result<String> {
        let mut start = [0; 2];
        self.stream.read_exact(&mut start)?;
        assert!(
            start[0] == 0x81 && start[1] < 126,
            "{start:?} begins no short text"
        );
        let mut text = vec![0; usize::from(start[1])];
        self.stream.read_exact(&mut text)?;
        String::from_utf8(text).map_err(io::Error::other)
    }
}
