//! Sends requests, and what counts of their answers.

use std::net::SocketAddr;

use crate::cases::Case;
use crate::{http, http2};

/// What counts of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status code; empty when there was no answer.
    pub status: String,
    /// Who answered; empty when it was the proxy itself.
    pub version: String,
    /// What the backend saw; in TCP what came back.
    pub seen: String,
    /// `location`, `grpc-status`, those of sharing with other origins, and headers that tests add.
    pub headers: Vec<String>,
}

/// Sends a request and reads the head of the answer, in lower case.
pub fn head(case: &Case) -> String {
    let address: SocketAddr = case.address.parse().unwrap();
    let request = format!("{}\r\nConnection: close\r\n\r\n", case.head);
    let text = http::exchange(address, &request, false).unwrap_or_default();
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    head.to_ascii_lowercase()
}

/// Sends a request and reads what counts of the answer.
pub fn send(case: &Case) -> Answer {
    send_head(case.address, case.head)
}

/// Sends a head as those of cases, and reads what counts of the answer.
pub fn send_head(address: &str, head: &str) -> Answer {
    let address: SocketAddr = address.parse().unwrap();
    let is_http2 = head.contains(" HTTP/2\r\n");
    if !head.contains("HTTP/1.1") && !is_http2 {
        let seen = http::exchange(address, head, true).unwrap_or_default();
        return Answer {
            seen,
            ..Answer::default()
        };
    }
    let answer = if is_http2 {
        http2::exchange(address, head)
    } else {
        let request = format!("{head}\r\nConnection: close\r\n\r\n");
        http::exchange(address, &request, false)
    };
    let Ok(text) = answer else {
        return Answer::default();
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default()
        .to_owned();
    let mut headers: Vec<String> = lines
        .map(str::to_ascii_lowercase)
        .filter(|line| {
            let names = ["location:", "x-test", "access-control-", "grpc-status:"];
            names.iter().any(|name| line.starts_with(name))
        })
        .collect();
    headers.sort();
    let (version, seen) = body.split_once('\n').unwrap_or_default();
    if !["v1", "v2", "v3", "v9"].contains(&version) {
        return Answer {
            status,
            headers,
            ..Answer::default()
        };
    }
    Answer {
        status,
        version: version.to_owned(),
        seen: seen.to_owned(),
        headers,
    }
}

// === impl Answer ===

impl Answer {
    /// In the words of [`Case::expect`].
    pub fn short(&self) -> String {
        let Self {
            status,
            version,
            seen,
            ..
        } = self;
        match (status.as_str(), version.as_str()) {
            ("", _) => seen.clone(),
            (status, "") => status.to_owned(),
            (status, version) => [status, version].join(" "),
        }
    }
}
